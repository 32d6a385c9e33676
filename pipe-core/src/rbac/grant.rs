//! What one group gives, as a document says it.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::identity::{Role, TenantId};
use crate::{ConfigFaults, Namespace};

/// What the members of a group are given. Groups are compared byte by byte, never in part.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GroupGrant {
    /// The group, as the token names it.
    pub group: String,
    /// Given only to members of this tenant; to those of every tenant when absent.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub tenant: Option<TenantId>,
    /// The roles that it gives.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeSet<String>"))]
    pub roles: BTreeSet<Role>,
    /// The namespaces that it opens.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeSet<String>"))]
    pub namespaces: BTreeSet<Namespace>,
    /// What it gives in Kubernetes; nothing when absent.
    #[serde(default)]
    pub kubernetes: Option<KubernetesGrant>,
}

impl GroupGrant {
    /// Nothing yet, for the members of this group.
    pub fn new(group: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            tenant: None,
            roles: BTreeSet::new(),
            namespaces: BTreeSet::new(),
            kubernetes: None,
        }
    }

    /// Only in this tenant.
    #[must_use]
    pub fn in_tenant(self, tenant: TenantId) -> Self {
        Self { tenant: Some(tenant), ..self }
    }

    /// A role that it gives; may be repeated.
    #[must_use]
    pub fn with_role(mut self, role: Role) -> Self {
        self.roles.insert(role);
        self
    }

    /// A namespace that it opens; may be repeated.
    #[must_use]
    pub fn with_namespace(mut self, namespace: Namespace) -> Self {
        self.namespaces.insert(namespace);
        self
    }

    /// What it gives in Kubernetes.
    #[must_use]
    pub fn with_kubernetes(self, kubernetes: KubernetesGrant) -> Self {
        Self { kubernetes: Some(kubernetes), ..self }
    }
}

/// The groups of Kubernetes that the members of a group are in, and what is bound to them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KubernetesGrant {
    /// The groups in Kubernetes, without their prefix. Several grants may name one, if they bind
    /// the same to it: whoever is in it has all that is bound to it.
    pub groups: BTreeSet<String>,
    /// The roles that are bound to these groups. None when absent: they are bound by others.
    #[serde(default)]
    pub bindings: Vec<BoundRole>,
}

impl KubernetesGrant {
    /// Membership of this group of Kubernetes, to which nothing is bound yet.
    pub fn group(group: impl Into<String>) -> Self {
        Self { groups: BTreeSet::from([group.into()]), bindings: Vec::new() }
    }

    /// Another group; may be repeated.
    #[must_use]
    pub fn with_group(mut self, group: impl Into<String>) -> Self {
        self.groups.insert(group.into());
        self
    }

    /// A role that is bound to the groups; may be repeated.
    #[must_use]
    pub fn with_binding(mut self, binding: BoundRole) -> Self {
        self.bindings.push(binding);
        self
    }

    /// Where each role is bound.
    pub(super) fn places(&self) -> BTreeSet<Place<'_>> {
        self.bindings.iter().flat_map(BoundRole::places).collect()
    }
}

/// A role of Kubernetes, and where it is bound: in namespaces, or in all of the cluster, which has to
/// be said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct BoundRole {
    /// The ClusterRole that is bound; either this or `role`.
    pub cluster_role: Option<String>,
    /// The Role that is bound, which each of the namespaces has.
    pub role: Option<String>,
    /// The namespaces in which it is bound.
    pub namespaces: BTreeSet<String>,
    /// Binds a ClusterRole in all namespaces, and to what is in none, instead of `namespaces`;
    /// `false`.
    pub cluster_wide: bool,
}

impl BoundRole {
    /// A ClusterRole, in the namespaces that follow.
    pub fn cluster_role(name: impl Into<String>) -> Self {
        Self { cluster_role: Some(name.into()), ..Self::default() }
    }

    /// A ClusterRole, in all of the cluster.
    pub fn cluster_wide(name: impl Into<String>) -> Self {
        Self { cluster_wide: true, ..Self::cluster_role(name) }
    }

    /// A Role that is in each of the namespaces that follow.
    pub fn role(name: impl Into<String>) -> Self {
        Self { role: Some(name.into()), ..Self::default() }
    }

    /// A namespace in which it is bound; may be repeated.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespaces.insert(namespace.into());
        self
    }

    /// What is wrong with it, `at` being its place in the document.
    pub(super) fn check(&self, at: &str, faults: &mut ConfigFaults) {
        match (&self.cluster_role, &self.role) {
            (Some(name), None) => check_role(format!("{at}.cluster_role"), name, faults),
            (None, Some(name)) => {
                check_role(format!("{at}.role"), name, faults);
                let fault = "is for a ClusterRole: a Role belongs to a namespace";
                faults.require(!self.cluster_wide, format!("{at}.cluster_wide"), fault);
            }
            _ => faults.add(at.to_owned(), "needs either `cluster_role` or `role`"),
        }
        for namespace in &self.namespaces {
            let fault = "must be namespaces of Kubernetes: up to 63 of a-z 0-9 - as RFC 1123 wants";
            let is_sound = crate::pod::check_namespace(namespace).is_ok();
            faults.require(is_sound, format!("{at}.namespaces"), fault);
        }
        match (self.namespaces.is_empty(), self.cluster_wide) {
            (true, false) => faults.add(
                format!("{at}.namespaces"),
                "is empty: name the namespaces, or set `cluster_wide` if all of the cluster is meant",
            ),
            (false, true) => {
                faults.add(format!("{at}.namespaces"), "must be absent where `cluster_wide` is set");
            }
            _ => {}
        }
    }

    fn places(&self) -> impl Iterator<Item = Place<'_>> {
        let role = self.cluster_role.iter().map(|name| (RoleKind::ClusterRole, name));
        let role = role.chain(self.role.iter().map(|name| (RoleKind::Role, name)));
        role.flat_map(|(kind, name)| {
            let everywhere = self.cluster_wide.then_some(None);
            let namespaces = self.namespaces.iter().map(|name| Some(name.as_str()));
            let all = everywhere.into_iter().chain(namespaces);
            all.map(move |namespace| Place { namespace, kind, role: name })
        })
    }
}

/// The rule that Kubernetes has for names of Roles and ClusterRoles: what can be a segment of a
/// path, `system:auth-delegator` included.
fn check_role(setting: String, name: &str, faults: &mut ConfigFaults) {
    let is_legal = |b: u8| b.is_ascii_graphic() && b != b'/' && b != b'%';
    let is_sound = (1..=253).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.bytes().all(is_legal);
    let fault = "is no name of a role: use 1 to 253 visible ASCII characters without / and %";
    faults.require(is_sound, setting, fault);
}

/// A role that is bound in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place<'a> {
    /// All of the cluster when `None`.
    pub(super) namespace: Option<&'a str>,
    pub(super) kind: RoleKind,
    pub(super) role: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RoleKind {
    ClusterRole,
    Role,
}

impl RoleKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::ClusterRole => "ClusterRole",
            Self::Role => "Role",
        }
    }
}
