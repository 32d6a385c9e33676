use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::*;
use crate::identity::{Principal, PrincipalId};
use crate::rbac::{BoundRole, KubernetesGrant, KubernetesNames};

fn mapping(document: Value) -> GroupMapping {
    serde_json::from_value(document).unwrap()
}

fn rights(document: Value) -> GroupRights {
    GroupRights::new(mapping(document)).unwrap()
}

fn tenant(id: &str) -> TenantId {
    TenantId::new(id).unwrap()
}

fn caller(id: &str, groups: &[&str]) -> SecurityContext {
    let principal = Principal::user(PrincipalId::new(id).unwrap());
    let start = UNIX_EPOCH + Duration::from_secs(1_000);
    SecurityContext::new(principal, "https://idp.example", start, start + Duration::from_secs(60))
        .with_groups(groups.iter().map(|group| Group::new(group).unwrap()))
}

fn editors() -> Value {
    json!({"grants": [{
        "group": "bni-editors", "tenant": "bni", "roles": ["editor"], "namespaces": ["bni"],
        "kubernetes": {
            "groups": ["editors"],
            "bindings": [{"cluster_role": "edit", "namespaces": ["bni-bots"]}],
        },
    }]})
}

#[track_caller]
fn faulty(document: Value) -> Vec<String> {
    let error = GroupRights::new(mapping(document)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    error.contexts().map(|(setting, _)| setting.to_owned()).collect()
}

/// REQ 002-30
#[test]
fn an_unknown_member_of_the_document_is_refused() {
    for document in [
        json!({"grant": []}),
        json!({"grants": [{"group": "a", "match": "prefix"}]}),
        json!({"grants": [{"group": "a", "kubernetes": {"groups": [], "users": ["alice"]}}]}),
        json!({"grants": [{"group": "a", "kubernetes": {"groups": ["a"], "bindings": [
            {"cluster_role": "edit", "namespace": "a"}]}}]}),
        json!({"kubernetes": {"prefix": "x:"}}),
    ] {
        assert!(serde_json::from_value::<GroupMapping>(document.clone()).is_err(), "{document}");
    }
}

/// REQ 002-30
#[test]
fn each_fault_is_named_by_its_place() {
    let bound = |binding: Value| json!({"grants": [{"group": "a", "kubernetes": {"groups": ["a"], "bindings": [binding]}}]});
    let groups = |group: &str, prefix: &str| {
        json!({"grants": [{"group": "a", "kubernetes": {"groups": [group]}}],
            "kubernetes": {"group_prefix": prefix}})
    };
    let at = |rest: &str| format!("grants[0].kubernetes.bindings[0]{rest}");
    let long = "x".repeat(300);
    for (document, setting) in [
        (json!({"grants": [{"group": ""}]}), "grants[0].group".to_owned()),
        (json!({"grants": [{"group": "a\u{0}"}]}), "grants[0].group".to_owned()),
        (
            json!({"grants": [{"group": "a", "kubernetes": {"groups": []}}]}),
            "grants[0].kubernetes.groups".to_owned(),
        ),
        (groups("", "oidc:"), "grants[0].kubernetes.groups".to_owned()),
        (groups("domain users", "oidc:"), "grants[0].kubernetes.groups".to_owned()),
        (groups("bücher", "oidc:"), "grants[0].kubernetes.groups".to_owned()),
        (groups("a\r\nImpersonate-Group:x", ""), "grants[0].kubernetes.groups".to_owned()),
        (groups(&long, "oidc:"), "grants[0].kubernetes.groups".to_owned()),
        (groups("system:masters", ""), "grants[0].kubernetes.groups".to_owned()),
        (groups("System:masters", ""), "grants[0].kubernetes.groups".to_owned()),
        (groups("tem:masters", "sys"), "grants[0].kubernetes.groups".to_owned()),
        (json!({"kubernetes": {"user_prefix": "system:"}}), "kubernetes.user_prefix".to_owned()),
        (json!({"kubernetes": {"user_prefix": "system:x:"}}), "kubernetes.user_prefix".to_owned()),
        (json!({"kubernetes": {"user_prefix": "a b"}}), "kubernetes.user_prefix".to_owned()),
        (json!({"kubernetes": {"group_prefix": "SYSTEM:"}}), "kubernetes.group_prefix".to_owned()),
        (bound(json!({"namespaces": ["a"]})), at("")),
        (bound(json!({"cluster_role": "a", "role": "b", "namespaces": ["a"]})), at("")),
        (bound(json!({"cluster_role": "a"})), at(".namespaces")),
        (bound(json!({"role": "a"})), at(".namespaces")),
        (bound(json!({"role": "a", "cluster_wide": true})), at(".cluster_wide")),
        (
            bound(json!({"cluster_role": "a", "cluster_wide": true, "namespaces": ["a"]})),
            at(".namespaces"),
        ),
        (bound(json!({"cluster_role": "a", "namespaces": ["A"]})), at(".namespaces")),
        (bound(json!({"cluster_role": "a", "namespaces": ["a.b"]})), at(".namespaces")),
        (bound(json!({"cluster_role": "a", "namespaces": ["*"]})), at(".namespaces")),
        (bound(json!({"cluster_role": "a", "namespaces": ["a".repeat(64)]})), at(".namespaces")),
        (bound(json!({"cluster_role": "", "namespaces": ["a"]})), at(".cluster_role")),
        (bound(json!({"cluster_role": "..", "namespaces": ["a"]})), at(".cluster_role")),
        (bound(json!({"cluster_role": "a/b", "namespaces": ["a"]})), at(".cluster_role")),
        (bound(json!({"role": "a%b", "namespaces": ["a"]})), at(".role")),
        (bound(json!({"role": long, "namespaces": ["a"]})), at(".role")),
    ] {
        assert_eq!(faulty(document.clone()), [setting], "{document}");
    }
}

#[test]
fn all_faults_of_a_mapping_are_reported_at_once() {
    let document = json!({
        "grants": [
            {"group": "", "kubernetes": {"groups": ["a"], "bindings": [{"role": "a"}]}},
            {"group": "b", "kubernetes": {"groups": []}},
        ],
        "kubernetes": {"user_prefix": "system:"},
    });
    let expected = [
        "kubernetes.user_prefix",
        "grants[0].group",
        "grants[0].kubernetes.bindings[0].namespaces",
        "grants[1].kubernetes.groups",
    ];
    assert_eq!(faulty(document), expected);
}

/// Whoever is in a group of Kubernetes has all that is bound to it, whichever grant bound it.
#[test]
fn grants_that_share_a_group_of_kubernetes_bind_the_same() {
    let grant = |group: &str, tenant: &str, bindings: Value| {
        json!({"group": group, "tenant": tenant,
            "kubernetes": {"groups": ["editors"], "bindings": bindings}})
    };
    let both = json!([{"cluster_role": "edit", "namespaces": ["a", "b"]}]);
    let one_by_one = json!([
        {"cluster_role": "edit", "namespaces": ["b"]},
        {"cluster_role": "edit", "namespaces": ["a"]},
    ]);
    for (other, is_fault) in [
        (one_by_one, false),
        (json!([{"cluster_role": "edit", "namespaces": ["a"]}]), true),
        (json!([{"role": "edit", "namespaces": ["a", "b"]}]), true),
        (json!([{"cluster_role": "edit", "cluster_wide": true}]), true),
        (json!([]), true),
    ] {
        let grants =
            json!({"grants": [grant("x", "bni", both.clone()), grant("y", "bnp", other.clone())]});
        let found = GroupRights::new(mapping(grants)).err();
        let setting = found.as_ref().and_then(|error| error.contexts().next());
        let expected = is_fault.then_some("grants[1].kubernetes.groups");
        assert_eq!(setting.map(|(setting, _)| setting), expected, "{other}");
    }
}

#[test]
fn a_document_and_the_builder_say_the_same() {
    let kubernetes = KubernetesGrant::group("editors")
        .with_binding(BoundRole::cluster_role("edit").in_namespace("bni-bots"));
    let grant = GroupGrant::new("bni-editors")
        .in_tenant(tenant("bni"))
        .with_role(Role::new("editor").unwrap())
        .with_namespace(Namespace::new("bni").unwrap())
        .with_kubernetes(kubernetes);
    assert_eq!(GroupMapping::new().with_grant(grant), mapping(editors()));
}

/// REQ 002-30
#[test]
fn a_group_gives_what_its_grant_says_and_only_in_its_tenant() {
    let rights = rights(editors());
    let granted = rights.granted(Some(&tenant("bni")), ["bni-editors"]);
    assert_eq!(granted.roles, [Role::new("editor").unwrap()].into());
    assert_eq!(granted.namespaces, [Namespace::new("bni").unwrap()].into());
    assert_eq!(granted.groups, [Group::new("bni-editors").unwrap()].into());
    for other in [Some(tenant("bnp")), Some(tenant("BNI")), None] {
        assert_eq!(rights.granted(other.as_ref(), ["bni-editors"]), Granted::default());
    }
}

/// REQ 002-49
#[test]
fn a_caller_is_a_user_with_a_prefix_in_the_groups_of_their_tenant() {
    let rights = rights(editors());
    let ours = caller("42", &["bni-editors", "other"]).with_tenant(tenant("bni"));
    let user = rights.kubernetes_user(&ours).unwrap();
    assert_eq!(user.name(), "oidc:42");
    assert_eq!(user.groups().collect::<Vec<_>>(), ["oidc:editors"]);
    assert_eq!(user.expires_at(), ours.expires_at);
    for tenant in [None, Some(tenant("bnp"))] {
        let theirs = SecurityContext { tenant, ..ours.clone() };
        assert_eq!(rights.kubernetes_user(&theirs).unwrap().groups().count(), 0);
    }
}

/// REQ 002-49
#[test]
fn nobody_becomes_one_of_kubernetes_own_users() {
    for (prefix, id) in [
        ("", "system:admin"),
        ("", "system:serviceaccount:kube-system:default"),
        ("", "System:Admin"),
        ("sys", "tem:kube-scheduler"),
        ("system", ":anonymous"),
    ] {
        let names = KubernetesNames::new().with_user_prefix(prefix);
        let rights = GroupRights::new(mapping(editors()).with_kubernetes(names)).unwrap();
        let error = rights.kubernetes_user(&caller(id, &[])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{prefix} {id}");
        assert!(error.context("kubernetes.user_prefix").is_some(), "{error}");
        assert!(!format!("{error:?} {error:#}").contains(id), "{error:?}");
    }
    let user = rights(editors()).kubernetes_user(&caller("system:admin", &[])).unwrap();
    assert_eq!(user.name(), "oidc:system:admin");
}

#[test]
fn a_caller_of_another_issuer_is_nobody_by_the_mapping_of_one() {
    let caller = caller("42", &["bni-editors"]);
    let held_to = |issuer: &str| rights(editors()).with_issuer(issuer).kubernetes_user(&caller);
    assert!(held_to("https://idp.example").is_ok());
    for issuer in ["https://other.example", "https://idp.example/", "https://IDP.example"] {
        let kind = held_to(issuer).unwrap_err().kind();
        assert_eq!(kind, ErrorKind::TokenRejected(TokenFault::WrongIssuer), "{issuer}");
    }
}

#[test]
fn nobody_is_a_user_of_kubernetes_by_a_mapping_without_it() {
    for document in [json!({}), json!({"grants": [{"group": "a", "roles": ["editor"]}]})] {
        let error = rights(document).kubernetes_user(&caller("42", &["a"])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.hint_text().contains("`kubernetes`"), "{error}");
    }
}

#[test]
fn an_id_that_no_header_carries_is_refused_and_not_repeated() {
    let rights = rights(editors());
    for id in ["Jane Doe", "müller", " x", "x "] {
        let error = rights.kubernetes_user(&caller(id, &[])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{id:?}");
        assert!(error.hint_text().contains("claims.pseudonym_key"), "{error}");
        assert!(!format!("{error:?} {error:#}").contains(id), "{error:?}");
    }
}

/// A context that names a group is believed only as far as the mapping knows the group.
#[test]
fn a_group_that_no_grant_names_is_no_group_of_kubernetes() {
    let rights = rights(editors());
    for group in ["editors", "oidc:editors", "bni-editor", "bni-editors-2", "BNI-editors", "*"] {
        let caller = caller("42", &[group]).with_tenant(tenant("bni"));
        assert_eq!(rights.kubernetes_user(&caller).unwrap().groups().count(), 0, "{group}");
    }
}

#[test]
fn two_issuers_of_one_cluster_do_not_name_the_same_people() {
    let with = |prefix: &str, role: &str| {
        rights(json!({
            "grants": [{"group": "g", "kubernetes": {"groups": ["editors"],
                "bindings": [{"cluster_role": role, "namespaces": ["a"]}]}}],
            "kubernetes": {"user_prefix": prefix},
        }))
    };
    let first = with("a:", "edit");
    for (prefix, role, setting) in [
        ("a:", "edit", Some("kubernetes.user_prefix")),
        ("a:b:", "edit", Some("kubernetes.user_prefix")),
        ("", "edit", Some("kubernetes.user_prefix")),
        ("b:", "admin", Some("grants[0].kubernetes.groups")),
        ("b:", "edit", None),
    ] {
        let found = with(prefix, role).check_beside(&first).err();
        let found = found.as_ref().and_then(|error| error.contexts().next());
        assert_eq!(found.map(|(setting, _)| setting), setting, "{prefix} {role}");
    }
    let without = rights(json!({"grants": [{"group": "g", "roles": ["editor"]}]}));
    assert!(without.check_beside(&first).is_ok() && first.check_beside(&without).is_ok());
}
