use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::Mac as _;
use serde_json::{Value, json};

use super::*;
use crate::identity::{BearerToken, Group, Principal, PrincipalId, Role, TenantId};
use crate::{Namespace, SecurityContext, TokenFault};

const NOW: u64 = 1_000_000;
const HEADER: &str = r#"{"alg":"HS256","kid":"one","typ":"pipe-context+jwt"}"#;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn key(id: &str, byte: u8) -> ContextKey {
    ContextKey::new(id, vec![byte; 32]).unwrap()
}

fn context() -> SecurityContext {
    let bot = Principal::service(PrincipalId::new("auth0|1").unwrap());
    SecurityContext::new(bot, "https://issuer.example.org", at(NOW - 100), at(NOW + 500))
        .with_tenant(TenantId::new("bni").unwrap())
        .with_namespaces([Namespace::new("sales").unwrap()])
        .with_roles([Role::new("data_reader").unwrap()])
        .with_groups([Group::new("bni-editors").unwrap()])
        .with_scopes(["read".to_owned()])
        .with_token_id("token-1")
}

fn signer() -> ContextSigner {
    ContextSigner::new("orders", key("one", 1)).unwrap().with_clock(|| at(NOW))
}

fn verifier_at(now: u64) -> ContextVerifier {
    ContextVerifier::new("billing", [key("one", 1)]).unwrap().with_clock(move || at(now))
}

fn verifier() -> ContextVerifier {
    verifier_at(NOW)
}

fn text(token: &BearerToken) -> String {
    token.expose_str().unwrap().to_owned()
}

fn claims() -> Value {
    let token = text(&signer().sign(&context(), "billing").unwrap());
    let claims = wire::decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

/// What somebody who knows the key could sign.
fn forge(header: &str, claims: &str, key: &ContextKey) -> String {
    let signed = format!("{}.{}", wire::encode(header), wire::encode(claims));
    let signature = wire::mac(key, &signed).unwrap().finalize().into_bytes();
    format!("{signed}.{}", wire::encode(signature))
}

fn fault(verifier: &ContextVerifier, token: impl Into<String>) -> TokenFault {
    let error = verifier.verify(&BearerToken::new(token.into())).unwrap_err();
    match error.kind() {
        ErrorKind::TokenRejected(fault) => fault,
        kind => panic!("{kind:?}"),
    }
}

/// Changes a claim and signs anew.
fn with_claim(pointer: &str, value: Value) -> String {
    let mut claims = claims();
    *claims.pointer_mut(pointer).unwrap() = value;
    forge(HEADER, &claims.to_string(), &key("one", 1))
}

/// REQ 004-75.4
#[test]
fn a_context_arrives_as_it_was_sent() {
    let token = signer().sign(&context(), "billing").unwrap();
    assert_eq!(verifier().verify(&token).unwrap(), context());
    let bare = SecurityContext { tenant: None, token_id: None, ..context() };
    let bare = bare.with_roles([]).with_groups([]).with_scopes([]).with_namespaces([]);
    let token = signer().sign(&bare, "billing").unwrap();
    assert_eq!(verifier().verify(&token).unwrap(), bare);
}

/// REQ 004-75.4
#[test]
fn a_context_can_be_sent_on_to_the_next_service() {
    let first = signer().sign(&context(), "billing").unwrap();
    let received = verifier().verify(&first).unwrap();
    let next = ContextSigner::new("billing", key("two", 2)).unwrap().with_clock(|| at(NOW + 30));
    let next = next.sign(&received, "mail").unwrap();
    let mail = ContextVerifier::new("mail", [key("two", 2)]).unwrap();
    assert_eq!(mail.with_clock(|| at(NOW + 80)).verify(&next).unwrap(), context());
}

#[test]
fn the_claims_say_who_signed_for_whom_and_for_how_long() {
    let claims = claims();
    assert_eq!(claims["iss"], "orders");
    assert_eq!(claims["aud"], "billing");
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(NOW), &json!(NOW + 60)));
    assert_eq!(claims["context"]["issuer"], "https://issuer.example.org");
    assert_ne!(claims["jti"], self::claims()["jti"]);
}

