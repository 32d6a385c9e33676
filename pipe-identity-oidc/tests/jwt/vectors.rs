//! Wycheproof and the RFCs' own examples, through the path that a token takes.

use std::collections::BTreeSet;

use pipe_core::TokenFault;
use pipe_identity_oidc::jwt::{
    Algorithm, Jws, Jwt, KeySet, Limits, TokenPolicy, TokenType, TrustedIssuer, VerifyingKey,
};
use serde_json::{Value, json};

/// Where we differ from Wycheproof, and why. Both ways: an entry that does not differ is an error.
const DEVIATIONS: [(&str, &str); 8] = [
    ("json_web_signature#346", "the key is pinned to PS256, the token is PS384"),
    ("json_web_signature#347", "ES512 is not supported"),
    ("json_web_signature#350", "the key is pinned to PS256, the token is PS384"),
    ("json_web_signature#351", "ES512 is not supported"),
    ("json_web_signature#367", "canonical base64url, and the MAC is right"),
    ("json_web_signature#370", "canonical base64url, and the MAC is right"),
    ("json_web_signature#372", "a stray `?` is not base64url"),
    ("json_web_signature#373", "a stray `?` is not base64url"),
];

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn wycheproof() -> Value {
    read(include_str!("../vectors/wycheproof_jws.json"))
}

/// A key or a set of keys, as the set that it is.
fn key_set(key: &Value) -> pipe_core::Result<KeySet> {
    let set = if key.get("keys").is_some() { key.clone() } else { json!({ "keys": [key] }) };
    KeySet::parse_local(set.to_string().as_bytes())
}

fn accepts(key: &Value, token: &str) -> bool {
    let Ok(jws) = Jws::parse(token.as_bytes(), &Limits::new()) else { return false };
    let Ok(keys) = key_set(key) else { return false };
    keys.verify(&jws, &Algorithm::ALL).is_ok()
}

#[test]
fn wycheproof_is_followed_except_where_the_list_says_why_not() {
    let file = wycheproof();
    let mut differing = BTreeSet::new();
    let mut seen = (0, 0);
    for case in file["tests"].as_array().unwrap() {
        let key = &file["keys"][usize::try_from(case["key"].as_u64().unwrap()).unwrap()];
        let accepted = accepts(key, case["jws"].as_str().unwrap());
        let valid = case["expect"] == "valid";
        if valid {
            seen.0 += 1;
        } else {
            seen.1 += 1;
        }
        if accepted != valid {
            differing.insert(case["id"].as_str().unwrap().to_owned());
        }
    }
    let expected: BTreeSet<_> = DEVIATIONS.iter().map(|(id, _)| (*id).to_owned()).collect();
    assert_eq!(differing, expected);
    assert_eq!(seen, (51, 175));
}

/// 3.1: no key of a public document is a secret, whatever the token says.
#[test]
fn a_public_document_never_verifies_what_is_signed_with_a_secret() {
    let file = wycheproof();
    for case in file["tests"].as_array().unwrap() {
        let key = &file["keys"][usize::try_from(case["key"].as_u64().unwrap()).unwrap()];
        let set = if key.get("keys").is_some() { key.clone() } else { json!({ "keys": [key] }) };
        let keys = KeySet::parse(set.to_string().as_bytes()).unwrap();
        assert!(keys.keys().all(|key| !key.is_symmetric()));
        let Ok(jws) = Jws::parse(case["jws"].as_str().unwrap().as_bytes(), &Limits::new()) else {
            continue;
        };
        if jws.algorithm().is_some_and(Algorithm::is_symmetric) {
            assert!(keys.verify(&jws, &Algorithm::ALL).is_err(), "{}", case["id"]);
        }
    }
}

#[test]
fn the_examples_of_rfc_7520_and_rfc_8037_verify_as_far_as_they_are_supported() {
    let file = read(include_str!("../vectors/rfc7520_jws.json"));
    let mut refused = Vec::new();
    for case in file["tests"].as_array().unwrap() {
        let algorithm = case["alg"].as_str().unwrap();
        if !accepts(&case["jwk"], case["jws"].as_str().unwrap()) {
            refused.push(algorithm);
        }
    }
    refused.sort_unstable();
    assert_eq!(refused, ["ES512", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"]);
}

/// REQ 004-74.4
#[test]
fn the_tokens_of_rfc_7515_have_good_signatures_and_have_expired() {
    let file = read(include_str!("../vectors/rfc_misc.json"));
    for (name, algorithm) in
        [("rfc7515_a1_hs256", Algorithm::Hs256), ("rfc7515_a3_es256", Algorithm::Es256)]
    {
        let keys = key_set(&file[name]["jwk"]).unwrap();
        let policy = TokenPolicy::builder(TrustedIssuer::exact("joe"))
            .algorithms([algorithm])
            .token_type(TokenType::Lenient)
            .build()
            .unwrap();
        let token = file[name]["jws"].as_str().unwrap();
        let jwt = Jwt::parse(token.as_bytes(), policy.limits()).unwrap();
        let claims = keys.verify_claims(&jwt, &[algorithm]).unwrap();
        assert_eq!(claims["exp"], 1_300_819_380);
        let refused = policy.verify(&jwt, &keys, &["anybody"], std::time::SystemTime::now());
        // They have no audience, which comes first.
        assert_eq!(refused.unwrap_err(), TokenFault::MissingClaim, "{name}");
    }
}

#[test]
fn the_thumbprint_is_that_of_rfc_7638() {
    let file = read(include_str!("../vectors/rfc_misc.json"));
    let example = &file["rfc7638_thumbprint"];
    let key = VerifyingKey::from_jwk(&example["jwk"]).unwrap();
    assert_eq!(key.thumbprint().as_deref(), example["sha256"].as_str());
}
