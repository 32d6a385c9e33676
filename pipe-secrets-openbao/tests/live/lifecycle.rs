//! The token: shared, renewed, replaced, given back (REQ 000-02, 000-03).

use std::time::Duration;

use futures_util::future::join_all;
use pipe_core::{ErrorKind, Plugin, SecretData, SecretRef, SecretSource, SecretsPlugin};
use pipe_secrets_openbao::AppRoleAuth;
use pipe_testkit::fake::service_account_jwt;
use serde_json::json;

use crate::server;
use crate::setup::{ALL, Pod, config, namespace, plugin, token};

fn secret(name: &str) -> SecretRef {
    SecretRef::new(name).expect("legal")
}

fn data(value: &str) -> SecretData {
    SecretData::new().with("value", value)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_first_calls_are_one_login() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let pod = Pod::start(admin, &namespace).await;
    let plugin = plugin(config(server.address(), &namespace, pod.auth()));
    let secret = secret("absent");
    for read in join_all((0..100).map(|_| plugin.get_secret(&secret))).await {
        assert_eq!(read.unwrap(), None);
    }
    assert_eq!(pod.review.reviews(), 1);
    assert_eq!(admin.token_accessors(&namespace).await, 1);
    plugin.close().await.unwrap();
    assert_eq!(admin.token_accessors(&namespace).await, 0, "the token is still there");
}

#[tokio::test]
async fn a_revoked_token_is_replaced_without_the_caller_noticing() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let pod = Pod::start(admin, &namespace).await;
    let plugin = plugin(config(server.address(), &namespace, pod.auth()));
    plugin.create_secret(&secret("kept"), data("x")).await.unwrap();
    admin.write(&namespace, "sys/leases/revoke-prefix/auth/kubernetes/login", json!({})).await;
    assert_eq!(admin.token_accessors(&namespace).await, 0);
    let found = plugin.get_secret(&secret("kept")).await.unwrap();
    assert_eq!(found.unwrap().data, data("x"));
    assert_eq!(pod.review.reviews(), 2);
}

/// The life of the token is a few seconds, and the reads go on for three of them.
#[tokio::test(flavor = "multi_thread")]
async fn short_lived_tokens_are_renewed_and_replaced_without_a_failed_read() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let role = json!({ "token_policies": ["bot"], "token_ttl": "2s", "token_max_ttl": "4s" });
    let (role_id, secret_id) = admin.approle(&namespace, "short", role).await;
    let auth = AppRoleAuth::new(
        SecretSource::Value(role_id.into()),
        SecretSource::Value(secret_id.into()),
    );
    let plugin = plugin(config(server.address(), &namespace, auth));
    plugin.create_secret(&secret("kept"), data("x")).await.unwrap();
    let end = tokio::time::Instant::now() + Duration::from_secs(12);
    while tokio::time::Instant::now() < end {
        let found = plugin.get_secret(&secret("kept")).await.unwrap();
        assert_eq!(found.unwrap().data, data("x"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    plugin.close().await.unwrap();
}

/// A pod's token is replaced under our feet; each login reads it anew.
#[tokio::test]
async fn each_login_reads_the_service_account_token_anew() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let pod = Pod::start(admin, &namespace).await;
    pod.write_token("not a token\n");
    let plugin = plugin(config(server.address(), &namespace, pod.auth()));
    let error = plugin.get_secret(&secret("absent")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
    let jwt = service_account_jwt("sales", "bot", "openbao", Duration::from_secs(600));
    pod.write_token(&format!("{jwt}\n"));
    // A failed login is not repeated within the second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(plugin.get_secret(&secret("absent")).await.unwrap(), None);
}

#[tokio::test]
async fn a_token_file_is_read_again_when_its_token_is_refused() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let file = std::env::temp_dir().join(format!("pipe-live-{}-token", std::process::id()));
    let first = admin.token(&namespace, &["bot"], "10m", json!({})).await;
    std::fs::write(&file, format!("{first}\n")).unwrap();
    let auth = pipe_secrets_openbao::Auth::token(SecretSource::file(&file));
    let plugin = plugin(config(server.address(), &namespace, auth));
    assert_eq!(plugin.get_secret(&secret("absent")).await.unwrap(), None);
    let second = admin.token(&namespace, &["bot"], "10m", json!({})).await;
    std::fs::write(&file, second).unwrap();
    admin.revoke(&first).await;
    assert_eq!(plugin.get_secret(&secret("absent")).await.unwrap(), None);
    plugin.close().await.unwrap();
    assert_eq!(admin.token_accessors(&namespace).await, 1, "a token of somebody else was revoked");
    std::fs::remove_file(&file).unwrap();
}

/// A role gets a policy while the bot runs: one login later it may.
#[tokio::test]
async fn a_denial_is_reconsidered_with_a_new_login() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let pod = Pod::start(admin, &namespace).await;
    let role = |policies: &[&str]| {
        json!({
            "bound_service_account_names": ["bot"],
            "bound_service_account_namespaces": ["sales"],
            "token_policies": policies,
            "token_ttl": "10m",
        })
    };
    admin.kubernetes_role(&namespace, "bots", role(&[])).await;
    let plugin = plugin(config(server.address(), &namespace, pod.auth()));
    assert!(plugin.health().await.is_serving());
    admin.kubernetes_role(&namespace, "bots", role(&["bot"])).await;
    assert_eq!(plugin.get_secret(&secret("absent")).await.unwrap(), None);
    assert_eq!(pod.review.reviews(), 2);
}

