//! Requests that log themselves in: nothing is stored, and nothing has to be given back.

use std::time::Duration;

use futures_util::future::join_all;
use pipe_core::{
    Error, ErrorKind, Health, Plugin, SecretData, SecretRef, SecretSource, SecretsPlugin,
};
use pipe_secrets_openbao::{JwtAuth, OpenBaoConfig, UserpassAuth};
use pipe_testkit::fake::service_account_jwt;

use crate::admin::Admin;
use crate::server;
use crate::setup::{Pod, config, namespace, plugin};

fn db() -> SecretRef {
    SecretRef::new("apps/db").expect("legal")
}

fn by_password(address: &str, namespace: &str, password: &str) -> OpenBaoConfig {
    let auth = UserpassAuth::new("bot", SecretSource::Value(password.into()));
    config(address, namespace, auth).with_inline_auth().with_kv_version(2)
}

async fn user(admin: &Admin, namespace: &str) {
    admin.user(namespace, "bot", "hunter2").await;
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
    user(admin, &namespace).await;
    let bao = plugin(by_password(server.address(), &namespace, "hunter2"));
    let data = SecretData::new().with("password", "x");
    bao.create_secret(&db(), data.clone()).await.unwrap();
    let secret = db();
    for read in join_all((0..100).map(|_| bao.get_secret(&secret))).await {
        assert_eq!(read.unwrap().unwrap().data, data);
    }
    assert_eq!(bao.health().await, Health::healthy());
    assert_eq!(admin.token_accessors(&namespace).await, 0);
    bao.close().await.unwrap();
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

/// A hundred wrong passwords at once would lock the user out.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_sent_once() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    user(admin, &namespace).await;
    let wrong = plugin(by_password(server.address(), &namespace, "hunter3"));
    let secret = db();
    for read in join_all((0..100).map(|_| wrong.get_secret(&secret))).await {
        let error = read.unwrap_err();
        expect(&error, ErrorKind::Unauthenticated, "auth.password");
        assert_eq!(error.context("auth"), Some("userpass"), "{error:#}");
        assert!(!format!("{error:?}").contains("hunter3"), "{error:?}");
    }
    let right = plugin(by_password(server.address(), &namespace, "hunter2"));
    assert_eq!(right.get_secret(&db()).await.unwrap(), None, "the user is locked out");
}

#[tokio::test]
async fn refusals() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    user(admin, &namespace).await;
    // A mount that is not there, and one that is not granted.
    let pod = Pod::start(admin, &namespace).await;
    let nowhere = pod.auth().with_mount("nosuch");
    let config =
        config(server.address(), &namespace, nowhere).with_inline_auth().with_kv_version(2);
    let error = plugin(config).get_secret(&db()).await.unwrap_err();
    expect(&error, ErrorKind::Unauthenticated, "auth.mount");
    let bao = plugin(by_password(server.address(), &namespace, "hunter2"));
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

    let by_token = crate::setup::token("s.x");
    let config = crate::setup::config(server.address(), &namespace, by_token)
        .with_inline_auth()
        .with_kv_version(2);
    let error = pipe_secrets_openbao::OpenBao::new(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error:#}");
    assert!(error.to_string().contains("inline_auth"), "{error:#}");
}