#[test]
fn a_token_ends_with_its_context_at_the_latest() {
    let short = SecurityContext { expires_at: at(NOW + 10), ..context() };
    let token = signer().sign(&short, "billing").unwrap();
    assert!(verifier_at(NOW + 9).verify(&token).is_ok());
    assert_eq!(fault(&verifier_at(NOW + 10), text(&token)), TokenFault::Expired);
    for end in [at(NOW), at(NOW - 1), at(NOW) + Duration::from_millis(500)] {
        let over = SecurityContext { expires_at: end, ..context() };
        let error = signer().sign(&over, "billing").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TokenRejected(TokenFault::Expired));
    }
}

#[test]
fn a_token_that_was_changed_anywhere_is_refused() {
    let token = text(&signer().sign(&context(), "billing").unwrap());
    for i in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[i] = if bytes[i] == b'A' { b'B' } else { b'A' };
        assert!(verifier().verify(&BearerToken::new(bytes)).is_err(), "{i}");
    }
    let parts: Vec<_> = token.split('.').collect();
    let claims = wire::encode(claims().to_string().replace("data_reader", "admin"));
    let swapped = format!("{}.{claims}.{}", parts[0], parts[2]);
    assert_eq!(fault(&verifier(), swapped), TokenFault::BadSignature);
    let cut = &token[..token.len() - 7];
    assert_eq!(fault(&verifier(), cut), TokenFault::BadSignature);
    let unsigned = format!("{}.{}.", parts[0], parts[1]);
    assert_eq!(fault(&verifier(), unsigned), TokenFault::BadSignature);
}

