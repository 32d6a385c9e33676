//! Which secret is meant.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::SecretVersion;
use crate::{Namespace, Result, SecretName};

/// Names a secret: its name and, optionally, its namespace and a version.
///
/// ```
/// use pipe_core::{Namespace, secrets::SecretRef};
///
/// let secret = SecretRef::new("apps/db")?.with_namespace(Namespace::new("team1")?);
/// assert_eq!(secret.to_string(), "team1:apps/db");
/// assert!(SecretRef::new("apps/../admin").is_err());
/// # Ok::<(), pipe_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SecretRef {
    /// The namespace; the plugin's own when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// The name.
    pub name: SecretName,
    /// The version; the current one when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<SecretVersion>,
}

impl SecretRef {
    /// The current version of the secret of this name, in the plugin's own namespace.
    ///
    /// # Errors
    /// `InvalidArgument` when this is no [`SecretName`].
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        SecretName::new(name).map(Self::from)
    }

    /// The secret of the same name in this namespace.
    #[must_use]
    pub fn with_namespace(self, namespace: Namespace) -> Self {
        Self { namespace: Some(namespace), ..self }
    }

    /// This version of the secret.
    #[must_use]
    pub fn with_version(self, version: SecretVersion) -> Self {
        Self { version: Some(version), ..self }
    }
}

impl From<SecretName> for SecretRef {
    fn from(name: SecretName) -> Self {
        Self { namespace: None, name, version: None }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}:")?;
        }
        write!(f, "{}", self.name)?;
        match self.version {
            Some(version) => write!(f, "@{version}"),
            None => Ok(()),
        }
    }
}

/// Which secrets to list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListQuery {
    /// The namespace; the plugin's own when `None`.
    pub namespace: Option<Namespace>,
    /// Only secrets below this name, at any depth; all when `None`. `apps` finds `apps/db`, but
    /// neither `apps-old/db` nor a secret that is itself called `apps`.
    pub prefix: Option<SecretName>,
    /// The most secrets the caller is willing to get; more is an error, never a shorter list.
    pub limit: usize,
}

impl ListQuery {
    /// All secrets of the plugin's own namespace, up to 10,000.
    #[must_use]
    pub fn new() -> Self {
        Self { namespace: None, prefix: None, limit: 10_000 }
    }

    /// Only secrets of this namespace.
    #[must_use]
    pub fn with_namespace(self, namespace: Namespace) -> Self {
        Self { namespace: Some(namespace), ..self }
    }

    /// Only secrets below this name.
    #[must_use]
    pub fn with_prefix(self, prefix: SecretName) -> Self {
        Self { prefix: Some(prefix), ..self }
    }

    /// The most secrets the caller is willing to get.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// What a plugin returns when more than [`limit`](Self::limit) secrets match.
    #[must_use]
    pub fn too_many(&self) -> crate::Error {
        crate::Error::new(crate::ErrorKind::InvalidArgument, "more secrets match than asked for")
            .with("limit", self.limit)
            .hint("narrow the prefix, or raise the limit of the query")
    }
}

/// `team1:apps/*`
impl fmt::Display for ListQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}:")?;
        }
        match &self.prefix {
            Some(prefix) => write!(f, "{prefix}/*"),
            None => f.write_str("*"),
        }
    }
}

impl Default for ListQuery {
    fn default() -> Self {
        Self::new()
    }
}
