//! The settings, which are their own builder.

mod build;
mod introspection;
mod issuer;
mod signing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pipe_core::Clock;
use pipe_core::identity::RoleResolver;
use serde::Deserialize;

pub(crate) use self::build::Foundation;
pub use self::introspection::{IntrospectedTokens, IntrospectionConfig};
use self::issuer::default_http;
pub use self::issuer::{IssuerConfig, KeyTimes, Keys, TokenTypes};
pub use self::signing::SigningConfig;
use crate::ClientConfig;

/// Whose tokens are taken, how our own are signed, and how we prove who we are.
///
/// ```
/// use pipe_identity_oidc::{IssuerConfig, OidcConfig, Preset};
///
/// let config = OidcConfig::new()
///     .with_issuer(IssuerConfig::new("https://idp.example/realms/bots").with_preset(Preset::Keycloak));
/// ```
///
/// In a document:
///
/// ```
/// # let document = r#"
/// {
///   "issuers": [
///     { "issuer": "https://idp.example/realms/bots", "preset": "keycloak" }
///   ],
///   "signing": {
///     "issuer": "https://bots.example", "algorithm": "ES256", "key": { "file": "/etc/pipe/key.pem" }
///   }
/// }
/// # "#;
/// # let config: pipe_identity_oidc::OidcConfig = serde_json::from_str(document).unwrap();
/// # assert_eq!(config.issuers.len(), 1);
/// ```
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct OidcConfig {
    /// The instance's name in errors, audit and metrics; `oidc`.
    pub name: String,
    /// Whose tokens are taken.
    pub issuers: Vec<IssuerConfig>,
    /// How `generate_jwt` signs; it does not when absent. Our own tokens are taken too.
    pub signing: Option<SigningConfig>,
    /// How `authenticate_service` proves who we are; it does not when absent.
    pub client: Option<ClientConfig>,
    /// How long a verified token is remembered at most; 60 seconds. Whether it has expired, whom
    /// it is for and to what it is bound is checked each time all the same. `0s` remembers nothing.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub cache_ttl: Duration,
    /// How many verified tokens are remembered; 10,000.
    pub cache_size: usize,
    /// Looks roles up elsewhere; those in tokens then count for nothing. It is asked for groups as
    /// well, where a token leaves them out and they give more than roles. Not part of a document.
    #[serde(skip)]
    pub roles: Option<Arc<dyn RoleResolver>>,
    /// The time of day. Not part of a document.
    #[serde(skip)]
    pub clock: Clock,
}

impl Default for OidcConfig {
    fn default() -> Self {
        Self {
            name: "oidc".to_owned(),
            issuers: Vec::new(),
            signing: None,
            client: None,
            cache_ttl: Duration::from_secs(60),
            cache_size: 10_000,
            roles: None,
            clock: Clock::default(),
        }
    }
}

impl OidcConfig {
    /// Nobody's tokens are taken yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The instance's name in errors, audit and metrics.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Whose tokens are taken; may be repeated.
    #[must_use]
    pub fn with_issuer(mut self, issuer: IssuerConfig) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// How `generate_jwt` signs.
    #[must_use]
    pub fn with_signing(self, signing: SigningConfig) -> Self {
        Self { signing: Some(signing), ..self }
    }

    /// How `authenticate_service` proves who we are.
    #[must_use]
    pub fn with_client(self, client: ClientConfig) -> Self {
        Self { client: Some(client), ..self }
    }

    /// How long a verified token is remembered at most; zero remembers nothing.
    #[must_use]
    pub fn with_cache_ttl(self, cache_ttl: Duration) -> Self {
        Self { cache_ttl, ..self }
    }

    /// How many verified tokens are remembered.
    #[must_use]
    pub fn with_cache_size(self, cache_size: usize) -> Self {
        Self { cache_size, ..self }
    }

    /// Looks roles up elsewhere, and groups that a token leaves out. It is asked for each request:
    /// see [`CachedRoles`](pipe_core::wrap::CachedRoles).
    #[must_use]
    pub fn with_roles(self, roles: Arc<dyn RoleResolver>) -> Self {
        Self { roles: Some(roles), ..self }
    }

    /// The time of day.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }
}

impl fmt::Debug for OidcConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcConfig")
            .field("name", &self.name)
            .field("issuers", &self.issuers)
            .field("signing", &self.signing)
            .field("client", &self.client)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// How long a token may live, unless the settings say otherwise.
fn default_max_lifetime() -> Duration {
    Duration::from_secs(24 * 3600)
}

/// Where a template has the tenant.
pub(crate) const TENANT_PLACE: &str = "{tenantid}";
