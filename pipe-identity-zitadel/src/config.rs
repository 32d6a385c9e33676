//! The settings, which are their own builder.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use pipe_core::{Clock, ConfigFaults, SecretSource};
use pipe_http::HttpConfig;
use pipe_identity_oidc::{ClaimMapping, IntrospectedTokens, TokenTypes};
use serde::Deserialize;

use crate::RoleOrganizations;

/// The domains of the governance, each an organisation of its own. Their ids differ between instances:
/// [`ZitadelConfig::domains`] has them. Others can be added.
pub const DOMAINS: [&str; 9] = ["BNI", "BNP", "AXIS", "IV", "EcoX", "THRIVE", "DC", "BU", "PIPE"];

/// Which instance of Zitadel, which project, and who we are there.
///
/// ```
/// use pipe_core::SecretSource;
/// use pipe_identity_zitadel::{ApiClient, ServiceUser, ZitadelConfig};
///
/// let config = ZitadelConfig::new("https://login.example", "223281986649719041")
///     .with_service(ServiceUser::key_file(SecretSource::file("/etc/pipe/zitadel-key.json")))
///     .with_introspection(ApiClient::key_file(SecretSource::file("/etc/pipe/zitadel-api.json")));
/// ```
///
/// In a document:
///
/// ```
/// # let document = r#"
/// {
///   "issuer": "https://login.example",
///   "project": "223281986649719041",
///   "service": { "method": "key_file", "key": { "file": "/etc/pipe/zitadel-key.json" } },
///   "role_organizations": { "only": "223281939119866113" }
/// }
/// # "#;
/// # let config: pipe_identity_zitadel::ZitadelConfig = serde_json::from_str(document).unwrap();
/// # assert_eq!(config.project, "223281986649719041");
/// ```
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ZitadelConfig {
    /// The instance's name in errors, audit and metrics; `zitadel`.
    #[serde(default = "default_name")]
    pub name: String,
    /// The issuer, byte by byte as tokens name it: `https`, without a slash at the end, or `http` on
    /// this machine.
    pub issuer: String,
    /// The id of our project, whose roles count.
    pub project: String,
    /// Who we are when we call others; nobody when absent.
    #[serde(default)]
    pub service: Option<ServiceUser>,
    /// Further names by which services ask for our credentials.
    #[serde(default)]
    pub services: Vec<String>,
    /// Scopes to ask for besides those of the project and of its roles.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The API client that asks about tokens; opaque tokens are refused when absent.
    #[serde(default)]
    pub introspection: Option<ApiClient>,
    /// Which tokens are asked about; `opaque`.
    #[serde(default)]
    pub introspected: IntrospectedTokens,
    /// How long a token may live; 24 hours. Personal access tokens live longer: to take them, allow it.
    #[serde(default = "default_max_lifetime", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub max_lifetime: Duration,
    /// How long "active" is remembered at most; 30 seconds. A token that is revoked is taken for so
    /// long.
    #[serde(default = "default_active_ttl", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub active_ttl: Duration,
    /// How long "not active" is remembered; 5 seconds.
    #[serde(default = "default_inactive_ttl", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub inactive_ttl: Duration,
    /// In which organisations a role has to be granted to count; the user's own.
    #[serde(default)]
    pub role_organizations: RoleOrganizations,
    /// The organisations of the domains, by the domain's name; see [`DOMAINS`].
    #[serde(default)]
    pub domains: BTreeMap<String, String>,
    /// What else the claims mean, such as those that actions add; nothing. The tenant is the organisation that
    /// owns the user unless it is mapped here.
    #[serde(default)]
    pub claims: Option<ClaimMapping>,
    /// Which types of token are taken; `lenient`, for Zitadel's access tokens say `JWT`.
    #[serde(default = "default_types")]
    pub types: TokenTypes,
    /// Timeouts, certificate authorities, proxy. By default, 3 seconds to connect and 5 in all.
    #[serde(default = "default_http")]
    pub http: HttpConfig,
    /// The time of day.
    #[serde(skip)]
    pub clock: Clock,
}

fn default_name() -> String {
    "zitadel".to_owned()
}

fn default_active_ttl() -> Duration {
    Duration::from_secs(30)
}

fn default_max_lifetime() -> Duration {
    Duration::from_secs(24 * 3600)
}

fn default_inactive_ttl() -> Duration {
    Duration::from_secs(5)
}

fn default_types() -> TokenTypes {
    TokenTypes::Lenient
}

fn default_http() -> HttpConfig {
    HttpConfig::new()
        .with_connect_timeout(Duration::from_secs(3))
        .with_timeout(Duration::from_secs(5))
        .with_max_body(1 << 20)
}

impl ZitadelConfig {
    /// Verifies JWTs of this instance that are meant for this project.
    pub fn new(issuer: impl Into<String>, project: impl Into<String>) -> Self {
        Self {
            name: default_name(),
            issuer: issuer.into(),
            project: project.into(),
            service: None,
            services: Vec::new(),
            scopes: Vec::new(),
            introspection: None,
            introspected: IntrospectedTokens::default(),
            max_lifetime: default_max_lifetime(),
            active_ttl: default_active_ttl(),
            inactive_ttl: default_inactive_ttl(),
            role_organizations: RoleOrganizations::default(),
            domains: BTreeMap::new(),
            claims: None,
            types: default_types(),
            http: default_http(),
            clock: Clock::default(),
        }
    }