/// Denials that last do not become logins that last (one a minute at most).
#[tokio::test]
async fn lasting_denials_are_not_a_flood_of_logins() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let pod = Pod::start(admin, &namespace).await;
    admin.policy(&namespace, "bot", &ALL.replace("\"read\", ", "")).await;
    let plugin = plugin(config(server.address(), &namespace, pod.auth()));
    for _ in 0..50 {
        let error = plugin.get_secret(&secret("denied")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    }
    assert_eq!(pod.review.reviews(), 2);
}

#[tokio::test]
async fn a_namespace_and_a_raw_path_and_a_version_are_read() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let made = admin.token(&namespace, &["bot"], "10m", json!({})).await;
    let plugin = plugin(config(server.address(), &namespace, token(made)));
    plugin.create_secret(&secret("apps/db"), data("one")).await.unwrap();
    plugin.create_secret(&secret("apps/db"), data("two")).await.unwrap();
    let read = plugin.read_secret("secret/data/apps/db").await.unwrap().unwrap();
    assert_eq!((read.secret.data, read.lease), (data("two"), None));
    assert_eq!(read.secret.version.map(|v| v.number()), Some(2));
    assert!(plugin.read_secret("secret/data/apps/none").await.unwrap().is_none());
    let error = plugin.read_secret("secret/data/../../sys").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

/// What others stored, as they stored it.
#[tokio::test]
async fn secrets_that_others_wrote_are_read() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let made = admin.token(&namespace, &["bot"], "10m", json!({})).await;
    let plugin = plugin(config(server.address(), &namespace, token(made)));
    let stored = json!({ "data": { "text": "x", "number": 12, "list": [1, "a"], "none": null } });
    admin.write(&namespace, "secret/data/others", stored).await;
    let read = plugin.get_secret(&secret("others")).await.unwrap().unwrap().data;
    let expected = SecretData::new()
        .with("text", "x")
        .with("number", "12")
        .with("list", r#"[1,"a"]"#)
        .with("none", "null");
    assert_eq!(read, expected);
    admin.write(&namespace, "secret/data/nothing", json!({ "data": null })).await;
    let read = plugin.get_secret(&secret("nothing")).await.unwrap().unwrap();
    assert!(read.data.is_empty(), "a secret without data is a secret");
}

/// Without `detailed-metadata` in its policy a bot lists as well.
#[tokio::test]
async fn a_list_needs_no_more_than_list_and_read_on_metadata() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let few = r#"
        path "secret/data/*"     { capabilities = ["create", "read", "update", "delete"] }
        path "secret/metadata/*" { capabilities = ["list", "read"] }
    "#;
    admin.policy(&namespace, "few", few).await;
    let made = admin.token(&namespace, &["few"], "10m", json!({})).await;
    let plugin = plugin(config(server.address(), &namespace, token(made)));
    for name in ["b", "a/x", "a/y", "gone"] {
        plugin.create_secret(&secret(name), data("x")).await.unwrap();
    }
    plugin.delete_secret(&secret("gone")).await.unwrap();
    let listed = plugin.list_secrets(&pipe_core::secrets::ListQuery::new()).await.unwrap();
    assert_eq!(listed, [secret("a/x"), secret("a/y"), secret("b")]);
}

/// A policy can cut every page, and the server does not say so.
#[tokio::test]
async fn a_list_is_complete_although_a_policy_cuts_its_pages() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let cut = r#"
        path "secret/data/*" { capabilities = ["create", "read", "update"] }
        path "secret/detailed-metadata/*" { capabilities = ["list"] pagination_limit = 3 }
    "#;
    admin.policy(&namespace, "cut", cut).await;
    let made = admin.token(&namespace, &["cut"], "10m", json!({})).await;
    let plugin = plugin(config(server.address(), &namespace, token(made)));
    for number in 0..10 {
        plugin.create_secret(&secret(&format!("s{number}")), data("x")).await.unwrap();
    }
    let listed = plugin.list_secrets(&pipe_core::secrets::ListQuery::new()).await.unwrap();
    assert_eq!(listed.len(), 10, "{listed:?}");
}
