use pipe_core::Namespace;
use pipe_core::identity::Role;
use pipe_core::rbac::{GroupGrant, KubernetesGrant};
use serde_json::json;

use super::*;

fn mapping() -> ClaimMapping {
    ClaimMapping::new().with_groups(ClaimPointer::claim("groups"))
}

fn grant() -> GroupGrant {
    GroupGrant::new("g").with_role(Role::new("editor").unwrap())
}

fn found(claims: &Value, mapping: &ClaimMapping, resolves_roles: bool) -> Result<bool> {
    let rights = GroupRights::new(mapping.group_mapping()).unwrap();
    has_groups(claims.as_object().unwrap(), mapping, &rights, resolves_roles)
}

/// REQ 002-17
#[test]
fn a_token_that_says_where_its_groups_are_is_not_one_without_groups() {
    for claims in [
        json!({ "_claim_names": { "groups": "src1" },
            "_claim_sources": { "src1": { "endpoint": "https://graph.windows.net/x" } } }),
        json!({ "_claim_names": { "groups": "src1" } }),
        json!({ "_claim_names": { "groups": "src1" }, "groups": [] }),
        json!({ "_claim_names": { "groups": "src1" }, "groups": ["g"] }),
        json!({ "_claim_sources": { "src1": { "endpoint": "https://graph.windows.net/x" } } }),
        json!({ "_claim_names": "groups" }),
        json!({ "_claim_names": ["groups"] }),
        json!({ "_claim_names": null }),
        json!({ "hasgroups": true }),
        json!({ "hasgroups": "true" }),
        json!({ "hasgroups": null }),
        json!({ "hasgroups": true, "groups": [] }),
    ] {
        let error = found(&claims, &mapping(), false).unwrap_err();
        let kind = ErrorKind::TokenRejected(TokenFault::Unsupported);
        assert_eq!(error.kind(), kind, "{claims}");
        for setting in ["claims.groups", "claims.roles", "OidcConfig::with_roles"] {
            assert!(error.hint_text().contains(setting), "{error}");
        }
        assert!(!format!("{error:?}").contains("graph"), "{error:?}");
    }
}

#[test]
fn a_token_that_leaves_no_mapped_claim_out_is_read_as_it_is() {
    for claims in [
        json!({}),
        json!({ "groups": ["g"] }),
        json!({ "hasgroups": false }),
        json!({ "_claim_names": {} }),
        json!({ "_claim_names": { "address": "src1" }, "groups": ["g"] }),
    ] {
        assert!(!found(&claims, &mapping(), false).unwrap(), "{claims}");
    }
    let overage = json!({ "_claim_names": { "groups": "src1" }, "hasgroups": true });
    assert!(!found(&overage, &ClaimMapping::new(), false).unwrap());
}

/// REQ 002-17
#[test]
fn a_resolver_is_asked_for_groups_where_they_give_more_than_roles() {
    let overage = json!({ "_claim_names": { "groups": "src1" } });
    let spaces = grant().with_namespace(Namespace::new("sales").unwrap());
    let kubernetes = grant().with_kubernetes(KubernetesGrant::group("editors"));
    for (grant, expected) in [(grant(), false), (spaces, true), (kubernetes, true)] {
        let mapping = mapping().with_grant(grant);
        assert_eq!(found(&overage, &mapping, true).unwrap(), expected);
        assert!(found(&overage, &mapping, false).is_err());
        assert!(!found(&json!({ "groups": ["g"] }), &mapping, true).unwrap());
    }
}

#[test]
fn roles_that_are_elsewhere_are_resolved_or_refused() {
    let mapping = ClaimMapping::new().with_roles("/realm_access/roles".parse().unwrap());
    let claims = json!({ "_claim_names": { "realm_access": "src1" } });
    let error = found(&claims, &mapping, false).unwrap_err();
    assert!(error.hint_text().contains("claims.roles"), "{error}");
    assert!(!found(&claims, &mapping, true).unwrap());
}

#[test]
fn namespaces_that_are_elsewhere_are_refused() {
    let mapping = ClaimMapping::new().with_namespaces(ClaimPointer::claim("namespace"));
    let claims = json!({ "_claim_names": { "namespace": "src1" } });
    for resolves_roles in [true, false] {
        let error = found(&claims, &mapping, resolves_roles).unwrap_err();
        assert!(error.hint_text().contains("claims.namespaces"), "{error}");
    }
}
