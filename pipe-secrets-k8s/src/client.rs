//! Requests to the API server: `kube`'s, sent by our transport.
//!
//! `kube` knows how requests of the API look, and its client follows no redirects; but that client
//! logs bodies that it cannot read, values and all, and waits without end for an answer.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{HeaderName, Method};
use pipe_core::{Error, ErrorKind, Result, TokenFault};
use pipe_http::{HttpClient, HttpResponse, HttpStream};

use crate::auth::Auth;
use crate::config::Impersonation;
use crate::error::{Asked, refusal};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");
const IMPERSONATE_GROUP: HeaderName = HeaderName::from_static("impersonate-group");

/// The API server, as one identity sees it.
pub(crate) struct Client {
    requests: HttpClient,
    watches: HttpClient,
    auth: Arc<Auth>,
    impersonate: HeaderMap,
    /// When what is known of whom we act for stops being true.
    ends: Option<SystemTime>,
    pub(crate) timeout: Duration,
    pub(crate) max_body: usize,
}

impl Client {
    pub(crate) fn new(
        requests: HttpClient,
        watches: HttpClient,
        auth: Auth,
        impersonate: HeaderMap,
        (timeout, max_body): (Duration, usize),
    ) -> Self {
        let auth = Arc::new(auth);
        Self { requests, watches, auth, impersonate, ends: None, timeout, max_body }
    }

    /// The same server by the same connections, on behalf of somebody until then.
    pub(crate) fn acting_for(&self, impersonate: HeaderMap, ends: SystemTime) -> Self {
        Self {
            requests: self.requests.clone(),
            watches: self.watches.clone(),
            auth: Arc::clone(&self.auth),
            impersonate,
            ends: Some(ends),
            timeout: self.timeout,
            max_body: self.max_body,
        }
    }

    /// Whether somebody else is acted for.
    pub(crate) fn impersonates(&self) -> bool {
        !self.impersonate.is_empty()
    }

    /// How long what is known of whom we act for is true; for ever when we act for nobody.
    pub(crate) fn left(&self) -> Duration {
        let left = |end: SystemTime| end.duration_since(SystemTime::now()).unwrap_or_default();
        self.ends.map_or(Duration::MAX, left)
    }

    /// The whole URL of a path of the API.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.requests.address().as_str().trim_end_matches('/'))
    }

    /// Sends a request once, and once more when its token was refused and there is another by now.
    pub(crate) async fn send(&self, request: impl Make) -> Result<HttpResponse> {
        self.check_end()?;
        let shown = self.auth.header().await?;
        let answer = self.requests.send(self.ready(request()?, shown.clone())).await?;
        let (401, Some(refused)) = (answer.status, shown) else { return Ok(answer) };
        match self.auth.other_than(&refused).await {
            Some(other) => self.requests.send(self.ready(request()?, Some(other))).await,
            None => Ok(answer),
        }
    }

    /// Sends a request, and turns whatever is no success into an error.
    pub(crate) async fn expect(
        &self,
        asked: &Asked<'_>,
        request: impl Make,
    ) -> Result<HttpResponse> {
        let answer = self.send(request).await?;
        match answer.error_kind() {
            None => Ok(answer),
            Some(_) => Err(refusal(&answer, asked)),
        }
    }

    /// Opens an endless answer.
    pub(crate) async fn stream(&self, asked: &Asked<'_>, request: impl Make) -> Result<HttpStream> {
        self.check_end()?;
        let shown = self.auth.header().await?;
        let mut answer = self.watches.stream(self.ready(request()?, shown.clone())).await?;
        if let (401, Some(refused)) = (answer.status(), shown)
            && let Some(other) = self.auth.other_than(&refused).await
        {
            answer = self.watches.stream(self.ready(request()?, Some(other))).await?;
        }
        if answer.status() == 200 {
            return Ok(answer);
        }
        Err(refusal(&answer.whole().await?, asked))
    }

    fn check_end(&self) -> Result<()> {
        if !self.left().is_zero() {
            return Ok(());
        }
        let kind = ErrorKind::TokenRejected(TokenFault::Expired);
        Err(Error::new(kind, "what is known of the caller is no longer true")
            .hint("check the caller's token again, and act for what it says"))
    }

    fn ready(
        &self,
        mut request: http::Request<Vec<u8>>,
        authorization: Option<HeaderValue>,
    ) -> http::Request<Vec<u8>> {
        let headers = request.headers_mut();
        headers.entry(ACCEPT).or_insert(JSON);
        for (name, value) in &self.impersonate {
            headers.append(name, value.clone());
        }
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        request
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("server", self.requests.address())
            .field("auth", &self.auth)
            .field("impersonate", &self.impersonate)
            .finish_non_exhaustive()
    }
}

/// The headers that say on whose behalf a request is made.
///
/// # Errors
/// `InvalidArgument` for a name that a header does not carry as it is. Without its header, the
/// request would be ours.
pub(crate) fn impersonating(impersonation: &Impersonation) -> Result<HeaderMap> {
    let value = |name: &str| {
        let value = HeaderValue::try_from(name).ok();
        value.filter(|_| !name.is_empty() && name.trim() == name).ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "not a name that a header can carry")
                .hint("use visible ASCII")
        })
    };
    let mut headers = HeaderMap::new();
    headers.insert(IMPERSONATE_USER, value(&impersonation.user)?);
    for group in &impersonation.groups {
        headers.append(IMPERSONATE_GROUP, value(group)?);
    }
    Ok(headers)
}

/// Makes a request, and makes it again where it has to be sent again: no copy of a body is kept.
pub(crate) trait Make: Fn() -> Result<http::Request<Vec<u8>>> + Send + Sync {}
impl<F: Fn() -> Result<http::Request<Vec<u8>>> + Send + Sync> Make for F {}

/// A request that carries JSON. The body is wiped once it is sent.
pub(crate) fn with_body(
    method: Method,
    url: String,
    body: Vec<u8>,
) -> Result<http::Request<Vec<u8>>> {
    let request = http::Request::builder().method(method).uri(url).header(CONTENT_TYPE, JSON);
    request.body(body).map_err(|_| unbuildable())
}

/// A request that `kube` made. Its own errors repeat names only, but are not ours.
pub(crate) fn built<E>(
    request: Result<http::Request<Vec<u8>>, E>,
) -> Result<http::Request<Vec<u8>>> {
    request.map_err(|_| unbuildable())
}

fn unbuildable() -> Error {
    Error::new(ErrorKind::InvalidArgument, "the request cannot be written down")
}
