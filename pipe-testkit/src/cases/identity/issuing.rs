use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use pipe_core::{ErrorKind, IdentityPlugin};
use serde_json::{Value, json};

use super::{AUDIENCE, SUBJECT, claims, expect_kind, issue, object, request, segments};

/// REQ 004-73.0
pub async fn a_signed_token_is_a_jwt_or_unsupported(plugin: Arc<dyn IdentityPlugin>) {
    if let Some(jwt) = issue(&plugin, &request()).await {
        let [header, _, signature] = segments(&jwt);
        let algorithm = object(&header).get("alg").and_then(Value::as_str).map(str::to_lowercase);
        assert!(!matches!(algorithm.as_deref(), None | Some("none")), "the token is not signed");
        assert!(!signature.is_empty(), "the token is not signed");
    }
}

/// REQ 004-73.1
pub async fn a_signed_token_has_the_registered_claims(plugin: Arc<dyn IdentityPlugin>) {
    if let Some(jwt) = issue(&plugin, &request()).await {
        let claims = claims(&jwt);
        assert_eq!(claims.get("sub"), Some(&json!(SUBJECT)));
        assert!(claims.get("iss").is_some_and(Value::is_string), "no issuer");
        assert_eq!(claims.get("jti"), Some(&json!(jwt.id)));
        let audience = claims.get("aud");
        assert!(audience == Some(&json!(AUDIENCE)) || audience == Some(&json!([AUDIENCE])));
        let times = ["iat", "exp"].map(|claim| claims.get(claim).and_then(Value::as_u64));
        assert!(times.iter().all(Option::is_some), "no time of issue or no end");
    }
}

/// REQ 004-73.4: an hour by default, and what the answer says is what the token says.
pub async fn a_signed_token_lives_as_long_as_asked(plugin: Arc<dyn IdentityPlugin>) {
    let short = request().with_lifetime(Duration::from_secs(90));
    for (request, lifetime) in [(request(), 3600), (short, 90)] {
        if let Some(jwt) = issue(&plugin, &request).await {
            let claims = claims(&jwt);
            let time = |claim| claims.get(claim).and_then(Value::as_u64).expect("a time");
            assert_eq!(time("exp") - time("iat"), lifetime);
            assert_eq!(jwt.expires_at, UNIX_EPOCH + Duration::from_secs(time("exp")));
        }
    }
}

/// A token that never lives, and one that outlives everybody, are mistakes.
pub async fn a_lifetime_of_nothing_is_refused(plugin: Arc<dyn IdentityPlugin>) {
    if plugin.capabilities().issue {
        for lifetime in [Duration::ZERO, Duration::from_secs(100 * 365 * 24 * 3600), Duration::MAX]
        {
            let request = request().with_lifetime(lifetime);
            expect_kind(plugin.generate_jwt(&request).await, ErrorKind::InvalidArgument);
        }
    }
}

/// Two tokens can be told apart in an audit log.
pub async fn every_signed_token_has_an_id_of_its_own(plugin: Arc<dyn IdentityPlugin>) {
    let first = issue(&plugin, &request()).await;
    let second = issue(&plugin, &request()).await;
    if let (Some(first), Some(second)) = (first, second) {
        assert!(!first.id.is_empty());
        assert_ne!(first.id, second.id);
    }
}

/// REQ 004-73.2, 004-73.6
pub async fn custom_claims_are_carried(plugin: Arc<dyn IdentityPlugin>) {
    let request = request()
        .with_claim("run", 42)
        .and_then(|request| request.with_claim("https://example.org/labels", json!(["a", "b"])))
        .expect("neither claim is reserved");
    if let Some(jwt) = issue(&plugin, &request).await {
        let claims = claims(&jwt);
        assert_eq!(claims.get("namespace"), Some(&json!("sales")));
        assert_eq!(claims.get("roles"), Some(&json!(["data_reader"])));
        assert_eq!(claims.get("run"), Some(&json!(42)));
        assert_eq!(claims.get("https://example.org/labels"), Some(&json!(["a", "b"])));
    }
}

