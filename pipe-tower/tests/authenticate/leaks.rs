//! The token is in no log and in no answer, and not where a handler could log it
//! (REQ 004-74.5).

use std::convert::Infallible;

use http::{Request, Response};
use pipe_core::{Error, ErrorKind};
use pipe_testkit::leak::Canary;
use pipe_testkit::reference::InMemoryIdentity;
use tower::{Layer, ServiceExt, service_fn};

use crate::{Scripted, ask, layer, request, role, token, with_token};

#[tokio::test]
async fn a_refused_token_is_seen_nowhere() {
    let canary = Canary::new();
    let overloaded = Error::new(ErrorKind::RateLimited, "x");
    for layer in [
        layer(InMemoryIdentity::new()),
        layer(InMemoryIdentity::new()).with_public_origin("https://api.example.org").unwrap(),
        layer(Scripted::fails(overloaded)),
    ] {
        let header = |scheme: &str| format!("{scheme} {}", canary.value());
        for headers in [
            &[("authorization", &*header("Bearer"))][..],
            &[("authorization", &*header("Bearer two")), ("dpop", canary.value())],
            &[("authorization", &*header("DPoP")), ("dpop", canary.value())],
            &[("authorization", &*header("Basic"))],
            &[("authorization", canary.value())],
            &[("authorization", &*header("Bearer")), ("authorization", &*header("Bearer"))],
            &[("authorization", &*header("Bearer")), ("traceparent", canary.value())],
        ] {
            canary.look_at_debug("answer", &ask(&layer, request(headers)).await);
        }
        canary.look_at_debug("layer", &layer);
    }
    canary.assert_unseen();
}

#[tokio::test]
async fn a_handler_that_logs_its_request_does_not_log_the_token() {
    let identity = InMemoryIdentity::new();
    let token = token(&identity, "bot").await;
    let canary = Canary::of(&token);
    let handler = service_fn(async |request: Request<String>| {
        tracing::info!(?request, "a request came in");
        Ok::<_, Infallible>(Response::new(format!("{request:?}")))
    });
    let layer = layer(identity);
    for layer in [layer.clone(), layer.clone().keep_credentials()] {
        let answer = layer.layer(handler).oneshot(with_token(&token)).await.unwrap();
        assert_eq!(answer.status(), 200);
        canary.look_at("answer", answer.body());
    }
    let denied = ask(&layer.require_role(role("data_writer")), with_token(&token)).await;
    canary.look_at_debug("answer", &denied);
    canary.assert_unseen();
}
