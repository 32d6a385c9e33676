//! The settings of questions about tokens.

use std::time::Duration;

use serde::Deserialize;

use crate::ClientAuthentication;

/// How to ask an issuer about tokens (RFC 7662).
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct IntrospectionConfig {
    /// Who we are at the issuer: `client_id`.
    pub client_id: String,
    /// How we prove it.
    pub authentication: ClientAuthentication,
    /// Where to ask; where the discovery document says, when absent.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Which tokens it is asked about; `opaque`.
    #[serde(default)]
    pub tokens: IntrospectedTokens,
    /// How long "active" is remembered at most; 30 seconds. A token that is revoked is taken for so
    /// long. `0s` asks each time.
    #[serde(default = "default_active_ttl", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub active_ttl: Duration,
    /// How long "not active" is remembered; 5 seconds.
    #[serde(default = "default_inactive_ttl", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub inactive_ttl: Duration,
    /// Whether answers are taken that do not say for whom the token is meant, but that it is an
    /// access token (`token_type`). Only where the issuer gives us nobody else's tokens; `false`.
    #[serde(default)]
    pub accept_missing_audience: bool,
}

fn default_active_ttl() -> Duration {
    Duration::from_secs(30)
}

fn default_inactive_ttl() -> Duration {
    Duration::from_secs(5)
}

/// Which tokens the issuer is asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum IntrospectedTokens {
    /// Those that are not JWTs.
    #[default]
    Opaque,
    /// All, so that a revoked JWT is noticed. One about which the issuer does not answer is
    /// verified here.
    All,
}

impl IntrospectionConfig {
    /// Asks about opaque tokens, where the discovery document says.
    pub fn new(client_id: impl Into<String>, authentication: ClientAuthentication) -> Self {
        Self {
            client_id: client_id.into(),
            authentication,
            endpoint: None,
            tokens: IntrospectedTokens::default(),
            active_ttl: default_active_ttl(),
            inactive_ttl: default_inactive_ttl(),
            accept_missing_audience: false,
        }
    }

    /// Where to ask.
    #[must_use]
    pub fn with_endpoint(self, endpoint: impl Into<String>) -> Self {
        Self { endpoint: Some(endpoint.into()), ..self }
    }

    /// Which tokens it is asked about.
    #[must_use]
    pub fn with_tokens(self, tokens: IntrospectedTokens) -> Self {
        Self { tokens, ..self }
    }

    /// How long "active" is remembered at most; zero asks each time.
    #[must_use]
    pub fn with_active_ttl(self, active_ttl: Duration) -> Self {
        Self { active_ttl, ..self }
    }

    /// How long "not active" is remembered.
    #[must_use]
    pub fn with_inactive_ttl(self, inactive_ttl: Duration) -> Self {
        Self { inactive_ttl, ..self }
    }

    /// Takes answers that do not say for whom the token is meant.
    #[must_use]
    pub fn accepting_missing_audience(self) -> Self {
        Self { accept_missing_audience: true, ..self }
    }
}
