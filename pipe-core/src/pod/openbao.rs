//! Where in OpenBao the secrets of a pod are, and as whom the pod reads them.

use serde::Deserialize;

use super::naming::is_dns_subdomain;
use super::{invalid, of_secret};
use crate::secrets::SecretRef;
use crate::{Error, ErrorKind, Namespace, Result, SecretName};

/// A KV v2 engine of OpenBao, and the role that a pod's service account has there.
///
/// Every way of delivery from OpenBao, the runtime's own read and the ACL policy take their paths
/// from here.
///
/// ```
/// use pipe_core::pod::OpenBaoStore;
/// use pipe_core::secrets::ArtifactPath;
///
/// let store = OpenBaoStore::new("https://openbao.openbao-system.svc:8200", "pipe-bot", "bots");
/// let path: ArtifactPath = "/artifacts/crm/public/secrets/api-token".parse()?;
/// assert_eq!(
///     store.data_path(&path.secret_ref())?,
///     "secret/data/artifacts/crm/public/secrets/api-token",
/// );
/// # Ok::<(), pipe_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OpenBaoStore {
    /// The server's address as pods reach it; `https`.
    pub address: String,
    /// The role of the auth method.
    pub role: String,
    /// The service account that has this role.
    pub service_account: String,
    /// Where the KV v2 engine is mounted; `secret`.
    #[serde(default = "default_mount")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub mount: SecretName,
    /// The OpenBao namespace; the root namespace when absent.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub namespace: Option<Namespace>,
    /// Where the Kubernetes auth method is mounted; `kubernetes`.
    #[serde(default = "default_auth_mount")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub auth_mount: SecretName,
    /// Whom the service account's token is meant for; `openbao`.
    #[serde(default = "default_audience")]
    pub audience: String,
}

impl OpenBaoStore {
    /// The engine at `secret`, and the auth method at `kubernetes`, in the root namespace.
    #[must_use]
    pub fn new(
        address: impl Into<String>,
        role: impl Into<String>,
        service_account: impl Into<String>,
    ) -> Self {
        Self {
            address: address.into(),
            role: role.into(),
            service_account: service_account.into(),
            mount: default_mount(),
            namespace: None,
            auth_mount: default_auth_mount(),
            audience: default_audience(),
        }
    }

    /// Where the KV v2 engine is mounted.
    #[must_use]
    pub fn with_mount(self, mount: SecretName) -> Self {
        Self { mount, ..self }
    }

    /// The OpenBao namespace.
    #[must_use]
    pub fn with_namespace(self, namespace: Namespace) -> Self {
        Self { namespace: Some(namespace), ..self }
    }

    /// Where the Kubernetes auth method is mounted.
    #[must_use]
    pub fn with_auth_mount(self, auth_mount: SecretName) -> Self {
        Self { auth_mount, ..self }
    }

    /// Whom the service account's token is meant for.
    #[must_use]
    pub fn with_audience(self, audience: impl Into<String>) -> Self {
        Self { audience: audience.into(), ..self }
    }

    /// The path of the API at which the secret's data is read, and which a policy has to allow.
    ///
    /// # Errors
    /// `InvalidArgument` for a secret of a namespace of its own, which this store is not in, and
    /// for an old version.
    pub fn data_path(&self, secret: &SecretRef) -> Result<String> {
        if let Some(namespace) = &secret.namespace
            && self.namespace.as_ref() != Some(namespace)
        {
            return Err(of_secret(secret, "the store is in another namespace")
                .hint("declare the secrets of each namespace with a store of their own"));
        }
        if secret.version.is_some() {
            return Err(of_secret(secret, "a pod always gets the current version")
                .hint("leave the version out of the reference"));
        }
        Ok(format!("{}/data/{}", self.mount, secret.name))
    }

    /// # Errors
    /// `InvalidArgument` for what OpenBao or Kubernetes would refuse, or what has no place in a
    /// manifest.
    pub(super) fn check(&self) -> Result<()> {
        check_address(&self.address)?;
        check_word("role", &self.role)?;
        check_word("audience", &self.audience)?;
        check_object_name("service account", &self.service_account)
    }
}

/// An `https` address without anything secret in it.
pub(super) fn check_address(address: &str) -> Result<()> {
    let host = address.strip_prefix("https://").unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:/[]~".contains(&b);
    if !host.is_empty() && !host.starts_with('/') && host.bytes().all(plain) {
        return Ok(());
    }
    // The address is not repeated: it may hold a password.
    Err(Error::new(ErrorKind::InvalidArgument, "not an address for pods")
        .hint("use https://host:port without a user, a query or a fragment"))
}

/// A word that means nothing else in YAML, HCL, a template or an annotation.
pub(super) fn check_word(what: &'static str, word: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:/".contains(&b);
    if (1..=256).contains(&word.len()) && word.bytes().all(plain) {
        return Ok(());
    }
    Err(invalid("not a plain word", what, word).hint("use up to 256 of A-Z a-z 0-9 - . _ : /"))
}

/// The name of a Kubernetes object.
pub(crate) fn check_object_name(what: &'static str, name: &str) -> Result<()> {
    if is_dns_subdomain(name) {
        return Ok(());
    }
    Err(invalid("not the name of a Kubernetes object", what, name)
        .hint("use up to 253 of a-z 0-9 - . as RFC 1123 wants them"))
}

/// The name of a namespace, which is a label.
pub(crate) fn check_namespace(name: &str) -> Result<()> {
    if is_dns_subdomain(name) && name.len() <= 63 && !name.contains('.') {
        return Ok(());
    }
    Err(invalid("not the name of a Kubernetes namespace", "namespace", name)
        .hint("use up to 63 of a-z 0-9 - as RFC 1123 wants them"))
}

fn default_mount() -> SecretName {
    SecretName::from_checked("secret".to_owned())
}

fn default_auth_mount() -> SecretName {
    SecretName::from_checked("kubernetes".to_owned())
}

fn default_audience() -> String {
    "openbao".to_owned()
}
