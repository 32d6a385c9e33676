//! What groups give to people who log in.

use std::collections::BTreeSet;

use async_trait::async_trait;
use pipe_core::identity::{Group, Role, RoleResolver};
use pipe_core::rbac::{GroupGrant, KubernetesGrant};
use pipe_core::{ErrorKind, Result, SecurityContext, TokenFault};
use pipe_identity_oidc::{ClaimMapping, ClaimPointer, UserInfoUse};
use pipe_testkit::issuer::Spoil;
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

/// REQ 002-28: a renewal may bring no ID token (OpenID Connect Core 12.2).
#[tokio::test]
async fn userinfo_is_asked_whenever_a_session_is_renewed() {
    let issuer = provider().await;
    let period = Duration::from_secs(600);
    issuer.set_access_token_lifetime(period);
    let mut config = mapped(&issuer).with_user_info(UserInfoUse::Always).with_scope("groups");
    config.audience = None;
    let login = login(config);
    issuer.spoil_id_token(|token| token.without("groups"));
    let done = log_in(&login, &issuer, &Person::new("42").groups(["bni-editors"])).await;
    assert_eq!(login.kubernetes_user(&done.session.context).unwrap().groups().count(), 1);
    issuer.add_person(&Person::new("42"));
    issuer.spoil(Spoil::NoIdToken);
    issuer.clock().forward(period);
    let session = login.session(&done.id).await.unwrap().unwrap();
    assert_eq!(issuer.refreshes("42"), 1);
    assert_eq!(login.kubernetes_user(&session.context).unwrap().groups().count(), 0);
    assert_eq!(session.profile, done.session.profile);
}
