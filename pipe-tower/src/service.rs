//! The service that the layer makes.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use pipe_core::SecurityContext;
use tower_service::Service;

use crate::layer::Settings;
use crate::trace;

/// A service behind an [`AuthenticateLayer`](crate::AuthenticateLayer).
#[derive(Clone, Debug)]
pub struct Authenticate<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Authenticate<S> {
    pub(crate) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl<S, B, R> Service<Request<B>> for Authenticate<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // It is this one that said it is ready, not its clone.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let settings = Arc::clone(&self.settings);
        let (mut parts, body) = request.into_parts();
        // The check is a part of the trace, too: it may ask the identity provider.
        Box::pin(trace::of_request(&parts.headers).scope(async move {
            let caller = match settings.admit(&mut parts).await {
                Ok(context) => Arc::new(context),
                Err(refusal) => return Ok(refusal.answer(&settings)),
            };
            parts.extensions.insert(Arc::clone(&caller));
            let request = Request::from_parts(parts, body);
            SecurityContext::scope(caller, async move { inner.call(request).await }).await
        }))
    }
}
