//! A caller whom the service in front of us vouches for (REQ 004-75.4).

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::WWW_AUTHENTICATE;
use pipe_core::SecurityContext;
use pipe_core::identity::{ContextKey, ContextSigner, ContextVerifier};
use pipe_tower::{AuthenticateLayer, SIGNED_CONTEXT};
use tower::{Layer, ServiceExt, service_fn};

use super::*;

fn key(id: &str) -> ContextKey {
    ContextKey::new(id, format!("{id:-<32}")).unwrap()
}

fn signed(by: ContextKey, audience: &str) -> String {
    let signer = ContextSigner::new("orders", by).unwrap();
    let caller = context("bot").with_roles([role("data_reader")]);
    signer.sign(&caller, audience).unwrap().expose_str().unwrap().to_owned()
}

fn billing() -> AuthenticateLayer {
    AuthenticateLayer::signed_context(ContextVerifier::new("billing", [key("k1")]).unwrap())
}

/// What a request with these headers is answered, and who the service inside saw.
async fn send(layer: AuthenticateLayer, headers: &[(&str, &str)]) -> (StatusCode, String, String) {
    let seen = Arc::new(Mutex::new(String::new()));
    let noted = Arc::clone(&seen);
    let inner = service_fn(move |request: Request<String>| {
        let caller = SecurityContext::current().unwrap();
        assert!(!request.headers().contains_key(SIGNED_CONTEXT), "the credential goes on");
        *noted.lock().unwrap() = caller.principal.id.to_string();
        async { Ok::<_, Infallible>(Response::new(String::new())) }
    });
    let response = layer.layer(inner).oneshot(request(headers)).await.unwrap();
    let challenge = response.headers().get(WWW_AUTHENTICATE);
    let challenge = challenge.map_or("", |value| value.to_str().unwrap()).to_owned();
    let seen = seen.lock().unwrap().clone();
    (response.status(), challenge, seen)
}

#[tokio::test]
async fn the_caller_of_the_service_in_front_comes_in() {
    let token = signed(key("k1"), "billing");
    let layer = billing().require_role(role("data_reader"));
    let (status, _, seen) = send(layer, &[("x-pipe-context", &token)]).await;
    assert_eq!((status, seen.as_str()), (StatusCode::OK, "bot"));
    let (status, challenge, _) =
        send(billing().require_role(role("admin")), &[("x-pipe-context", &token)]).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(challenge.contains("insufficient_scope"));
}

#[tokio::test]
async fn whatever_else_is_sent_stays_outside() {
    let (good, other_key) = (signed(key("k1"), "billing"), signed(key("k2"), "billing"));
    let other_audience = signed(key("k1"), "shipping");
    let bearer = format!("Bearer {good}");
    let (status, challenge, _) = send(billing(), &[("authorization", &bearer)]).await;
    assert_eq!((status, challenge.as_str()), (StatusCode::UNAUTHORIZED, "Bearer"));
    for headers in [
        vec![("x-pipe-context", other_key.as_str())],
        vec![("x-pipe-context", &other_audience)],
        vec![("x-pipe-context", "")],
        vec![("x-pipe-context", &good[..good.len() - 1])],
        vec![("x-pipe-context", &good), ("x-pipe-context", &good)],
    ] {
        let (status, challenge, seen) = send(billing(), &headers).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(challenge, r#"Bearer error="invalid_token""#);
        assert_eq!(seen, "");
    }
}

#[tokio::test]
async fn a_context_that_has_ended_stays_outside() {
    let later = || SystemTime::now() + Duration::from_secs(61);
    let verifier = ContextVerifier::new("billing", [key("k1")]).unwrap().with_clock(later);
    let token = signed(key("k1"), "billing");
    let layer = AuthenticateLayer::signed_context(verifier);
    let (status, ..) = send(layer, &[("x-pipe-context", &token)]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

/// From outside, it must not reach a service further inside.
#[tokio::test]
async fn a_layer_that_expects_a_token_removes_a_signed_context() {
    let identity = InMemoryIdentity::new();
    let token = format!("Bearer {}", token(&identity, "alice").await);
    let context = signed(key("k1"), "billing");
    let headers = [("authorization", token.as_str()), ("x-pipe-context", &context)];
    let (status, _, seen) = send(layer(identity), &headers).await;
    assert_eq!((status, seen.as_str()), (StatusCode::OK, "alice"));
}