/// A lifetime above the default is not cut to it in silence; it may be out of the issuer's bounds.
pub async fn a_lifetime_of_two_hours_is_kept_or_refused(plugin: Arc<dyn IdentityPlugin>) {
    if !plugin.capabilities().issue {
        return;
    }
    let request = request().with_lifetime(Duration::from_secs(7200));
    match plugin.generate_jwt(&request).await {
        Ok(jwt) => {
            let claims = claims(&jwt);
            let time = |claim| claims.get(claim).and_then(Value::as_u64).expect("a time");
            assert_eq!(time("exp") - time("iat"), 7200);
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:#}"),
    }
}

/// I1: names are bytes; what only looks like a registered claim is a claim of the caller's own.
pub async fn i1_a_custom_claim_never_becomes_a_registered_one(plugin: Arc<dyn IdentityPlugin>) {
    let mut request = request();
    for name in ["Sub", "ISS", "aud ", "exp\u{200b}", "SUB"] {
        request = match request.clone().with_claim(name, "admin") {
            Ok(request) => request,
            // A name may be refused, and not be taken for another one.
            Err(_) => request,
        };
    }
    let Ok(jwt) = plugin.generate_jwt(&request).await else { return };
    let claims = claims(&jwt);
    assert_eq!(claims.get("sub"), Some(&json!(SUBJECT)));
    assert_ne!(claims.get("iss"), Some(&json!("admin")));
    assert!(claims.get("exp").is_some_and(Value::is_u64));
    let context = plugin.validate_token(&jwt.token, &super::expectation()).await;
    let context = context.unwrap_or_else(|error| panic!("validate_token failed: {error:#}"));
    assert_eq!(context.principal.id.as_str(), SUBJECT);
}

/// I2: a token of centuries is one for ever.
pub async fn i2_a_lifetime_past_all_bounds_is_refused(plugin: Arc<dyn IdentityPlugin>) {
    if plugin.capabilities().issue {
        for lifetime in [Duration::MAX, Duration::from_secs(1 << 62), Duration::from_secs(1 << 33)]
        {
            let signed = plugin.generate_jwt(&request().with_lifetime(lifetime)).await;
            expect_kind(signed, ErrorKind::InvalidArgument);
        }
    }
}

/// I3: also for tokens that are signed at the same moment.
pub async fn i3_tokens_signed_at_once_have_ids_of_their_own(plugin: Arc<dyn IdentityPlugin>) {
    let request = request().with_claim("i3", 1).expect("not reserved");
    let signed = futures_util::future::join_all((0..20).map(|_| issue(&plugin, &request))).await;
    let ids: Vec<_> = signed.into_iter().flatten().map(|jwt| jwt.id).collect();
    let different: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(different.len(), ids.len(), "an id was used twice");
}

/// I4: whoever reads the token gets no key with it, and always the same name of the key.
pub async fn i4_the_header_names_the_key_and_does_not_hold_it(plugin: Arc<dyn IdentityPlugin>) {
    let request = request().with_claim("i4", 1).expect("not reserved");
    let first = issue(&plugin, &request).await;
    let second = issue(&plugin, &request).await;
    if let (Some(first), Some(second)) = (first, second) {
        let [first, second] = [first, second].map(|jwt| object(&segments(&jwt)[0]));
        for name in ["jwk", "jku", "x5u", "x5c", "k", "d"] {
            assert_eq!(first.get(name), None, "the header has {name}");
        }
        assert_eq!(first.get("kid"), second.get("kid"));
    }
}

/// I6
pub async fn i6_a_token_grants_what_was_asked_for_and_nothing_else(
    plugin: Arc<dyn IdentityPlugin>,
) {
    use pipe_core::identity::{JwtRequest, PrincipalId};
    let subject = PrincipalId::new(SUBJECT).expect("legal");
    let request = JwtRequest::new(subject).with_audience(AUDIENCE);
    let request = request.with_claim("groups", json!(["admin"])).expect("not reserved");
    if let Some(jwt) = issue(&plugin, &request).await {
        let context = plugin.validate_token(&jwt.token, &super::expectation()).await;
        let context = context.unwrap_or_else(|error| panic!("validate_token failed: {error:#}"));
        assert!(context.roles.is_empty(), "roles that nobody asked for");
        assert!(context.namespaces.is_empty(), "namespaces that nobody asked for");
    }
}
