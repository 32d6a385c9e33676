//! Whatever a mapping says: nobody is given what no grant of theirs gives (REQ 002-30, 002-49).
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use pipe_core::identity::{Group, Principal, PrincipalId, Role, TenantId};
use pipe_core::rbac::{BoundRole, GroupGrant, GroupMapping, GroupRights, KubernetesGrant};
use pipe_core::{Namespace, SecurityContext};
use proptest::prelude::*;
use proptest::sample::select;

const TENANTS: [&str; 3] = ["bni", "bnp", "BNI"];
/// Each is a part, a prefix or another spelling of some other.
const GROUPS: [&str; 7] = ["ed", "editors", "Editors", "editors ", "bni-editors", "/editors", "*"];
const NAMES: [&str; 4] = ["reader", "read", "READER", "admin"];
const PLACES: [&str; 3] = ["a", "b", "a-b"];
/// All of the cluster, as the tests call it.
const EVERYWHERE: &str = "*";

fn binding() -> impl Strategy<Value = BoundRole> {
    let places = prop::collection::btree_set(select(&PLACES[..]), 1..3);
    (select(&NAMES[..]), places, 0..4_u8).prop_map(|(role, places, kind)| {
        let role = match kind {
            0 => return BoundRole::cluster_wide(role),
            1 => BoundRole::role(role),
            _ => BoundRole::cluster_role(role),
        };
        places.into_iter().fold(role, BoundRole::in_namespace)
    })
}

fn kubernetes() -> impl Strategy<Value = KubernetesGrant> {
    let groups = prop::collection::btree_set(select(&NAMES[..]), 1..3);
    (groups, prop::collection::vec(binding(), 0..3)).prop_map(|(groups, bindings)| {
        let mut groups = groups.into_iter();
        let first = KubernetesGrant::group(groups.next().unwrap());
        let grant = groups.fold(first, KubernetesGrant::with_group);
        bindings.into_iter().fold(grant, KubernetesGrant::with_binding)
    })
}

fn grant() -> impl Strategy<Value = GroupGrant> {
    (
        select(&GROUPS[..]),
        prop::option::of(select(&TENANTS[..])),
        prop::collection::btree_set(select(&NAMES[..]), 0..3),
        prop::collection::btree_set(select(&PLACES[..]), 0..3),
        prop::option::of(kubernetes()),
    )
        .prop_map(|(group, tenant, roles, places, kubernetes)| {
            let mut grant = GroupGrant::new(group);
            grant.tenant = tenant.map(|tenant| TenantId::new(tenant).unwrap());
            grant.roles = roles.into_iter().map(|role| Role::new(role).unwrap()).collect();
            grant.namespaces = places.into_iter().map(|ns| Namespace::new(ns).unwrap()).collect();
            grant.kubernetes = kubernetes;
            grant
        })
}

/// Mappings that are sound and reach Kubernetes; a random one often gives a group of it two
/// meanings.
fn rights(most: usize) -> impl Strategy<Value = GroupRights> {
    prop::collection::vec(grant(), 1..most).prop_filter_map("the mapping is not sound", |grants| {
        let mapping = grants.into_iter().fold(GroupMapping::new(), GroupMapping::with_grant);
        GroupRights::new(mapping).ok().filter(GroupRights::reaches_kubernetes)
    })
}

fn held() -> impl Strategy<Value = BTreeSet<&'static str>> {
    prop::collection::btree_set(select(&GROUPS[..]), 0..4)
}

/// The grants of a caller, found in the most literal way.
fn theirs<'a>(
    rights: &'a GroupRights,
    tenant: Option<&str>,
    held: &BTreeSet<&str>,
) -> Vec<&'a GroupGrant> {
    let mut theirs = Vec::new();
    for grant in &rights.mapping().grants {
        let is_member = held.iter().any(|group| group.as_bytes() == grant.group.as_bytes());
        let is_ours = match &grant.tenant {
            None => true,
            Some(only) => {
                tenant.is_some_and(|tenant| tenant.as_bytes() == only.as_str().as_bytes())
            }
        };
        if is_member && is_ours {
            theirs.push(grant);
        }
    }
    theirs
}

/// What a grant binds: namespace, kind and name of each role.
fn bound_by(grant: &GroupGrant) -> BTreeSet<(String, &'static str, String)> {
    let mut bound = BTreeSet::new();
    for binding in grant.kubernetes.iter().flat_map(|kubernetes| &kubernetes.bindings) {
        let (kind, role) = match (&binding.cluster_role, &binding.role) {
            (Some(role), _) => ("ClusterRole", role),
            (_, Some(role)) => ("Role", role),
            _ => unreachable!("it was checked"),
        };
        let everywhere = binding.cluster_wide.then(|| EVERYWHERE.to_owned());
        for place in binding.namespaces.iter().cloned().chain(everywhere) {
            bound.insert((place, kind, role.clone()));
        }
    }
    bound
}

