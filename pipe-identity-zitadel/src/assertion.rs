//! The assertion by which a service user says who it is (RFC 7523).

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::{Clock, Error, ErrorKind, Result, SecretReader, SecretValue};
use pipe_identity_oidc::TokenSource;
use pipe_identity_oidc::jwt::{Algorithm, Signer as _, SigningKey};
use serde_json::json;

use crate::key_file::ServiceKey;

/// The server takes nothing from more than a second ahead of its own clock.
const BACKDATED: Duration = Duration::from_secs(5);
const LIFETIME: Duration = Duration::from_secs(60);

/// Makes an assertion with the key file, which is read anew each time.
pub(crate) struct ServiceAssertion {
    key: SecretReader,
    issuer: String,
    clock: Clock,
}

impl ServiceAssertion {
    pub(crate) fn new(key: SecretReader, issuer: &str, clock: Clock) -> Self {
        Self { key, issuer: issuer.to_owned(), clock }
    }
}

#[async_trait]
impl TokenSource for ServiceAssertion {
    async fn token(&self) -> Result<SecretValue> {
        let file = ServiceKey::parse(&self.key.read().await?)?;
        let key = SigningKey::from_pem(Algorithm::Rs256, &file.pem)
            .and_then(|key| key.with_key_id(&file.key_id))
            .map_err(|error| error.with("setting", "service.key"))?;
        let now = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": file.key_id});
        let claims = json!({
            "iss": file.user,
            "sub": file.user,
            // Byte by byte as the server calls itself.
            "aud": self.issuer,
            "iat": now.saturating_sub(BACKDATED).as_secs(),
            "exp": (now + LIFETIME).as_secs(),
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let signature = key.sign(message.as_bytes()).await.map_err(|_| {
            Error::new(ErrorKind::ConfigInvalid, "the key of the service user does not sign")
                .hint("set `service.key` to a key file with a key of RSA")
        })?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)).into())
    }
}

impl fmt::Debug for ServiceAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAssertion").field("key", &self.key).finish_non_exhaustive()
    }
}
