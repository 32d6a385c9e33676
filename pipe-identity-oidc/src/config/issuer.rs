//! The settings of an issuer.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pipe_core::SecretSource;
use pipe_core::identity::TenantId;
use pipe_core::rbac::GroupMapping;
use pipe_http::HttpConfig;
use serde::Deserialize;

use super::{IntrospectionConfig, default_max_lifetime};
use crate::jwt::{Algorithm, TokenType};
use crate::{ClaimMapping, ClaimsReader, Preset};

/// An issuer whose tokens are taken.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct IssuerConfig {
    /// What `iss` says, byte by byte. `{tenantid}` stands for the claim `tid`, which must be one of
    /// `tenants`.
    pub issuer: String,
    /// A provider whose ways are known; `generic`.
    #[serde(default)]
    pub preset: Preset,
    /// What `iss` may say as well.
    #[serde(default)]
    pub also_known_as: BTreeSet<String>,
    /// Whose tokens are taken; those of every tenant when empty.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeSet<String>"))]
    pub tenants: BTreeSet<TenantId>,
    /// Where the keys are; discovery, below the issuer.
    #[serde(default)]
    pub keys: Keys,
    /// How long keys are used, and how often they are asked for.
    #[serde(default)]
    pub key_times: KeyTimes,
    /// How tokens may be signed; RS256, PS256, ES256, ES384 and EdDSA.
    #[serde(default)]
    pub algorithms: Option<BTreeSet<Algorithm>>,
    /// Which types of token are taken; the preset's.
    #[serde(default)]
    pub types: Option<TokenTypes>,
    /// How far clocks may differ; 30 seconds, 5 minutes at most.
    #[serde(default = "default_leeway", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub leeway: Duration,
    /// How long a token may live; 24 hours.
    #[serde(default = "default_max_lifetime", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub max_lifetime: Duration,
    /// Whether tokens are refused that bring a key or say where one is (`jku`, `x5u`, `jwk`,
    /// `x5c`). Such keys are never used; `false`.
    #[serde(default)]
    pub reject_key_headers: bool,
    /// What the claims mean; the preset's.
    #[serde(default)]
    pub claims: Option<ClaimMapping>,
    /// Whether the claims of a verified token are kept with it, for
    /// [`Oidc::verify_token`](crate::Oidc::verify_token); `false`.
    #[serde(default)]
    pub keep_claims: bool,
    /// What reads more out of the claims than the mapping can say.
    #[serde(skip)]
    pub reader: Option<Arc<dyn ClaimsReader>>,
    /// How to ask the issuer about tokens that only it can read; such tokens are refused when
    /// absent.
    #[serde(default)]
    pub introspection: Option<IntrospectionConfig>,
    /// What to present when asking for keys, where they are not public.
    #[serde(default)]
    pub bearer: Option<SecretSource>,
    /// Hosts that may have a private address although the issuer has a public one.
    #[serde(default)]
    pub allowed_hosts: BTreeSet<String>,
    /// Timeouts, certificate authorities, proxy. By default, 3 seconds to connect, 5 in all, and
    /// 1 MiB; of discovery documents and keys, never more than 256 KiB.
    #[serde(default = "default_http")]
    pub http: HttpConfig,
}

fn default_leeway() -> Duration {
    Duration::from_secs(30)
}

pub(super) fn default_http() -> HttpConfig {
    HttpConfig::new()
        .with_connect_timeout(Duration::from_secs(3))
        .with_timeout(Duration::from_secs(5))
        .with_max_body(1 << 20)
}

