use proptest::prelude::*;
use serde_json::json;

use super::*;
use pipe_core::rbac::KubernetesGrant;

fn pointer(text: &str) -> ClaimPointer {
    text.parse().unwrap()
}

fn tenant(id: &str) -> TenantId {
    TenantId::new(id).unwrap()
}

fn role(name: &str) -> Role {
    Role::new(name).unwrap()
}

fn map(mapping: ClaimMapping, claims: &Value) -> Result<Caller> {
    let claims = claims.as_object().unwrap();
    Mapper::new(mapping, BTreeSet::new())?.caller(claims, BTreeSet::new())
}

#[track_caller]
fn fault(mapping: ClaimMapping, claims: &Value) -> TokenFault {
    match map(mapping, claims).unwrap_err().kind() {
        ErrorKind::TokenRejected(fault) => fault,
        kind => panic!("{kind:?}"),
    }
}

/// D9
#[test]
fn what_is_not_mapped_grants_nothing() {
    let claims = json!({
        "sub": "bot", "roles": ["admin"], "role": "admin", "groups": ["admins"],
        "tenant": "bni", "namespace": "sales"
    });
    let caller = map(ClaimMapping::new(), &claims).unwrap();
    assert!(caller.roles.is_empty() && caller.namespaces.is_empty() && caller.tenant.is_none());
}

/// D9
#[test]
fn a_mapped_claim_is_text_or_a_list_of_texts() {
    let mapping = || ClaimMapping::new().with_roles(pointer("/roles"));
    for (value, expected) in [
        (json!("reader"), vec!["reader"]),
        (json!(["reader", "writer", "reader"]), vec!["reader", "writer"]),
        (json!([]), vec![]),
    ] {
        let caller = map(mapping(), &json!({ "sub": "bot", "roles": value })).unwrap();
        let roles: Vec<_> = caller.roles.iter().map(Role::as_str).collect();
        assert_eq!(roles, expected);
    }
    for value in [
        json!(null),
        json!(1),
        json!(true),
        json!({ "admin": true }),
        json!([1]),
        json!(["a", null]),
        json!([["a"]]),
        json!(["a\u{0}b"]),
        json!(""),
        json!(vec!["a"; 1_001]),
    ] {
        let claims = json!({ "sub": "bot", "roles": value });
        assert_eq!(fault(mapping(), &claims), TokenFault::Malformed, "{value}");
    }
}

#[test]
fn a_wildcard_is_no_namespace() {
    let mapping = ClaimMapping::new().with_namespaces(pointer("/namespace"));
    let claims = json!({ "sub": "bot", "namespace": "*" });
    assert_eq!(fault(mapping, &claims), TokenFault::Malformed);
}

#[test]
fn a_group_is_compared_as_a_whole_and_gives_what_was_said() {
    let mapping = || {
        ClaimMapping::new()
            .with_groups(pointer("/groups"))
            .with_grant(GroupGrant::new("editors").with_role(role("editor")))
    };
    let roles =
        |group: &str| map(mapping(), &json!({ "sub": "bot", "groups": [group] })).unwrap().roles;
    assert_eq!(roles("editors"), BTreeSet::from([role("editor")]));
    for group in ["editor", "Editors", "editors ", "my-editors", "/editors", "*"] {
        assert!(roles(group).is_empty(), "{group}");
    }
}

/// REQ 002-30: a part, a prefix, another spelling.
#[test]
fn only_a_group_that_is_named_exactly_is_one_of_kubernetes() {
    let grant = GroupGrant::new("editors").with_kubernetes(KubernetesGrant::group("editors"));
    let mapping = || ClaimMapping::new().with_groups(pointer("/groups")).with_grant(grant.clone());
    let groups =
        |group: &str| map(mapping(), &json!({ "sub": "bot", "groups": [group] })).unwrap().groups;
    assert_eq!(groups("editors"), [Group::new("editors").unwrap()].into());
    for group in ["editor", "Editors", "editors ", "my-editors", "editors-2", "/editors", "*"] {
        assert!(groups(group).is_empty(), "{group}");
    }
}

/// REQ 002-30: a context says no more of a person than is needed.
#[test]
fn a_group_that_gives_nothing_in_kubernetes_is_not_told() {
    let mapping = ClaimMapping::new()
        .with_groups(pointer("/groups"))
        .with_grant(GroupGrant::new("editors").with_role(role("editor")));
    let caller = map(mapping, &json!({ "sub": "bot", "groups": ["editors", "choir"] })).unwrap();
    assert!(caller.groups.is_empty());
}

/// REQ 002-30: what was a document before is one still, and means the same.
#[test]
fn one_document_is_for_tokens_and_for_manifests() {
    let document = json!({
        "groups": ["/groups"],
        "grants": [
            { "group": "bni-editors", "tenant": "bni", "roles": ["editor"] },
            { "group": "auditors", "kubernetes": {
                "groups": ["auditors"],
                "bindings": [{ "cluster_role": "view", "cluster_wide": true }],
            } },
        ],
        "kubernetes": { "group_prefix": "corp:" },
    });
    let mapping: ClaimMapping = serde_json::from_value(document).unwrap();
    let bindings = GroupRights::new(mapping.group_mapping()).unwrap().bindings();
    assert_eq!(bindings.len(), 1);
    assert_eq!(bindings[0].as_value()["subjects"][0]["name"], "corp:auditors");
    assert_eq!(mapping.kubernetes.user_prefix, "oidc:");
    let caller = map(mapping, &json!({ "sub": "bot", "groups": ["auditors"] })).unwrap();
    assert_eq!(caller.groups, [Group::new("auditors").unwrap()].into());
}

