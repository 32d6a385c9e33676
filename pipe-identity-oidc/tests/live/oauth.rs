//! What OAuth clients do, in plain HTTP, for setup and for a second opinion beside the plugin's.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::Server;
use crate::web::{client, form, json};

/// The ids of the published keys.
pub(crate) async fn kids(server: &Server) -> HashSet<String> {
    let (_, jwks) = json(client().get(server.url("/jwks"))).await;
    let keys = jwks["keys"].as_array().expect("a JWK set has keys");
    keys.iter().map(|key| text(&key["kid"])).collect()
}

/// An access token for `svc-basic`.
pub(crate) async fn basic_token(server: &Server, resource: &str) -> String {
    let secret = server.secret("svc-basic");
    let request = client().post(server.url("/token")).basic_auth("svc-basic", Some(secret));
    let fields = [("grant_type", "client_credentials"), ("resource", resource)];
    let (status, answer) = json(form(request, &fields)).await;
    assert_eq!(status, StatusCode::OK, "{answer} {}", server.log());
    text(&answer["access_token"])
}

/// Asks for a token as a client that authenticates with an assertion.
pub(crate) async fn with_assertion(
    server: &Server,
    client_id: &str,
    assertion: &str,
) -> (StatusCode, Value) {
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", client_id),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
    ];
    json(form(client().post(server.url("/token")), &fields)).await
}

/// Asks for a token as `svc-grants`, with fields beside `resource`.
pub(crate) async fn grant(
    server: &Server,
    resource: &str,
    fields: &[(&str, &str)],
) -> (StatusCode, Value) {
    let secret = server.secret("svc-grants");
    let request = client().post(server.url("/token")).basic_auth("svc-grants", Some(secret));
    json(form(request, &[&[("resource", resource)], fields].concat())).await
}

/// Introspects a token as `rs`.
pub(crate) async fn introspect(server: &Server, token: &str) -> (StatusCode, Value) {
    let request = client().post(server.url("/token/introspection"));
    let request = request.basic_auth("rs", Some(server.secret("rs")));
    json(form(request, &[("token", token)])).await
}

/// The header of a JWT.
pub(crate) fn header(token: &str) -> Value {
    part(token, 0)
}

/// The claims of a JWT.
pub(crate) fn claims(token: &str) -> Value {
    part(token, 1)
}

/// The claims of an assertion that lives for a minute.
pub(crate) fn assertion(issuer: &str, subject: &str, audience: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("now is after 1970").as_secs();
    json!({
        "iss": issuer,
        "sub": subject,
        "aud": audience,
        "iat": now,
        "exp": now + 60,
        "jti": format!("{:x}", fastrand::u128(..)),
    })
}

/// A JWT signed with ES256 or RS256, whichever the key is for.
pub(crate) fn jwt(kid: &str, key: &KeyPair, claims: &Value) -> String {
    let is_ecdsa = key.algorithm() == &PKCS_ECDSA_P256_SHA256;
    let algorithm = if is_ecdsa { "ES256" } else { "RS256" };
    let message = signed_part(&json!({ "alg": algorithm, "kid": kid }), claims);
    let signature = if is_ecdsa {
        ecdsa_signature(key, message.as_bytes())
    } else {
        rsa_signature(key, message.as_bytes())
    };
    format!("{message}.{}", encode(&signature))
}

/// A JWT signed with a client's secret.
pub(crate) fn hs256_jwt(secret: &str, claims: &Value) -> String {
    let message = signed_part(&json!({ "alg": "HS256" }), claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("{message}.{}", encode(hmac::sign(&key, message.as_bytes()).as_ref()))
}

fn signed_part(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|value| encode(value.to_string().as_bytes()));
    format!("{header}.{claims}")
}

fn ecdsa_signature(key: &KeyPair, message: &[u8]) -> Vec<u8> {
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der())
        .expect("rcgen writes PKCS#8");
    key.sign(&SystemRandom::new(), message).expect("the key signs").as_ref().to_vec()
}

fn rsa_signature(key: &KeyPair, message: &[u8]) -> Vec<u8> {
    let key = RsaKeyPair::from_pkcs8(&key.serialize_der()).expect("rcgen writes PKCS#8");
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
        .expect("the key signs");
    signature
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).expect("a JWT has three parts");
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).expect("they are base64url");
    serde_json::from_slice(&bytes).expect("the first two are JSON")
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn text(value: &Value) -> String {
    value.as_str().expect("it is a string").to_owned()
}
