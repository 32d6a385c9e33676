//! Where the Redis server is, and how to speak to it. The struct is its own builder.

use std::time::Duration;

use pipe_core::{ConfigFaults, Result, SecretSource};
use pipe_http::CaBundle;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use url::{Host, Url};

use super::connection::Target;
use super::tls;

/// The settings of [`RedisSessions`](crate::RedisSessions).
///
/// In a document:
///
/// ```toml
/// url = "rediss://redis.example:6380/2"
/// username = { env = "REDIS_USERNAME" }
/// password = { file = "/var/run/secrets/redis" }
/// ca = { file = "/etc/pipe/redis-ca.pem" }
/// prefix = "shop"
/// timeout = "500ms"
/// ```
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RedisConfig {
    /// `rediss://host:port/database`, the port being 6379 and the database 0 unless given. Without
    /// TLS, `redis://…`, on a loopback address only.
    pub url: String,
    /// The user of the server's access control list; the default user when absent.
    pub username: Option<SecretSource>,
    /// The password. Read for each connection, so that it may change.
    pub password: Option<SecretSource>,
    /// What all keys begin with, `pipe` unless set: at most 64 letters, digits, `.`, `_`, `-` and `:`.
    /// Stores with the same prefix in the same database are one store.
    #[serde(default = "default_prefix")]
    pub prefix: String,
    /// The certificate authorities of the server; the platform's own when absent.
    pub ca: Option<CaBundle>,
    /// Whether plain `redis://` is allowed to other machines than this one. Whoever is on the network
    /// then reads the password, and changes sessions.
    #[serde(default)]
    pub allow_plain: bool,
    /// How long to wait for a connection, TLS and login included; 2 seconds.
    #[serde(default = "default_connect_timeout", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub connect_timeout: Duration,
    /// How long to wait for an answer; 1 second. A call that has to connect first, or has to wait
    /// because very many are made at once, takes at most this and
    /// [`connect_timeout`](Self::connect_timeout), retries included.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub timeout: Duration,
}

impl RedisConfig {
    /// The defaults, with the server at this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            username: None,
            password: None,
            prefix: default_prefix(),
            ca: None,
            allow_plain: false,
            connect_timeout: default_connect_timeout(),
            timeout: default_timeout(),
        }
    }

    /// The user of the server's access control list.
    #[must_use]
    pub fn with_username(self, username: impl Into<SecretSource>) -> Self {
        Self { username: Some(username.into()), ..self }
    }

    /// The password.
    #[must_use]
    pub fn with_password(self, password: impl Into<SecretSource>) -> Self {
        Self { password: Some(password.into()), ..self }
    }

    /// What all keys begin with.
    #[must_use]
    pub fn with_prefix(self, prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..self }
    }

    /// The certificate authorities of the server.
    #[must_use]
    pub fn with_ca(self, ca: CaBundle) -> Self {
        Self { ca: Some(ca), ..self }
    }

    /// Allows plain `redis://` to other machines than this one.
    #[must_use]
    pub fn with_plain_allowed(self) -> Self {
        Self { allow_plain: true, ..self }
    }

    /// How long to wait for a connection.
    #[must_use]
    pub fn with_connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// How long to wait for an answer.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// What a connection needs to know. All faults are reported at once, and nothing is asked.
    pub(super) fn target(&self) -> Result<Target> {
        let mut faults = ConfigFaults::new();
        let is_prefix = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
        faults.require(
            (1..=64).contains(&self.prefix.len()) && self.prefix.chars().all(is_prefix),
            "prefix",
            "must be 1 to 64 letters, digits, `.`, `_`, `-` and `:`",
        );
        let within = |time: Duration| !time.is_zero() && time <= LONGEST_WAIT;
        let bounds = "must be more than nothing and at most one minute";
        faults.require(within(self.timeout), "timeout", bounds);
        faults.require(within(self.connect_timeout), "connect_timeout", bounds);
        faults.require(
            self.username.is_none() || self.password.is_some(),
            "password",
            "is required with username",
        );
        let address = Address::parse(&self.url);
        let address = address.map_err(|fault| faults.add("url", fault)).ok();
        if let Some(address) = &address {
            faults.require(
                address.is_tls || address.is_loopback || self.allow_plain,
                "url",
                "must begin with rediss://, for redis:// is allowed on a loopback address only, \
                 unless allow_plain is set",
            );
            faults.require(
                address.is_tls || self.ca.is_none(),
                "ca",
                "means nothing without rediss:// in url",
            );
        }
        let tls = match &address {
            Some(address) if address.is_tls => {
                let name = ServerName::try_from(address.host.clone());
                let name = name.map_err(|_| faults.add("url", "has no valid host in it")).ok();
                let config = tls::client(self.ca.as_ref());
                config.map_err(|fault| faults.add("ca", fault)).ok().zip(name)
            }
            _ => None,
        };
        match (faults.into_result(), address) {
            (Ok(()), Some(address)) => Ok(Target {
                is_localhost: address.host == "localhost",
                host: address.host,
                port: address.port,
                database: address.database,
                tls,
                username: self.username.as_ref().map(SecretSource::reader),
                password: self.password.as_ref().map(SecretSource::reader),
                connect_timeout: self.connect_timeout,
            }),
            (Err(error), _) => Err(error),
            (Ok(()), None) => Err(ConfigFaults::new().into_error()),
        }
    }
}

