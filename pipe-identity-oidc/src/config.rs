//! The settings, which are their own builder.

mod build;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pipe_core::identity::{RoleResolver, TenantId};
use pipe_core::{Clock, Error, ErrorKind, Result, SecretSource};
use pipe_http::HttpConfig;
use serde::Deserialize;

use crate::jwt::{Algorithm, Signer, TokenType};
use crate::{ClaimMapping, ClientAuthentication, ClientConfig, Preset};

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
    /// Looks roles up elsewhere; those in tokens then count for nothing. Not part of a document.
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

    /// Looks roles up elsewhere. It is asked for each request: see
    /// [`CachedRoles`](pipe_core::wrap::CachedRoles).
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

fn default_max_lifetime() -> Duration {
    Duration::from_secs(24 * 3600)
}

fn default_http() -> HttpConfig {
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

/// How our own tokens are signed.
#[derive(Clone, Debug, Deserialize)]
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

/// Where a template has the tenant.
pub(crate) const TENANT_PLACE: &str = "{tenantid}";

/// Collects what is wrong, so that all of it can be said at once.
#[derive(Default)]
pub(crate) struct Faults(Vec<String>);

impl Faults {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn add(&mut self, setting: impl fmt::Display, fault: impl fmt::Display) {
        self.0.push(format!("`{setting}` {fault}"));
    }

    /// Keeps a result's value, and what is wrong with it otherwise.
    pub(crate) fn keep<T>(&mut self, setting: impl fmt::Display, result: Result<T>) -> Option<T> {
        let fault = |error: Error| {
            let mut fault = format!(": {}", error.message());
            for (name, value) in error.contexts() {
                fault += &format!(", {name} {value}");
            }
            fault
        };
        result.map_err(|error| self.0.push(format!("`{setting}`{}", fault(error)))).ok()
    }

    pub(crate) fn into_result(self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::ConfigInvalid, self.0.join("; "))
            .hint("correct the named settings and start again"))
    }
}
