use super::*;

use http::HeaderMap;
use pipe_core::SecretSource;
use serde_json::json;

fn response(body: impl Into<Vec<u8>>) -> HttpResponse {
    HttpResponse::new(200, HeaderMap::new(), body)
}

fn read(body: &Value, scopes: &[&str]) -> Result<Granted> {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    granted(&response(body.to_string()), expecting(&scopes, None))
}

fn expecting<'a>(
    scopes: &'a BTreeSet<String>,
    exchange: Option<&'a TokenExchange>,
) -> Expected<'a> {
    Expected { scopes, silent_scope: SilentScope::Granted, exchange }
}

fn with(member: &str, value: impl Into<Value>) -> Value {
    let mut body = json!({ "access_token": "opaque", "token_type": "Bearer", "expires_in": 3600 });
    body[member] = value.into();
    body
}

fn without(member: &str) -> Value {
    let mut body = with("token_type", "Bearer");
    body.as_object_mut().unwrap().remove(member);
    body
}

fn jwt(typ: &str, claims: &Value) -> String {
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}.c2ln", part(json!({ "alg": "ES256", "typ": typ })), part(claims.clone()))
}

fn refused_as(kind: ErrorKind, body: &Value, scopes: &[&str]) -> Error {
    let error = read(body, scopes).unwrap_err();
    assert_eq!(error.kind(), kind, "{body}: {error}");
    error
}

/// G9
#[test]
fn a_sound_answer_is_a_bearer_token_with_its_life() {
    for kind in ["Bearer", "bearer", "BEARER"] {
        let granted = read(&with("token_type", kind), &["read"]).unwrap();
        assert_eq!(granted.token.expose(), b"opaque");
        assert_eq!(granted.lifetime, Duration::from_secs(3600));
        assert_eq!(granted.scopes, BTreeSet::from(["read".to_owned()]));
    }
}

/// G9
#[test]
fn a_life_is_told_in_whole_seconds_and_bounded() {
    for (told, seconds) in [
        (json!(1), 1),
        (json!("3599"), 3599),
        (json!(3600.9), 3600),
        (json!(86_401), 86_400),
        (json!(u64::MAX), 86_400),
        (json!(1e300), 86_400),
        (json!("99999999999999999999999"), 86_400),
        (Value::Null, 300),
    ] {
        let granted = read(&with("expires_in", told.clone()), &[]).unwrap();
        assert_eq!(granted.lifetime, Duration::from_secs(seconds), "{told}");
    }
    assert_eq!(read(&without("expires_in"), &[]).unwrap().lifetime, ASSUMED_LIFETIME);
}

/// G9
#[test]
fn a_token_without_a_life_is_refused() {
    for told in [
        json!(0),
        json!(-1),
        json!(0.5),
        json!(-1e300),
        json!("0"),
        json!(""),
        json!("-5"),
        json!("1h"),
        json!(" 5"),
        json!("0x10"),
        json!(true),
        json!([3600]),
        json!({ "seconds": 3600 }),
    ] {
        refused_as(ErrorKind::Unexpected, &with("expires_in", told), &[]);
    }
}

