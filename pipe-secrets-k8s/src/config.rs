//! The settings, which are their own builder.

use std::fmt;
use std::path::PathBuf;

use pipe_core::rbac::KubernetesUser;
use pipe_core::{ConfigFaults, Result, SecretSource};
use pipe_http::{HttpConfig, ServerAddress};
use serde::Deserialize;

use crate::names::check_namespace;

/// Which cluster, who we are there, and in which namespace the Secrets are.
///
/// ```
/// use pipe_core::SecretSource;
/// use pipe_secrets_k8s::{Connection, KubernetesConfig};
///
/// // In a pod: the API server, the token and the namespace that Kubernetes gives it.
/// let own = KubernetesConfig::new(Connection::in_cluster());
///
/// // Another cluster, with a service account's token.
/// let token = SecretSource::file("/etc/pipe/other-cluster-token");
/// let other = KubernetesConfig::new(Connection::cluster("https://k8s.example:6443", token))
///     .with_name("other-cluster")
///     .with_namespace("bots");
/// ```
///
/// In a document:
///
/// ```
/// # let document = r#"
/// {
///   "connection": { "kind": "kubeconfig", "path": "/etc/pipe/kubeconfig", "context": "staging" },
///   "namespace": "bots",
///   "http": { "timeout": "10s" }
/// }
/// # "#;
/// # let config: pipe_secrets_k8s::KubernetesConfig = serde_json::from_str(document).unwrap();
/// # assert_eq!(config.field_manager, "pipe");
/// ```
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KubernetesConfig {
    /// The instance's name in errors, audit and metrics; `kubernetes`.
    #[serde(default = "default_name")]
    pub name: String,
    /// Which cluster, and who we are there.
    pub connection: Connection,
    /// The namespace of references that name none. Where it is not set, it is the pod's own or
    /// that of the kubeconfig's context.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The name under which our writes own what they wrote; `pipe`. Two programs that write the
    /// same Secrets and should not overwrite each other need different ones.
    #[serde(default = "default_field_manager")]
    pub field_manager: String,
    /// On whose behalf to act, where that is not who we are.
    #[serde(default)]
    pub impersonate: Option<Impersonation>,
    /// How many names to ask for at once when listing; 250.
    #[serde(default = "default_page_size")]
    pub page_size: u32,
    /// Timeouts, certificate authorities, client certificate, proxy. A certificate authority or a
    /// client certificate set here replaces that of the pod or the kubeconfig.
    #[serde(default)]
    pub http: HttpConfig,
}

fn default_name() -> String {
    "kubernetes".to_owned()
}

fn default_field_manager() -> String {
    "pipe".to_owned()
}

fn default_page_size() -> u32 {
    250
}

impl KubernetesConfig {
    /// The Secrets of this cluster, in the connection's own namespace.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self {
            name: default_name(),
            connection,
            namespace: None,
            field_manager: default_field_manager(),
            impersonate: None,
            page_size: default_page_size(),
            http: HttpConfig::new(),
        }
    }

    /// From the environment, as Kubernetes' own tools do: the kubeconfig that `KUBECONFIG` names,
    /// else the pod's own service account, else `~/.kube/config`.
    #[must_use]
    pub fn from_env() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let in_pod = !set("KUBECONFIG") && set("KUBERNETES_SERVICE_HOST");
        Self::new(if in_pod { Connection::in_cluster() } else { Connection::kubeconfig() })
    }

    /// The instance's name in errors, audit and metrics.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The namespace of references that name none.
    #[must_use]
    pub fn with_namespace(self, namespace: impl Into<String>) -> Self {
        Self { namespace: Some(namespace.into()), ..self }
    }

    /// The name under which our writes own what they wrote.
    #[must_use]
    pub fn with_field_manager(self, field_manager: impl Into<String>) -> Self {
        Self { field_manager: field_manager.into(), ..self }
    }

    /// On whose behalf to act.
    #[must_use]
    pub fn with_impersonation(self, impersonate: Impersonation) -> Self {
        Self { impersonate: Some(impersonate), ..self }
    }

    /// How many names to ask for at once when listing.
    #[must_use]
    pub fn with_page_size(self, page_size: u32) -> Self {
        Self { page_size, ..self }
    }

    /// Timeouts, certificate authorities, client certificate, proxy.
    #[must_use]
    pub fn with_http(self, http: HttpConfig) -> Self {
        Self { http, ..self }
    }

    /// What can be checked without looking at files or the network.
    pub(crate) fn check(&self, faults: &mut ConfigFaults) {
        if self.name.is_empty() || self.name.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            faults.add("name", "must not be empty or have spaces in it");
        }
        if let Some(namespace) = &self.namespace {
            faults.keep("namespace", check_namespace(namespace));
        }
        let manager = &self.field_manager;
        if manager.is_empty()
            || manager.len() > 128
            || !manager.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
        {
            faults.add("field_manager", "must have 1 to 128 printable ASCII characters");
        }
        if self.page_size == 0 {
            faults.add("page_size", "must be at least 1");
        }
        if let Some(impersonate) = &self.impersonate {
            impersonate.check(faults);
        }
    }
}

