//! What groups give, and where tokens do not name them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pipe_core::Error;
use pipe_core::identity::{Group, JwtRequest, RoleResolver};
use pipe_core::rbac::{BoundRole, GroupGrant, KubernetesGrant, KubernetesNames};
use pipe_identity_oidc::SigningConfig;
use pipe_identity_oidc::jwt::{Algorithm, SigningKey};
use serde_json::json;

use super::*;

/// `bni-editors` gives something of each kind, in the tenant of the issuer's tokens.
fn mapping() -> ClaimMapping {
    let kubernetes = KubernetesGrant::group("editors")
        .with_binding(BoundRole::cluster_role("edit").in_namespace("bni-bots"));
    let grant = GroupGrant::new("bni-editors")
        .in_tenant("bni".parse().unwrap())
        .with_role(role("editor"))
        .with_namespace("bni".parse().unwrap())
        .with_kubernetes(kubernetes);
    ClaimMapping::new()
        .with_tenant(TenantSource::Claim(ClaimPointer::claim("tenant")))
        .with_groups(ClaimPointer::claim("groups"))
        .with_grant(grant)
}

fn with_groups(issuer: &TestIssuer) -> Oidc {
    Oidc::new(config(issuer, IssuerConfig::new(issuer.url()).with_claims(mapping()))).unwrap()
}

/// REQ 002-49
#[tokio::test]
async fn a_verified_caller_is_a_user_of_kubernetes_with_their_groups() {
    let issuer = TestIssuer::start().await;
    let plugin = with_groups(&issuer);
    let token = |groups, tenant: &str| {
        issuer.token().claim("groups", groups).claim("tenant", tenant).claim("sub", "42").sign()
    };
    let editor = validate(&plugin, token(json!(["bni-editors", "choir"]), "bni")).await.unwrap();
    let user = plugin.kubernetes_user(&editor).unwrap();
    assert_eq!(user.name(), "oidc:42");
    assert_eq!(user.groups().collect::<Vec<_>>(), ["oidc:editors"]);
    for (groups, tenant) in
        [(json!(["bni-editors"]), "bnp"), (json!(["BNI-editors"]), "bni"), (json!([]), "bni")]
    {
        let other = validate(&plugin, token(groups.clone(), tenant)).await.unwrap();
        assert_eq!(
            plugin.kubernetes_user(&other).unwrap().groups().count(),
            0,
            "{groups} {tenant}"
        );
    }
}

/// REQ 002-49
#[tokio::test]
async fn a_context_that_ended_or_is_of_another_issuer_is_nobody_in_kubernetes() {
    let issuer = TestIssuer::start().await;
    let plugin = with_groups(&issuer);
    let token = issuer.token().claim("groups", json!(["bni-editors"])).sign();
    let caller = validate(&plugin, token).await.unwrap();
    let mut other = caller.clone();
    other.issuer = "https://other.example".to_owned();
    let refused = |caller| plugin.kubernetes_user(caller).unwrap_err().kind();
    assert_eq!(refused(&other), ErrorKind::TokenRejected(TokenFault::WrongIssuer));
    issuer.clock().forward(Duration::from_secs(24 * 3600));
    assert_eq!(refused(&caller), ErrorKind::TokenRejected(TokenFault::Expired));
}

/// A token of ours for somebody who is called as a person at the issuer.
#[tokio::test]
async fn our_own_tokens_make_nobody_a_user_of_kubernetes() {
    let issuer = TestIssuer::start().await;
    let trusted = IssuerConfig::new(issuer.url()).with_claims(mapping());
    let signer = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
    let signing = SigningConfig::with_signer("https://us.example", signer);
    let plugin = Oidc::new(config(&issuer, trusted).with_signing(signing)).unwrap();
    let request = JwtRequest::new("42".parse().unwrap()).with_audience(AUDIENCE);
    let own = plugin.generate_jwt(&request).await.unwrap();
    let expect = TokenExpectation::audience(AUDIENCE);
    let caller = plugin.validate_token(&own.token, &expect).await.unwrap();
    let error = plugin.kubernetes_user(&caller).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}

