//! Every algorithm, signed here, verified by us and by another library.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm as Other, DecodingKey};
use pipe_core::TokenFault;
use pipe_identity_oidc::jwt::{
    Algorithm, Claims, Jws, Jwt, KeySet, Limits, TokenPolicy, TrustedIssuer, VerifyingKey,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::keys::{self, TestKey};

const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "aud": "api", "sub": "alice", "exp": NOW + 300,
        "iat": NOW, "jti": "t-1", "client_id": "svc",
    })
}

fn policy(algorithm: Algorithm) -> TokenPolicy {
    TokenPolicy::builder(TrustedIssuer::exact("https://issuer.example"))
        .algorithms([algorithm])
        .build()
        .unwrap()
}

fn verify(token: &str, keys: &KeySet, algorithm: Algorithm) -> Result<Claims, TokenFault> {
    let policy = policy(algorithm);
    let jwt = Jwt::parse(token.as_bytes(), policy.limits())?;
    policy.verify(&jwt, keys, &["api"], now())
}

fn sound(key: &TestKey) -> String {
    key.token(key.header().to_string(), claims().to_string())
}

/// What the other library says of the same signature.
fn other_accepts(key: &TestKey, token: &str) -> bool {
    let member = |name: &str| key.jwk[name].as_str().unwrap();
    let decoding = match member("kty") {
        "oct" => DecodingKey::from_secret(
            &base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, member("k"))
                .unwrap(),
        ),
        "RSA" => DecodingKey::from_rsa_components(member("n"), member("e")).unwrap(),
        "EC" => DecodingKey::from_ec_components(member("x"), member("y")).unwrap(),
        _ => DecodingKey::from_ed_components(member("x")).unwrap(),
    };
    let algorithm: Other = key.algorithm.name().parse().unwrap();
    let verifier = (DEFAULT_PROVIDER.verifier_factory)(&algorithm, &decoding).unwrap();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let Ok(signature) = base64::Engine::decode(&engine, signature) else { return false };
    verifier.verify(input.as_bytes(), &signature).is_ok()
}

/// REQ 004-74.1
#[test]
fn a_token_of_every_algorithm_is_accepted_here_and_there() {
    for key in keys::ALL.iter() {
        let token = sound(key);
        let claims = verify(&token, &key.set(), key.algorithm);
        assert_eq!(claims.unwrap().subject(), "alice", "{}", key.algorithm);
        assert!(other_accepts(key, &token), "{}", key.algorithm);
    }
}

/// A4
#[test]
fn a_signature_with_one_bit_changed_is_refused_here_and_there() {
    for key in keys::ALL.iter() {
        let token = sound(key);
        let input = token.rsplit_once('.').unwrap().0;
        let signature = key.sign(input.as_bytes());
        for bit in [0, 7, signature.len() * 4, signature.len() * 8 - 1] {
            let mut changed = signature.clone();
            changed[bit / 8] ^= 0x80 >> (bit % 8);
            let token = format!("{input}.{}", keys::text(changed));
            let fault = verify(&token, &key.set(), key.algorithm).err();
            assert_eq!(fault, Some(TokenFault::BadSignature), "{} {bit}", key.algorithm);
            assert!(!other_accepts(key, &token), "{} {bit}", key.algorithm);
        }
        for wrong in [&signature[1..], &signature[..signature.len() - 1], &[0], &[0; 64]] {
            let token = format!("{input}.{}", keys::text(wrong));
            let fault = verify(&token, &key.set(), key.algorithm).err();
            assert_eq!(fault, Some(TokenFault::BadSignature), "{}", key.algorithm);
        }
        let longer = [&signature[..], &[0]].concat();
        let token = format!("{input}.{}", keys::text(longer));
        let fault = verify(&token, &key.set(), key.algorithm).err();
        assert_eq!(fault, Some(TokenFault::BadSignature), "{}", key.algorithm);
    }
}

/// A4: the twin of an ECDSA signature verifies too, so a signature is no identity of a token. Its DER
/// form does not.
#[test]
fn an_ecdsa_signature_in_der_is_refused() {
    let key = TestKey::of(Algorithm::Es256);
    let token = sound(key);
    let input = token.rsplit_once('.').unwrap().0;
    let fixed = key.sign(input.as_bytes());
    let integer = |bytes: &[u8]| {
        let zero: &[u8] = if bytes[0] & 0x80 == 0 { &[] } else { &[0] };
        let length = u8::try_from(zero.len() + bytes.len()).unwrap();
        [&[2, length], zero, bytes].concat()
    };
    let body = [integer(&fixed[..32]), integer(&fixed[32..])].concat();
    let der = [&[0x30, u8::try_from(body.len()).unwrap()], &body[..]].concat();
    let token = format!("{input}.{}", keys::text(der));
    let fault = verify(&token, &key.set(), key.algorithm).err();
    assert_eq!(fault, Some(TokenFault::BadSignature));
}

