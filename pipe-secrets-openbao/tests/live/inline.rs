//! Requests that log themselves in: nothing is stored, and nothing has to be given back.

use std::time::Duration;

use futures_util::future::join_all;
use pipe_core::{
    Error, ErrorKind, Health, Plugin, SecretData, SecretRef, SecretSource, SecretsPlugin,
};
use pipe_secrets_openbao::{AppRoleAuth, JwtAuth, OpenBao, OpenBaoConfig, UserpassAuth};
use pipe_testkit::fake::service_account_jwt;
use serde_json::json;

use crate::admin::Admin;
use crate::server;
use crate::setup::{Pod, config, namespace, plugin};

fn db() -> SecretRef {
    SecretRef::new("apps/db").expect("legal")
}

/// With an AppRole, which it makes.
async fn by_approle(admin: &Admin, address: &str, namespace: &str) -> OpenBaoConfig {
    let (role_id, secret_id) =
        admin.approle(namespace, "bots", json!({ "token_policies": ["bot"] })).await;
    let value = |text: String| SecretSource::Value(text.into());
    let auth = AppRoleAuth::new(value(role_id), value(secret_id));
    config(address, namespace, auth).with_inline_auth().with_kv_version(2)
}

#[track_caller]
fn expect(error: &Error, kind: ErrorKind, hint: &str) {
    assert_eq!(error.kind(), kind, "{error:#}");
    assert!(error.hint_text().contains(hint), "no `{hint}` in: {error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_stored() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let bao = plugin(by_approle(admin, server.address(), &namespace).await);
    let data = SecretData::new().with("password", "x");
    bao.create_secret(&db(), data.clone()).await.unwrap();
    let secret = db();
    for read in join_all((0..100).map(|_| bao.get_secret(&secret))).await {
        assert_eq!(read.unwrap().unwrap().data, data);
    }
    assert_eq!(bao.health().await, Health::healthy());
    assert_eq!(admin.token_accessors(&namespace).await, 0);
    bao.close().await.unwrap();
    let error = bao.get_secret(&db()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "closed is closed: {error:#}");
}

/// The pod's token is read anew for each request, so one that was replaced is used at once.
#[tokio::test]
async fn the_credentials_of_a_pod_go_with_each_request() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let pod = Pod::start(admin, &namespace).await;
    let bao = plugin(
        config(server.address(), &namespace, pod.auth()).with_inline_auth().with_kv_version(2),
    );
    assert_eq!(bao.get_secret(&db()).await.unwrap(), None);
    assert_eq!(bao.get_secret(&db()).await.unwrap(), None);
    assert!(pod.review.reviews() >= 2, "each request is a login");
    assert_eq!(admin.token_accessors(&namespace).await, 0);

    pod.write_token(&service_account_jwt("sales", "other", "openbao", Duration::from_secs(600)));
    let error = bao.get_secret(&db()).await.unwrap_err();
    expect(&error, ErrorKind::Unauthenticated, "bound_service_account_names");
    assert_eq!(error.context("auth"), Some("kubernetes"), "{error:#}");
}

#[tokio::test]
async fn refusals() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    // A mount that is not there, and one that is not granted.
    let pod = Pod::start(admin, &namespace).await;
    let nowhere = pod.auth().with_mount("nosuch");
    let config =
        config(server.address(), &namespace, nowhere).with_inline_auth().with_kv_version(2);
    let error = plugin(config).get_secret(&db()).await.unwrap_err();
    expect(&error, ErrorKind::Unauthenticated, "auth.mount");
    let bao = plugin(by_approle(admin, server.address(), &namespace).await);
    let error = bao.read_secret("other/x").await.unwrap_err();
    expect(&error, ErrorKind::PermissionDenied, "grant");
    // A lease belongs to a token, and there is none.
    let error = bao.leases().open("database/creds/app").await.unwrap_err();
    expect(&error, ErrorKind::Unsupported, "inline_auth");
    let jwt = JwtAuth::new("bots", SecretSource::Value("x".into()));
    admin.enable_auth(&namespace, "jwt").await;
    let config = crate::setup::config(server.address(), &namespace, jwt)
        .with_inline_auth()
        .with_kv_version(2);
    let error = plugin(config).get_secret(&db()).await.unwrap_err();
    assert_eq!(error.context("auth"), Some("jwt"), "{error:#}");

    // A token needs no login, and a password that is wrong locks the user out within seconds.
    let password = UserpassAuth::new("bot", SecretSource::Value("x".into()));
    for auth in [crate::setup::token("s.x"), password.into()] {
        let config = crate::setup::config(server.address(), &namespace, auth);
        let config = config.with_inline_auth().with_kv_version(2);
        let error = OpenBao::new(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error:#}");
        assert!(error.to_string().contains("inline_auth"), "{error:#}");
    }
}