impl IssuerConfig {
    /// An issuer, with keys by discovery.
    pub fn new(issuer: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            preset: Preset::default(),
            also_known_as: BTreeSet::new(),
            tenants: BTreeSet::new(),
            keys: Keys::default(),
            key_times: KeyTimes::default(),
            algorithms: None,
            types: None,
            leeway: default_leeway(),
            max_lifetime: default_max_lifetime(),
            reject_key_headers: false,
            claims: None,
            keep_claims: false,
            reader: None,
            introspection: None,
            bearer: None,
            allowed_hosts: BTreeSet::new(),
            http: default_http(),
        }
    }

    /// A provider whose ways are known.
    #[must_use]
    pub fn with_preset(self, preset: Preset) -> Self {
        Self { preset, ..self }
    }

    /// What `iss` may say as well; may be repeated.
    #[must_use]
    pub fn or_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.also_known_as.insert(issuer.into());
        self
    }

    /// A tenant whose tokens are taken; may be repeated.
    #[must_use]
    pub fn with_tenant(mut self, tenant: TenantId) -> Self {
        self.tenants.insert(tenant);
        self
    }

    /// Where the keys are.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// How long keys are used, and how often they are asked for.
    #[must_use]
    pub fn with_key_times(self, key_times: KeyTimes) -> Self {
        Self { key_times, ..self }
    }

    /// How tokens may be signed.
    #[must_use]
    pub fn with_algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        Self { algorithms: Some(algorithms.into_iter().collect()), ..self }
    }

    /// Which types of token are taken.
    #[must_use]
    pub fn with_types(self, types: TokenTypes) -> Self {
        Self { types: Some(types), ..self }
    }

    /// How far clocks may differ.
    #[must_use]
    pub fn with_leeway(self, leeway: Duration) -> Self {
        Self { leeway, ..self }
    }

    /// How long a token may live.
    #[must_use]
    pub fn with_max_lifetime(self, max_lifetime: Duration) -> Self {
        Self { max_lifetime, ..self }
    }

    /// Refuses tokens that bring a key or say where one is.
    #[must_use]
    pub fn rejecting_key_headers(self) -> Self {
        Self { reject_key_headers: true, ..self }
    }

    /// What the claims mean.
    #[must_use]
    pub fn with_claims(self, claims: ClaimMapping) -> Self {
        Self { claims: Some(claims), ..self }
    }

    /// Keeps the claims of a verified token with it.
    #[must_use]
    pub fn keeping_claims(self) -> Self {
        Self { keep_claims: true, ..self }
    }

    /// What reads more out of the claims than the mapping can say.
    #[must_use]
    pub fn with_reader(self, reader: Arc<dyn ClaimsReader>) -> Self {
        Self { reader: Some(reader), ..self }
    }

    /// How to ask the issuer about tokens that only it can read.
    #[must_use]
    pub fn with_introspection(self, introspection: IntrospectionConfig) -> Self {
        Self { introspection: Some(introspection), ..self }
    }

    /// What to present when asking for keys, where they are not public.
    #[must_use]
    pub fn with_bearer(self, bearer: impl Into<SecretSource>) -> Self {
        Self { bearer: Some(bearer.into()), ..self }
    }

    /// A host that may have a private address; may be repeated.
    #[must_use]
    pub fn with_allowed_host(mut self, host: impl Into<String>) -> Self {
        self.allowed_hosts.insert(host.into());
        self
    }

    /// Timeouts, certificate authorities, proxy.
    #[must_use]
    pub fn with_http(self, http: HttpConfig) -> Self {
        Self { http, ..self }
    }

    /// What groups give, by the preset where `claims` is not set: for the manifests of a cluster,
    /// which follow from the same document as the callers' contexts
    /// ([`GroupRights`](pipe_core::rbac::GroupRights)).
    #[must_use]
    pub fn group_mapping(&self) -> GroupMapping {
        self.mapping().group_mapping()
    }

    /// What the claims mean: as it was set, or as the preset knows it.
    pub(super) fn mapping(&self) -> ClaimMapping {
        self.claims.clone().unwrap_or_else(|| self.preset.mapping())
    }
}

/// Which types of token are taken as access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TokenTypes {
    /// `at+jwt`, with the claims that RFC 9068 requires: `iat`, `jti` and `client_id`.
    Strict,
    /// `at+jwt`, `JWT` or none, as far as no claim says that it is another kind of token.
    Lenient,
}

impl From<TokenTypes> for TokenType {
    fn from(types: TokenTypes) -> Self {
        match types {
            TokenTypes::Strict => Self::Strict,
            TokenTypes::Lenient => Self::Lenient,
        }
    }
}

/// Where the keys of an issuer are.
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Keys {
    /// Where the discovery document says. The document is at this URL, or below the issuer when
    /// absent.
    Discovery(Option<String>),
    /// A JWKS at this URL, without discovery.
    JwksUri(String),
    /// A JWKS in this file, which is read again when it changes. No network is touched.
    File(PathBuf),
    /// This JWKS. No network is touched.
    Inline(String),
    /// A secret that the issuer and we share, of at least 32 bytes, for HS256 and its like: whoever
    /// verifies could sign as well. Its algorithms have to be named in `algorithms`.
    Secret(SecretSource),
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discovery(url) => f.debug_tuple("Discovery").field(url).finish(),
            Self::JwksUri(url) => f.debug_tuple("JwksUri").field(url).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            // A private key might have been put here by mistake.
            Self::Inline(document) => {
                f.debug_struct("Inline").field("length", &document.len()).finish()
            }
            Self::Secret(secret) => f.debug_tuple("Secret").field(secret).finish(),
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self::Discovery(None)
    }
}

/// How long keys are used, and how often they are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct KeyTimes {
    /// How long keys are fresh when the provider does not say; 10 minutes. What it says counts
    /// from one minute to 24 hours.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub ttl: Duration,
    /// How long to wait after an answer before keys are asked for again because of a token of an
    /// unknown key; 30 seconds.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub min_refresh: Duration,
    /// How long keys are used past their time while the provider cannot be asked; 1 hour. Then
    /// everything is refused.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub stale: Duration,
}

impl Default for KeyTimes {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(600),
            min_refresh: Duration::from_secs(30),
            stale: Duration::from_secs(3600),
        }
    }
}

impl KeyTimes {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long keys are fresh when the provider does not say.
    #[must_use]
    pub fn with_ttl(self, ttl: Duration) -> Self {
        Self { ttl, ..self }
    }

    /// How long to wait after an answer before keys are asked for again.
    #[must_use]
    pub fn with_min_refresh(self, min_refresh: Duration) -> Self {
        Self { min_refresh, ..self }
    }

    /// How long keys are used past their time.
    #[must_use]
    pub fn with_stale(self, stale: Duration) -> Self {
        Self { stale, ..self }
    }
}
