//! The settings of every backend's HTTP client. The struct is its own builder.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use pipe_core::SecretSource;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;

use crate::{ProxyAddress, tls};

/// How to speak HTTP to a server. Every setting has a default.
///
/// In a document, durations are text with a unit:
///
/// ```toml
/// timeout = "10s"
/// ca = { file = "/etc/pipe/ca.pem" }
/// client_certificate = { file = "/etc/pipe/client.pem" }
/// ```
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct HttpConfig {
    /// How long to wait for a connection, TLS included; 5 seconds.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub connect_timeout: Duration,
    /// How long a whole exchange may take, from connecting to the last byte of the body; 30
    /// seconds.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub timeout: Duration,
    /// How many bytes of a body to accept; 8 MiB.
    pub max_body: usize,
    /// The certificate authorities of the server; the platform's own when absent.
    pub ca: Option<CaBundle>,
    /// The certificate chain and the private key to present to the server, both PEM, in one
    /// secret. It is read once, when the client is made.
    pub client_certificate: Option<SecretSource>,
    /// The proxy to go through. The environment's proxy variables are not looked at, and a
    /// server on a loopback address is always spoken to directly.
    pub proxy: Option<ProxyAddress>,
    /// What to call ourselves; `pipe/` and the version of this crate.
    pub user_agent: String,
}

impl HttpConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long to wait for a connection, TLS included.
    #[must_use]
    pub fn with_connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// How long a whole exchange may take.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// How many bytes of a body to accept.
    #[must_use]
    pub fn with_max_body(self, max_body: usize) -> Self {
        Self { max_body, ..self }
    }

    /// The certificate authorities of the server.
    #[must_use]
    pub fn with_ca(self, ca: CaBundle) -> Self {
        Self { ca: Some(ca), ..self }
    }

    /// The certificate chain and the private key to present, both PEM, in one secret.
    #[must_use]
    pub fn with_client_certificate(self, certificate: impl Into<SecretSource>) -> Self {
        Self { client_certificate: Some(certificate.into()), ..self }
    }

    /// The proxy to go through.
    #[must_use]
    pub fn with_proxy(self, proxy: ProxyAddress) -> Self {
        Self { proxy: Some(proxy), ..self }
    }

    /// What to call ourselves.
    #[must_use]
    pub fn with_user_agent(self, user_agent: impl Into<String>) -> Self {
        Self { user_agent: user_agent.into(), ..self }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            max_body: 8 << 20,
            ca: None,
            client_certificate: None,
            proxy: None,
            user_agent: concat!("pipe/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Certificate authorities, PEM, in place or in a file that is read when the client is made.
///
/// In a document: `{ file = "/etc/pipe/ca.pem" }` or `{ pem = "-----BEGIN …" }`, and beside it
/// `trust = "added"` when the platform's own authorities are to be trusted too.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(into = "CaDocument"))]
#[serde(try_from = "CaDocument")]
pub struct CaBundle {
    pub(crate) source: CaSource,
    pub(crate) trust: CaTrust,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum CaSource {
    Pem(Vec<u8>),
    File(PathBuf),
}

/// What becomes of the platform's own authorities when others are configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum CaTrust {
    /// They are trusted too.
    Added,
    /// Only the configured ones are trusted, so that no public authority can vouch for a server
    /// that is ours.
    #[default]
    Exclusive,
}

impl CaBundle {
    /// The PEM certificates themselves. Only they are trusted.
    pub fn pem(pem: impl Into<Vec<u8>>) -> Self {
        Self { source: CaSource::Pem(pem.into()), trust: CaTrust::Exclusive }
    }

    /// A file of PEM certificates. Only they are trusted.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { source: CaSource::File(path.into()), trust: CaTrust::Exclusive }
    }

    /// What becomes of the platform's own authorities.
    #[must_use]
    pub fn with_trust(self, trust: CaTrust) -> Self {
        Self { trust, ..self }
    }

    /// What was said about the platform's own authorities.
    #[must_use]
    pub fn trust(&self) -> CaTrust {
        self.trust
    }

    /// The certificates, for clients of other protocols. It blocks while it reads a file.
    ///
    /// # Errors
    /// What is wrong with the setting, in a sentence without any of what it holds.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        tls::certificates(self)
    }
}

