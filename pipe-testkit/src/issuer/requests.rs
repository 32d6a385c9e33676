//! What clients send: forms, and how they prove who they are.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::state::State;
use super::{CLIENT_ID, CLIENT_SECRET, RESOURCE_SERVER_ID, RESOURCE_SERVER_SECRET, SigningKey};
use crate::fake::http::Call;

/// The fields of a form.
pub(crate) type Form = BTreeMap<String, String>;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(crate) fn form(call: &Call) -> Form {
    let body = call.body.as_deref().unwrap_or_default();
    let body = std::str::from_utf8(body).unwrap_or_default();
    let fields = body.split('&').filter_map(|field| field.split_once('='));
    fields.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

/// The client, when it proved who it is.
pub(super) fn client(state: &mut State, now: u64, call: &Call, form: &Form) -> Option<String> {
    if let Some(basic) = basic(call) {
        let text = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
        // RFC 6749 2.3.1: both halves are form-encoded first.
        let (id, secret) = text.split_once(':')?;
        return known(decoded(id), &decoded(secret));
    }
    let field = |name: &str| form.get(name).map(String::as_str);
    if field("client_assertion_type") == Some(ASSERTION_TYPE) {
        let claims = assertion(state, now, field("client_assertion")?)?;
        let id = claims.get("iss")?.as_str()?;
        let is_consistent = claims.get("sub")?.as_str() == Some(id)
            && field("client_id").is_none_or(|named| named == id);
        return is_consistent.then(|| id.to_owned());
    }
    known(field("client_id")?.to_owned(), field("client_secret")?)
}

/// What the client sent in `Authorization: Basic`.
pub(crate) fn basic(call: &Call) -> Option<&str> {
    let (scheme, value) = call.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then_some(value)
}

fn known(id: String, secret: &str) -> Option<String> {
    let expected = match id.as_str() {
        CLIENT_ID => CLIENT_SECRET,
        RESOURCE_SERVER_ID => RESOURCE_SERVER_SECRET,
        _ => return None,
    };
    (secret == expected).then_some(id)
}

/// The claims of an assertion (RFC 7523) that a registered key signed for us, once.
pub(super) fn assertion(
    state: &mut State,
    now: u64,
    assertion: &str,
) -> Option<serde_json::Map<String, Value>> {
    let claims = claims(assertion)?;
    let issuer = claims.get("iss")?.as_str()?;
    let keys = state.registered.iter().filter(|(client, _)| client == issuer);
    if !keys.map(|(_, key)| key).any(|key| is_signed_by(assertion, key)) {
        return None;
    }
    let url = &state.url;
    let for_us = |audience: &Value| {
        audience.as_str().is_some_and(|text| text == url || text == format!("{url}/token"))
    };
    let audience = claims.get("aud")?;
    let is_meant = audience.as_array().map_or_else(|| for_us(audience), |a| a.iter().any(for_us));
    let is_current = claims.get("exp")?.as_u64()? > now;
    let id = format!("{issuer} {}", claims.get("jti")?.as_str()?);
    (is_meant && is_current && state.used.insert(id)).then_some(claims)
}

/// The claims of a token, unchecked.
pub(crate) fn claims(token: &str) -> Option<serde_json::Map<String, Value>> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

pub(crate) fn is_signed_by(token: &str, key: &SigningKey) -> bool {
    let Some((message, signature)) = token.rsplit_once('.') else { return false };
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
    key.verify(message.as_bytes(), &signature)
}

pub(crate) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (bytes[at], hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
