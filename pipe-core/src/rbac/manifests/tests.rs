use super::*;
use crate::pod::SecretsRole;
use crate::rbac::{BoundRole, GroupGrant, GroupMapping, KubernetesGrant, KubernetesNames};

fn rights(grants: impl IntoIterator<Item = KubernetesGrant>) -> GroupRights {
    let grant = |grant| GroupGrant::new("somebody").with_kubernetes(grant);
    let mapping = grants.into_iter().map(grant).fold(GroupMapping::new(), GroupMapping::with_grant);
    GroupRights::new(mapping).unwrap()
}

fn editors() -> KubernetesGrant {
    KubernetesGrant::group("editors")
}

/// REQ 002-30
#[test]
fn a_role_is_bound_only_where_it_was_said() {
    let role = BoundRole::cluster_role("edit").in_namespace("a").in_namespace("b");
    let bindings = rights([editors().with_binding(role)]).bindings();
    let places: Vec<_> = bindings
        .iter()
        .map(|one| (one.kind(), one.as_value()["metadata"]["namespace"].as_str()))
        .collect();
    assert_eq!(places, [("RoleBinding", Some("a")), ("RoleBinding", Some("b"))]);
}

/// REQ 002-30
#[test]
fn only_what_says_so_is_bound_in_all_of_the_cluster() {
    let bindings = rights([editors().with_binding(BoundRole::cluster_wide("view"))]).bindings();
    let [binding] = &bindings[..] else { panic!("{bindings:?}") };
    assert_eq!(binding.kind(), "ClusterRoleBinding");
    assert!(binding.as_value()["metadata"].get("namespace").is_none());
    assert_eq!(
        binding.as_value()["subjects"],
        json!([{"apiGroup": GROUP, "kind": "Group", "name": "oidc:editors"}])
    );
}

#[test]
fn what_is_said_twice_is_bound_once() {
    let role = || BoundRole::role("deployer").in_namespace("a");
    let once = rights([editors().with_binding(role())]);
    let grant = || editors().with_binding(role()).with_binding(role());
    assert_eq!(rights([grant(), grant()]).bindings(), once.bindings());
}

/// RFC 1123, and short enough for a label.
#[test]
fn names_are_legal_and_no_two_bindings_have_one() {
    let long = "x".repeat(240);
    let roles = ["edit", "system:auth-delegator", "Edit", "a.b", &long];
    let groups = ["a", "a-b", "a_b", "A-b", "/a/b", "cn=a,ou=b", &long];
    let mut all = Vec::new();
    for role in roles {
        let bound = |bound: BoundRole| bound.in_namespace("a").in_namespace("b");
        for binding in [
            bound(BoundRole::cluster_role(role)),
            bound(BoundRole::role(role)),
            BoundRole::cluster_wide(role),
        ] {
            let grant = groups
                .into_iter()
                .skip(1)
                .fold(KubernetesGrant::group(groups[0]), |g, name| g.with_group(name));
            all.extend(rights([grant.with_binding(binding)]).bindings());
        }
    }
    assert_eq!(all.len(), roles.len() * groups.len() * 5);
    let names: BTreeSet<_> = all.iter().map(Manifest::name).collect();
    assert_eq!(names.len(), all.len());
    for name in names {
        assert!(check_object_name("name", name).is_ok() && name.len() <= 63, "{name}");
    }
}

/// REQ 002-49
#[test]
fn the_impersonator_may_take_on_the_groups_of_the_mapping_and_no_other() {
    let rights = rights([editors().with_group("auditors"), KubernetesGrant::group("auditors")]);
    let [role, binding] = rights.impersonator("pipe-impersonator", "platform", "pipe").unwrap();
    let rules = role.as_value()["rules"].as_array().unwrap();
    assert_eq!(rules[0]["resources"], json!(["groups"]));
    assert_eq!(rules[0]["resourceNames"], json!(["oidc:auditors", "oidc:editors"]));
    for rule in rules {
        assert_eq!(rule["verbs"], json!(["impersonate"]));
    }
    let resources: Vec<_> = rules.iter().map(|rule| &rule["resources"]).collect();
    assert_eq!(resources, [&json!(["groups"]), &json!(["users"])]);
    assert_eq!(binding.kind(), "ClusterRoleBinding");
    assert_eq!(binding.as_value()["roleRef"]["name"], "pipe-impersonator");
    let subjects = json!([{"kind": "ServiceAccount", "name": "pipe", "namespace": "platform"}]);
    assert_eq!(binding.as_value()["subjects"], subjects);
}

/// An empty list of names would be all names.
#[test]
fn without_groups_there_is_no_impersonator() {
    let error = rights([]).impersonator("pipe", "platform", "pipe").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.hint_text().contains("kubernetes.groups"), "{error}");
}

#[test]
fn an_impersonator_has_names_that_kubernetes_takes() {
    let rights = rights([editors()]);
    for (name, namespace, account) in
        [("Pipe", "platform", "pipe"), ("pipe", "a.b", "pipe"), ("pipe", "platform", "")]
    {
        let error = rights.impersonator(name, namespace, account).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name} {namespace} {account}");
    }
}

/// What others made for the same namespace is not replaced.
#[test]
fn a_binding_is_not_called_as_that_of_a_service_account() {
    let [_, other] = SecretsRole::new("edit", "a").reading(["x"]).bound_to("a", "editors").unwrap();
    let role = BoundRole::role("edit").in_namespace("a");
    let bindings = rights([editors().with_binding(role)]).bindings();
    assert_ne!(bindings[0].name(), other.name());
}

#[test]
fn prefixes_are_part_of_what_is_bound() {
    let names = KubernetesNames::new().with_group_prefix("corp:");
    let grant = editors().with_binding(BoundRole::role("edit").in_namespace("a"));
    let mapping = GroupMapping::new()
        .with_kubernetes(names)
        .with_grant(GroupGrant::new("x").with_kubernetes(grant));
    let bindings = GroupRights::new(mapping).unwrap().bindings();
    assert_eq!(bindings[0].as_value()["subjects"][0]["name"], "corp:editors");
}