#[test]
fn all_faults_of_a_mapping_are_reported_at_once() {
    let mapping = ClaimMapping::new()
        .with_id([])
        .with_pseudonym_key(SecretSource::Value("short".into()))
        .with_grant(GroupGrant::new(""))
        .with_kubernetes(KubernetesNames::new().with_user_prefix("system:"));
    let error = Mapper::new(mapping, BTreeSet::new()).unwrap_err();
    let faulty: Vec<_> = error.contexts().map(|(setting, _)| setting).collect();
    let expected = ["id", "pseudonym_key", "kubernetes.user_prefix", "grants[0].group"];
    assert_eq!(faulty, expected, "{error}");
}

#[test]
fn only_listed_tenants_are_taken() {
    let mapping = ClaimMapping::new().with_tenant(TenantSource::Claim(pointer("/tenant")));
    let mapper = Mapper::new(mapping, [tenant("bni")].into()).unwrap();
    let caller =
        |claims: Value| mapper.caller(claims.as_object().unwrap(), BTreeSet::new()).map(|_| ());
    assert!(caller(json!({ "sub": "bot", "tenant": "bni" })).is_ok());
    for claims in [json!({ "sub": "bot", "tenant": "bnp" }), json!({ "sub": "bot" })] {
        let kind = caller(claims).unwrap_err().kind();
        assert_eq!(kind, ErrorKind::TokenRejected(TokenFault::TenantMismatch));
    }
}

#[test]
fn an_id_of_several_claims_needs_all_of_them() {
    let mapping = || ClaimMapping::new().with_id([pointer("/tid"), pointer("/oid")]);
    let caller = map(mapping(), &json!({ "sub": "x", "tid": "t", "oid": "o" })).unwrap();
    assert_eq!(caller.principal.id.as_str(), "t:o");
    assert_eq!(fault(mapping(), &json!({ "sub": "x", "tid": "t" })), TokenFault::MissingClaim);
    assert_eq!(
        fault(mapping(), &json!({ "sub": "x", "tid": "t", "oid": "" })),
        TokenFault::Malformed
    );
}

/// REQ 004-75.5
#[test]
fn an_email_address_as_id_needs_a_pseudonym() {
    let claims = json!({ "sub": "bot@example.org" });
    assert_eq!(fault(ClaimMapping::new(), &claims), TokenFault::Malformed);
    let key = SecretSource::Value(vec![7; 32].into());
    let caller = map(ClaimMapping::new().with_pseudonym_key(key), &claims).unwrap();
    assert_eq!(caller.principal.id.as_str().len(), 64);
}

#[test]
fn a_client_that_speaks_for_itself_is_a_service() {
    for (claims, kind) in [
        (json!({ "sub": "bot", "client_id": "bot" }), PrincipalKind::Service),
        (json!({ "sub": "bot", "azp": "bot" }), PrincipalKind::Service),
        (json!({ "sub": "x", "idtyp": "app" }), PrincipalKind::Service),
        (json!({ "sub": "x@clients", "gty": "client-credentials" }), PrincipalKind::Service),
        (json!({ "sub": "system:serviceaccount:sales:bot" }), PrincipalKind::Service),
        (json!({ "sub": "alice", "client_id": "web" }), PrincipalKind::User),
        (json!({ "sub": "alice" }), PrincipalKind::User),
    ] {
        let caller = map(ClaimMapping::new(), &claims).unwrap();
        assert_eq!(caller.principal.kind, kind, "{claims}");
    }
}

const TENANTS: [&str; 3] = ["bni", "bnp", "axis"];
const GROUPS: [&str; 3] = ["readers", "editors", "admins"];

proptest! {
    /// H7: whatever is mapped, a role that is granted in one tenant is not seen in another.
    #[test]
    fn no_role_leaks_across_tenants(
        grants in prop::collection::vec((0..3_usize, 0..3_usize), 0..12),
        groups in prop::collection::btree_set(0..3_usize, 0..3),
        own in prop::option::of(0..3_usize),
    ) {
        let mut mapping = ClaimMapping::new()
            .with_tenant(TenantSource::Claim(pointer("/tenant")))
            .with_groups(pointer("/groups"));
        for (group, in_tenant) in &grants {
            // The role's name tells the tenant in which it was granted.
            let name = format!("{}-{}", TENANTS[*in_tenant], GROUPS[*group]);
            let grant = GroupGrant::new(GROUPS[*group]).with_role(role(&name));
            mapping = mapping.with_grant(grant.in_tenant(tenant(TENANTS[*in_tenant])));
        }
        let held: Vec<_> = groups.iter().map(|group| GROUPS[*group]).collect();
        let mut claims = json!({ "sub": "bot", "groups": held });
        if let Some(own) = own {
            claims["tenant"] = TENANTS[own].into();
        }
        let caller = map(mapping, &claims).unwrap();
        let expected: BTreeSet<_> = grants
            .iter()
            .filter(|(group, in_tenant)| Some(*in_tenant) == own && groups.contains(group))
            .map(|(group, in_tenant)| role(&format!("{}-{}", TENANTS[*in_tenant], GROUPS[*group])))
            .collect();
        prop_assert_eq!(caller.roles, expected);
    }
}
