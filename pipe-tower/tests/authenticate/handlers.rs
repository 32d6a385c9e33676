//! What the service behind the layer gets to see.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use pipe_core::{SecurityContext, TraceContext};
use pipe_testkit::reference::InMemoryIdentity;
use tokio::sync::Barrier;
use tower::{Layer, ServiceExt, service_fn};

use crate::{Scripted, ask, context, layer, request, token, with_token};

/// REQ 004-75.4
#[tokio::test]
async fn the_caller_is_in_the_extensions_and_in_the_task_and_nowhere_else() {
    let service = layer(Scripted::accepts(context("bot"))).layer(service_fn(
        async |request: Request<String>| {
            let told = request.extensions().get::<Arc<SecurityContext>>().cloned();
            assert_eq!(told, SecurityContext::current());
            let unaware = tokio::spawn(async { SecurityContext::current() }).await.unwrap();
            assert_eq!(unaware, None);
            Ok::<_, Infallible>(Response::new(told.map(|caller| caller.principal.id.to_string())))
        },
    ));
    assert_eq!(SecurityContext::current(), None);
    let answer = service.oneshot(with_token("x")).await.unwrap();
    assert_eq!(answer.body().as_deref(), Some("bot"));
    assert_eq!(SecurityContext::current(), None);
}

#[tokio::test]
async fn two_requests_at_a_time_do_not_see_each_others_caller() {
    let identity = InMemoryIdentity::new();
    let tokens = [token(&identity, "ann").await, token(&identity, "bob").await];
    let both_are_in = Arc::new(Barrier::new(2));
    let service = layer(identity).layer(service_fn(move |_: Request<String>| {
        let both_are_in = Arc::clone(&both_are_in);
        async move {
            let before = SecurityContext::current();
            for _ in 0..10 {
                both_are_in.wait().await;
                assert_eq!(SecurityContext::current(), before);
            }
            Ok::<_, Infallible>(Response::new(before.map(|c| c.principal.id.to_string())))
        }
    }));
    // In one task, so that each is polled where the other was polled just before.
    let (ann, bob) = tokio::join!(
        service.clone().oneshot(with_token(&tokens[0])),
        service.clone().oneshot(with_token(&tokens[1])),
    );
    assert_eq!(ann.unwrap().body().as_deref(), Some("ann"));
    assert_eq!(bob.unwrap().body().as_deref(), Some("bob"));
}

#[tokio::test]
async fn a_refused_request_never_reaches_the_service() {
    let service = layer(InMemoryIdentity::new()).layer(service_fn(
        async |_: Request<String>| -> Result<Response<String>, Infallible> {
            panic!("nobody may come in")
        },
    ));
    for request in [request(&[]), with_token("x")] {
        assert_eq!(service.clone().oneshot(request).await.unwrap().status(), 401);
    }
}

/// Asks for the headers that the service behind the layer sees.
async fn headers_inside(layer: pipe_tower::AuthenticateLayer) -> http::HeaderMap {
    let service = layer.layer(service_fn(async |request: Request<String>| {
        let mut response = Response::new(String::new());
        *response.headers_mut() = request.into_parts().0.headers;
        Ok::<_, Infallible>(response)
    }));
    let request = request(&[("authorization", "Bearer x"), ("dpop", "y"), ("accept", "z")]);
    service.oneshot(request).await.unwrap().into_parts().0.headers
}

#[tokio::test]
async fn the_credentials_are_taken_out_of_the_request() {
    let headers = headers_inside(layer(Scripted::accepts(context("bot")))).await;
    assert_eq!(headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["accept"]);
}

#[tokio::test]
async fn credentials_that_are_kept_are_marked_as_sensitive() {
    let layer = layer(Scripted::accepts(context("bot"))).keep_credentials();
    let headers = headers_inside(layer).await;
    assert_eq!(headers["authorization"], "Bearer x");
    assert!(headers["authorization"].is_sensitive() && headers["dpop"].is_sensitive());
    assert!(!headers["accept"].is_sensitive());
}

#[tokio::test]
async fn the_error_of_the_service_is_passed_on() {
    let service = layer(Scripted::accepts(context("bot")))
        .layer(service_fn(async |_: Request<String>| Err::<Response<String>, _>("broken")));
    assert_eq!(service.oneshot(with_token("x")).await.unwrap_err(), "broken");
}

/// REQ 001-83
#[tokio::test]
async fn the_service_works_within_the_trace_of_the_request() {
    let service =
        layer(Scripted::accepts(context("bot"))).layer(service_fn(async |_: Request<String>| {
            Ok::<_, Infallible>(Response::new(TraceContext::current().map(|t| t.trace_id())))
        }));
    let sent = TraceContext::new();
    let request = request(&[("authorization", "Bearer x"), ("traceparent", &sent.to_string())]);
    let seen = service.clone().oneshot(request).await.unwrap().into_body();
    assert_eq!(seen, Some(sent.trace_id()));
    let fresh = service.oneshot(with_token("x")).await.unwrap().into_body();
    assert!(fresh.is_some() && fresh != seen);
    assert_eq!(TraceContext::current(), None);
}

#[tokio::test]
async fn a_shared_plugin_is_a_plugin() {
    let identity: Arc<dyn pipe_core::IdentityPlugin> = Arc::new(Scripted::accepts(context("bot")));
    assert_eq!(ask(&layer(identity), with_token("x")).await.body(), "bot");
}
