//! The settings, which are their own builder.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use pipe_core::{ConfigFaults, Result, SecretName, SecretSource};
use pipe_http::{HttpClient, HttpConfig, ServerAddress};
use serde::Deserialize;

use crate::names;

/// Where Infisical is, how we log in, and where in it the secrets are.
///
/// ```
/// use pipe_core::SecretSource;
/// use pipe_secrets_infisical::{InfisicalConfig, UniversalAuth};
///
/// let auth = UniversalAuth::new("82be5120-…", SecretSource::env("INFISICAL_CLIENT_SECRET"));
/// let config = InfisicalConfig::new("https://infisical.example", "5f7c…", auth)
///     .with_environment("prod")
///     .with_folder("bots");
/// ```
///
/// In a document:
///
/// ```
/// # let document = r#"
/// {
///   "address": "https://infisical.example",
///   "project": "5f7c…",
///   "environment": "prod",
///   "auth": { "method": "kubernetes", "identity_id": "82be5120-…" },
///   "poll_interval": "1m"
/// }
/// # "#;
/// # let config: pipe_secrets_infisical::InfisicalConfig = serde_json::from_str(document).unwrap();
/// # assert_eq!(config.environment, "prod");
/// ```
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct InfisicalConfig {
    /// The instance's name in errors, audit and metrics; `infisical`.
    #[serde(default = "default_name")]
    pub name: String,
    /// The server's address: `https`, or `http` on this machine.
    pub address: String,
    /// How we log in.
    pub auth: Auth,
    /// The id of the project. Not its slug, which the current API does not take.
    pub project: String,
    /// The slug of the environment of secrets without a namespace; `dev`.
    #[serde(default = "default_environment")]
    pub environment: String,
    /// The folder below which all secrets are; the root when absent.
    #[serde(default)]
    pub folder: Option<String>,
    /// Whether the secrets that a folder imports are part of it; no. The last import wins, and the
    /// folder's own secrets before all.
    #[serde(default)]
    pub imports: bool,
    /// Whether `${KEY}` in a value is replaced by what it refers to; no.
    #[serde(default)]
    pub expand_references: bool,
    /// Of how many secrets the last value is kept, to ask the server only whether it is still
    /// current; 256. None with 0.
    #[serde(default = "default_revalidated")]
    pub revalidated: usize,
    /// How often a watched secret is looked at; 30 seconds.
    #[serde(default = "default_poll_interval", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub poll_interval: Duration,
    /// Timeouts, certificate authorities, proxy.
    #[serde(default)]
    pub http: HttpConfig,
}

fn default_name() -> String {
    "infisical".to_owned()
}

fn default_environment() -> String {
    "dev".to_owned()
}

fn default_revalidated() -> usize {
    256
}

fn default_poll_interval() -> Duration {
    Duration::from_secs(30)
}

impl InfisicalConfig {
    /// The environment `dev` of this project, from the root folder.
    pub fn new(
        address: impl Into<String>,
        project: impl Into<String>,
        auth: impl Into<Auth>,
    ) -> Self {
        Self {
            name: default_name(),
            address: address.into(),
            auth: auth.into(),
            project: project.into(),
            environment: default_environment(),
            folder: None,
            imports: false,
            expand_references: false,
            revalidated: default_revalidated(),
            poll_interval: default_poll_interval(),
            http: HttpConfig::new(),
        }
    }

    /// The instance's name in errors, audit and metrics.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The environment of secrets without a namespace.
    #[must_use]
    pub fn with_environment(self, environment: impl Into<String>) -> Self {
        Self { environment: environment.into(), ..self }
    }

    /// The folder below which all secrets are.
    #[must_use]
    pub fn with_folder(self, folder: impl Into<String>) -> Self {
        Self { folder: Some(folder.into()), ..self }
    }

    /// The secrets that a folder imports are part of it.
    #[must_use]
    pub fn with_imports(self) -> Self {
        Self { imports: true, ..self }
    }

    /// `${KEY}` in a value is replaced by what it refers to.
    #[must_use]
    pub fn with_expanded_references(self) -> Self {
        Self { expand_references: true, ..self }
    }

    /// Of how many secrets the last value is kept; none with 0.
    #[must_use]
    pub fn with_revalidated(self, revalidated: usize) -> Self {
        Self { revalidated, ..self }
    }

    /// How often a watched secret is looked at.
    #[must_use]
    pub fn with_poll_interval(self, poll_interval: Duration) -> Self {
        Self { poll_interval, ..self }
    }

    /// Timeouts, certificate authorities, proxy.
    #[must_use]
    pub fn with_http(self, http: HttpConfig) -> Self {
        Self { http, ..self }
    }