/// What the cluster lets members of these groups do, by the manifests alone.
fn bound_to<'a>(
    rights: &GroupRights,
    groups: impl Iterator<Item = &'a str>,
) -> BTreeSet<(String, &'static str, String)> {
    let groups: BTreeSet<_> = groups.collect();
    let mut bound = BTreeSet::new();
    for manifest in rights.bindings() {
        let object = manifest.as_value();
        let subject = object["subjects"][0]["name"].as_str().unwrap();
        if groups.contains(subject) {
            let place = object["metadata"]["namespace"].as_str().unwrap_or(EVERYWHERE);
            let kind = match object["roleRef"]["kind"].as_str().unwrap() {
                "ClusterRole" => "ClusterRole",
                _ => "Role",
            };
            let role = object["roleRef"]["name"].as_str().unwrap();
            bound.insert((place.to_owned(), kind, role.to_owned()));
        }
    }
    bound
}

fn caller(tenant: Option<&str>, groups: BTreeSet<Group>) -> SecurityContext {
    let principal = Principal::user(PrincipalId::new("42").unwrap());
    let end = UNIX_EPOCH + Duration::from_secs(60);
    let mut caller = SecurityContext::new(principal, "https://idp.example", UNIX_EPOCH, end);
    caller.tenant = tenant.map(|tenant| TenantId::new(tenant).unwrap());
    caller.with_groups(groups)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn roles_and_namespaces_are_those_of_exactly_matching_grants(
        rights in rights(6),
        tenant in prop::option::of(select(&TENANTS[..])),
        held in held(),
    ) {
        let id = tenant.map(|tenant| TenantId::new(tenant).unwrap());
        let granted = rights.granted(id.as_ref(), held.iter().copied());
        let theirs = theirs(&rights, tenant, &held);
        let roles: BTreeSet<_> = theirs.iter().flat_map(|grant| grant.roles.clone()).collect();
        let spaces: BTreeSet<_> = theirs.iter().flat_map(|grant| grant.namespaces.clone()).collect();
        prop_assert_eq!(granted.roles, roles);
        prop_assert_eq!(granted.namespaces, spaces);
    }

    /// Token validation, the caller's identity and the manifests together: what the cluster lets a
    /// caller do is what their own grants bind, no more and no less.
    #[test]
    fn in_the_cluster_a_caller_may_do_what_their_grants_bind(
        rights in rights(4),
        tenant in prop::option::of(select(&TENANTS[..])),
        held in held(),
    ) {
        let id = tenant.map(|tenant| TenantId::new(tenant).unwrap());
        let granted = rights.granted(id.as_ref(), held.iter().copied());
        let user = rights.kubernetes_user(&caller(tenant, granted.groups)).unwrap();
        let theirs = theirs(&rights, tenant, &held);
        let expected: BTreeSet<_> = theirs.iter().flat_map(|grant| bound_by(grant)).collect();
        prop_assert_eq!(bound_to(&rights, user.groups()), expected);
    }

    /// A caller whose context claims any group at all.
    #[test]
    fn no_made_up_group_gives_a_group_of_kubernetes(
        rights in rights(4),
        group in "[a-zA-Z/* -]{1,8}[a-z*]",
    ) {
        let known = rights.mapping().grants.iter().any(|grant| grant.group == group);
        let groups = [Group::new(&group).unwrap()].into();
        let user = rights.kubernetes_user(&caller(Some("bni"), groups)).unwrap();
        prop_assert!(known || user.groups().next().is_none());
    }

    /// The account that acts for callers can be every caller, and nothing in `system:`.
    #[test]
    fn the_impersonator_may_take_on_every_callers_groups(
        rights in rights(4),
        tenant in prop::option::of(select(&TENANTS[..])),
        held in held(),
    ) {
        let id = tenant.map(|tenant| TenantId::new(tenant).unwrap());
        let granted = rights.granted(id.as_ref(), held.iter().copied());
        let user = rights.kubernetes_user(&caller(tenant, granted.groups)).unwrap();
        if let Ok([role, _]) = rights.impersonator("pipe", "platform", "pipe") {
            let names = role.as_value()["rules"][0]["resourceNames"].as_array().unwrap().clone();
            prop_assert!(!names.is_empty());
            for group in user.groups() {
                prop_assert!(names.contains(&group.into()) && !group.starts_with("system:"));
            }
        } else {
            prop_assert_eq!(user.groups().count(), 0);
        }
    }
}
