//! What is answered: one status per row of the README's table, and nothing that tells why.

use std::time::Duration;

use http::{Response, StatusCode};
use pipe_core::identity::PrincipalId;
use pipe_core::{Error, ErrorKind, TokenFault};
use pipe_testkit::reference::InMemoryIdentity;

use crate::{Scripted, ask, context, layer, request, role, token, with_token};

const FAULTS: [TokenFault; 17] = [
    TokenFault::AlgorithmRefused,
    TokenFault::BadSignature,
    TokenFault::Expired,
    TokenFault::Inactive,
    TokenFault::IssuedInFuture,
    TokenFault::LifetimeTooLong,
    TokenFault::Malformed,
    TokenFault::MissingClaim,
    TokenFault::NotBound,
    TokenFault::NotYetValid,
    TokenFault::Replayed,
    TokenFault::TenantMismatch,
    TokenFault::UnknownKey,
    TokenFault::Unsupported,
    TokenFault::WrongAudience,
    TokenFault::WrongIssuer,
    TokenFault::WrongType,
];

/// Everything that the caller gets to see, in one line.
fn seen(response: &Response<String>) -> String {
    let headers = response.headers().iter();
    let headers: Vec<_> = headers.map(|(k, v)| format!("{k}: {}", v.to_str().unwrap())).collect();
    format!("{} [{}] {}", response.status().as_u16(), headers.join("; "), response.body())
}

fn refused(status: u16, challenge: &str) -> String {
    format!("{status} [cache-control: no-store; www-authenticate: {challenge}] ")
}

#[tokio::test]
async fn a_request_without_credentials_is_told_the_scheme_and_no_fault() {
    let layer = layer(InMemoryIdentity::new());
    for headers in [&[][..], &[("authorization", "Basic Ym90Og==")], &[("authorization", "")]] {
        assert_eq!(seen(&ask(&layer, request(headers)).await), refused(401, "Bearer"));
    }
    let layer = layer.with_realm("the reports").unwrap();
    let expected = refused(401, r#"Bearer realm="the reports""#);
    assert_eq!(seen(&ask(&layer, request(&[])).await), expected);
}

#[tokio::test]
async fn malformed_or_several_credentials_are_an_invalid_token() {
    let identity = InMemoryIdentity::new();
    let good = format!("Bearer {}", token(&identity, "bot").await);
    let layer = layer(identity);
    for headers in [
        &[("authorization", "Bearer")][..],
        &[("authorization", "Bearer ")],
        &[("authorization", "bearer a b")],
        &[("authorization", "Bearer ä")],
        &[("authorization", good.as_str()), ("authorization", good.as_str())],
        &[("authorization", good.as_str()), ("authorization", "Basic Ym90Og==")],
    ] {
        let expected = refused(401, r#"Bearer error="invalid_token""#);
        assert_eq!(seen(&ask(&layer, request(headers)).await), expected, "{}", headers.len());
    }
}

/// REQ 004-74.5
#[tokio::test]
async fn the_answer_is_the_same_for_every_fault_of_a_token() {
    for fault in FAULTS {
        let error = Error::new(ErrorKind::TokenRejected(fault), "scripted")
            .with("why", fault.code())
            .retry_in(Duration::from_secs(5));
        let answer = ask(&layer(Scripted::fails(error)), with_token("x")).await;
        assert_eq!(seen(&answer), refused(401, r#"Bearer error="invalid_token""#), "{fault:?}");
    }
}

#[tokio::test]
async fn whatever_could_not_be_found_out_is_our_fault_and_never_allowed() {
    for kind in [
        ErrorKind::ConfigInvalid,
        ErrorKind::Conflict,
        ErrorKind::InvalidArgument,
        ErrorKind::NotFound,
        ErrorKind::RateLimited,
        ErrorKind::Timeout,
        ErrorKind::Unauthenticated,
        ErrorKind::Unavailable,
        ErrorKind::Unexpected,
        ErrorKind::Unsupported,
    ] {
        let answer = ask(&layer(Scripted::fails_as(kind)), with_token("x")).await;
        assert_eq!(seen(&answer), "503 [cache-control: no-store] ", "{kind:?}");
    }
}

#[tokio::test]
async fn the_caller_is_told_when_to_come_back_in_whole_seconds() {
    for (delay, seconds) in [(0, 1), (1_000, 1), (1_001, 2)] {
        let error = Error::new(ErrorKind::RateLimited, "x").retry_in(Duration::from_millis(delay));
        let answer = ask(&layer(Scripted::fails(error)), with_token("x")).await;
        let expected = format!("503 [cache-control: no-store; retry-after: {seconds}] ");
        assert_eq!(seen(&answer), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_hangs_is_waited_for_until_the_deadline() {
    let layer = layer(Scripted::hangs());
    for (layer, seconds) in [(layer.clone(), 10), (layer.with_deadline(Duration::from_secs(2)), 2)]
    {
        let start = tokio::time::Instant::now();
        assert_eq!(seen(&ask(&layer, with_token("x")).await), "503 [cache-control: no-store] ");
        assert_eq!(start.elapsed().as_secs(), seconds);
    }
}

#[tokio::test]
async fn a_caller_whom_the_plugin_denies_lacks_permission() {
    let layer = layer(Scripted::fails_as(ErrorKind::PermissionDenied));
    let expected = refused(403, r#"Bearer error="insufficient_scope""#);
    assert_eq!(seen(&ask(&layer, with_token("x")).await), expected);
}

#[tokio::test]
async fn every_required_role_is_needed() {
    let identity = InMemoryIdentity::new();
    let token = token(&identity, "bot").await;
    let layer = layer(identity).require_role(role("data_reader"));
    assert_eq!(ask(&layer, with_token(&token)).await.body(), "bot");
    let layer = layer.require_role(role("data_writer"));
    let expected = refused(403, r#"Bearer error="insufficient_scope""#);
    assert_eq!(seen(&ask(&layer, with_token(&token)).await), expected);
}

#[tokio::test]
async fn a_role_that_was_taken_away_meanwhile_does_not_count() {
    let identity = InMemoryIdentity::new();
    let token = token(&identity, "bot").await;
    let layer = layer(identity.clone()).require_role(role("data_reader"));
    identity.set_roles(PrincipalId::new("bot").unwrap(), []);
    assert_eq!(ask(&layer, with_token(&token)).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn every_required_scope_is_needed_and_the_answer_names_them() {
    let granted = context("bot").with_scopes(["read".to_owned()]);
    let layer = layer(Scripted::accepts(granted)).require_scope("read").unwrap();
    assert_eq!(ask(&layer, with_token("x")).await.body(), "bot");
    let layer = layer.with_realm("r").unwrap().require_scope("write").unwrap();
    let expected =
        refused(403, r#"Bearer realm="r",error="insufficient_scope",scope="read write""#);
    assert_eq!(seen(&ask(&layer, with_token("x")).await), expected);
}

#[test]
fn a_setting_that_could_break_the_challenge_is_refused() {
    let layer = layer(InMemoryIdentity::new());
    for bad in ["", "a\"b", "a\\b", "a\nb", "ä", "a\u{7f}"] {
        let realm = layer.clone().with_realm(bad).unwrap_err();
        let scope = layer.clone().require_scope(bad).unwrap_err();
        assert_eq!(realm.kind(), ErrorKind::ConfigInvalid, "{bad:?}");
        assert_eq!(scope.kind(), ErrorKind::ConfigInvalid, "{bad:?}");
    }
    assert!(layer.require_scope("read write").is_err());
}
