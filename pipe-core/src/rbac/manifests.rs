//! The objects of the cluster that a mapping means.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::grant::Place;
use super::rights::GroupRights;
use crate::pod::{Manifest, check_namespace, check_object_name, marked};
use crate::{Error, ErrorKind, Result};

const GROUP: &str = "rbac.authorization.k8s.io";
const API: &str = "rbac.authorization.k8s.io/v1";
const COMPONENT: &str = "app.kubernetes.io/component";

impl GroupRights {
    /// A RoleBinding for each group of Kubernetes, role and namespace, and a ClusterRoleBinding where
    /// a role is bound in all of the cluster. They name groups, and no person.
    ///
    /// Their names are made of what they bind: the same mapping gives the same bytes, and two
    /// mappings that bind the same make the same object. All carry the label
    /// `app.kubernetes.io/component: group-binding`, by which those can be found that the mapping no
    /// longer means.
    #[must_use]
    pub fn bindings(&self) -> Vec<Manifest> {
        let names = &self.mapping.kubernetes;
        let grants = self.mapping.grants.iter().filter_map(|grant| grant.kubernetes.as_ref());
        let bound: BTreeSet<(Place<'_>, String)> = grants
            .flat_map(|grant| {
                let places = grant.places().into_iter();
                places.flat_map(move |place| {
                    let groups = grant.groups.iter().filter_map(|group| names.group(group).ok());
                    groups.map(move |group| (place, group))
                })
            })
            .collect();
        bound.iter().map(|(place, group)| binding(place, group)).collect()
    }

    /// The ClusterRole that lets a service account act on behalf of the callers, and its
    /// ClusterRoleBinding.
    ///
    /// The groups are named, so it can take on these and no other. Users cannot be: their names are
    /// not known beforehand, and Kubernetes knows no pattern for names. So the account can be any
    /// *user*, though no service account, and none of the groups of the user go along. Bind nothing
    /// to users by their names in such a cluster, and guard the account as you would guard one that
    /// may do what all callers may.
    ///
    /// # Errors
    /// `InvalidArgument` for names that Kubernetes would refuse, and for a mapping that gives nobody a
    /// group of Kubernetes.
    pub fn impersonator(
        &self,
        name: &str,
        namespace: &str,
        service_account: &str,
    ) -> Result<[Manifest; 2]> {
        check_object_name("name", name)?;
        check_namespace(namespace)?;
        check_object_name("service account", service_account)?;
        let grants = self.mapping.grants.iter().filter_map(|grant| grant.kubernetes.as_ref());
        let groups = grants.flat_map(|grant| &grant.groups);
        let groups: BTreeSet<_> =
            groups.filter_map(|group| self.mapping.kubernetes.group(group).ok()).collect();
        // An empty `resourceNames` would mean all groups, `system:masters` included.
        if groups.is_empty() {
            let fault = "no grant gives a group of Kubernetes, so there is nobody to act for";
            return Err(Error::new(ErrorKind::InvalidArgument, fault)
                .hint("set `kubernetes.groups` of a grant"));
        }
        let rules = json!([
            {
                "apiGroups": [""], "resources": ["groups"], "verbs": ["impersonate"],
                "resourceNames": groups,
            },
            { "apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"] },
        ]);
        let role = Manifest::new(API, "ClusterRole", name, "", json!({"rules": rules}));
        let subject =
            json!({"kind": "ServiceAccount", "name": service_account, "namespace": namespace});
        let binding = bound("ClusterRole", name, &subject);
        Ok([role, Manifest::new(API, "ClusterRoleBinding", name, "", binding)])
    }
}

fn binding(place: &Place<'_>, group: &str) -> Manifest {
    let Place { namespace, kind, role } = *place;
    let subject = json!({"apiGroup": GROUP, "kind": "Group", "name": group});
    let (object, namespace) = match namespace {
        None => ("ClusterRoleBinding", ""),
        Some(namespace) => ("RoleBinding", namespace),
    };
    // No part has a line break in it, so two bindings never meet.
    let about = format!("{object}\n{namespace}\n{}\n{role}\n{group}", kind.as_str());
    let name = marked(&format!("{group}-{role}"), &about, "pipe");
    let rest = bound(kind.as_str(), role, &subject);
    Manifest::new(API, object, &name, namespace, rest).with_label(COMPONENT, "group-binding")
}

fn bound(kind: &str, role: &str, subject: &Value) -> Value {
    json!({
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role},
        "subjects": [subject],
    })
}

#[cfg(test)]
mod tests;
