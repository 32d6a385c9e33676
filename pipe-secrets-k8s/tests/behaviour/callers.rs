//! Acting for many callers by one identity of ours (REQ 002-49).

use std::time::{Duration, SystemTime};

use pipe_core::identity::{Group, Principal, PrincipalId};
use pipe_core::rbac::{GroupGrant, GroupMapping, GroupRights, KubernetesGrant, KubernetesUser};
use pipe_core::secrets::{SecretEvent, SecretStream};
use pipe_core::{
    ErrorKind, Plugin as _, SecretRef, SecretsPlugin as _, SecurityContext, TokenFault,
};
use pipe_secrets_k8s::{Impersonation, Kubernetes};
use pipe_testkit::fake::{self, Rule};

use crate::cases::data;
use crate::setup::{admin, config};

const HOUR: Duration = Duration::from_secs(3600);

/// Somebody in this group, which is called the same in Kubernetes, but for the prefix.
fn caller_until(id: &str, group: &str, expires_at: SystemTime) -> KubernetesUser {
    let grants = ["readers", "writers"]
        .into_iter()
        .map(|name| GroupGrant::new(name).with_kubernetes(KubernetesGrant::group(name)));
    let mapping = grants.fold(GroupMapping::new(), GroupMapping::with_grant);
    let rights = GroupRights::new(mapping).unwrap();
    let principal = Principal::user(PrincipalId::new(id).unwrap());
    let context =
        SecurityContext::new(principal, "https://idp.example", expires_at - HOUR, expires_at);
    rights.kubernetes_user(&context.with_groups([Group::new(group).unwrap()])).unwrap()
}

fn caller(id: &str, group: &str) -> KubernetesUser {
    caller_until(id, group, SystemTime::now() + HOUR)
}

/// A service that may act for everybody of the mapping, and may do nothing itself.
fn service(server: &fake::Kubernetes) -> Kubernetes {
    server.grant(Rule::everywhere("service", "users", &["impersonate"]));
    let groups = Rule::everywhere("service", "groups", &["impersonate"]);
    server.grant(groups.only(&["oidc:readers", "oidc:writers"]));
    Kubernetes::new(config(server, &server.create_user("service", &[]))).unwrap()
}

fn x() -> SecretRef {
    SecretRef::new("x").unwrap()
}

async fn next(stream: &mut SecretStream) -> Option<Result<SecretEvent, pipe_core::Error>> {
    tokio::time::timeout(Duration::from_secs(60), stream.next()).await.expect("nothing is shown")
}

