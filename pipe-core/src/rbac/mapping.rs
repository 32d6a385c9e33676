//! The document, and what is wrong with it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::grant::{GroupGrant, KubernetesGrant};
use super::user::is_reserved;
use crate::ConfigFaults;
use crate::identity::Group;

/// What the groups of an identity provider give. What it does not say is not given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct GroupMapping {
    /// What groups give.
    pub grants: Vec<GroupGrant>,
    /// What callers and their groups are called in Kubernetes.
    pub kubernetes: KubernetesNames,
}

impl GroupMapping {
    /// No group gives anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What a group gives; may be repeated.
    #[must_use]
    pub fn with_grant(mut self, grant: GroupGrant) -> Self {
        self.grants.push(grant);
        self
    }

    /// What callers and their groups are called in Kubernetes.
    #[must_use]
    pub fn with_kubernetes(self, kubernetes: KubernetesNames) -> Self {
        Self { kubernetes, ..self }
    }

    /// Everything that is wrong.
    pub(super) fn check(&self, faults: &mut ConfigFaults) {
        self.kubernetes.check(faults);
        for (place, grant) in self.grants.iter().enumerate() {
            faults.keep(format!("grants[{place}].group"), Group::new(&grant.group));
            if let Some(kubernetes) = &grant.kubernetes {
                let at = format!("grants[{place}].kubernetes");
                self.check_grant(&at, kubernetes, faults);
            }
        }
        self.check_sharing(faults);
    }

    fn check_grant(&self, at: &str, grant: &KubernetesGrant, faults: &mut ConfigFaults) {
        let setting = format!("{at}.groups");
        if grant.groups.is_empty() {
            faults.add(setting.clone(), "is empty: there is nobody to whom a role could be bound");
        }
        for group in &grant.groups {
            if let Err(fault) = self.kubernetes.group(group) {
                faults.add(setting.clone(), fault);
            }
        }
        for (place, binding) in grant.bindings.iter().enumerate() {
            binding.check(&format!("{at}.bindings[{place}]"), faults);
        }
    }

    /// A group of Kubernetes has what anybody binds to it. So grants that share one must bind the
    /// same, or the members of one group would have what was meant for those of another.
    fn check_sharing(&self, faults: &mut ConfigFaults) {
        let mut first: BTreeMap<&str, (usize, &KubernetesGrant)> = BTreeMap::new();
        for (place, grant) in self.grants.iter().enumerate() {
            let Some(kubernetes) = &grant.kubernetes else { continue };
            for group in &kubernetes.groups {
                let (other, known) = *first.entry(group).or_insert((place, kubernetes));
                if known.places() != kubernetes.places() {
                    let fault = format!(
                        "names a group to which grants[{other}] binds other roles, and whoever is in \
                         it has both: name another group, or bind the same",
                    );
                    faults.add(format!("grants[{place}].kubernetes.groups"), fault);
                }
            }
        }
    }
}

/// What callers and their groups are called in Kubernetes. The prefixes keep them apart from the
/// users and groups that the cluster has otherwise, as `--oidc-username-prefix` does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct KubernetesNames {
    /// What the name of a user begins with, before the principal's id; `oidc:`. Empty, every id
    /// means the user of the cluster that is called so.
    pub user_prefix: String,
    /// What the name of a group begins with; `oidc:`.
    pub group_prefix: String,
}

impl Default for KubernetesNames {
    fn default() -> Self {
        Self { user_prefix: "oidc:".to_owned(), group_prefix: "oidc:".to_owned() }
    }
}

impl KubernetesNames {
    /// `oidc:` before users and groups.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the name of a user begins with.
    #[must_use]
    pub fn with_user_prefix(self, prefix: impl Into<String>) -> Self {
        Self { user_prefix: prefix.into(), ..self }
    }

    /// What the name of a group begins with.
    #[must_use]
    pub fn with_group_prefix(self, prefix: impl Into<String>) -> Self {
        Self { group_prefix: prefix.into(), ..self }
    }

    /// The whole name of a group, or what is wrong with it.
    pub(super) fn group(&self, name: &str) -> Result<String, &'static str> {
        let whole = format!("{}{name}", self.group_prefix);
        if name.is_empty() || whole.len() > 256 || !is_visible(&whole) {
            return Err("must be 1 to 256 visible ASCII characters, with the prefix");
        }
        match is_reserved(&whole) {
            true => Err("with the prefix must not begin with `system:`, which is Kubernetes' own"),
            false => Ok(whole),
        }
    }

    fn check(&self, faults: &mut ConfigFaults) {
        for (setting, prefix) in [
            ("kubernetes.user_prefix", &self.user_prefix),
            ("kubernetes.group_prefix", &self.group_prefix),
        ] {
            let is_sound = prefix.len() <= 128 && is_visible(prefix);
            faults.require(is_sound, setting, "must be up to 128 visible ASCII characters");
            let fault = "must not begin with `system:`, which is Kubernetes' own";
            faults.require(!is_reserved(prefix), setting, fault);
        }
    }
}

/// What a header carries as it is. Blanks at its ends would be lost on the way.
pub(super) fn is_visible(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_graphic())
}
