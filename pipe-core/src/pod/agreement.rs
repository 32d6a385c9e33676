//! Whether what the program reads, what the manifests name and what the policy allows is the same.

mod references;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use self::references::{References, Remote};
use super::{AclCapability, AclPolicy, OpenBaoStore, PodSecrets, kubernetes_secret_name};
use crate::Result;

/// Where a declaration, the manifests and the policy do not agree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Disagreement {
    /// The object and the field: `ExternalSecret/db: /spec/data/0/remoteRef/key`; `policy`, when
    /// it is the policy, and `manifests`, when nothing in them is about the path.
    pub place: String,
    /// The path of OpenBao's API, or the Kubernetes Secret, with its key where it is about one.
    pub subject: String,
    /// What is wrong.
    pub problem: &'static str,
}

/// `policy: secret/data/apps/db is not readable`
impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, subject, problem } = self;
        write!(f, "{place}: {subject} {problem}")
    }
}

impl PodSecrets {
    /// Where these manifests and this policy, whoever wrote them, do not agree with the
    /// declaration: sorted, and empty when the program, the operator and the policy mean the same
    /// paths and keys.
    ///
    /// It reads SecretStores, ExternalSecrets, SecretProviderClasses, the injector's annotations
    /// and the Secrets that pods name. Other objects are left alone; without any of the first
    /// four nothing is missed in them. A policy that allows more is no disagreement.
    ///
    /// # Errors
    /// As for [`OpenBaoStore::data_path`].
    pub fn disagreements<'a>(
        &self,
        store: &OpenBaoStore,
        manifests: impl IntoIterator<Item = &'a Value>,
        policy: &AclPolicy,
    ) -> Result<Vec<Disagreement>> {
        let references = References::of(store, manifests);
        let mut found = references.faults.clone();
        let mut declared: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for (secret, need) in self.needs() {
            let path = store.data_path(secret)?;
            if !policy.allows(&path, AclCapability::Read) {
                found.push(Disagreement::new("policy", &path, "is not readable"));
            }
            if !references.remotes.is_empty() {
                found.extend(references.misses(&path, &need));
            }
            declared.insert(path, need.keys);
        }
        for Remote { place, path, .. } in &references.remotes {
            if !declared.contains_key(path) {
                found.push(Disagreement::new(place, path, "is not declared"));
            }
        }
        let carriers: BTreeSet<_> =
            self.secrets().into_iter().map(kubernetes_secret_name).collect();
        found.extend(references.unmade_keys(&carriers));
        found.sort();
        found.dedup();
        Ok(found)
    }
}

impl Disagreement {
    fn new(place: &str, subject: &str, problem: &'static str) -> Self {
        Self { place: place.to_owned(), subject: subject.to_owned(), problem }
    }
}

#[cfg(test)]
mod tests;