    /// Everything that can be checked without asking the server, all faults at once.
    pub(crate) fn check(&self) -> Result<Checked> {
        let mut faults = ConfigFaults::new();
        if self.name.is_empty() || self.name.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            faults.add("name", "must not be empty or have spaces in it");
        }
        for (setting, word) in [("project", &self.project), ("environment", &self.environment)] {
            if !names::is_word(word) {
                faults.add(setting, "must be 1 to 64 of A-Z a-z 0-9 _ -");
            }
        }
        if self.poll_interval.is_zero() {
            faults.add("poll_interval", "must be more than zero");
        }
        let address = faults.keep("address", self.address.parse::<ServerAddress>());
        // The faults of `http` do not depend on a sound address.
        let checkable = address.or_else(|| "https://localhost".parse().ok());
        let http = checkable
            .and_then(|address| faults.keep_below("http", HttpClient::new(&self.http, &address)));
        let folder = self.folder.as_deref().map(|folder| folder.trim_matches('/'));
        let folder = match folder.filter(|folder| !folder.is_empty()) {
            None => Some(String::new()),
            Some(folder) => {
                let name = SecretName::new(folder);
                faults.keep("folder", name.and_then(|name| names::folder("", &name)))
            }
        };
        self.auth.check(&mut faults);
        match (http, folder) {
            (Some(http), Some(folder)) if faults.is_empty() => Ok(Checked { http, folder }),
            _ => Err(faults.into_error()),
        }
    }
}

impl fmt::Debug for InfisicalConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is no address may hold a password, as URLs do.
        let address = self.address.parse::<ServerAddress>();
        f.debug_struct("InfisicalConfig")
            .field("name", &self.name)
            .field("address", &address.map_err(|_| "[not an address]"))
            .field("auth", &self.auth)
            .field("project", &self.project)
            .field("environment", &self.environment)
            .field("folder", &self.folder)
            .field("imports", &self.imports)
            .field("expand_references", &self.expand_references)
            .field("revalidated", &self.revalidated)
            .field("poll_interval", &self.poll_interval)
            .field("http", &self.http)
            .finish()
    }
}

/// What the settings amount to.
pub(crate) struct Checked {
    pub(crate) http: HttpClient,
    /// The folder below which all is: empty, or with a slash in front and none behind.
    pub(crate) folder: String,
}

/// How we log in.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "method", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Auth {
    /// With a client id and a client secret.
    Universal(UniversalAuth),
    /// With the pod's service-account token.
    Kubernetes(KubernetesAuth),
    /// With a JWT of an OpenID provider.
    Oidc(JwtAuth),
    /// With a JWT whose issuer's keys Infisical was given.
    Jwt(JwtAuth),
    /// With an access token that somebody else made.
    Token(TokenAuth),
}

impl Auth {
    /// With an access token that somebody else made. A file is read again when its token is
    /// refused.
    pub fn token(token: impl Into<SecretSource>) -> Self {
        Self::Token(TokenAuth { token: token.into() })
    }

    fn check(&self, faults: &mut ConfigFaults) {
        let (setting, id) = match self {
            Self::Token(_) => return,
            Self::Universal(auth) => ("auth.client_id", &auth.client_id),
            Self::Kubernetes(auth) => ("auth.identity_id", &auth.identity_id),
            Self::Oidc(auth) | Self::Jwt(auth) => ("auth.identity_id", &auth.identity_id),
        };
        if id.is_empty() {
            faults.add(setting, "must not be empty");
        }
    }
}

/// A login with a client id and a client secret, which is read anew for every login.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct UniversalAuth {
    /// The client id.
    pub client_id: String,
    /// The client secret.
    pub client_secret: SecretSource,
}

impl UniversalAuth {
    /// With this client id and client secret.
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<SecretSource>) -> Self {
        Self { client_id: client_id.into(), client_secret: client_secret.into() }
    }
}

impl From<UniversalAuth> for Auth {
    fn from(auth: UniversalAuth) -> Self {
        Self::Universal(auth)
    }
}

/// A login with a Kubernetes service-account token, which is read anew for every login.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KubernetesAuth {
    /// The id of the machine identity.
    pub identity_id: String,
    /// The file with the service-account token; where Kubernetes puts it by default.
    #[serde(default = "default_token_file")]
    pub token_file: PathBuf,
}

fn default_token_file() -> PathBuf {
    "/var/run/secrets/kubernetes.io/serviceaccount/token".into()
}

impl KubernetesAuth {
    /// As this machine identity, with the pod's own token.
    pub fn new(identity_id: impl Into<String>) -> Self {
        Self { identity_id: identity_id.into(), token_file: default_token_file() }
    }

    /// The file with the service-account token, such as a projected one with its own audience.
    #[must_use]
    pub fn with_token_file(self, token_file: impl Into<PathBuf>) -> Self {
        Self { token_file: token_file.into(), ..self }
    }
}

impl From<KubernetesAuth> for Auth {
    fn from(auth: KubernetesAuth) -> Self {
        Self::Kubernetes(auth)
    }
}

/// A login with a JWT, which is read anew for every login.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JwtAuth {
    /// The id of the machine identity.
    pub identity_id: String,
    /// The JWT. Where an identity plugin gives it
    /// ([`Infisical::with_identity`](crate::Infisical::with_identity)), it is absent.
    #[serde(default)]
    pub jwt: Option<SecretSource>,
}

impl JwtAuth {
    /// As this machine identity, with this JWT.
    pub fn new(identity_id: impl Into<String>, jwt: impl Into<SecretSource>) -> Self {
        Self { identity_id: identity_id.into(), jwt: Some(jwt.into()) }
    }

    /// As this machine identity, with the JWT of an identity plugin.
    pub fn of_plugin(identity_id: impl Into<String>) -> Self {
        Self { identity_id: identity_id.into(), jwt: None }
    }
}

/// An access token that somebody else made.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TokenAuth {
    /// Where the token is.
    pub token: SecretSource,
}
