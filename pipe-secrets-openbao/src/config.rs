//! The settings, which are their own builder.

use std::env::VarError;
use std::fmt;
use std::time::Duration;

use pipe_core::{ConfigFaults, Namespace, Result, SecretName, SecretSource};
use pipe_http::{CaBundle, HttpClient, HttpConfig, ServerAddress};
use serde::Deserialize;

use crate::auth::{Auth, KubernetesAuth};
use crate::kv::Form;

/// Where OpenBao is, how we log in, and where in it the secrets are.
///
/// ```
/// use pipe_secrets_openbao::{KubernetesAuth, OpenBaoConfig};
///
/// let config = OpenBaoConfig::new("https://bao.example:8200", KubernetesAuth::new("bots"))
///     .with_namespace("team1")
///     .with_mount("apps");
/// ```
///
/// In a document:
///
/// ```
/// # let document = r#"
/// {
///   "address": "https://bao.example:8200",
///   "auth": { "method": "kubernetes", "role": "bots", "audience": "openbao" },
///   "http": { "timeout": "10s", "ca": { "file": "/etc/pipe/ca.pem" } }
/// }
/// # "#;
/// # let config: pipe_secrets_openbao::OpenBaoConfig = serde_json::from_str(document).unwrap();
/// # assert_eq!(config.mount, "secret");
/// ```
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OpenBaoConfig {
    /// The instance's name in errors, audit and metrics; `openbao`.
    #[serde(default = "default_name")]
    pub name: String,
    /// The server's address: `https`, or `http` on this machine.
    pub address: String,
    /// Further nodes of the same cluster, which are asked when one cannot answer; none.
    #[serde(default)]
    pub other_addresses: Vec<String>,
    /// How we log in.
    pub auth: Auth,
    /// Whether each request logs in by itself, so that no token is made, stored at the server,
    /// renewed or given back; no. What has a lease cannot be read then, and `kv_version` has to be set.
    #[serde(default)]
    pub inline_auth: bool,
    /// The OpenBao namespace that we work in; the root namespace when absent.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The OpenBao namespace that we log in to, where it is another: one that `namespace` is in,
    /// or `/`, the root.
    #[serde(default)]
    pub auth_namespace: Option<String>,
    /// Where the KV v2 engine is mounted; `secret`.
    #[serde(default = "default_mount")]
    pub mount: String,
    /// The version of the KV engine, 1 or 2; found out when absent.
    #[serde(default)]
    pub kv_version: Option<u8>,
    /// Who we are: noted on what we store (as `managed-by` in its custom metadata), so that what
    /// is noted as somebody else's is not changed. Nothing is noted when absent.
    #[serde(default)]
    pub owner: Option<String>,
    /// How many names to ask for at once when listing; 500.
    #[serde(default = "default_page_size")]
    pub page_size: u32,
    /// How often a watched secret is looked at; 30 seconds.
    #[serde(default = "default_poll_interval", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub poll_interval: Duration,
    /// Timeouts, certificate authorities, proxy.
    #[serde(default)]
    pub http: HttpConfig,
}

fn default_name() -> String {
    "openbao".to_owned()
}

fn default_mount() -> String {
    "secret".to_owned()
}

fn default_page_size() -> u32 {
    500
}

fn default_poll_interval() -> Duration {
    Duration::from_secs(30)
}

impl OpenBaoConfig {
    /// The KV v2 engine at `secret`, in the root namespace of this server.
    pub fn new(address: impl Into<String>, auth: impl Into<Auth>) -> Self {
        Self {
            name: default_name(),
            address: address.into(),
            other_addresses: Vec::new(),
            auth: auth.into(),
            inline_auth: false,
            namespace: None,
            auth_namespace: None,
            mount: default_mount(),
            kv_version: None,
            owner: None,
            page_size: default_page_size(),
            poll_interval: default_poll_interval(),
            http: HttpConfig::new(),
        }
    }