#[track_caller]
fn faulty_settings(config: OidcConfig) -> Vec<String> {
    let error = Oidc::new(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    error.contexts().map(|(setting, _)| setting.to_owned()).collect()
}

#[test]
fn a_fault_of_a_grant_is_named_by_its_place_in_the_settings() {
    let grant = GroupGrant::new("x").with_kubernetes(KubernetesGrant::group("system:masters"));
    let names = KubernetesNames::new().with_group_prefix("");
    let claims = mapping().with_grant(grant).with_kubernetes(names);
    let issuer = IssuerConfig::new("https://idp.example").with_claims(claims);
    let faulty = faulty_settings(OidcConfig::new().with_issuer(issuer));
    assert_eq!(faulty, ["issuers[0].claims.grants[1].kubernetes.groups"]);
}

/// The same id at two issuers is two people.
#[test]
fn issuers_whose_callers_would_be_the_same_users_of_kubernetes_are_refused() {
    let issuer = |url: &str, prefix: &str| {
        let names = KubernetesNames::new().with_user_prefix(prefix);
        IssuerConfig::new(url).with_claims(mapping().with_kubernetes(names))
    };
    let both = |prefix| {
        OidcConfig::new()
            .with_issuer(issuer("https://a.example", "oidc:"))
            .with_issuer(issuer("https://b.example", prefix))
    };
    for prefix in ["oidc:", "oidc:b:", ""] {
        let faulty = faulty_settings(both(prefix));
        assert_eq!(faulty, ["issuers[1].claims.kubernetes.user_prefix"], "{prefix}");
    }
    assert!(Oidc::new(both("b:")).is_ok());
}

/// A directory that knows the groups of everybody, or why not.
#[derive(Debug)]
struct Directory(Result<Vec<&'static str>>);

#[async_trait]
impl RoleResolver for Directory {
    async fn resolve(&self, _: &SecurityContext) -> Result<BTreeSet<Role>> {
        Ok([role("resolved")].into())
    }

    async fn resolve_groups(&self, _: &SecurityContext) -> Result<BTreeSet<Group>> {
        let names = self.0.clone()?;
        Ok(names.into_iter().map(|name| Group::new(name).unwrap()).collect())
    }
}

/// A directory that knows roles alone.
#[derive(Debug)]
struct Roles;

#[async_trait]
impl RoleResolver for Roles {
    async fn resolve(&self, _: &SecurityContext) -> Result<BTreeSet<Role>> {
        Ok([role("resolved")].into())
    }
}

fn resolving(issuer: &TestIssuer, resolver: impl RoleResolver) -> Oidc {
    let trusted = IssuerConfig::new(issuer.url()).with_claims(mapping());
    Oidc::new(config(issuer, trusted).with_roles(Arc::new(resolver))).unwrap()
}

/// As Entra ID writes a token of somebody who is in more than 200 groups.
fn overage(issuer: &TestIssuer, tenant: &str, endpoint: &str) -> String {
    issuer
        .token()
        .claim("tenant", tenant)
        .claim("_claim_names", json!({ "groups": "src1" }))
        .claim("_claim_sources", json!({ "src1": { "endpoint": endpoint } }))
        .sign()
}

const GRAPH: &str = "https://graph.windows.net/1a/users/o1/getMemberObjects";

/// REQ 002-17
#[tokio::test]
async fn groups_that_a_token_leaves_out_are_resolved() {
    let issuer = TestIssuer::start().await;
    let plugin = resolving(&issuer, Directory(Ok(vec!["bni-editors", "choir"])));
    let token = overage(&issuer, "bni", GRAPH);
    // Remembered or not, it is asked.
    for _ in 0..2 {
        let caller = validate(&plugin, &token).await.unwrap();
        assert_eq!(caller.roles, [role("resolved")].into());
        assert_eq!(caller.namespaces, ["bni".parse().unwrap()].into());
        let user = plugin.kubernetes_user(&caller).unwrap();
        assert_eq!(user.groups().collect::<Vec<_>>(), ["oidc:editors"]);
    }
    let theirs = validate(&plugin, overage(&issuer, "bnp", GRAPH)).await.unwrap();
    assert!(theirs.namespaces.is_empty() && theirs.groups.is_empty());
}

/// REQ 002-17
#[tokio::test]
async fn groups_that_nobody_knows_are_a_refusal_that_names_the_setting() {
    let issuer = TestIssuer::start().await;
    let has_groups = issuer.token().claim("tenant", "bni").claim("hasgroups", true).sign();
    for token in [overage(&issuer, "bni", GRAPH), has_groups] {
        for plugin in [with_groups(&issuer), resolving(&issuer, Roles)] {
            let error = validate(&plugin, &token).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TokenRejected(TokenFault::Unsupported));
            assert!(error.hint_text().contains("RoleResolver::resolve_groups"), "{error}");
            assert!(!format!("{error:?} {error:#}").contains("graph"), "{error:?}");
        }
    }
}

/// REQ 002-17
#[tokio::test]
async fn a_directory_that_is_down_is_not_one_that_knows_no_groups() {
    let issuer = TestIssuer::start().await;
    let down = Error::new(ErrorKind::Unavailable, "the directory is down");
    let plugin = resolving(&issuer, Directory(Err(down)));
    let error = validate(&plugin, overage(&issuer, "bni", GRAPH)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    // Whose groups are in the token, it is not asked about.
    let token = issuer.token().claim("tenant", "bni").claim("groups", json!(["bni-editors"]));
    assert!(validate(&plugin, token.sign()).await.is_ok());
}

/// REQ 002-17: the address is the token's choice.
#[tokio::test]
async fn nothing_is_fetched_from_where_a_token_says_that_its_groups_are() {
    let issuer = TestIssuer::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/groups", listener.local_addr().unwrap());
    let known = resolving(&issuer, Directory(Ok(vec!["bni-editors"])));
    for plugin in [with_groups(&issuer), resolving(&issuer, Roles), known] {
        let _ = validate(&plugin, overage(&issuer, "bni", &endpoint)).await;
    }
    let knock = tokio::time::timeout(Duration::from_millis(300), listener.accept()).await;
    assert!(knock.is_err(), "somebody connected");
}
