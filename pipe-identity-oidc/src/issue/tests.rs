//! The claims of threats I1 to I6 and REQ 004-73.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{DecodingKey, jwk::Jwk};
use pipe_core::identity::{Principal, PrincipalId, RESERVED_CLAIMS, Role};
use pipe_core::{Namespace, SecretValue, TokenFault};
use serde_json::json;

use super::*;
use crate::jwt::{Algorithm, SigningKey};

mod rotation;

const START: u64 = 1_700_000_000;

/// A clock that shows what the test set.
#[derive(Clone)]
struct Time(Arc<AtomicU64>);

impl Time {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START)))
    }

    fn clock(&self) -> Clock {
        let now = Arc::clone(&self.0);
        Clock::new(move || UNIX_EPOCH + Duration::from_secs(now.load(Ordering::SeqCst)))
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

fn key(algorithm: Algorithm) -> Arc<SigningKey> {
    Arc::new(SigningKey::generate(algorithm).unwrap())
}

fn issuer_with(signer: Arc<dyn Signer>) -> TokenIssuer {
    TokenIssuer::new("https://platform.example", signer)
        .unwrap()
        .with_default_audience("https://api.example")
        .with_clock(Time::new().clock())
}

fn issuer() -> TokenIssuer {
    issuer_with(key(Algorithm::EdDsa))
}

fn request() -> JwtRequest {
    JwtRequest::new(PrincipalId::new("service-account:floe-job-runner").unwrap())
}

fn text(signed: &SignedJwt) -> &str {
    signed.token.expose_str().unwrap()
}

fn segment(token: &str, at: usize) -> Value {
    let segment = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap()
}

/// Whether a key of the set verifies the token: with another library's key handling.
fn verifies(token: &str, jwks: &Value) -> bool {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let header = segment(token, 0);
    jwks["keys"].as_array().unwrap().iter().filter(|jwk| jwk["kid"] == header["kid"]).any(|jwk| {
        assert_eq!(jwk["alg"], header["alg"]);
        let algorithm = serde_json::from_value(header["alg"].clone()).unwrap();
        let jwk: Jwk = serde_json::from_value(jwk.clone()).unwrap();
        let key = DecodingKey::from_jwk(&jwk).unwrap();
        let verifier = (DEFAULT_PROVIDER.verifier_factory)(&algorithm, &key).unwrap();
        verifier.verify(signed.as_bytes(), &signature).is_ok()
    })
}

async fn kind_of(issuer: &TokenIssuer, request: &JwtRequest) -> ErrorKind {
    issuer.issue(request).await.unwrap_err().kind()
}

/// REQ 004-73.0, 004-73.3
#[tokio::test]
async fn another_library_verifies_what_every_public_key_signed() {
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric()) {
        let issuer = issuer_with(key(algorithm));
        let signed = issuer.issue(&request()).await.unwrap();
        assert!(verifies(text(&signed), &issuer.jwks()), "{algorithm}");
        assert_eq!(segment(text(&signed), 0)["typ"], "at+jwt");
    }
}

/// REQ 004-73.3
#[tokio::test]
async fn a_secret_signs_and_is_never_published() {
    let secret = SecretValue::from("0123456789abcdef0123456789abcdef");
    let key = SigningKey::from_secret(Algorithm::Hs256, &secret).unwrap();
    let issuer = issuer_with(Arc::new(key));
    let signed = issuer.issue(&request()).await.unwrap();
    let token = text(&signed);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let decoding = DecodingKey::from_secret(secret.expose());
    let verifier =
        (DEFAULT_PROVIDER.verifier_factory)(&jsonwebtoken::Algorithm::HS256, &decoding).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(verifier.verify(message.as_bytes(), &signature).is_ok());
    assert_eq!(segment(token, 0), json!({ "alg": "HS256", "typ": "at+jwt" }));
    assert_eq!(issuer.jwks(), json!({ "keys": [] }));
    let keys = issuer.verification_keys().keys;
    let Material::Secret(key) = &keys[0].material else { panic!("not a secret") };
    assert!(aws_lc_rs::hmac::verify(key, message.as_bytes(), &signature).is_ok());
}