    /// From the environment: `BAO_ADDR`, `BAO_NAMESPACE`, `BAO_CACERT`, and `BAO_TOKEN` or, for a
    /// login with the pod's service account, `BAO_ROLE` (with `BAO_AUTH_PATH` when the auth method
    /// is not mounted at `kubernetes`, and `BAO_JWT_FILE` when the token is not where Kubernetes
    /// puts it). Where one is not set, the variable of the same name with `VAULT_` in front is
    /// looked at.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming all variables that are missing or that cannot be honoured.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|name| match std::env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err("is not text"),
        })
    }

    fn from_variables(
        variable: impl Fn(&'static str) -> Result<Option<String>, &'static str>,
    ) -> Result<Self> {
        let mut faults = ConfigFaults::new();
        let mut set = |name: &'static str| {
            let value = variable(name).map_err(|fault| faults.add(name, fault)).ok().flatten();
            value.filter(|value| !value.is_empty())
        };
        let mut get = |bao, vault| set(bao).or_else(|| set(vault));
        let address = get("BAO_ADDR", "VAULT_ADDR");
        let namespace = get("BAO_NAMESPACE", "VAULT_NAMESPACE");
        let ca = get("BAO_CACERT", "VAULT_CACERT");
        let mount = get("BAO_AUTH_PATH", "VAULT_AUTH_PATH");
        let token_file = get("BAO_JWT_FILE", "VAULT_JWT_FILE");
        let skip_verify = get("BAO_SKIP_VERIFY", "VAULT_SKIP_VERIFY");
        let others = [
            ("BAO_CAPATH", get("BAO_CAPATH", "VAULT_CAPATH")),
            ("BAO_CLIENT_CERT", get("BAO_CLIENT_CERT", "VAULT_CLIENT_CERT")),
            ("BAO_CLIENT_KEY", get("BAO_CLIENT_KEY", "VAULT_CLIENT_KEY")),
            ("BAO_TLS_SERVER_NAME", get("BAO_TLS_SERVER_NAME", "VAULT_TLS_SERVER_NAME")),
        ];
        let by_token = |token: String| Auth::token(SecretSource::Value(token.into()));
        let by_role = |role: String| {
            let mut kubernetes = KubernetesAuth::new(role);
            kubernetes.mount = mount.clone().unwrap_or(kubernetes.mount);
            kubernetes.token_file = token_file.clone().map_or(kubernetes.token_file, Into::into);
            kubernetes.into()
        };
        // All of `BAO_` comes before any of `VAULT_`.
        let auth: Option<Auth> = set("BAO_TOKEN")
            .map(by_token)
            .or_else(|| set("BAO_ROLE").map(by_role))
            .or_else(|| set("VAULT_TOKEN").map(by_token))
            .or_else(|| set("VAULT_ROLE").map(by_role));
        if skip_verify.is_some_and(|value| !matches!(value.as_str(), "0" | "false")) {
            faults.add("BAO_SKIP_VERIFY", "certificates are always verified; set BAO_CACERT");
        }
        for (name, _) in others.iter().filter(|(_, value)| value.is_some()) {
            faults.add(*name, "is not read from the environment; use the settings of `http`");
        }
        if address.is_none() {
            faults.add("BAO_ADDR", "is not set");
        }
        if auth.is_none() {
            faults.add("BAO_TOKEN", "is not set, and neither is BAO_ROLE");
        }
        match (address, auth) {
            (Some(address), Some(auth)) if faults.is_empty() => {
                let mut config = Self::new(address, auth);
                config.namespace = namespace;
                config.http.ca = ca.map(CaBundle::file);
                Ok(config)
            }
            _ => Err(faults.into_error()),
        }
    }

    /// The instance's name in errors, audit and metrics.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Further nodes of the same cluster, which are asked when one cannot answer.
    #[must_use]
    pub fn with_other_addresses<A: Into<String>>(
        self,
        other_addresses: impl IntoIterator<Item = A>,
    ) -> Self {
        Self { other_addresses: other_addresses.into_iter().map(Into::into).collect(), ..self }
    }

    /// Each request logs in by itself: no token is made, stored at the server, renewed or given back.
    /// Of an AppRole, each request is a use of the secret id. What has a lease cannot be read then, and
    /// the version of the KV engine has to be [set](Self::with_kv_version).
    #[must_use]
    pub fn with_inline_auth(self) -> Self {
        Self { inline_auth: true, ..self }
    }

    /// The OpenBao namespace that we work in, and log in to unless another is set for that.
    #[must_use]
    pub fn with_namespace(self, namespace: impl Into<String>) -> Self {
        Self { namespace: Some(namespace.into()), ..self }
    }

    /// The OpenBao namespace that we log in to: one that the other is in, or `/`, the root.
    #[must_use]
    pub fn with_auth_namespace(self, auth_namespace: impl Into<String>) -> Self {
        Self { auth_namespace: Some(auth_namespace.into()), ..self }
    }

    /// Where the KV v2 engine is mounted.
    #[must_use]
    pub fn with_mount(self, mount: impl Into<String>) -> Self {
        Self { mount: mount.into(), ..self }
    }

    /// The version of the KV engine, 1 or 2, where it is not to be found out. An engine of version
    /// 1 keeps no old versions and knows no check-and-set: of two writers, the later one wins.
    #[must_use]
    pub fn with_kv_version(self, kv_version: u8) -> Self {
        Self { kv_version: Some(kv_version), ..self }
    }

    /// Who we are: what is noted as somebody else's is not changed.
    #[must_use]
    pub fn with_owner(self, owner: impl Into<String>) -> Self {
        Self { owner: Some(owner.into()), ..self }
    }

    /// How many names to ask for at once when listing.
    #[must_use]
    pub fn with_page_size(self, page_size: u32) -> Self {
        Self { page_size, ..self }
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
        if self.page_size == 0 {
            faults.add("page_size", "must be at least 1");
        }
        if self.kv_version.is_some_and(|version| !matches!(version, 1 | 2)) {
            faults.add("kv_version", "must be 1 or 2");
        }
        if self.owner.as_ref().is_some_and(|owner| !(1..=512).contains(&owner.len())) {
            faults.add("owner", "must have 1 to 512 bytes");
        }
        if self.owner.is_some() && self.kv_version == Some(1) {
            faults.add("owner", "cannot be noted by KV version 1, which keeps no metadata");
        }
        if self.poll_interval.is_zero() {
            faults.add("poll_interval", "must be more than zero");
        }
        let address = faults.keep("address", self.address.parse::<ServerAddress>());
        // The faults of `http` do not depend on a sound address.
        let checkable = address.or_else(|| "https://localhost".parse().ok());
        let http = checkable
            .and_then(|address| faults.keep_below("http", HttpClient::new(&self.http, &address)));
        let others: Vec<_> = self
            .other_addresses
            .iter()
            .filter_map(|address| {
                let address = faults.keep("other_addresses", address.parse::<ServerAddress>())?;
                faults.keep_below("http", HttpClient::new(&self.http, &address))
            })
            .collect();
        let mut parse = |setting, text: Option<&str>| {
            let trimmed = text.map(|text| text.trim_matches('/')).filter(|text| !text.is_empty());
            trimmed.and_then(|text| faults.keep(setting, Namespace::new(text)))
        };
        let namespace = parse("namespace", self.namespace.as_deref());
        let auth_namespace = match self.auth_namespace.as_deref() {
            None => namespace.clone(),
            own => parse("auth_namespace", own),
        };
        let is_below = |home: &Namespace| {
            let within = namespace.as_ref().map(Namespace::as_str).unwrap_or_default();
            let rest = within.strip_prefix(home.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if auth_namespace.as_ref().is_some_and(|home| !is_below(home)) {
            faults.add("auth_namespace", "must be `namespace`, or one that it is in");
        }
        let mount = faults.keep("mount", SecretName::new(self.mount.trim_matches('/')));
        if self.inline_auth && matches!(self.auth, Auth::Token(_)) {
            faults.add("inline_auth", "cannot be used with a token, which needs no login");
        }
        if self.inline_auth && matches!(self.auth, Auth::Userpass(_)) {
            let fault =
                "cannot be used with a password, of which a few wrong ones lock the user out";
            faults.add("inline_auth", fault);
        }
        if self.inline_auth && self.kv_version.is_none() {
            faults.add("kv_version", "must be set with `inline_auth`, which cannot find it out");
        }
        self.auth.check(self.http.client_certificate.is_some(), &mut faults);
        match (http, mount) {
            (Some(http), Some(mount)) if faults.is_empty() => {
                let kv_version = self.kv_version.map(|version| match version {
                    1 => Form::V1,
                    _ => Form::V2,
                });
                Ok(Checked { http, others, namespace, auth_namespace, mount, kv_version })
            }
            _ => Err(faults.into_error()),
        }
    }
}

impl fmt::Debug for OpenBaoConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is no address may hold a password, as URLs do.
        let shown =
            |address: &String| address.parse::<ServerAddress>().map_err(|_| "[not an address]");
        let others: Vec<_> = self.other_addresses.iter().map(shown).collect();
        f.debug_struct("OpenBaoConfig")
            .field("name", &self.name)
            .field("address", &shown(&self.address))
            .field("other_addresses", &others)
            .field("auth", &self.auth)
            .field("inline_auth", &self.inline_auth)
            .field("namespace", &self.namespace)
            .field("auth_namespace", &self.auth_namespace)
            .field("mount", &self.mount)
            .field("kv_version", &self.kv_version)
            .field("owner", &self.owner)
            .field("page_size", &self.page_size)
            .field("poll_interval", &self.poll_interval)
            .field("http", &self.http)
            .finish()
    }
}