#[test]
fn a_header_of_another_kind_is_refused_though_it_is_signed() {
    let claims = claims().to_string();
    for (header, expected) in [
        (r#"{"alg":"none","kid":"one","typ":"pipe-context+jwt"}"#, TokenFault::AlgorithmRefused),
        (r#"{"alg":"hs256","kid":"one","typ":"pipe-context+jwt"}"#, TokenFault::AlgorithmRefused),
        (r#"{"alg":"HS512","kid":"one","typ":"pipe-context+jwt"}"#, TokenFault::AlgorithmRefused),
        (r#"{"alg":"HS256","kid":"one","typ":"JWT"}"#, TokenFault::WrongType),
        (r#"{"alg":"HS256","kid":"one","typ":"at+jwt"}"#, TokenFault::WrongType),
        (r#"{"alg":"HS256","kid":"two","typ":"pipe-context+jwt"}"#, TokenFault::UnknownKey),
        (r#"{"alg":"HS256","typ":"pipe-context+jwt"}"#, TokenFault::Malformed),
        (r#"{"alg":"HS256","kid":"one"}"#, TokenFault::Malformed),
        (
            r#"{"alg":"HS256","kid":"one","kid":"one","typ":"pipe-context+jwt"}"#,
            TokenFault::Malformed,
        ),
        (
            r#"{"alg":"HS256","kid":"one","typ":"pipe-context+jwt","jku":"x"}"#,
            TokenFault::Malformed,
        ),
        (
            r#"{"alg":"HS256","kid":"one","typ":"pipe-context+jwt","crit":[]}"#,
            TokenFault::Unsupported,
        ),
        (
            r#"{"alg":"HS256","kid":"one","typ":"pipe-context+jwt","crit":null}"#,
            TokenFault::Unsupported,
        ),
        (r#"{"alg":["HS256"],"kid":"one","typ":"pipe-context+jwt"}"#, TokenFault::Malformed),
        (r#"{"alg":"HS256","kid":"one","typ":"pipe-context+jwt"}{}"#, TokenFault::Malformed),
        ("[]", TokenFault::Malformed),
        ("", TokenFault::Malformed),
    ] {
        let token = forge(header, &claims, &key("one", 1));
        assert_eq!(fault(&verifier(), token), expected, "{header}");
    }
    assert!(verifier().verify(&BearerToken::new(forge(HEADER, &claims, &key("one", 1)))).is_ok());
}

#[test]
fn a_token_has_one_spelling() {
    let token = text(&signer().sign(&context(), "billing").unwrap());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    for junk in [
        format!("{token}="),
        format!("{token}."),
        format!("{token}.e30"),
        format!("{token}\n"),
        format!("{token} "),
        format!(" {token}"),
        format!("{signed}=.{signature}"),
        format!("{signed}.{}", signature.replace(['-', '_'], "+")) + "+",
        "..".to_owned(),
        String::new(),
        "a.b".to_owned(),
    ] {
        assert!(verifier().verify(&BearerToken::new(junk.clone())).is_err(), "{junk:?}");
    }
    // 32 bytes leave two bits of the last character unused: set one of them.
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let stray = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
    let stray = format!("{signed}.{}{stray}", &signature[..signature.len() - 1]);
    assert_eq!(fault(&verifier(), stray), TokenFault::Malformed);
    let binary = BearerToken::new(vec![0xff, b'.', b'.']);
    assert!(verifier().verify(&binary).is_err());
}

#[test]
fn every_claim_is_held_to_its_rule() {
    for (pointer, value, expected) in [
        ("/aud", json!("mail"), TokenFault::WrongAudience),
        ("/aud", json!("Billing"), TokenFault::WrongAudience),
        ("/aud", json!(["billing"]), TokenFault::Malformed),
        ("/aud", json!(null), TokenFault::MissingClaim),
        ("/iss", json!(null), TokenFault::MissingClaim),
        ("/jti", json!(""), TokenFault::MissingClaim),
        ("/jti", json!(null), TokenFault::MissingClaim),
        ("/exp", json!(NOW), TokenFault::Expired),
        ("/exp", json!(0), TokenFault::Expired),
        ("/exp", json!(null), TokenFault::MissingClaim),
        ("/exp", json!(-1), TokenFault::Malformed),
        ("/exp", json!(1e9), TokenFault::Malformed),
        ("/exp", json!("9999999999"), TokenFault::Malformed),
        ("/exp", json!(u64::MAX), TokenFault::Malformed),
        ("/exp", json!(NOW + 301), TokenFault::LifetimeTooLong),
        ("/iat", json!(NOW + 6), TokenFault::IssuedInFuture),
        ("/iat", json!(NOW - 241), TokenFault::LifetimeTooLong),
        ("/iat", json!(null), TokenFault::MissingClaim),
        ("/context", json!(null), TokenFault::MissingClaim),
        ("/context", json!({}), TokenFault::Malformed),
        ("/context/expires_at", json!(NOW + 59), TokenFault::Malformed),
        ("/context/authenticated_at", json!(NOW + 6), TokenFault::Malformed),
        ("/context/id", json!("a@example.org"), TokenFault::Malformed),
        ("/context/kind", json!("root"), TokenFault::Malformed),
        ("/context/roles", json!(["a\nb"]), TokenFault::Malformed),
        ("/context/roles", json!("admin"), TokenFault::Malformed),
        ("/context/namespaces", json!(["../x"]), TokenFault::Malformed),
    ] {
        assert_eq!(
            fault(&verifier(), with_claim(pointer, value.clone())),
            expected,
            "{pointer} {value}"
        );
    }
    let skewed = with_claim("/iat", json!(NOW + 5));
    assert!(verifier().verify(&BearerToken::new(skewed)).is_ok());
}

#[test]
fn members_that_are_unknown_or_stand_twice_are_refused() {
    let claims = claims().to_string();
    for changed in [
        claims.replacen('{', r#"{"nbf":1,"#, 1),
        claims.replacen('{', r#"{"aud":"billing","#, 1),
        claims.replace(r#""context":{"#, r#""context":{"only_for":"x","#),
        claims.replace(r#""context":{"#, r#""context":{"roles":["admin"],"#),
    ] {
        let token = forge(HEADER, &changed, &key("one", 1));
        assert_eq!(fault(&verifier(), token), TokenFault::Malformed, "{changed}");
    }
    for broken in ["", "{", "nonsense", &format!("{claims}x")] {
        let token = forge(HEADER, broken, &key("one", 1));
        assert_eq!(fault(&verifier(), token), TokenFault::Malformed, "{broken}");
    }
}

#[test]
fn a_token_past_16_kib_is_neither_sent_nor_looked_at() {
    let large = context().with_scopes((0..2_000).map(|i| format!("scope-{i}")));
    let error = signer().sign(&large, "billing").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let padded = format!("{}.x.x", "A".repeat(16 << 10));
    assert_eq!(fault(&verifier(), padded), TokenFault::Malformed);
}

/// REQ 004-85.3
#[test]
fn keys_overlap_while_they_are_replaced() {
    let keys = [key("one", 1), key("two", 2)];
    let verifier = ContextVerifier::new("billing", keys).unwrap().with_clock(|| at(NOW));
    for key in [key("one", 1), key("two", 2)] {
        let signer = ContextSigner::new("orders", key).unwrap().with_clock(|| at(NOW));
        let token = signer.sign(&context(), "billing").unwrap();
        assert!(verifier.verify(&token).is_ok());
    }
    let other = forge(HEADER, &claims().to_string(), &key("one", 2));
    assert_eq!(fault(&verifier, other), TokenFault::BadSignature);
}

#[test]
fn only_the_named_senders_are_accepted_when_any_are() {
    let token = text(&signer().sign(&context(), "billing").unwrap());
    let verify = |senders: &[&str]| {
        let verifier = verifier().with_senders(senders.iter().copied());
        verifier.verify(&BearerToken::new(token.clone())).map_err(|error| error.kind())
    };
    assert!(verify(&["orders", "mail"]).is_ok());
    assert_eq!(verify(&["mail"]), Err(ErrorKind::TokenRejected(TokenFault::WrongIssuer)));
    assert!(verify(&[]).is_err());
}

#[test]
fn a_longer_lifetime_takes_the_consent_of_both_sides() {
    let signer = signer().with_lifetime(Duration::from_secs(400));
    let token = signer.sign(&context(), "billing").unwrap();
    assert_eq!(fault(&verifier(), text(&token)), TokenFault::LifetimeTooLong);
    let patient = verifier().with_max_lifetime(Duration::from_secs(400));
    assert!(patient.verify(&token).is_ok());
    let endless = signer.with_lifetime(Duration::MAX).sign(&context(), "billing").unwrap();
    let patient = verifier().with_max_lifetime(Duration::MAX);
    assert_eq!(patient.verify(&endless).unwrap().expires_at, at(NOW + 500));
}

#[test]
fn settings_that_protect_nothing_are_refused() {
    let faults = [
        ContextKey::new("one", vec![1; 31]).err(),
        ContextKey::new("", vec![1; 32]).err(),
        ContextSigner::new(" ", key("one", 1)).err(),
        ContextVerifier::new("", [key("one", 1)]).err(),
        ContextVerifier::new("billing", []).err(),
        ContextVerifier::new("billing", [key("one", 1), key("one", 2)]).err(),
        signer().with_lifetime(Duration::from_millis(999)).sign(&context(), "billing").err(),
    ];
    for error in faults {
        assert_eq!(error.unwrap().kind(), ErrorKind::ConfigInvalid);
    }
    let error = signer().sign(&context(), "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn nothing_shows_the_key_or_a_claim() {
    let secret = "do-not-print-do-not-print-do-not-print";
    let key = ContextKey::new("one", secret).unwrap();
    let signer = ContextSigner::new("orders", key.clone()).unwrap();
    let verifier = ContextVerifier::new("billing", [key.clone()]).unwrap();
    let forged = with_claim("/context/roles", json!("do-not-print"));
    let error = self::verifier().verify(&BearerToken::new(forged)).unwrap_err();
    let shown = format!("{key:?} {signer:#?} {verifier:?} {error:#} {error:?}");
    assert!(!shown.contains("do-not-print") && shown.contains("REDACTED"), "{shown}");
    let bytes = format!("{:?}", secret.as_bytes());
    assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
}