impl fmt::Debug for CaBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("CaBundle");
        match &self.source {
            // A private key might have been put here by mistake.
            CaSource::Pem(pem) => shown.field("pem_length", &pem.len()),
            CaSource::File(path) => shown.field("file", path),
        };
        shown.field("trust", &self.trust).finish()
    }
}

#[derive(Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("oneOf" = [{ "required": ["pem"] }, { "required": ["file"] }]))
)]
#[serde(deny_unknown_fields)]
struct CaDocument {
    /// The PEM certificates themselves.
    pem: Option<String>,
    /// A file of PEM certificates.
    file: Option<PathBuf>,
    /// What becomes of the platform's own authorities.
    #[serde(default)]
    trust: CaTrust,
}

impl TryFrom<CaDocument> for CaBundle {
    type Error = &'static str;

    fn try_from(document: CaDocument) -> Result<Self, Self::Error> {
        let bundle = match (document.pem, document.file) {
            (Some(pem), None) => Self::pem(pem),
            (None, Some(path)) => Self::file(path),
            _ => return Err("expected exactly one of `file` or `pem`"),
        };
        Ok(bundle.with_trust(document.trust))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<HttpConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn an_empty_document_is_the_defaults() {
        let config = parse("{}").unwrap();
        assert_eq!(config.connect_timeout, Duration::from_secs(5));
        assert_eq!(config.timeout, Duration::from_secs(30));
        assert_eq!(config.max_body, 8 * 1024 * 1024);
        assert!(config.user_agent.starts_with("pipe/0."));
        assert!(config.ca.is_none() && config.proxy.is_none());
    }

    #[test]
    fn a_document_may_hold_every_setting() {
        let config = parse(
            r#"{
                "connect_timeout": "250ms",
                "timeout": "1m 30s",
                "max_body": 1024,
                "ca": { "file": "/ca.pem", "trust": "added" },
                "client_certificate": { "env": "CLIENT_PEM" },
                "proxy": "http://me:pw@proxy.example:3128",
                "user_agent": "bot/1"
            }"#,
        )
        .unwrap();
        assert_eq!(config.connect_timeout, Duration::from_millis(250));
        assert_eq!(config.timeout, Duration::from_secs(90));
        assert_eq!(config.max_body, 1024);
        assert_eq!(config.ca, Some(CaBundle::file("/ca.pem").with_trust(CaTrust::Added)));
        assert_eq!(config.client_certificate, Some(SecretSource::env("CLIENT_PEM")));
        assert_eq!(config.proxy, Some("http://me:pw@proxy.example:3128".parse().unwrap()));
        assert_eq!(config.user_agent, "bot/1");
    }

    #[test]
    fn configured_authorities_are_exclusive_unless_said_otherwise() {
        let config = parse(r#"{"ca": {"pem": "x"}}"#).unwrap();
        assert_eq!(config.ca, Some(CaBundle::pem("x")));
        assert_eq!(CaBundle::pem("x").trust, CaTrust::Exclusive);
    }

    #[test]
    fn what_is_misspelled_is_refused() {
        for json in [
            r#"{"time_out": "5s"}"#,
            r#"{"timeout": 5}"#,
            r#"{"timeout": "5 parsecs"}"#,
            r#"{"max_body": -1}"#,
            r#"{"ca": "/ca.pem"}"#,
            r#"{"ca": {}}"#,
            r#"{"ca": {"file": "/a", "pem": "b"}}"#,
            r#"{"ca": {"file": "/a", "trust": "none"}}"#,
            r#"{"proxy": "proxy.example"}"#,
        ] {
            assert!(parse(json).is_err(), "{json}");
        }
    }
}