const LONGEST_WAIT: Duration = Duration::from_secs(60);

fn default_prefix() -> String {
    "pipe".to_owned()
}

fn default_connect_timeout() -> Duration {
    Duration::from_secs(2)
}

fn default_timeout() -> Duration {
    Duration::from_secs(1)
}

struct Address {
    is_tls: bool,
    is_loopback: bool,
    host: String,
    port: u16,
    database: i64,
}

impl Address {
    fn parse(text: &str) -> std::result::Result<Self, &'static str> {
        const FORM: &str = "must be of the form rediss://host:port/database";
        let url = Url::parse(text).map_err(|_| FORM)?;
        let is_tls = match url.scheme() {
            "rediss" => true,
            "redis" => false,
            _ => return Err(FORM),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not have credentials in it: set username and password");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(FORM);
        }
        // For schemes that it does not know, the parser takes a host as it stands.
        let (_, rest) = text.split_once(':').ok_or(FORM)?;
        let known = Url::parse(&format!("https:{rest}")).map_err(|_| FORM)?;
        let (is_loopback, host) = match known.host().ok_or(FORM)? {
            Host::Domain(name) => (name == "localhost", name.to_owned()),
            Host::Ipv4(address) => (address.is_loopback(), address.to_string()),
            Host::Ipv6(address) => (address.is_loopback(), address.to_string()),
        };
        let database = match url.path().trim_start_matches('/') {
            "" => 0,
            digits => i64::from(digits.parse::<u16>().map_err(|_| FORM)?),
        };
        Ok(Self { is_tls, is_loopback, host, port: url.port().unwrap_or(6379), database })
    }
}

#[cfg(test)]
mod tests {
    use pipe_core::{Error, ErrorKind, SecretValue};

    use super::*;

    fn refused(config: &RedisConfig) -> Error {
        let error = config.target().err().expect("it is refused");
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        error
    }

    #[test]
    fn a_document_may_hold_every_setting() {
        let config: RedisConfig = serde_json::from_str(
            r#"{
                "url": "redis://127.0.0.2:6380/2",
                "username": { "env": "REDIS_USER" },
                "password": { "value": "hunter2" },
                "prefix": "shop",
                "allow_plain": true,
                "connect_timeout": "3s",
                "timeout": "250ms"
            }"#,
        )
        .unwrap();
        let target = config.target().unwrap();
        assert_eq!((target.host.as_str(), target.port, target.database), ("127.0.0.2", 6380, 2));
        assert_eq!(config.timeout, Duration::from_millis(250));
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let error = refused(
            &RedisConfig::new("http://redis.example")
                .with_prefix("a b")
                .with_timeout(Duration::ZERO)
                .with_connect_timeout(Duration::from_secs(3_600))
                .with_username(SecretValue::from("me")),
        );
        for setting in ["url", "prefix", "timeout", "connect_timeout", "password"] {
            assert!(error.context(setting).is_some(), "{setting}: {error}");
        }
    }

    #[test]
    fn plain_traffic_leaves_the_machine_only_when_allowed() {
        for url in ["redis://redis.example", "redis://10.0.0.1", "redis://localhost.example"] {
            let config = RedisConfig::new(url);
            assert!(refused(&config).context("url").is_some());
            assert!(config.with_plain_allowed().target().is_ok());
        }
        for url in ["redis://localhost", "redis://127.1.2.3:1/3", "redis://[::1]"] {
            assert!(RedisConfig::new(url).target().is_ok(), "{url}");
        }
    }

    #[test]
    fn an_address_of_another_form_is_refused_without_repeating_it() {
        for url in [
            "rediss://me:hunter2@redis.example",
            "rediss://:hunter2@redis.example",
            "rediss://redis.example/hunter2",
            "rediss://redis.example/0?password=hunter2",
            "rediss://redis.example/0#hunter2",
            "rediss:hunter2",
            "hunter2",
            "rediss://",
            "unix:///hunter2",
            "rediss://redis.example/99999",
        ] {
            let error = refused(&RedisConfig::new(url));
            assert!(error.context("url").is_some(), "{url}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn authorities_have_to_be_certificates_and_of_use() {
        let bundle = CaBundle::pem("no certificate");
        let config = RedisConfig::new("rediss://redis.example").with_ca(bundle.clone());
        assert!(refused(&config).context("ca").is_some());
        let config = RedisConfig::new("redis://localhost").with_ca(bundle);
        assert!(refused(&config).context("ca").is_some());
    }
}
