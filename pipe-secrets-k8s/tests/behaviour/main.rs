//! What the suite cannot know of Kubernetes, offline, on a fake API server.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod callers;
mod cases;
mod faults;
mod setup;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use pipe_core::identity::{AuthMethod, ServiceAuthRequest};
use pipe_core::pod::{EnvInjection, SecretMount};
use pipe_core::secrets::ListQuery;
use pipe_core::{
    ErrorKind, HealthStatus, Namespace, Plugin, SecretRef, SecretSource, SecretsPlugin,
};
use pipe_secrets_k8s::{
    Connection, Impersonation, Kubernetes, KubernetesIdentity, SecretOptions, Verb,
};
use pipe_testkit::fake::{self, Rule};

use self::cases::data;
use self::setup::{admin, config, of};

macro_rules! on_the_fake {
    ($($case:ident($($plugin:ident),*);)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $case() {
            let server = fake::Kubernetes::start().await;
            on_the_fake!(@let server $($plugin)*);
            cases::$case($(on_the_fake!(@pass $plugin)),*).await;
        }
    )*};
    (@let $server:ident $($plugin:ident)*) => {$(
        let $plugin = setup::$plugin(&$server);
    )*};
    (@pass $plugin:ident) => { &$plugin };
}

on_the_fake! {
    a_key_of_another_manager_is_a_conflict_that_names_both(admin, rival);
    a_create_only_write_meets_what_is_there(admin);
    a_replacement_needs_the_state_that_was_read(admin);
    eight_writers_lose_no_update(admin, several);
    an_immutable_secret_is_a_conflict_with_a_hint(admin);
    labels_annotations_and_type_survive_a_write_of_data(admin);
    followers_share_a_watch_and_see_the_end(admin);
    everything_is_granted(admin);
    what_cannot_be_minted_is_told_apart(admin);
}

#[tokio::test]
async fn a_minted_token_is_known_to_the_review() {
    let server = fake::Kubernetes::start().await;
    let identity = KubernetesIdentity::new(config(&server, &server.admin_token())).unwrap();
    cases::a_minted_token_is_known_to_the_review(&admin(&server), &identity, "default").await;
}

/// A Secret that kubectl made belongs to kubectl: its keys are not overwritten.
#[tokio::test]
async fn a_key_written_without_apply_is_owned_too() {
    let server = fake::Kubernetes::start().await;
    let plugin = admin(&server);
    server.write("default", "by-hand", &[("value", b"theirs")], "kubectl-create");
    let at = SecretRef::new("by-hand").unwrap();
    let error = plugin.create_secret(&at, data("ours")).await.unwrap_err();
    assert_eq!(error.context("manager"), Some("kubectl-create"), "{error}");
    assert_eq!(plugin.get_secret(&at).await.unwrap().unwrap().data, data("theirs"));
    // Ours, changed by hand, is the hand's.
    let at = SecretRef::new("ours").unwrap();
    plugin.create_secret(&at, data("one")).await.unwrap();
    server.write("default", "ours", &[("value", b"hand")], "hand");
    let error = plugin.create_secret(&at, data("two")).await.unwrap_err();
    assert_eq!(error.context("manager"), Some("hand"), "{error}");
}

/// REQ 002-49
#[tokio::test]
async fn impersonation_sends_user_and_groups_and_needs_the_right_to() {
    let server = fake::Kubernetes::start().await;
    let bot = server.create_user("bot", &[]);
    let as_jane =
        config(&server, &bot).with_impersonation(Impersonation::user("jane").with_group("dev"));
    let plugin = Kubernetes::new(as_jane).unwrap();
    let at = SecretRef::new("x").unwrap();
    let error = plugin.get_secret(&at).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:#}");
    server.grant(Rule::everywhere("bot", "users", &["impersonate"]).only(&["jane"]));
    let error = plugin.get_secret(&at).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "the group needs it too: {error:#}");
    server.grant(Rule::everywhere("bot", "groups", &["impersonate"]).only(&["dev"]));
    server.grant(Rule::secrets("dev", "default", &["get"]));
    assert_eq!(plugin.get_secret(&at).await.unwrap(), None);
    assert_eq!(server.last_impersonated().as_deref(), Some("jane"));
}