/// A2 (CVE-2015-9235)
#[test]
fn a_public_key_is_no_secret_in_any_of_its_forms() {
    for key in keys::ALL.iter().filter(|key| !key.algorithm.is_symmetric()) {
        let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": key.jwk["kid"] });
        let input =
            format!("{}.{}", keys::text(header.to_string()), keys::text(claims().to_string()));
        let jwk = key.jwk.to_string().into_bytes();
        for form in key.public_forms().into_iter().chain([jwk]) {
            let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &form), input.as_bytes());
            let token = format!("{input}.{}", keys::text(mac));
            let fault = verify(&token, &key.set(), key.algorithm).err();
            assert_eq!(fault, Some(TokenFault::AlgorithmRefused), "{}", key.algorithm);
            // Even where HS256 is allowed, the key is not for it.
            let fault = verify(&token, &key.set(), Algorithm::Hs256).err();
            assert_eq!(fault, Some(TokenFault::AlgorithmRefused), "{}", key.algorithm);
        }
    }
}

/// A3, A5: also for a key that is not pinned, only what its type can do.
#[test]
fn a_token_of_one_algorithm_is_refused_by_a_key_of_another() {
    for signer in keys::ALL.iter() {
        for verifier in keys::ALL.iter().filter(|key| key.algorithm != signer.algorithm) {
            let mut header = signer.header();
            header["kid"] = verifier.jwk["kid"].clone();
            let token = signer.token(header.to_string(), claims().to_string());
            let fault = verify(&token, &verifier.set(), signer.algorithm).err();
            assert_eq!(fault, Some(TokenFault::AlgorithmRefused), "{}", signer.algorithm);
        }
    }
}

#[test]
fn a_key_that_is_not_pinned_verifies_all_that_its_type_can() {
    for key in keys::ALL.iter() {
        let mut jwk = key.jwk.clone();
        jwk.as_object_mut().unwrap().remove("alg");
        let document = json!({ "keys": [jwk] }).to_string();
        let keys = KeySet::parse_local(document.as_bytes()).unwrap();
        assert!(verify(&sound(key), &keys, key.algorithm).is_ok(), "{}", key.algorithm);
    }
}

/// A5 (RFC 9864)
#[test]
fn both_names_of_ed25519_are_the_same() {
    let key = TestKey::of(Algorithm::EdDsa);
    for token_name in ["EdDSA", "Ed25519"] {
        for key_name in ["EdDSA", "Ed25519"] {
            let mut jwk = key.jwk.clone();
            jwk["alg"] = key_name.into();
            let keys = KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
            let header = json!({ "alg": token_name, "typ": "at+jwt" }).to_string();
            let token = key.token(header, claims().to_string());
            assert!(verify(&token, &keys, Algorithm::EdDsa).is_ok(), "{token_name} {key_name}");
        }
    }
}

/// B2 (CVE-2018-0114), B1
#[test]
fn a_key_that_the_token_brings_along_is_never_used() {
    let (trusted, attacker) = (TestKey::of(Algorithm::Es256), TestKey::of(Algorithm::Rs256));
    let mut header = attacker.header();
    header["jwk"] = attacker.jwk.clone();
    header["jku"] = "https://evil.example/jwks".into();
    let token = attacker.token(header.to_string(), claims().to_string());
    assert!(verify(&token, &trusted.set(), Algorithm::Rs256).is_err());
    // A proof of possession is what it is for (RFC 9449 4.3).
    let jwt = Jwt::parse(token.as_bytes(), &Limits::new()).unwrap();
    let embedded = VerifyingKey::from_jwk(jwt.jws().embedded_key().unwrap()).unwrap();
    assert!(jwt.verify(&embedded, &[Algorithm::Rs256]).is_ok());
    let refused = jwt.verify(&embedded, &[Algorithm::Es256]).unwrap_err();
    assert_eq!(refused, TokenFault::AlgorithmRefused);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_payload_that_is_signed_comes_back(payload: Vec<u8>, which in 0..Algorithm::ALL.len()) {
        let key = &keys::ALL[which];
        let token = key.token(key.header().to_string(), &payload);
        if token.len() <= Limits::new().token_bytes {
            let jws = Jws::parse(token.as_bytes(), &Limits::new()).unwrap();
            let set = key.set();
            prop_assert_eq!(set.verify(&jws, &[key.algorithm]).unwrap(), &payload[..]);
        }
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>, text in "[A-Za-z0-9_.-]{0,200}") {
        prop_assert!(Jwt::parse(&bytes, &Limits::new()).is_err());
        let _ = Jwt::parse(text.as_bytes(), &Limits::new());
        let _ = KeySet::parse(&bytes);
    }

    #[test]
    fn any_header_and_payload_are_parsed_or_refused(header in ".{0,60}", payload in ".{0,60}") {
        let token = format!("{}.{}.AAAA", keys::text(header), keys::text(payload));
        let _ = Jwt::parse(token.as_bytes(), &Limits::new());
    }
}