#[tokio::test]
async fn a_caller_may_do_what_is_granted_to_their_groups() {
    let server = fake::Kubernetes::start().await;
    server.grant(Rule::secrets("oidc:readers", "default", &["get"]));
    server.grant(Rule::secrets("oidc:writers", "default", &["get", "create", "patch"]));
    let service = service(&server);
    let reader = service.as_caller(&caller("1", "readers")).unwrap();
    let writer = service.as_caller(&caller("2", "writers")).unwrap();
    writer.create_secret(&x(), data("v")).await.unwrap();
    assert_eq!(server.last_impersonated().as_deref(), Some("oidc:2"));
    assert_eq!(reader.get_secret(&x()).await.unwrap().unwrap().data, data("v"));
    assert_eq!(server.last_impersonated().as_deref(), Some("oidc:1"));
    let error = reader.create_secret(&x(), data("w")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:#}");
}

#[tokio::test]
async fn a_callers_rights_are_not_ours_and_ours_are_not_theirs() {
    let server = fake::Kubernetes::start().await;
    server.grant(Rule::secrets("oidc:readers", "default", &["get"]));
    let service = service(&server);
    let reader = service.as_caller(&caller("1", "readers")).unwrap();
    assert_eq!(reader.get_secret(&x()).await.unwrap(), None);
    let error = service.get_secret(&x()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:#}");
    // Who may do everything gives nothing of it to a caller.
    let nobody = admin(&server).as_caller(&caller("1", "choir")).unwrap();
    let error = nobody.get_secret(&x()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:#}");
}

#[tokio::test]
async fn nobody_changes_from_one_caller_to_another() {
    let server = fake::Kubernetes::start().await;
    let first = service(&server).as_caller(&caller("1", "readers")).unwrap();
    let set = config(&server, "token").with_impersonation(Impersonation::user("jane"));
    for plugin in [first, Kubernetes::new(set).unwrap()] {
        let error = plugin.as_caller(&caller("2", "writers")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.context("impersonate").is_some(), "{error}");
    }
}

#[tokio::test]
async fn nothing_is_asked_for_a_caller_whose_context_has_ended() {
    let server = fake::Kubernetes::start().await;
    let ended = caller_until("1", "readers", SystemTime::now() - Duration::from_secs(1));
    let plugin = admin(&server).as_caller(&ended).unwrap();
    let before = server.requests();
    let expired = ErrorKind::TokenRejected(TokenFault::Expired);
    assert_eq!(plugin.get_secret(&x()).await.unwrap_err().kind(), expired);
    assert_eq!(plugin.watch_secret(&x()).await.unwrap_err().kind(), expired);
    assert_eq!(server.requests(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_the_callers_context() {
    let server = fake::Kubernetes::start().await;
    server.grant(Rule::secrets("oidc:readers", "default", &["list", "watch"]));
    let soon = SystemTime::now() + Duration::from_secs(2);
    let reader = service(&server).as_caller(&caller_until("1", "readers", soon)).unwrap();
    let mut stream = reader.watch_secret(&x()).await.unwrap();
    assert_eq!(next(&mut stream).await.unwrap().unwrap(), SecretEvent::Absent);
    let error = next(&mut stream).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TokenRejected(TokenFault::Expired), "{error:#}");
    assert!(SystemTime::now() >= soon);
}

/// Both follow one Secret, and one of them loses the right to.
#[tokio::test(flavor = "multi_thread")]
async fn no_caller_follows_a_secret_by_anothers_right() {
    let server = fake::Kubernetes::start().await;
    for group in ["oidc:readers", "oidc:writers"] {
        server.grant(Rule::secrets(group, "default", &["list", "watch"]));
    }
    let service = service(&server);
    let keeps = service.as_caller(&caller("1", "readers")).unwrap();
    let loses = service.as_caller(&caller("2", "writers")).unwrap();
    let mut kept = keeps.watch_secret(&x()).await.unwrap();
    let mut lost = loses.watch_secret(&x()).await.unwrap();
    for stream in [&mut kept, &mut lost] {
        assert_eq!(next(stream).await.unwrap().unwrap(), SecretEvent::Absent);
    }
    server.revoke_grants("oidc:writers");
    server.break_off_watches();
    server.write("default", "x", &[("value", b"v")], "hand");
    let seen = next(&mut kept).await.unwrap().unwrap();
    assert!(matches!(seen, SecretEvent::Present(_)), "{seen:?}");
    let error = next(&mut lost).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn to_close_for_one_caller_ends_no_others_watch() {
    let server = fake::Kubernetes::start().await;
    server.grant(Rule::secrets("oidc:readers", "default", &["list", "watch"]));
    let service = service(&server);
    let first = service.as_caller(&caller("1", "readers")).unwrap();
    let second = service.as_caller(&caller("2", "readers")).unwrap();
    let mut ends = first.watch_secret(&x()).await.unwrap();
    let mut goes_on = second.watch_secret(&x()).await.unwrap();
    for stream in [&mut ends, &mut goes_on] {
        assert_eq!(next(stream).await.unwrap().unwrap(), SecretEvent::Absent);
    }
    first.close().await.unwrap();
    assert!(next(&mut ends).await.is_none());
    server.write("default", "x", &[("value", b"v")], "hand");
    let seen = next(&mut goes_on).await.unwrap().unwrap();
    assert!(matches!(seen, SecretEvent::Present(_)), "{seen:?}");
}

/// They share a connection, which carries so many streams.
#[tokio::test(flavor = "multi_thread")]
async fn the_watches_of_all_callers_together_have_a_limit() {
    let server = fake::Kubernetes::start().await;
    server.grant(Rule::secrets("oidc:readers", "default", &["list", "watch"]));
    let service = service(&server);
    let mut streams = Vec::new();
    for id in 0..100 {
        let caller = service.as_caller(&caller(&id.to_string(), "readers")).unwrap();
        streams.push(caller.watch_secret(&x()).await.unwrap());
    }
    let one_more = service.as_caller(&caller("100", "readers")).unwrap();
    let error = one_more.watch_secret(&x()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited, "{error:#}");
    streams.pop();
    assert!(one_more.watch_secret(&x()).await.is_ok());
}

#[test]
fn a_fixed_impersonation_can_be_made_of_a_caller() {
    let fixed = Impersonation::from(&caller("1", "readers"));
    assert_eq!(fixed, Impersonation::user("oidc:1").with_group("oidc:readers"));
}
