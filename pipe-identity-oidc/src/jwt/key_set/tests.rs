use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;

const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn ed(kid: &str) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": X, "kid": kid })
}

fn ec() -> Value {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({ "kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]) })
}

fn with(mut jwk: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

fn parse(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn select(set: &KeySet, kid: Option<&str>, algorithm: Algorithm) -> Result<(), TokenFault> {
    set.select(kid, algorithm).map(|_| ())
}

/// E7
#[test]
fn one_unusable_key_does_not_spoil_the_others() {
    let set = parse(&[ed("a"), json!("x"), with(ec(), json!({ "kid": "b" }))]);
    assert_eq!(set.len(), 2);
    assert_eq!(set.skipped(), [SkippedKey { index: 1, reason: NOT_AN_OBJECT }]);
    assert!(set.contains("a") && set.contains("b") && !set.contains("c"));
}

/// E5, E6, E9
#[test]
fn a_key_that_is_not_meant_for_this_is_skipped() {
    let secret = URL_SAFE_NO_PAD.encode([7; 32]);
    for jwk in [
        json!({ "kty": "oct", "k": secret, "alg": "HS256" }),
        json!({ "kty": "AKP", "pub": X }),
        json!({ "kty": 1 }),
        json!({}),
        json!(null),
        with(ed("a"), json!({ "use": "enc" })),
        with(ed("a"), json!({ "use": null })),
        with(ed("a"), json!({ "key_ops": ["sign"] })),
        with(ed("a"), json!({ "key_ops": [] })),
        with(ed("a"), json!({ "key_ops": "verify" })),
        with(ed("a"), json!({ "alg": "RS256" })),
        with(ed("a"), json!({ "alg": "HS256" })),
        with(ed("a"), json!({ "alg": "none" })),
        with(ed("a"), json!({ "alg": 1 })),
        with(ed("a"), json!({ "kid": 1 })),
        with(ed("a"), json!({ "issuer": 1 })),
        with(ed("a"), json!({ "crv": "Ed448" })),
        with(ed("a"), json!({ "crv": "X25519" })),
        with(ed("a"), json!({ "d": X })),
        with(ed("a"), json!({ "x5c": [] })),
        with(ed("a"), json!({ "x5c": ["AAAA"] })),
        with(ec(), json!({ "crv": "P-384" })),
        with(ec(), json!({ "crv": "P-521" })),
        with(ec(), json!({ "crv": "secp256k1" })),
        with(ec(), json!({ "alg": "ES384" })),
    ] {
        let set = parse(&[jwk.clone(), ed("good")]);
        assert_eq!((set.len(), set.skipped().len()), (1, 1), "{jwk}");
        assert!(!set.skipped()[0].reason.is_empty());
    }
}

#[test]
fn a_key_that_says_what_it_is_for_is_used() {
    for changes in [
        json!({ "use": "sig" }),
        json!({ "key_ops": ["verify"] }),
        json!({ "key_ops": ["sign", "verify"], "use": "sig" }),
        json!({ "alg": "EdDSA" }),
        json!({ "alg": "Ed25519" }),
        json!({ "unknown": { "a": [1] } }),
    ] {
        let set = parse(&[with(ed("a"), changes.clone())]);
        assert_eq!(select(&set, Some("a"), Algorithm::EdDsa), Ok(()), "{changes}");
    }
}

/// E7
#[test]
fn a_document_that_is_no_key_set_is_refused_whole() {
    for document in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "{\"keys\":[]}x"]
    {
        let error = KeySet::parse(document.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{document}");
        let error = KeySet::parse_local(document.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{document}");
    }
    assert!(KeySet::parse(br#"{"keys":[]}"#).unwrap().is_empty());
}

#[test]
fn a_hundred_keys_are_read_and_one_more_is_refused() {
    let keys = |count: usize| json!({ "keys": vec![ed("a"); count] }).to_string();
    assert_eq!(KeySet::parse(keys(MAX_KEYS).as_bytes()).unwrap().len(), MAX_KEYS);
    assert!(KeySet::parse(keys(MAX_KEYS + 1).as_bytes()).is_err());
    assert!(KeySet::parse(format!(r#"{{"keys":[{}1]}}"#, "1,".repeat(10_000)).as_bytes()).is_err());
}

/// E4
#[test]
fn a_name_that_two_different_keys_have_is_ambiguous() {
    let name = json!({ "kid": "a" });
    let (one, other) = (with(ec(), name.clone()), with(ec(), name));
    let set = parse(&[one.clone(), other]);
    assert_eq!(select(&set, Some("a"), Algorithm::Es256), Err(TokenFault::UnknownKey));
    let set = parse(&[one.clone(), one.clone()]);
    assert_eq!(select(&set, Some("a"), Algorithm::Es256), Ok(()));
    let set = parse(&[one, ed("a")]);
    assert_eq!(select(&set, Some("a"), Algorithm::Es256), Ok(()));
    assert_eq!(select(&set, Some("a"), Algorithm::EdDsa), Ok(()));
}

/// E8
#[test]
fn a_token_without_a_name_is_for_the_only_key_of_its_algorithm() {
    let (one, other) = (with(ec(), json!({ "kid": "a" })), with(ec(), json!({ "kid": "b" })));
    let set = parse(&[one.clone(), ed("c")]);
    assert_eq!(select(&set, None, Algorithm::Es256), Ok(()));
    assert_eq!(select(&set, None, Algorithm::Rs256), Err(TokenFault::UnknownKey));
    let set = parse(&[one.clone(), other]);
    assert_eq!(select(&set, None, Algorithm::Es256), Err(TokenFault::UnknownKey));
    let set = parse(&[one.clone(), with(one, json!({ "kid": "b" }))]);
    assert_eq!(select(&set, None, Algorithm::Es256), Ok(()));
}

/// A3, A5
#[test]
fn a_key_verifies_only_what_it_is_for() {
    let set = parse(&[ed("a")]);
    assert_eq!(select(&set, Some("a"), Algorithm::Es256), Err(TokenFault::AlgorithmRefused));
    assert_eq!(select(&set, Some("b"), Algorithm::Es256), Err(TokenFault::UnknownKey));
}

#[test]
fn a_published_key_without_a_name_is_not_for_tokens_that_name_one() {
    let set = parse(&[ec()]);
    assert_eq!(select(&set, Some("a"), Algorithm::Es256), Err(TokenFault::UnknownKey));
    assert_eq!(select(&set, None, Algorithm::Es256), Ok(()));
}

#[test]
fn a_configured_key_without_a_name_is_for_tokens_that_name_any() {
    let set = KeySet::hmac(&[7; 32], Algorithm::Hs256).unwrap();
    assert_eq!(select(&set, Some("a"), Algorithm::Hs256), Ok(()));
    assert_eq!(select(&set, None, Algorithm::Hs256), Ok(()));
}

#[test]
fn a_configured_set_without_a_usable_key_is_a_fault_of_the_configuration() {
    for keys in [json!([]), json!([1]), json!([with(ed("a"), json!({ "use": "enc" }))])] {
        let document = json!({ "keys": keys }).to_string();
        let error = KeySet::parse_local(document.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{keys}");
    }
    let document = json!({ "keys": [1, ed("a")] }).to_string();
    let set = KeySet::parse_local(document.as_bytes()).unwrap();
    assert_eq!((set.len(), set.skipped().len()), (1, 1));
}

#[test]
fn a_key_of_the_name_comes_before_those_that_answer_to_any() {
    let key = |byte| VerifyingKey::from_secret(&[byte; 32], Algorithm::Hs256).unwrap();
    let set = KeySet::from_keys([key(1), key(2).with_kid("a")]).unwrap();
    assert_eq!(set.select(Some("a"), Algorithm::Hs256).unwrap().kid(), Some("a"));
    assert_eq!(set.select(Some("b"), Algorithm::Hs256).unwrap().kid(), None);
    assert_eq!(select(&set, None, Algorithm::Hs256), Err(TokenFault::UnknownKey));
}

/// A2
#[test]
fn secrets_and_public_keys_do_not_mix() {
    let secret = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode([7; 64]) });
    let document = json!({ "keys": [secret, ed("a")] }).to_string();
    let error = KeySet::parse_local(document.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    let document = json!({ "keys": [secret] }).to_string();
    let set = KeySet::parse_local(document.as_bytes()).unwrap();
    let algorithms: Vec<_> = set.keys().flat_map(VerifyingKey::algorithms).collect();
    assert_eq!(algorithms, [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512]);
}

/// A7
#[test]
fn a_secret_that_is_shorter_than_the_hash_is_refused() {
    for (algorithm, bytes) in
        [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)]
    {
        assert!(KeySet::hmac(&vec![7; bytes], algorithm).is_ok(), "{algorithm}");
        let error = KeySet::hmac(&vec![7; bytes - 1], algorithm).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{algorithm}");
    }
    assert!(KeySet::hmac(&[], Algorithm::Hs256).is_err());
    assert!(KeySet::hmac(&[7; 64], Algorithm::Rs256).is_err());
}
