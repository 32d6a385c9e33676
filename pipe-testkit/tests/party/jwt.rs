//! Tokens that the provider signed with RS256.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::{Error, ErrorKind, Result, TokenFault};
use serde_json::{Map, Value};

use super::{Inner, http, rejected};

/// A token in its parts.
pub(crate) struct Token<'a> {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    message: &'a str,
    signature: Vec<u8>,
}

/// For what a token is, which is how the defects tell them apart.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Purpose {
    Login,
    Renewal,
    Logout,
}

pub(crate) fn parse(token: &str) -> Result<Token<'_>> {
    let malformed = || rejected(TokenFault::Malformed);
    let (message, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
    let (header, payload) = message.split_once('.').ok_or_else(malformed)?;
    let object = |text: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        serde_json::from_slice::<Map<String, Value>>(&bytes).ok()
    };
    Ok(Token {
        header: object(header).ok_or_else(malformed)?,
        claims: object(payload).ok_or_else(malformed)?,
        message,
        signature: URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?,
    })
}

impl Inner {
    /// Checks who signed the token.
    pub(crate) async fn verify_signature(&self, token: &Token<'_>, purpose: Purpose) -> Result<()> {
        let defect = self.defect;
        let is_login = purpose == Purpose::Login;
        let text = |name: &str| token.header.get(name).and_then(Value::as_str);
        if token.header.contains_key("crit")
            && !defect.is("an_id_token_with_a_critical_extension_is_refused")
        {
            return Err(rejected(TokenFault::Unsupported));
        }
        match text("alg") {
            Some("none") if is_login && defect.is("an_id_token_without_signature_is_refused") => {
                return Ok(());
            }
            Some("HS256") if is_login && defect.is("an_id_token_with_an_hmac_is_refused") => {
                let secret = self.trust.client_secret.as_bytes();
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                let verified = hmac::verify(&key, token.message.as_bytes(), &token.signature);
                return verified.map_err(|_| rejected(TokenFault::BadSignature));
            }
            Some("RS256") => {}
            _ => return Err(rejected(TokenFault::AlgorithmRefused)),
        }
        let kid = text("kid").unwrap_or_default();
        let keys = self.keys_of(kid, purpose).await?;
        let is_verified = keys.iter().any(|key| verifies(key, token));
        let forgives = match purpose {
            Purpose::Login => "an_id_token_that_another_key_signed_is_refused",
            Purpose::Renewal => "g7_the_id_token_of_a_renewal_is_checked",
            Purpose::Logout => "g12_a_logout_token_with_a_bad_signature_is_refused",
        };
        defect.check(forgives, is_verified, TokenFault::BadSignature)
    }

    /// The keys of this name.
    async fn keys_of(&self, kid: &str, purpose: Purpose) -> Result<Vec<Value>> {
        let named = |set: &Value| {
            let keys = set["keys"].as_array().cloned().unwrap_or_default();
            keys.into_iter().filter(|key| key["kid"] == kid).collect::<Vec<_>>()
        };
        let mut known = self.keys.lock().await;
        if let Some(set) = &*known {
            let keys = named(set);
            let is_final = self.defect.is("people_log_in_after_the_keys_were_replaced")
                && purpose == Purpose::Login;
            if !keys.is_empty() || is_final {
                return some(keys);
            }
        }
        let url = self.endpoint("jwks_uri").await?.unwrap_or_default();
        let set = http::get(&url).await.map_err(|error| {
            let blames = self.defect.is("an_id_token_that_cannot_be_checked_is_no_refusal");
            if blames && purpose == Purpose::Login {
                return rejected(TokenFault::UnknownKey);
            }
            error
        })?;
        let keys = named(&set);
        let all = set["keys"].as_array().cloned().unwrap_or_default();
        *known = Some(set);
        if keys.is_empty()
            && self.defect.is("an_id_token_of_a_key_that_nobody_published_is_refused")
        {
            return Ok(all);
        }
        some(keys)
    }
}

fn some(keys: Vec<Value>) -> Result<Vec<Value>> {
    if keys.is_empty() { Err(rejected(TokenFault::UnknownKey)) } else { Ok(keys) }
}

fn verifies(key: &Value, token: &Token<'_>) -> bool {
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap_or_default());
    let (Ok(n), Ok(e)) = (bytes("n"), bytes("e")) else { return false };
    let key = RsaPublicKeyComponents { n, e };
    let message = token.message.as_bytes();
    key.verify(&RSA_PKCS1_2048_8192_SHA256, message, &token.signature).is_ok()
}

/// A number of seconds that has to be there.
pub(crate) fn seconds(claims: &Map<String, Value>, name: &str) -> Result<u64> {
    match claims.get(name) {
        None => Err(rejected(TokenFault::MissingClaim)),
        Some(value) => value.as_u64().ok_or_else(|| rejected(TokenFault::Malformed)),
    }
}

/// What is no token at all.
pub(crate) fn strange() -> Error {
    Error::new(ErrorKind::Unexpected, "no token")
}