/// What the settings amount to.
pub(crate) struct Checked {
    pub(crate) http: HttpClient,
    pub(crate) others: Vec<HttpClient>,
    pub(crate) namespace: Option<Namespace>,
    pub(crate) auth_namespace: Option<Namespace>,
    pub(crate) mount: SecretName,
    pub(crate) kv_version: Option<Form>,
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::path::PathBuf;

    use pipe_core::ErrorKind;

    use crate::auth::{CertAuth, JwtAuth, UserpassAuth};

    fn from(variables: &[(&str, &str)]) -> Result<OpenBaoConfig> {
        OpenBaoConfig::from_variables(|name| {
            Ok(variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        })
    }

    #[test]
    fn bao_variables_come_before_vault_variables() {
        let config = from(&[
            ("BAO_ADDR", "http://127.0.0.1:1"),
            ("VAULT_ADDR", "http://127.0.0.1:2"),
            ("VAULT_TOKEN", "t"),
            ("BAO_NAMESPACE", ""),
            ("VAULT_NAMESPACE", "team1/"),
        ]);
        let config = config.unwrap();
        assert_eq!(config.address, "http://127.0.0.1:1");
        assert_eq!(config.namespace.as_deref(), Some("team1/"));
        assert_eq!(config.check().unwrap().namespace.unwrap().as_str(), "team1");
    }

    #[test]
    fn a_role_means_a_login_with_the_service_account() {
        let config = from(&[
            ("BAO_ADDR", "x"),
            ("BAO_ROLE", "bots"),
            ("BAO_AUTH_PATH", "k8s"),
            ("VAULT_JWT_FILE", "/token"),
        ]);
        let Auth::Kubernetes(auth) = config.unwrap().auth else { panic!("another method") };
        assert_eq!((auth.role.as_str(), auth.mount.as_str()), ("bots", "k8s"));
        assert_eq!(auth.token_file, PathBuf::from("/token"));
    }

    /// A leftover of another tool must not take the place of what was set for us.
    #[test]
    fn a_role_of_ours_comes_before_a_token_of_vault() {
        let config = from(&[("BAO_ADDR", "x"), ("VAULT_TOKEN", "t"), ("BAO_ROLE", "bots")]);
        assert!(matches!(config.unwrap().auth, Auth::Kubernetes(_)));
    }

    #[test]
    fn variables_that_cannot_be_honoured_are_named() {
        let error = from(&[("BAO_ADDR", "x"), ("BAO_TOKEN", "t"), ("VAULT_CLIENT_CERT", "/c")]);
        assert!(error.unwrap_err().hint_text().contains("BAO_CLIENT_CERT"));
        let error = OpenBaoConfig::from_variables(|name| match name {
            "BAO_NAMESPACE" => Err("is not text"),
            _ => Ok(Some("x".to_owned()).filter(|_| matches!(name, "BAO_ADDR" | "BAO_TOKEN"))),
        });
        assert!(error.unwrap_err().hint_text().contains("BAO_NAMESPACE"));
    }

    #[test]
    fn all_missing_variables_are_named_at_once() {
        let error = from(&[("VAULT_SKIP_VERIFY", "true")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        for name in ["BAO_ADDR", "BAO_TOKEN", "BAO_SKIP_VERIFY"] {
            assert!(error.hint_text().contains(name), "{error}");
        }
    }

    #[test]
    fn verification_cannot_be_switched_off_by_the_environment() {
        let with =
            |value| from(&[("BAO_ADDR", "x"), ("BAO_TOKEN", "t"), ("BAO_SKIP_VERIFY", value)]);
        assert!(with("1").is_err() && with("true").is_err() && with("no").is_err());
        assert!(with("0").is_ok() && with("false").is_ok() && with("").is_ok());
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let config =
            OpenBaoConfig::new("http://bao.example", KubernetesAuth::new("").with_mount("../x"))
                .with_name("")
                .with_namespace("a//b")
                .with_mount("../sys")
                .with_page_size(0)
                .with_http(HttpConfig::new().with_max_body(0).with_ca(CaBundle::pem("")));
        let Err(error) = config.check() else { panic!("the settings are wrong") };
        for setting in [
            "name",
            "address",
            "namespace",
            "mount",
            "page_size",
            "auth.role",
            "auth.mount",
            "http.max_body",
            "http.ca",
        ] {
            assert!(error.context(setting).is_some(), "{setting} is missing in {error}");
        }
    }

    #[test]
    fn a_login_that_cannot_be_is_named() {
        let value = || SecretSource::Value("x".into());
        let auths: [(Auth, &str); 8] = [
            (CertAuth::new("").into(), "auth.role"),
            (CertAuth::new("bots").into(), "http.client_certificate"),
            (UserpassAuth::new("", value()).into(), "auth.username"),
            (UserpassAuth::new("..", value()).into(), "auth.username"),
            (UserpassAuth::new("a/../b", value()).into(), "auth.username"),
            (UserpassAuth::new("a b", value()).into(), "auth.username"),
            (JwtAuth::new("", value()).into(), "auth.role"),
            (JwtAuth::new("bots", value()).with_mount("../x").into(), "auth.mount"),
        ];
        for (auth, setting) in auths {
            let checked = OpenBaoConfig::new("https://bao.example", auth).check();
            let error = checked.err().expect("the settings are wrong");
            assert!(error.context(setting).is_some(), "{setting} is missing in {error}");
        }
        // Without a token, and without an identity plugin that would give one.
        let config = OpenBaoConfig::new("https://bao.example", JwtAuth::of_plugin("bots"));
        let error = crate::OpenBao::new(config).unwrap_err();
        assert!(error.context("auth.jwt").is_some(), "{error}");
    }

    #[test]
    fn a_login_may_be_in_a_namespace_above() {
        let config = || {
            OpenBaoConfig::new("https://bao.example", KubernetesAuth::new("r"))
                .with_namespace("a/b")
        };
        let login = |config: OpenBaoConfig| {
            config.check().unwrap().auth_namespace.map(|namespace| namespace.to_string())
        };
        assert_eq!(login(config()).as_deref(), Some("a/b"));
        assert_eq!(login(config().with_auth_namespace("a/")).as_deref(), Some("a"));
        assert_eq!(login(config().with_auth_namespace("/")), None);
    }

    #[test]
    fn unknown_settings_are_refused() {
        let document =
            r#"{"address":"x","auth":{"method":"token","token":{"env":"T"}},"tls":false}"#;
        assert!(serde_json::from_str::<OpenBaoConfig>(document).is_err());
        let document = r#"{"address":"x","auth":{"method":"kubernetes","role":"r","rol":"x"}}"#;
        assert!(serde_json::from_str::<OpenBaoConfig>(document).is_err());
    }

    /// REQ 004-85.1
    #[test]
    fn no_secret_shows_in_debug_or_in_a_fault_of_the_document() {
        let config = OpenBaoConfig::new("x", Auth::token(SecretSource::Value("hunter2".into())));
        assert!(!format!("{config:?}").contains("hunter2"));
        let config =
            OpenBaoConfig::new("https://bot:hunter2@bao.example", KubernetesAuth::new("r"));
        assert!(!format!("{config:?}").contains("hunter2"));
        for auth in [
            r#"{"method":"token","token":"hunter2"}"#,
            r#"{"method":"hunter","token":{"value":"hunter2"}}"#,
        ] {
            let document = format!(r#"{{"address":"x","auth":{auth}}}"#);
            let error = serde_json::from_str::<OpenBaoConfig>(&document).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