/// REQ 002-45: the server refuses the token that was read, and the file has another one by now.
#[tokio::test]
async fn a_rotated_token_is_taken_within_the_call() {
    let server = fake::Kubernetes::start().await;
    server.grant(Rule::secrets("bot", "default", &["*"]));
    let file = std::env::temp_dir().join(format!("pipe-k8s-rotated-{}", std::process::id()));
    let first = server.create_user("bot", &[]);
    std::fs::write(&file, &first).unwrap();
    let connection = Connection::cluster(server.address(), SecretSource::file(&file));
    let plugin = Kubernetes::new(of(connection)).unwrap();
    let at = SecretRef::new("x").unwrap();
    plugin.create_secret(&at, data("x")).await.unwrap();
    server.revoke(&first);
    let error = plugin.get_secret(&at).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:#}");
    std::fs::write(&file, server.create_user("bot", &[])).unwrap();
    assert_eq!(plugin.get_secret(&at).await.unwrap().unwrap().data, data("x"));
    std::fs::remove_file(&file).unwrap();
}

/// REQ 002-46: the bearer comes from an identity plugin.
#[tokio::test]
async fn an_identity_plugin_may_say_who_we_are() {
    let server = fake::Kubernetes::start().await;
    let identity = KubernetesIdentity::new(config(&server, &server.admin_token())).unwrap();
    server.grant(Rule::secrets("system:serviceaccounts:default", "default", &["get"]));
    let request = ServiceAuthRequest::new("default", AuthMethod::Jwt)
        .with_audience(fake::API_SERVER_AUDIENCE);
    let connection = Connection::cluster_without_token(server.address());
    let plugin = Kubernetes::with_identity(of(connection), Arc::new(identity), request).unwrap();
    for _ in 0..3 {
        assert_eq!(plugin.get_secret(&SecretRef::new("x").unwrap()).await.unwrap(), None);
    }
    assert_eq!(server.hits("/token"), 1, "one token serves all");
}

/// REQ 002-48: a Role for one name is enough for all that is done with it.
#[tokio::test]
async fn a_role_for_one_name_is_enough() {
    let server = fake::Kubernetes::start().await;
    let verbs = ["get", "list", "watch", "create", "patch", "delete"];
    let at = SecretRef::new("apps/db").unwrap();
    let object = Kubernetes::object_name(&at);
    server.grant(Rule::secrets("bot", "default", &verbs).only(&[&object]));
    let plugin = Kubernetes::new(config(&server, &server.create_user("bot", &[]))).unwrap();
    plugin.create_secret(&at, data("x")).await.unwrap();
    assert!(plugin.get_secret(&at).await.unwrap().is_some());
    let mut stream = plugin.watch_secret(&at).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    assert!(plugin.check_access_to(&at).await.unwrap().missing().next().is_none());
    assert!(plugin.delete_secret(&at).await.unwrap());
    let error = plugin.list_secrets(&ListQuery::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let hint = error.hint_text();
    assert!(hint.contains("verbs: [\"list\"]") && hint.contains("namespace default"), "{hint}");
}

#[tokio::test]
async fn a_write_that_may_not_create_says_so() {
    let server = fake::Kubernetes::start().await;
    server.grant(Rule::secrets("bot", "default", &["get", "patch"]));
    let plugin = Kubernetes::new(config(&server, &server.create_user("bot", &[]))).unwrap();
    let error = plugin.create_secret(&SecretRef::new("new").unwrap(), data("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.hint_text().contains("\"patch\", \"create\""), "{error}");
    server.write("default", "old", &[], "x");
    plugin.create_secret(&SecretRef::new("old").unwrap(), data("x")).await.unwrap();
}

/// REQ 002-50
#[tokio::test]
async fn health_says_which_verb_is_missing() {
    let server = fake::Kubernetes::start().await;
    let plugin = Kubernetes::new(config(&server, &server.create_user("bot", &[]))).unwrap();
    let health = plugin.health().await;
    assert_eq!(health.status, HealthStatus::Unhealthy, "{health:?}");
    server.grant(Rule::secrets("bot", "default", &["get", "list", "watch", "patch"]));
    let health = plugin.health().await;
    assert_eq!(health.status, HealthStatus::Degraded, "{health:?}");
    assert!(health.reason.ends_with("create, delete"), "{health:?}");
    assert!(health.hint.contains("verbs: [\"create\", \"delete\"]"), "{health:?}");
    let report = plugin.check_access(None).await.unwrap();
    assert!(report.require(&[Verb::Get, Verb::Watch]).is_ok());
    let error = report.require(&Verb::ALL).unwrap_err();
    assert_eq!(error.context("verbs"), Some("create,delete"), "{error}");
    server.grant(Rule::secrets("bot", "default", &["*"]));
    assert_eq!(plugin.health().await.status, HealthStatus::Healthy);
    let nobody = Kubernetes::new(config(&server, "bogus")).unwrap();
    assert_eq!(nobody.health().await.status, HealthStatus::Unhealthy);
}

/// A pod of the same namespace gets exactly what was stored.
#[tokio::test]
async fn a_fragment_names_the_secret_that_was_stored() {
    let server = fake::Kubernetes::start().await;
    server.create_namespace("team1");
    let plugin = admin(&server);
    let team = Namespace::new("team1").unwrap();
    for name in ["db", "apps/db", "Apps_DB"] {
        let at = SecretRef::new(name).unwrap().with_namespace(team.clone());
        plugin.create_secret(&at, data("x")).await.unwrap();
        let env = EnvInjection::new().with_env("X", at.clone(), "value");
        let named =
            plugin.inject_env_vars(&env).unwrap().env[0].value_from.secret_key_ref.name.clone();
        assert!(server.read("team1", &named).is_some(), "{named}");
        let mount = plugin.generate_secret_mounts(&SecretMount::volume(at)).unwrap();
        assert!(!mount.volumes.is_empty());
    }
    let listed = plugin.list_secrets(&ListQuery::new().with_namespace(team)).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|secret| secret.name.as_str()).collect();
    assert_eq!(listed, ["Apps_DB", "apps/db", "db"]);
    let elsewhere = SecretRef::new("x").unwrap().with_namespace(Namespace::new("team2").unwrap());
    let mixed = EnvInjection::new()
        .with_env("A", SecretRef::new("x").unwrap(), "k")
        .with_env("B", elsewhere, "k");
    let error = plugin.inject_env_vars(&mixed).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
}

