//! What clients send: forms, and how they prove who they are.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::SigningKey;
use super::answers::encoded;
use super::client::Authentication;
use super::state::State;
use crate::fake::http::Call;

/// The fields of a form.
pub(crate) type Form = BTreeMap<String, String>;

pub(crate) fn form(call: &Call) -> Form {
    Fields::of_body(call).0.into_iter().collect()
}

/// The fields of a form or a query in their order, of which some can be there twice.
#[derive(Clone, Debug)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn of(text: &str) -> Self {
        let fields = text.split('&').filter_map(|field| field.split_once('='));
        Self(fields.map(|(name, value)| (decoded(name), decoded(value))).collect())
    }

    pub(super) fn of_body(call: &Call) -> Self {
        let body = call.body.as_deref().unwrap_or_default();
        Self::of(std::str::from_utf8(body).unwrap_or_default())
    }

    pub(super) fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// The field, when it is there once. An empty one is as good as none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let fields = self.0.iter().filter(move |(it, value)| it == name && !value.is_empty());
        fields.map(|(_, value)| value.as_str())
    }

    /// A field that is there twice, and may not be.
    pub(super) fn duplicate(&self, except: &str) -> Option<&str> {
        let names = self.0.iter().map(|(name, _)| name.as_str()).filter(|it| *it != except);
        names.into_iter().find(|name| self.all(name).nth(1).is_some())
    }

    pub(super) fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|(name, _)| !names.contains(&name.as_str()));
        self
    }

    /// As a query.
    pub(super) fn query(&self) -> String {
        let fields = self.0.iter();
        let fields: Vec<_> =
            fields.map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        fields.join("&")
    }
}

/// What the client sent in `Authorization: Basic`.
pub(crate) fn basic(call: &Call) -> Option<&str> {
    let (scheme, value) = call.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then_some(value)
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
    let added = state.logins.clients.get(issuer).and_then(|client| match &client.authentication {
        Authentication::Key(key) => Some(key),
        _ => None,
    });
    if !keys.map(|(_, key)| key).chain(added).any(|key| is_signed_by(assertion, key)) {
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
