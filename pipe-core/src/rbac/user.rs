//! Who a caller is in a cluster.

use std::collections::BTreeSet;
use std::time::SystemTime;

/// Who a verified caller is in a Kubernetes cluster: made by
/// [`GroupRights::kubernetes_user`](super::GroupRights::kubernetes_user) and by nothing else, so
/// its names are none of Kubernetes' own (`system:…`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesUser {
    name: String,
    groups: BTreeSet<String>,
    expires_at: SystemTime,
}

impl KubernetesUser {
    pub(super) fn new(name: String, groups: BTreeSet<String>, expires_at: SystemTime) -> Self {
        Self { name, groups, expires_at }
    }

    /// The user's name, with its prefix.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of the groups, with their prefix, in order.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(String::as_str)
    }

    /// When what is known of the caller stops being true.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

/// Whether Kubernetes keeps the name for itself. It compares cases; whoever reads an audit log may
/// not.
pub(super) fn is_reserved(name: &str) -> bool {
    const RESERVED: &str = "system:";
    name.get(..RESERVED.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED))
}
