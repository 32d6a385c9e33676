//! What groups give to people who log in.

use std::collections::BTreeSet;

use async_trait::async_trait;
use pipe_core::identity::{Group, Role, RoleResolver};
use pipe_core::rbac::{GroupGrant, KubernetesGrant};
use pipe_core::{ErrorKind, Result, SecurityContext, TokenFault};
use pipe_identity_oidc::{ClaimMapping, ClaimPointer};
use serde_json::json;

use super::*;

fn mapped(issuer: &TestIssuer) -> RelyingPartyConfig {
    let grant = GroupGrant::new("bni-editors").with_kubernetes(KubernetesGrant::group("editors"));
    let claims = ClaimMapping::new().with_groups(ClaimPointer::claim("groups")).with_grant(grant);
    let mut config = config(issuer);
    config.issuer = config.issuer.with_claims(claims);
    config
}

#[derive(Debug)]
struct Directory;

#[async_trait]
impl RoleResolver for Directory {
    async fn resolve(&self, _: &SecurityContext) -> Result<BTreeSet<Role>> {
        Ok(BTreeSet::new())
    }

    async fn resolve_groups(&self, _: &SecurityContext) -> Result<BTreeSet<Group>> {
        Ok([Group::new("bni-editors").unwrap()].into())
    }
}

fn leaves_groups_out() -> Person {
    Person::new("42").claim("_claim_names", json!({ "groups": "src1" }))
}

/// REQ 002-49
#[tokio::test]
async fn a_person_who_logged_in_is_a_user_of_kubernetes_with_their_groups() {
    let issuer = provider().await;
    let login = login(mapped(&issuer));
    let person = Person::new("42").claim("groups", json!(["bni-editors", "choir"]));
    let session = log_in(&login, &issuer, &person).await;
    let later = login.session(&session.id).await.unwrap().unwrap();
    for context in [&session.session.context, &later.context] {
        let user = login.kubernetes_user(context).unwrap();
        assert_eq!(user.name(), "oidc:42");
        assert_eq!(user.groups().collect::<Vec<_>>(), ["oidc:editors"]);
    }
    let mut other = later.context;
    other.issuer = "https://other.example".to_owned();
    let kind = login.kubernetes_user(&other).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::TokenRejected(TokenFault::WrongIssuer));
}

/// REQ 002-17
#[tokio::test]
async fn groups_that_an_id_token_leaves_out_are_resolved() {
    let issuer = provider().await;
    let login = login(mapped(&issuer).with_roles(Arc::new(Directory)));
    let session = log_in(&login, &issuer, &leaves_groups_out()).await;
    let later = login.session(&session.id).await.unwrap().unwrap();
    for view in [&session.session, &later] {
        assert!(view.groups.contains("bni-editors"));
        let user = login.kubernetes_user(&view.context).unwrap();
        assert_eq!(user.groups().collect::<Vec<_>>(), ["oidc:editors"]);
    }
}

/// REQ 002-17
#[tokio::test]
async fn nobody_logs_in_with_groups_that_nobody_knows() {
    let issuer = provider().await;
    let login = login(mapped(&issuer));
    let start = login.begin_login(&LoginRequest::new()).await.unwrap();
    let callback = issuer.authorize(&start.location, &leaves_groups_out());
    let (_, query) = callback.split_once('?').unwrap();
    let callback = LoginCallback::new(query).with_browser(start.browser);
    let error = login.finish_login(&callback).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TokenRejected(TokenFault::Unsupported), "{error:#}");
    assert!(error.hint_text().contains("RoleResolver::resolve_groups"), "{error}");
}