/// REQ 004-73.6: the standard's own example.
#[tokio::test]
async fn the_example_of_the_standard_is_issued() {
    let request = request()
        .with_namespace(Namespace::new("sales").unwrap())
        .with_role(Role::new("data_reader").unwrap());
    let signed = issuer().issue(&request).await.unwrap();
    let claims = segment(text(&signed), 1);
    let example = json!({
        "sub": "service-account:floe-job-runner",
        "namespace": "sales",
        "roles": ["data_reader"],
    });
    for (name, value) in example.as_object().unwrap() {
        assert_eq!(&claims[name], value, "{name}");
    }
}

/// REQ 004-73.1, 004-73.4
#[tokio::test]
async fn a_token_lives_one_hour_unless_asked_otherwise() {
    let signed = issuer().issue(&request()).await.unwrap();
    let jti = signed.id.clone();
    assert_eq!(
        segment(text(&signed), 1),
        json!({
            "iss": "https://platform.example",
            "sub": "service-account:floe-job-runner",
            "aud": "https://api.example",
            "client_id": "service-account:floe-job-runner",
            "iat": START,
            "nbf": START,
            "exp": START + 3600,
            "jti": jti,
        })
    );
    assert_eq!(signed.expires_at, UNIX_EPOCH + Duration::from_secs(START + 3600));
    let odd = request().with_lifetime(Duration::from_millis(2_900));
    let claims = segment(text(&issuer().issue(&odd).await.unwrap()), 1);
    assert_eq!(claims["exp"], START + 2, "never longer than asked");
}

/// I2, REQ 004-73.4
#[tokio::test]
async fn a_lifetime_out_of_bounds_is_refused() {
    let issuer = issuer();
    for lifetime in [
        Duration::ZERO,
        Duration::from_millis(999),
        Duration::from_secs(24 * 3600) + Duration::from_nanos(1),
        Duration::MAX,
    ] {
        let request = request().with_lifetime(lifetime);
        assert_eq!(kind_of(&issuer, &request).await, ErrorKind::InvalidArgument, "{lifetime:?}");
    }
    for lifetime in [Duration::from_secs(1), Duration::from_secs(24 * 3600)] {
        issuer.issue(&request().with_lifetime(lifetime)).await.unwrap();
    }
    let endless = issuer.with_max_lifetime(Duration::MAX).unwrap();
    let request = request().with_lifetime(Duration::MAX);
    assert_eq!(kind_of(&endless, &request).await, ErrorKind::InvalidArgument);
    assert!(endless.with_max_lifetime(Duration::from_millis(999)).is_err());
}

/// I1, REQ 004-73.2
#[tokio::test]
async fn a_claim_of_our_own_is_taken_and_a_reserved_one_cannot_be_given() {
    let nested = json!({ "text": "\u{0}\"\u{2028}", "list": [1, -2.5, null] });
    let request = request().with_claim("run", nested.clone()).unwrap();
    for name in RESERVED_CLAIMS {
        assert!(request.clone().with_claim(name, "admin").is_err(), "{name}");
    }
    let claims = segment(text(&issuer().issue(&request).await.unwrap()), 1);
    assert_eq!(claims["run"], nested);
    assert_eq!(claims["sub"], "service-account:floe-job-runner");
}

/// I3
#[tokio::test]
async fn every_token_has_a_name_of_its_own_and_it_is_a_uuid() {
    let issuer = issuer_with(key(Algorithm::Hs256));
    let mut seen = BTreeSet::new();
    for _ in 0..1_000 {
        let id = issuer.issue(&request()).await.unwrap().id;
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&id.as_bytes()[19]));
        let is_lower_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f' | '-');
        assert!(id.chars().all(is_lower_hex), "{id}");
        assert!(seen.insert(id));
    }
}

#[tokio::test]
async fn one_audience_is_text_and_several_are_a_list() {
    let one = request().with_audience("a");
    let two = one.clone().with_audience("b");
    let issuer = issuer();
    let claims = segment(text(&issuer.issue(&one).await.unwrap()), 1);
    assert_eq!(claims["aud"], "a");
    let claims = segment(text(&issuer.issue(&two).await.unwrap()), 1);
    assert_eq!(claims["aud"], json!(["a", "b"]));
}