/// What Kubernetes would refuse does not leave the house.
#[tokio::test]
async fn what_cannot_be_stored_is_refused_before_any_request() {
    let server = fake::Kubernetes::start().await;
    let plugin = admin(&server);
    let at = SecretRef::new("x").unwrap();
    let kind = async |data, options: SecretOptions| {
        plugin.apply_secret(&at, data, &options).await.unwrap_err().kind()
    };
    let plain = SecretOptions::new;
    for (data, options) in [
        (data("x"), plain().with_label("a b", "x")),
        (data("x"), plain().with_label("a", "-x")),
        (data("x"), plain().with_annotation("a/b/c", "x")),
        (data("x"), plain().with_annotation("pipe-secrets-k8s/name", "x")),
        (data("x"), plain().with_annotation("big", "x".repeat(256 << 10))),
        (data("x"), plain().with_type("kubernetes.io/tls")),
        (
            data("x").with(".dockerconfigjson", "{"),
            plain().with_type("kubernetes.io/dockerconfigjson"),
        ),
        (data("x"), plain().with_type("kubernetes.io/service-account-token")),
        (data("x"), plain().with_type("")),
        (data("x").with("a/b", ""), plain()),
        (data("x").with("big", vec![0; 1 << 20]), plain()),
    ] {
        assert_eq!(kind(data, options.clone()).await, ErrorKind::InvalidArgument, "{options:?}");
    }
    let team = at.clone().with_namespace(Namespace::new("team1/child").unwrap());
    assert_eq!(plugin.get_secret(&team).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn a_list_shows_no_value_to_the_wire_and_reads_on_after_a_compaction() {
    let server = fake::Kubernetes::start().await;
    let plugin = Kubernetes::new(config(&server, &server.admin_token()).with_page_size(3)).unwrap();
    for number in 0..10 {
        server.write("default", &format!("s{number}"), &[("k", b"v")], "x");
    }
    // The second page finds that its state is gone.
    server.inject(fake::ApiFault::Status(410, "Expired"), "continue=", 1);
    let listed = plugin.list_secrets(&ListQuery::new()).await.unwrap();
    assert_eq!(listed.len(), 10);
    // One for the first page, one for the 410, four for the list that came through.
    assert_eq!(server.requests(), 6);
    assert_eq!(server.hits("limit=3"), 6);
}

#[tokio::test]
async fn a_secret_with_a_finalizer_is_there_until_it_is_gone() {
    let server = fake::Kubernetes::start().await;
    let plugin = admin(&server);
    let at = SecretRef::new("held").unwrap();
    plugin.create_secret(&at, data("x")).await.unwrap();
    let before = plugin.get_secret(&at).await.unwrap().unwrap().version;
    server.advance(Duration::from_secs(60));
    assert!(plugin.delete_secret(&at).await.unwrap());
    let created = plugin.create_secret(&at, data("y")).await.unwrap();
    assert!(created.version > before, "versions never go back, not even over a delete");
}