    /// The instance's name in errors, audit and metrics.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Who we are when we call others.
    #[must_use]
    pub fn with_service(self, service: ServiceUser) -> Self {
        Self { service: Some(service), ..self }
    }

    /// A further name by which a service asks for our credentials; may be repeated.
    #[must_use]
    pub fn with_service_name(mut self, name: impl Into<String>) -> Self {
        self.services.push(name.into());
        self
    }

    /// Scopes to ask for as well, such as those of [`ZitadelScopes`](crate::ZitadelScopes).
    #[must_use]
    pub fn with_scopes<'a>(mut self, scopes: impl IntoIterator<Item = &'a str>) -> Self {
        self.scopes.extend(scopes.into_iter().map(str::to_owned));
        self
    }

    /// The API client that asks about tokens.
    #[must_use]
    pub fn with_introspection(self, client: ApiClient) -> Self {
        Self { introspection: Some(client), ..self }
    }

    /// Which tokens are asked about.
    #[must_use]
    pub fn with_introspected(self, introspected: IntrospectedTokens) -> Self {
        Self { introspected, ..self }
    }

    /// How long a token may live.
    #[must_use]
    pub fn with_max_lifetime(self, max_lifetime: Duration) -> Self {
        Self { max_lifetime, ..self }
    }

    /// How long "active" is remembered at most.
    #[must_use]
    pub fn with_active_ttl(self, active_ttl: Duration) -> Self {
        Self { active_ttl, ..self }
    }

    /// How long "not active" is remembered.
    #[must_use]
    pub fn with_inactive_ttl(self, inactive_ttl: Duration) -> Self {
        Self { inactive_ttl, ..self }
    }

    /// In which organisations a role has to be granted to count.
    #[must_use]
    pub fn with_role_organizations(self, role_organizations: RoleOrganizations) -> Self {
        Self { role_organizations, ..self }
    }

    /// The organisation of a domain; may be repeated.
    #[must_use]
    pub fn with_domain(mut self, name: impl Into<String>, organization: impl Into<String>) -> Self {
        self.domains.insert(name.into(), organization.into());
        self
    }

    /// What else the claims mean.
    #[must_use]
    pub fn with_claims(self, claims: ClaimMapping) -> Self {
        Self { claims: Some(claims), ..self }
    }

    /// Which types of token are taken.
    #[must_use]
    pub fn with_types(self, types: TokenTypes) -> Self {
        Self { types, ..self }
    }

    /// Timeouts, certificate authorities, proxy.
    #[must_use]
    pub fn with_http(self, http: HttpConfig) -> Self {
        Self { http, ..self }
    }

    /// The time of day.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// What is wrong and can be seen without asking anybody, besides what the OpenID plugin looks at.
    pub(crate) fn check(&self, faults: &mut ConfigFaults) {
        let is_id = |id: &str| {
            (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        if !is_id(&self.project) {
            faults.add("project", "must be the project's id, which is digits");
        }
        if self.issuer.ends_with('/') {
            faults.add("issuer", "must not end with a slash: tokens name it without one");
        }
        if let RoleOrganizations::Only(only) = &self.role_organizations
            && !is_id(only)
        {
            faults.add("role_organizations.only", "must be the organisation's id, which is digits");
        }
        for (domain, organization) in &self.domains {
            if !is_id(organization) {
                let setting = format!("domains.{domain}");
                faults.add(setting, "must be the organisation's id, which is digits");
            }
        }
    }
}

/// A service user, and how it proves who it is.
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "method", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ServiceUser {
    /// With a key file of the type JSON, which is read anew for every token.
    KeyFile {
        /// The whole file.
        key: SecretSource,
    },
    /// With its name and a client secret.
    ClientCredentials {
        /// The user's name, which is its client id.
        username: String,
        /// The client secret.
        secret: SecretSource,
    },
    /// With a personal access token, which is for everything that the user may do.
    Token {
        /// The token.
        token: SecretSource,
    },
}

impl ServiceUser {
    /// With a key file.
    pub fn key_file(key: impl Into<SecretSource>) -> Self {
        Self::KeyFile { key: key.into() }
    }

    /// With the user's name and a client secret.
    pub fn client_credentials(
        username: impl Into<String>,
        secret: impl Into<SecretSource>,
    ) -> Self {
        Self::ClientCredentials { username: username.into(), secret: secret.into() }
    }

    /// With a personal access token.
    pub fn token(token: impl Into<SecretSource>) -> Self {
        Self::Token { token: token.into() }
    }
}

impl fmt::Debug for ServiceUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyFile { key } => f.debug_struct("KeyFile").field("key", key).finish(),
            Self::ClientCredentials { username, secret } => f
                .debug_struct("ClientCredentials")
                .field("username", username)
                .field("secret", secret)
                .finish(),
            Self::Token { token } => f.debug_struct("Token").field("token", token).finish(),
        }
    }
}

/// An API application, and how it proves who it is.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "method", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ApiClient {
    /// With the application's key file, which is read once.
    KeyFile {
        /// The whole file.
        key: SecretSource,
    },
    /// With a client id and a client secret.
    Secret {
        /// The client id.
        client_id: String,
        /// The client secret.
        secret: SecretSource,
    },
}

impl ApiClient {
    /// With the application's key file.
    pub fn key_file(key: impl Into<SecretSource>) -> Self {
        Self::KeyFile { key: key.into() }
    }

    /// With a client id and a client secret.
    pub fn secret(client_id: impl Into<String>, secret: impl Into<SecretSource>) -> Self {
        Self::Secret { client_id: client_id.into(), secret: secret.into() }
    }
}