#[tokio::test]
async fn a_token_for_nobody_is_refused() {
    let nobody = TokenIssuer::new("issuer", key(Algorithm::EdDsa)).unwrap();
    assert_eq!(kind_of(&nobody, &request()).await, ErrorKind::InvalidArgument);
    let empty = request().with_audience("");
    assert_eq!(kind_of(&issuer(), &empty).await, ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn a_token_that_we_would_refuse_ourselves_is_not_made() {
    let issuer = issuer();
    let wide = (0..247).try_fold(request(), |request, n| request.with_claim(format!("c{n}"), n));
    let deep = (0..31).fold(json!(1), |value, _| json!([value]));
    let fits = request().with_claim("deep", deep.clone()).unwrap();
    issuer.issue(&fits).await.unwrap();
    let long_subject = JwtRequest::new(PrincipalId::new("x".repeat(256)).unwrap());
    for request in [
        request().with_claim("big", "x".repeat(16 * 1024)).unwrap(),
        request().with_claim("deep", json!([deep])).unwrap(),
        wide.unwrap(),
        long_subject,
    ] {
        assert_eq!(kind_of(&issuer, &request).await, ErrorKind::InvalidArgument);
    }
}

#[tokio::test]
async fn the_largest_token_has_16_kib() {
    let issuer = issuer();
    let of = |size: usize| request().with_claim("x", "x".repeat(size)).unwrap();
    let base = text(&issuer.issue(&of(0)).await.unwrap()).len();
    let mut most = (16 * 1024 - base) * 3 / 4;
    while issuer.issue(&of(most + 1)).await.is_ok() {
        most += 1;
    }
    let largest = issuer.issue(&of(most)).await.unwrap();
    assert!((16 * 1024 - 2..=16 * 1024).contains(&text(&largest).len()));
}

fn caller(role: &str, namespace: &str) -> SecurityContext {
    let start = UNIX_EPOCH + Duration::from_secs(START);
    let user = Principal::user(PrincipalId::new("alice").unwrap());
    SecurityContext::new(user, "issuer", start, start + Duration::from_secs(60))
        .with_roles([Role::new(role).unwrap()])
        .with_namespaces([Namespace::new(namespace).unwrap()])
}

/// I6
#[tokio::test]
async fn a_token_on_behalf_of_a_caller_gives_nothing_that_the_caller_has_not() {
    let issuer = issuer();
    let asked = request()
        .with_namespace(Namespace::new("sales").unwrap())
        .with_role(Role::new("data_reader").unwrap());
    let (alice, issue) = (caller("data_reader", "sales"), issuer.issue(&asked));
    assert!(SecurityContext::scope(alice, issue).await.is_ok());
    for other in [caller("auditor", "sales"), caller("data_reader", "finance")] {
        let refused = SecurityContext::scope(other, issuer.issue(&asked)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    }
    assert!(issuer.issue(&asked).await.is_ok(), "nobody's caller, nobody's limit");
    let unlimited = issuer.without_caller_limit();
    let issue = unlimited.issue(&asked);
    assert!(SecurityContext::scope(caller("auditor", "finance"), issue).await.is_ok());
}

/// I6
#[tokio::test]
async fn a_caller_whose_context_has_expired_gets_no_token() {
    let time = Time::new();
    let issuer = issuer().with_clock(time.clock());
    time.advance(60);
    let asked = request();
    let issue = issuer.issue(&asked);
    let refused = SecurityContext::scope(caller("a", "b"), issue).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TokenRejected(TokenFault::Expired));
}

#[test]
fn an_issuer_needs_a_name() {
    for name in ["", "a\nb"] {
        let error = TokenIssuer::new(name, key(Algorithm::EdDsa)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    }
}

/// REQ 004-73.5, H2
#[tokio::test]
async fn no_key_and_no_claim_is_seen_in_debug_or_in_errors() {
    let canary = "canary-0123456789-canary-0123456789";
    let key = SigningKey::from_secret(Algorithm::Hs256, &canary.into()).unwrap();
    let issuer = issuer_with(Arc::new(key));
    let asked = request()
        .with_role(Role::new(canary).unwrap())
        .with_namespace(Namespace::new(canary).unwrap())
        .with_claim("own", canary.repeat(1_000))
        .unwrap();
    let too_large = issuer.issue(&asked).await.unwrap_err();
    let too_long = issuer.issue(&asked.with_lifetime(Duration::MAX)).await.unwrap_err();
    let own = request().with_role(Role::new(canary).unwrap());
    let denied = SecurityContext::scope(caller("a", "b"), issuer.issue(&own)).await.unwrap_err();
    let signed = issuer.issue(&own).await.unwrap();
    let keys = issuer.verification_keys();
    let seen = format!("{issuer:?} {keys:?} {signed:?} {too_large:?} {too_long:?} {denied:?}");
    assert!(!seen.contains("canary") && !seen.contains(text(&signed)), "{seen}");
}