impl fmt::Debug for KubernetesConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesConfig")
            .field("name", &self.name)
            .field("connection", &self.connection)
            .field("namespace", &self.namespace)
            .field("field_manager", &self.field_manager)
            .field("impersonate", &self.impersonate)
            .field("page_size", &self.page_size)
            .field("http", &self.http)
            .finish()
    }
}

/// Which cluster, and who we are there (REQ 002-42, 002-43, 002-44).
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Connection {
    /// The cluster that this pod runs in, with its service account.
    InCluster,
    /// What a kubeconfig says.
    Kubeconfig(KubeconfigConnection),
    /// A cluster at an address.
    Cluster(ClusterConnection),
}

impl Connection {
    /// The cluster that this pod runs in, with its service account.
    #[must_use]
    pub fn in_cluster() -> Self {
        Self::InCluster
    }

    /// The current context of the kubeconfig that `KUBECONFIG` names, else of `~/.kube/config`.
    #[must_use]
    pub fn kubeconfig() -> Self {
        Self::Kubeconfig(KubeconfigConnection::new())
    }

    /// The cluster at this address, with a token. A file is read again as it is rotated.
    pub fn cluster(address: impl Into<String>, token: impl Into<SecretSource>) -> Self {
        Self::Cluster(ClusterConnection { address: address.into(), token: Some(token.into()) })
    }

    /// The cluster at this address, with the client certificate of `http.client_certificate`
    /// (REQ 002-47), or with tokens of an identity plugin
    /// ([`Kubernetes::with_identity`](crate::Kubernetes::with_identity)).
    pub fn cluster_without_token(address: impl Into<String>) -> Self {
        Self::Cluster(ClusterConnection { address: address.into(), token: None })
    }
}

impl From<KubeconfigConnection> for Connection {
    fn from(connection: KubeconfigConnection) -> Self {
        Self::Kubeconfig(connection)
    }
}

/// A kubeconfig, as kubectl reads it.
///
/// Programs that it names for logging in (`exec`, `auth-provider`) are refused, not run; so is
/// `insecure-skip-tls-verify`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KubeconfigConnection {
    /// The file; those that `KUBECONFIG` names, else `~/.kube/config`, when absent.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// The context; the current one of the file when absent.
    #[serde(default)]
    pub context: Option<String>,
}

impl KubeconfigConnection {
    /// The current context of the usual file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The file.
    #[must_use]
    pub fn with_path(self, path: impl Into<PathBuf>) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    /// The context.
    #[must_use]
    pub fn with_context(self, context: impl Into<String>) -> Self {
        Self { context: Some(context.into()), ..self }
    }
}

/// A cluster at an address. Its certificate authority is a setting of `http`.
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ClusterConnection {
    /// The API server's address: `https`, or `http` on this machine.
    pub address: String,
    /// The token; absent when `http.client_certificate` or an identity plugin says who we are.
    #[serde(default)]
    pub token: Option<SecretSource>,
}

impl fmt::Debug for ClusterConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is no address may hold a password, as URLs do.
        let address = self.address.parse::<ServerAddress>();
        f.debug_struct("ClusterConnection")
            .field("address", &address.map_err(|_| "[not an address]"))
            .field("token", &self.token)
            .finish()
    }
}

/// On whose behalf to act (REQ 002-49). Our own identity needs the verb `impersonate` for the user
/// and each group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Impersonation {
    /// The user, such as `system:serviceaccount:bots:exporter`.
    pub user: String,
    /// The groups; the cluster adds none by itself, but `system:authenticated`.
    #[serde(default)]
    pub groups: Vec<String>,
}

impl Impersonation {
    /// This user, in no groups.
    pub fn user(user: impl Into<String>) -> Self {
        Self { user: user.into(), groups: Vec::new() }
    }

    /// Also in this group; may be repeated.
    #[must_use]
    pub fn with_group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    fn check(&self, faults: &mut ConfigFaults) {
        let sound = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
        if !sound(&self.user) {
            faults.add("impersonate.user", "must be visible ASCII, and not empty");
        }
        if !self.groups.iter().all(|group| sound(group)) {
            faults.add("impersonate.groups", "must be visible ASCII, and not empty");
        }
    }
}

/// For an instance that acts for one caller alone; for one that acts for many, see
/// [`Kubernetes::as_caller`](crate::Kubernetes::as_caller). When the caller's context ends is not
/// kept.
impl From<&KubernetesUser> for Impersonation {
    fn from(user: &KubernetesUser) -> Self {
        user.groups().fold(Self::user(user.name()), Self::with_group)
    }
}

/// Every fault of the settings, those of the connection's files included.
pub(crate) fn checked<T>(
    config: &KubernetesConfig,
    found: Option<T>,
    faults: ConfigFaults,
) -> Result<T> {
    match found {
        Some(found) if faults.is_empty() => Ok(found),
        _ => Err(faults.into_error().at(&config.name, "new")),
    }
}

#[cfg(test)]
mod tests;
