//! The settings of our own tokens.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pipe_core::SecretSource;
use serde::Deserialize;

use super::default_max_lifetime;
use crate::jwt::{Algorithm, Signer};

/// How our own tokens are signed.
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SigningConfig {
    /// What `iss` says.
    pub issuer: String,
    /// How it is signed: HS256, RS256, PS256, ES256, ES384 or EdDSA.
    #[serde(default)]
    pub algorithm: Option<Algorithm>,
    /// The private key in PEM, or the secret of at least 32 bytes.
    #[serde(default)]
    pub key: Option<SecretSource>,
    /// The name of the key; the thumbprint of its public half (RFC 7638) when absent.
    #[serde(default)]
    pub key_id: Option<String>,
    /// The keys that signed before, as a JWKS: they stay published until their tokens are over.
    #[serde(default)]
    pub previous_keys: Option<String>,
    /// For whom a token is meant when the request does not say.
    #[serde(default)]
    pub audiences: BTreeSet<String>,
    /// How long a token may live; 24 hours.
    #[serde(default = "default_max_lifetime", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub max_lifetime: Duration,
    /// A key that is kept elsewhere, instead of `key`. Not part of a document.
    #[serde(skip)]
    pub signer: Option<Arc<dyn Signer>>,
}

impl SigningConfig {
    /// With a key that we hold.
    pub fn new(
        issuer: impl Into<String>,
        algorithm: Algorithm,
        key: impl Into<SecretSource>,
    ) -> Self {
        Self { algorithm: Some(algorithm), key: Some(key.into()), ..Self::empty(issuer.into()) }
    }

    /// With a key that is kept elsewhere.
    pub fn with_signer(issuer: impl Into<String>, signer: Arc<dyn Signer>) -> Self {
        Self { signer: Some(signer), ..Self::empty(issuer.into()) }
    }

    fn empty(issuer: String) -> Self {
        Self {
            issuer,
            algorithm: None,
            key: None,
            key_id: None,
            previous_keys: None,
            audiences: BTreeSet::new(),
            max_lifetime: default_max_lifetime(),
            signer: None,
        }
    }

    /// The name of the key.
    #[must_use]
    pub fn with_key_id(self, key_id: impl Into<String>) -> Self {
        Self { key_id: Some(key_id.into()), ..self }
    }

    /// The keys that signed before, as a JWKS.
    #[must_use]
    pub fn with_previous_keys(self, jwks: impl Into<String>) -> Self {
        Self { previous_keys: Some(jwks.into()), ..self }
    }

    /// For whom a token is meant when the request does not say; may be repeated.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.insert(audience.into());
        self
    }

    /// How long a token may live.
    #[must_use]
    pub fn with_max_lifetime(self, max_lifetime: Duration) -> Self {
        Self { max_lifetime, ..self }
    }
}

impl fmt::Debug for SigningConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningConfig")
            .field("issuer", &self.issuer)
            .field("algorithm", &self.algorithm)
            .field("key", &self.key)
            .field("key_id", &self.key_id)
            // A private key might have been put there by mistake.
            .field("previous_keys_length", &self.previous_keys.as_ref().map(String::len))
            .field("audiences", &self.audiences)
            .field("max_lifetime", &self.max_lifetime)
            .field("signer", &self.signer)
            .finish()
    }
}