/// G9
#[test]
fn what_holds_no_usable_bearer_token_is_refused() {
    for body in [
        json!({}),
        json!([]),
        json!("token"),
        Value::Null,
        without("access_token"),
        without("token_type"),
        with("access_token", Value::Null),
        with("access_token", ""),
        with("access_token", 42),
        with("access_token", json!(["opaque"])),
        with("access_token", "two words"),
        with("access_token", "line\r\nbreak"),
        with("access_token", "caf\u{e9}"),
        with("access_token", "x".repeat(LONGEST_TOKEN + 1)),
        with("token_type", "mac"),
        with("token_type", ""),
        with("token_type", 1),
        with("token_type", "N_A"),
        with("scope", 1),
        with("scope", json!(["read"])),
    ] {
        refused_as(ErrorKind::Unexpected, &body, &[]);
    }
    for text in ["", "<html>", "{\"access_token\":", "access_token=opaque&token_type=bearer"] {
        let error = granted(&response(text), expecting(&BTreeSet::new(), None)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{text}");
    }
    let twice = r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#;
    assert!(granted(&response(twice), expecting(&BTreeSet::new(), None)).is_err());
}

/// G9
#[test]
fn a_token_that_is_bound_to_a_key_we_do_not_have_is_refused() {
    let error = refused_as(ErrorKind::Unexpected, &with("token_type", "DPoP"), &[]);
    assert!(error.hint_text().contains("DPoP"), "{error}");
}

/// G9
#[test]
fn a_scope_that_was_not_granted_is_named() {
    for told in [json!("read"), json!("read other"), json!("READ read")] {
        let error =
            refused_as(ErrorKind::PermissionDenied, &with("scope", told), &["read", "write"]);
        assert_eq!(error.context("missing"), Some("write"));
    }
    let error = refused_as(ErrorKind::PermissionDenied, &with("scope", ""), &["a", "b"]);
    assert_eq!(error.context("missing"), Some("a b"));
}

#[test]
fn a_scope_that_nobody_asked_for_is_not_reported() {
    let granted = read(&with("scope", "profile read email"), &["read"]).unwrap();
    assert_eq!(granted.scopes, BTreeSet::from(["read".to_owned()]));
    assert!(read(&with("scope", "profile"), &[]).unwrap().scopes.is_empty());
}

/// The provider that drops every scope is silent about it.
#[test]
fn where_the_answer_is_silent_the_token_tells_the_scopes() {
    for claims in [json!({ "scope": "read write" }), json!({ "scp": ["read", "write"] })] {
        let body = with("access_token", jwt("JWT", &claims));
        assert!(read(&body, &["read"]).is_ok());
        refused_as(ErrorKind::PermissionDenied, &body, &["delete"]);
    }
    let silent = with("access_token", jwt("at+jwt", &json!({ "sub": "svc" })));
    refused_as(ErrorKind::PermissionDenied, &silent, &["read"]);
    assert!(read(&silent, &[]).is_ok());
    for token in [jwt("JWT", &json!({ "roles": ["read"] })), "opaque".into(), "a.b.c".into()] {
        assert!(read(&with("access_token", token), &["read"]).is_ok());
    }
}

/// An opaque token of the provider that drops every scope.
#[test]
fn silence_can_be_refused() {
    let scopes = BTreeSet::from(["read".to_owned()]);
    let expected = Expected { silent_scope: SilentScope::Refused, ..expecting(&scopes, None) };
    let read = |body: Value| granted(&response(body.to_string()), expected);
    let error = read(without("scope")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.hint_text().contains("client.silent_scope"), "{error}");
    assert!(read(with("scope", "read")).is_ok());
    let nothing = BTreeSet::new();
    let expected = Expected { scopes: &nothing, ..expected };
    assert!(granted(&response(without("scope").to_string()), expected).is_ok());
}

#[test]
fn all_that_was_consented_to_cannot_be_compared() {
    let scope = "https://graph.microsoft.com/.default";
    let body = with("scope", "https://graph.microsoft.com/User.Read");
    assert!(read(&body, &[scope]).is_ok());
}

/// RFC 8693 2.2.1
#[test]
fn an_exchange_gives_the_kind_of_token_that_was_asked_for() {
    const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
    const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
    const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
    let exchange = TokenExchange::new(SecretSource::env("T"));
    let read = |exchange: &TokenExchange, kind: &str, issued: &str| {
        let mut body = with("token_type", kind);
        body["issued_token_type"] = issued.into();
        granted(&response(body.to_string()), expecting(&BTreeSet::new(), Some(exchange)))
    };
    assert!(read(&exchange, "Bearer", ACCESS).is_ok());
    assert!(read(&exchange, "N_A", ID_TOKEN).is_err(), "nobody asked for that");
    let exchange = exchange.with_requested_token_type(JWT);
    assert!(read(&exchange, "Bearer", ACCESS).is_ok());
    assert!(read(&exchange, "N_A", JWT).is_ok());
    assert!(read(&exchange, "N_A", ID_TOKEN).is_err());
}

/// H2
#[test]
fn no_error_repeats_the_answer() {
    let secret = "hunter2hunter2";
    for body in [
        with("access_token", format!("{secret} {secret}")),
        with("token_type", secret),
        with("expires_in", secret),
        with("scope", secret),
        json!({ "access_token": { secret: 1 } }),
        json!({ "expires_in": 5, "token_type": [secret] }),
    ] {
        let error = read(&body, &["read"]).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
