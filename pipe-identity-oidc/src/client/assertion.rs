//! Assertions by which a client proves that it has a key (RFC 7523 3).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::{Error, ErrorKind, Result, SecretReader};
use serde::Serialize;
use zeroize::Zeroizing;

use super::authenticator::Recipient;
use super::{AssertionAudience, ClientSecretJwt, PrivateKeyJwt, SignedAssertion};
use crate::jwt::{Algorithm, Signer, SigningKey};

/// An assertion is used at once and once, so it needs to live no longer.
const LIFETIME: Duration = Duration::from_secs(60);
/// Zitadel takes no assertion from more than a second ahead of its own clock.
const BACKDATED: Duration = Duration::from_secs(5);
/// RFC 7518 3.2: the key of an HMAC is at least as long as its hash.
const SHORTEST_SECRET: usize = 32;

/// Makes assertions, each of its own.
pub(crate) struct Assertion {
    key: Key,
    audience: AssertionAudience,
}

enum Key {
    Secret(SecretReader),
    Pem { key: SecretReader, algorithm: Algorithm, key_id: Option<String> },
    Signer(Arc<dyn Signer>),
}

impl Assertion {
    /// An assertion for this recipient, made now.
    pub(crate) async fn make(
        &self,
        client_id: &str,
        recipient: Recipient<'_>,
        now: SystemTime,
    ) -> Result<Zeroizing<String>> {
        let audience = match self.audience {
            AssertionAudience::Issuer => recipient.issuer,
            AssertionAudience::TokenEndpoint => recipient.token_endpoint,
        };
        let (algorithm, key_id) = match &self.key {
            Key::Secret(_) => (Algorithm::Hs256, None),
            Key::Pem { algorithm, key_id, .. } => (*algorithm, key_id.as_deref()),
            Key::Signer(signer) => (signer.algorithm(), signer.key_id()),
        };
        let header = Header { alg: algorithm.name(), typ: "JWT", kid: key_id };
        let issued_at = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = Claims {
            iss: client_id,
            sub: client_id,
            aud: audience,
            jti: &unique()?,
            iat: issued_at.saturating_sub(BACKDATED).as_secs(),
            exp: (issued_at + LIFETIME).as_secs(),
        };
        let mut assertion = Zeroizing::new(String::with_capacity(2048));
        append(&mut assertion, &json(&header)?);
        assertion.push('.');
        append(&mut assertion, &json(&claims)?);
        let signature = self.sign(assertion.as_bytes()).await?;
        assertion.push('.');
        append(&mut assertion, &signature);
        Ok(assertion)
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        match &self.key {
            Key::Secret(secret) => {
                let secret = secret.read().await?;
                if secret.len() < SHORTEST_SECRET {
                    return Err(Error::new(
                        ErrorKind::ConfigInvalid,
                        "the client's secret is too short to sign with",
                    )
                    .hint("use a secret of at least 32 bytes for client_secret_jwt"));
                }
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
                Ok(hmac::sign(&key, message).as_ref().to_vec())
            }
            Key::Pem { key, algorithm, .. } => {
                // Parsed anew, once per credential, so that a replaced file is seen at once.
                let key =
                    SigningKey::from_pem(*algorithm, &key.read().await?).map_err(|error| {
                        error.with("setting", "client.authentication.key").hint(
                            "set `client.authentication.key` to a PEM private key of the kind that \
                         `client.authentication.algorithm` needs; RSA keys have at least 2048 bits",
                        )
                    })?;
                key.sign(message).await
            }
            Key::Signer(signer) => signer.sign(message).await,
        }
    }
}

impl From<&ClientSecretJwt> for Assertion {
    fn from(auth: &ClientSecretJwt) -> Self {
        Self { key: Key::Secret(auth.secret.reader()), audience: auth.audience }
    }
}

impl From<&PrivateKeyJwt> for Assertion {
    fn from(auth: &PrivateKeyJwt) -> Self {
        let PrivateKeyJwt { key, algorithm, key_id, audience } = auth;
        let key = Key::Pem { key: key.reader(), algorithm: *algorithm, key_id: key_id.clone() };
        Self { key, audience: *audience }
    }
}

impl From<&SignedAssertion> for Assertion {
    fn from(auth: &SignedAssertion) -> Self {
        Self { key: Key::Signer(Arc::clone(&auth.signer)), audience: auth.audience }
    }
}

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assertion").field("audience", &self.audience).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: &'a str,
    iat: u64,
    exp: u64,
}

/// Providers refuse a second assertion of the same name.
fn unique() -> Result<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Error::new(ErrorKind::Unavailable, "the system has no random numbers"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|_| Error::new(ErrorKind::Unexpected, "the assertion cannot be written"))
}

fn append(assertion: &mut String, part: &[u8]) {
    URL_SAFE_NO_PAD.encode_string(part, assertion);
}
