//! What a program is going to do at the server, and so what its policy has to grant.

use pipe_core::pod::{AclCapability, AclPolicy};
use pipe_core::secrets::ListQuery;
use pipe_core::{Namespace, Result, SecretRef};

use crate::plugin::OpenBao;
use crate::raw::{bare_path, legal_path};

/// Something that a program is going to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// Read a secret.
    Read(SecretRef),
    /// Store a secret: what is there is read before.
    Write(SecretRef),
    /// Delete a secret: what is there is read before.
    Delete(SecretRef),
    /// List secrets.
    List(ListQuery),
    /// Anything else, at a path of the server such as `transit/encrypt/invoices`.
    Path {
        /// The path, in the plugin's namespace.
        path: String,
        /// What is done there.
        capabilities: Vec<AclCapability>,
    },
}

impl Need {
    /// Something at a path of the server, such as `database/creds/app` or `pki/issue/web`.
    pub fn path(
        path: impl Into<String>,
        capabilities: impl IntoIterator<Item = AclCapability>,
    ) -> Self {
        Self::Path { path: path.into(), capabilities: capabilities.into_iter().collect() }
    }
}

/// A need, as a policy of the plugin's namespace has it.
pub(crate) struct Rule {
    pub(crate) path: String,
    pub(crate) capabilities: Vec<AclCapability>,
}

impl OpenBao {
    /// The ACL policy that grants these needs and nothing else, to be written on the server, in the
    /// namespace that the plugin logs in to. Unless `kv_version` is set, an engine that was not asked
    /// yet is taken for one of version 2.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no path of the server.
    pub fn policy_for<'a>(&self, needs: impl IntoIterator<Item = &'a Need>) -> Result<AclPolicy> {
        needs.into_iter().try_fold(AclPolicy::new(), |policy, need| {
            self.rules(need)?.into_iter().try_fold(policy, |policy, rule| {
                // A list is of a folder, and of those in it.
                let path = self.client().policy_path(&rule.path);
                let path = if path.ends_with('/') { format!("{path}*") } else { path };
                policy.allow(path, rule.capabilities)
            })
        })
    }

    pub(crate) fn rules(&self, need: &Need) -> Result<Vec<Rule>> {
        use AclCapability::{Create, Delete, List, Patch, Read, Update};
        let below = |namespace: Option<&Namespace>, path: String| match namespace {
            Some(namespace) => format!("{namespace}/{path}"),
            None => path,
        };
        let of = |secret: &SecretRef, capabilities: &[AclCapability]| Rule {
            path: below(secret.namespace.as_ref(), self.kv().data_path(secret)),
            capabilities: capabilities.to_vec(),
        };
        Ok(vec![match need {
            Need::Read(secret) => of(secret, &[Read]),
            Need::Write(secret) => {
                let write = of(secret, &[Create, Read, Update]);
                let Some(path) = self.kv().mark_path(secret) else { return Ok(vec![write]) };
                let path = below(secret.namespace.as_ref(), path);
                return Ok(vec![write, Rule { path, capabilities: vec![Patch] }]);
            }
            Need::Delete(secret) => of(secret, &[Read, Delete]),
            Need::List(query) => Rule {
                path: below(query.namespace.as_ref(), self.kv().list_path(query)),
                capabilities: vec![List],
            },
            Need::Path { path, capabilities } => {
                let path = bare_path(path)?;
                legal_path(path)?;
                let capabilities = capabilities.clone();
                Rule { path: path.to_owned(), capabilities }
            }
        }])
    }
}
