//! The settings, which are their own builder.

use std::fmt;
use std::time::Duration;

use pipe_core::{ConfigFaults, Result, SecretSource};
use pipe_http::{HttpClient, HttpConfig, ServerAddress};
use serde::Deserialize;

/// Where Cognee is, how we log in, and which dataset is the memory.
///
/// ```
/// use pipe_core::SecretSource;
/// use pipe_memory_cognee::{Auth, CogneeConfig};
///
/// let key = SecretSource::env("COGNEE_API_KEY");
/// let config = CogneeConfig::new("https://cognee.example", Auth::api_key(key))
///     .with_dataset("governance");
/// ```
///
/// In a document:
///
/// ```
/// # let document = r#"
/// {
///   "address": "https://cognee.example",
///   "auth": { "method": "api_key", "key": { "file": "/var/run/secrets/cognee" } },
///   "write_timeout": "5m"
/// }
/// # "#;
/// # let config: pipe_memory_cognee::CogneeConfig = serde_json::from_str(document).unwrap();
/// # assert_eq!(config.dataset, "governance");
/// ```
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CogneeConfig {
    /// The instance's name in errors, audit and metrics; `cognee`.
    #[serde(default = "default_name")]
    pub name: String,
    /// The server's address: `https`, or `http` on this machine.
    pub address: String,
    /// How we log in.
    pub auth: Auth,
    /// The name of the dataset that is the memory; `governance`. It is made when it is needed.
    #[serde(default = "default_dataset")]
    pub dataset: String,
    /// How long an import of up to a thousand data points may take, and how long an addition waits
    /// for those before it; two minutes.
    #[serde(default = "default_write_timeout", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub write_timeout: Duration,
    /// How long to wait until a graph is made of texts, or of one that took another's place; 15
    /// minutes.
    #[serde(default = "default_cognify_timeout", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub cognify_timeout: Duration,
    /// How often to ask whether it is made; two seconds.
    #[serde(default = "default_poll_interval", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub poll_interval: Duration,
    /// Timeouts, certificate authorities, proxy. A suggestion reads the whole graph, of about a
    /// kilobyte for each data point, and so may a search with filters: `max_body` has to have room
    /// for it.
    #[serde(default)]
    pub http: HttpConfig,
}

fn default_name() -> String {
    "cognee".to_owned()
}

fn default_dataset() -> String {
    "governance".to_owned()
}

fn default_write_timeout() -> Duration {
    Duration::from_secs(120)
}

fn default_cognify_timeout() -> Duration {
    Duration::from_secs(15 * 60)
}

fn default_poll_interval() -> Duration {
    Duration::from_secs(2)
}

impl CogneeConfig {
    /// The dataset `governance` of this server.
    pub fn new(address: impl Into<String>, auth: Auth) -> Self {
        Self {
            name: default_name(),
            address: address.into(),
            auth,
            dataset: default_dataset(),
            write_timeout: default_write_timeout(),
            cognify_timeout: default_cognify_timeout(),
            poll_interval: default_poll_interval(),
            http: HttpConfig::new(),
        }
    }

    /// The instance's name in errors, audit and metrics.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The name of the dataset that is the memory.
    #[must_use]
    pub fn with_dataset(self, dataset: impl Into<String>) -> Self {
        Self { dataset: dataset.into(), ..self }
    }

    /// How long an import of up to a thousand data points may take.
    #[must_use]
    pub fn with_write_timeout(self, write_timeout: Duration) -> Self {
        Self { write_timeout, ..self }
    }

    /// How long to wait until a graph is made of texts.
    #[must_use]
    pub fn with_cognify_timeout(self, cognify_timeout: Duration) -> Self {
        Self { cognify_timeout, ..self }
    }

    /// How often to ask whether it is made.
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
    pub(crate) fn check(&self) -> Result<Clients> {
        let mut faults = ConfigFaults::new();
        let is_odd = |c: char| c.is_whitespace() || c.is_control();
        faults.require(
            !self.name.is_empty() && !self.name.contains(is_odd),
            "name",
            "must not be empty or have spaces in it",
        );
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        let dataset = self.dataset.as_bytes();
        faults.require(
            !dataset.is_empty() && dataset.len() <= 128 && dataset.iter().all(|b| is_word(*b)),
            "dataset",
            "must be 1 to 128 of A-Z a-z 0-9 _ -",
        );
        let durations = [
            ("write_timeout", self.write_timeout),
            ("cognify_timeout", self.cognify_timeout),
            ("poll_interval", self.poll_interval),
        ];
        for (setting, duration) in durations {
            faults.require(!duration.is_zero(), setting, "must be more than zero");
        }
        if let Auth::Login(login) = &self.auth {
            faults.require(!login.username.is_empty(), "auth.username", "must not be empty");
        }
        let address = faults.keep("address", self.address.parse::<ServerAddress>());
        // The faults of `http` do not depend on a sound address.
        let checkable = address.or_else(|| "https://localhost".parse().ok());
        let clients = checkable.and_then(|address| {
            let patient = self.http.clone().with_timeout(self.write_timeout);
            let reads = faults.keep_below("http", HttpClient::new(&self.http, &address))?;
            let writes = faults.keep_below("http", HttpClient::new(&patient, &address))?;
            let patient = self.http.clone().with_timeout(self.cognify_timeout);
            let runs = faults.keep_below("http", HttpClient::new(&patient, &address))?;
            Some(Clients { reads, writes, runs })
        });
        match clients {
            Some(clients) if faults.is_empty() => Ok(clients),
            _ => Err(faults.into_error()),
        }
    }
}

impl fmt::Debug for CogneeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is no address may hold a password, as URLs do.
        let address = self.address.parse::<ServerAddress>();
        f.debug_struct("CogneeConfig")
            .field("name", &self.name)
            .field("address", &address.map_err(|_| "[not an address]"))
            .field("auth", &self.auth)
            .field("dataset", &self.dataset)
            .field("write_timeout", &self.write_timeout)
            .field("cognify_timeout", &self.cognify_timeout)
            .field("poll_interval", &self.poll_interval)
            .field("http", &self.http)
            .finish()
    }
}

/// Clients of the same server, which differ in their patience.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) reads: HttpClient,
    pub(crate) writes: HttpClient,
    pub(crate) runs: HttpClient,
}

/// How we log in.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Auth {
    /// With an API key, in the header `X-Api-Key`.
    ApiKey {
        /// The key. A file is read again when its key is refused.
        key: SecretSource,
    },
    /// With a user name and a password, by the login form, again when the token is refused.
    Login(LoginAuth),
    /// With a token that somebody else made.
    Bearer {
        /// The token. A file is read again when its token is refused.
        token: SecretSource,
    },
    /// Not at all, for a server that asks nobody.
    None,
}

impl Auth {
    /// With an API key.
    pub fn api_key(key: impl Into<SecretSource>) -> Self {
        Self::ApiKey { key: key.into() }
    }

    /// With a user name and a password.
    pub fn login(username: impl Into<String>, password: impl Into<SecretSource>) -> Self {
        Self::Login(LoginAuth { username: username.into(), password: password.into() })
    }

    /// With a token that somebody else made.
    pub fn bearer(token: impl Into<SecretSource>) -> Self {
        Self::Bearer { token: token.into() }
    }
}

/// A user name and a password, which is read anew for every login.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LoginAuth {
    /// The user name: an email address.
    pub username: String,
    /// The password.
    pub password: SecretSource,
}
