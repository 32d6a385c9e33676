//! A real OpenID provider: oidc-provider, as `live/oidc-provider` sets it up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rcgen::KeyPair;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::admin::Admin;
use crate::credentials::{Certificate, Credentials};
use crate::process::{Process, packages_or_skip};

/// The resource whose tokens are JWTs with RS256.
pub(crate) const RS256: &str = "https://api.pipe.local";
/// The resource whose tokens are JWTs with PS256.
pub(crate) const PS256: &str = "https://api.pipe.local/ps";
/// The resource whose tokens are JWTs with ES256.
pub(crate) const ES256: &str = "https://api.pipe.local/es";
/// The resource whose tokens are JWTs with EdDSA.
pub(crate) const EDDSA: &str = "https://api.pipe.local/ed";
/// The resource whose tokens are opaque.
pub(crate) const OPAQUE: &str = "https://api.pipe.local/opaque";

/// The server that tests share which change nothing about it: neither its keys, nor faults, nor
/// hit counters. Other tests [start](Server::start) their own.
pub(crate) async fn shared() -> Option<&'static Server> {
    static SHARED: OnceCell<Option<Server>> = OnceCell::const_new();
    SHARED.get_or_init(Server::start).await.as_ref()
}

/// What a test may choose about its server.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The lifetime of access tokens, to the second.
    pub(crate) token_lifetime: Duration,
    /// Where `web` and `spa` receive codes.
    pub(crate) redirect_uri: String,
    /// Where `web` leads after a logout; to `redirect_uri` when absent.
    pub(crate) post_logout_uri: Option<String>,
    /// Where `web` is told of logouts, if at all.
    pub(crate) logout_uri: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            token_lifetime: Duration::from_secs(3600),
            redirect_uri: "http://127.0.0.1:18390/callback".to_owned(),
            post_logout_uri: None,
            logout_uri: None,
        }
    }
}

/// A running provider. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    report: Report,
    credentials: Credentials,
    admin: Admin,
    process: Process,
}

impl Server {
    /// `None` where the provider is not installed.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(Options::default()).await
    }

    /// Like [`start`](Self::start), with other options.
    pub(crate) async fn start_with(options: Options) -> Option<Self> {
        let packages = packages_or_skip()?;
        let start = move || Self::start_blocking(packages, &options);
        Some(spawn_blocking(start).await.expect("the provider starts"))
    }

    /// The issuer, which is also the plain HTTP address.
    pub(crate) fn issuer(&self) -> &str {
        &self.report.issuer
    }

    /// A path such as `/token`, as a plain HTTP URL.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.report.issuer)
    }

    /// A path such as `/token`, as an HTTPS URL. There the server has a certificate of
    /// [`ca`](Self::ca) and asks for one of the client, which it need not have.
    pub(crate) fn tls_url(&self, path: &str) -> String {
        format!("{}{path}", self.report.tls)
    }

    /// The certificate authority, in PEM.
    pub(crate) fn ca(&self) -> &str {
        &self.credentials.ca
    }

    /// The secret of a client. It is 43 characters of base64url.
    pub(crate) fn secret(&self, client: &str) -> &str {
        self.credentials.secret(client)
    }

    /// The certificate that `svc-mtls` shows.
    pub(crate) fn client_certificate(&self) -> &Certificate {
        &self.credentials.client
    }

    /// The certificate that `svc-self` shows.
    pub(crate) fn self_signed_certificate(&self) -> &Certificate {
        &self.credentials.self_signed
    }

    /// A private key of `svc-pkjwt` with its id, for "ES256" or "RS256".
    pub(crate) fn client_key(&self, algorithm: &str) -> (&str, &KeyPair) {
        let key = match algorithm {
            "ES256" => &self.credentials.es256,
            "RS256" => &self.credentials.rs256,
            _ => panic!("svc-pkjwt has no key for {algorithm}"),
        };
        (&self.report.client_key_ids[algorithm], key)
    }

    /// The ES256 key of [`ASSERTION_ISSUER`](crate::credentials::ASSERTION_ISSUER).
    pub(crate) fn assertion_key(&self) -> &KeyPair {
        &self.credentials.assertion
    }

    pub(crate) fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The last lines of the log, which tell the true reasons of refusals.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// Ends the process as a crash would.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    fn start_blocking(packages: PathBuf, options: &Options) -> Self {
        let credentials = Credentials::generate();
        let mut settings: Value = credentials.settings();
        settings["token_lifetime"] = json!(options.token_lifetime.as_secs());
        settings["redirect_uri"] = json!(options.redirect_uri);
        settings["post_logout_uri"] = json!(options.post_logout_uri);
        settings["logout_uri"] = json!(options.logout_uri);
        let (process, report) = Process::start::<Report>(&packages, &settings);
        let admin = Admin::new(report.admin.clone());
        Self { report, credentials, admin, process }
    }
}

/// What the server says about itself.
#[derive(Debug, Deserialize)]
struct Report {
    issuer: String,
    tls: String,
    admin: String,
    client_key_ids: BTreeMap<String, String>,
}
