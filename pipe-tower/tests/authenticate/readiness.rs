//! The contract of tower: a service is called only after it said that it is ready.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use tower::{Layer, Service, ServiceExt};

use crate::{Scripted, context, layer, request, with_token};

/// Takes a place when it is ready, as a concurrency limit does, and gives it back when dropped.
struct Strict {
    is_ready: bool,
    is_open: Arc<AtomicBool>,
    taken: Arc<AtomicUsize>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        let (is_open, taken) = (Arc::clone(&self.is_open), Arc::clone(&self.taken));
        Self { is_ready: false, is_open, taken }
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        if self.is_ready {
            self.taken.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Service<Request<String>> for Strict {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if !self.is_open.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        if !self.is_ready {
            self.is_ready = true;
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        assert!(self.is_ready, "called without having been ready");
        self.is_ready = false;
        self.taken.fetch_sub(1, Ordering::Relaxed);
        ready(Ok(Response::new(String::new())))
    }
}

fn strict() -> Strict {
    Strict { is_ready: false, is_open: Arc::new(true.into()), taken: Arc::default() }
}

#[tokio::test]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    let mut service = layer(Scripted::accepts(context("bot"))).layer(strict());
    for _ in 0..3 {
        let first = service.ready().await.unwrap().call(with_token("x"));
        let second = service.ready().await.unwrap().call(with_token("x"));
        assert_eq!(second.await.unwrap().status(), 200);
        assert_eq!(first.await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_service_that_is_not_ready_is_waited_for() {
    let inner = strict();
    let is_open = Arc::clone(&inner.is_open);
    let mut service = layer(Scripted::accepts(context("bot"))).layer(inner);
    let mut cx = Context::from_waker(Waker::noop());
    is_open.store(false, Ordering::Relaxed);
    assert!(service.poll_ready(&mut cx).is_pending());
    is_open.store(true, Ordering::Relaxed);
    assert!(service.poll_ready(&mut cx).is_ready());
}

#[tokio::test]
async fn a_refused_or_cancelled_request_gives_its_place_back() {
    let inner = strict();
    let taken = Arc::clone(&inner.taken);
    let mut service = layer(Scripted::hangs()).layer(inner);
    let refused = service.ready().await.unwrap().call(request(&[]));
    assert_eq!(refused.await.unwrap().status(), 401);
    let cancelled = service.ready().await.unwrap().call(with_token("x"));
    assert_eq!(taken.load(Ordering::Relaxed), 1);
    drop(cancelled);
    assert_eq!(taken.load(Ordering::Relaxed), 0);
}
