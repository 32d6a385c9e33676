//! Answers that wait at the server behind a token which can be used once.

use std::time::Duration;

use pipe_core::{Error, ErrorKind, SecretData, SecretRef, SecretValue, SecretsPlugin};
use pipe_secrets_openbao::{OpenBao, Unwrapped};
use serde_json::json;

use crate::admin::Admin;
use crate::server;
use crate::setup::{config, namespace, plugin, token};

const MINUTE: Duration = Duration::from_secs(60);
const WRAP: &str = "sys/wrapping/wrap";
/// Beyond what `default` grants.
const REWRAP: &str = r#"path "sys/wrapping/rewrap" { capabilities = ["update"] }"#;

async fn bot(more: &str) -> Option<(&'static Admin, String, OpenBao)> {
    let server = server::shared().await?;
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    admin.policy(&namespace, "more", more).await;
    let made = admin.token(&namespace, &["bot", "more"], "10m", json!({})).await;
    let bao = plugin(config(server.address(), &namespace, token(made)));
    Some((admin, namespace, bao))
}

#[track_caller]
fn expect(error: &Error, kind: ErrorKind, hint: &str) {
    assert_eq!(error.kind(), kind, "{error:#}");
    assert!(error.hint_text().contains(hint), "no `{hint}` in: {error:#}");
}

#[tokio::test]
async fn what_was_wrapped_is_unwrapped_once() {
    let Some((_, _, bao)) = bot(REWRAP).await else { return };
    let wrapping = bao.wrapping();
    let data = SecretData::new().with("password", "hunter2").with("binary", vec![0xff, 0]);
    let wrapped = wrapping.wrap(&data, Duration::from_secs(77)).await.unwrap();
    assert_eq!(wrapped.info.ttl, Duration::from_secs(77));
    assert!(!format!("{wrapped:?}").contains(wrapped.token.expose_str().unwrap()));
    assert_eq!(wrapping.lookup(&wrapped.token).await.unwrap(), wrapped.info);

    let held = wrapping.unwrap(&wrapped.token, WRAP).await.unwrap();
    assert!(!format!("{held:?}").contains("hunter2"));
    let Unwrapped::Data(held) = held else { panic!("data was wrapped") };
    assert!(held == data);
    for error in [
        wrapping.unwrap(&wrapped.token, WRAP).await.unwrap_err(),
        wrapping.lookup(&wrapped.token).await.unwrap_err(),
        wrapping.rewrap(&wrapped.token).await.unwrap_err(),
        wrapping.unwrap(&SecretValue::from("s.bogus"), WRAP).await.unwrap_err(),
    ] {
        expect(&error, ErrorKind::NotFound, "intercepted");
        assert!(!error.is_retryable(), "{error:#}");
    }
}

/// Whoever takes a token can put one of his own in its place; it was made at another path.
#[tokio::test]
async fn a_token_that_was_made_elsewhere_stays_closed() {
    let make = r#"path "auth/approle/role/bots/secret-id" { capabilities = ["update"] }"#;
    let Some((admin, namespace, bao)) = bot(&format!("{REWRAP}\n{make}")).await else { return };
    admin.approle(&namespace, "bots", json!({})).await;
    let wrapping = bao.wrapping();
    let path = "auth/approle/role/bots/secret-id";
    let forged = wrapping.wrap(&SecretData::new().with("secret_id", "x"), MINUTE).await.unwrap();
    let error = wrapping.unwrap(&forged.token, path).await.unwrap_err();
    expect(&error, ErrorKind::PermissionDenied, "do not open it");
    assert_eq!(wrapping.lookup(&forged.token).await.unwrap().creation_path, WRAP);

    let wrapped = wrapping.wrap_write(path, &SecretData::new(), MINUTE).await.unwrap();
    let again = wrapping.rewrap(&wrapped.token).await.unwrap();
    let error = wrapping.unwrap(&wrapped.token, path).await.unwrap_err();
    expect(&error, ErrorKind::NotFound, "intercepted");
    let Unwrapped::Data(held) = wrapping.unwrap(&again.token, path).await.unwrap() else {
        panic!("a secret id is data")
    };
    assert!(held.get("secret_id").is_some_and(|id| id.len() > 20));
}

#[tokio::test]
async fn a_wrapped_read_does_not_pass_through_here() {
    let Some((_, _, bao)) = bot(REWRAP).await else { return };
    let data = SecretData::new().with("password", "hunter2");
    bao.create_secret(&SecretRef::new("apps/db").unwrap(), data).await.unwrap();
    let wrapping = bao.wrapping();
    let wrapped = wrapping.wrap_read("secret/data/apps/db", MINUTE).await.unwrap();
    let held = wrapping.unwrap(&wrapped.token, "secret/data/apps/db").await.unwrap();
    let Unwrapped::Data(held) = held else { panic!("a secret is data") };
    let inner = held.get("data").and_then(SecretValue::expose_str).unwrap();
    assert_eq!(inner, r#"{"password":"hunter2"}"#);
    let error = wrapping.wrap_read("secret/data/absent", MINUTE).await.unwrap_err();
    expect(&error, ErrorKind::NotFound, "check the path");
}

#[tokio::test]
async fn a_wrapped_token_is_a_token() {
    let create = r#"path "auth/token/create" { capabilities = ["create", "update"] }"#;
    let Some((admin, namespace, bao)) = bot(create).await else { return };
    let wrapping = bao.wrapping();
    let data = SecretData::new().with("ttl", "2m");
    let wrapped = wrapping.wrap_write("auth/token/create", &data, MINUTE).await.unwrap();
    let before = admin.token_accessors(&namespace).await;
    let held = wrapping.unwrap(&wrapped.token, "auth/token/create").await.unwrap();
    let Unwrapped::Token { token, lifetime, renewable } = held else { panic!("a token") };
    assert_eq!((lifetime, renewable), (Some(Duration::from_secs(120)), true));
    assert!(token.expose_str().is_some_and(|token| token.starts_with("s.")));
    assert_eq!(admin.token_accessors(&namespace).await, before - 1, "only the wrapping is gone");
}

#[tokio::test]
async fn refusals() {
    let Some((_, _, bao)) = bot(r#"path "sys/wrapping/wrap" { capabilities = ["deny"] }"#).await
    else {
        return;
    };
    let wrapping = bao.wrapping();
    let data = SecretData::new().with("a", "b");
    let error = wrapping.wrap(&data, Duration::from_millis(900)).await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "a second or more");
    let error = wrapping.wrap(&data, MINUTE).await.unwrap_err();
    expect(&error, ErrorKind::PermissionDenied, "grant `update` on \"sys/wrapping/wrap\"");
    let error = wrapping.wrap_read("secret/../x", MINUTE).await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "`..`");
    let error = wrapping.lookup(&SecretValue::from("s.line\nbreak")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error:#}");
}

/// The path of a token is one in its namespace, and the root namespace has the same paths.
#[tokio::test]
async fn a_token_of_the_root_namespace_stays_closed() {
    let Some((_, _, bao)) = bot(REWRAP).await else { return };
    let server = server::shared().await.expect("it is there");
    let root = pipe_secrets_openbao::OpenBaoConfig::new(
        server.address(),
        token(server.admin().root_token()),
    );
    let root = plugin(root).wrapping();
    let data = SecretData::new().with("a", "b");
    let foreign = root.wrap(&data, MINUTE).await.unwrap();
    let error = bao.wrapping().unwrap(&foreign.token, WRAP).await.unwrap_err();
    expect(&error, ErrorKind::PermissionDenied, "do not open it");
    let ours = bao.wrapping().wrap(&data, MINUTE).await.unwrap();
    let error = root.unwrap(&ours.token, WRAP).await.unwrap_err();
    assert!(error.kind() != ErrorKind::Unexpected, "{error:#}");
    assert!(root.unwrap(&foreign.token, WRAP).await.is_ok());
}

/// Its refusal reads like that of our own token, which is good.
#[tokio::test]
async fn a_login_that_is_refused_does_not_cost_our_own() {
    let Some((admin, namespace, bao)) = bot(REWRAP).await else { return };
    admin.user(&namespace, "bot", "hunter2").await;
    let wrapping = bao.wrapping();
    let login = |password: &str| SecretData::new().with("password", password);
    let path = "auth/userpass/login/bot";
    let wrapped = wrapping.wrap_write(path, &login("hunter2"), MINUTE).await.unwrap();
    assert!(matches!(wrapping.unwrap(&wrapped.token, path).await, Ok(Unwrapped::Token { .. })));
    for _ in 0..8 {
        let error = wrapping.wrap_write(path, &login("wrong"), MINUTE).await.unwrap_err();
        assert!(!error.is_retryable(), "{error:#}");
        assert_eq!(bao.get_secret(&SecretRef::new("absent").unwrap()).await.unwrap(), None);
    }
    let nothing = SecretData::new().with("max_versions", "5");
    let error = wrapping.wrap_write("secret/metadata/x", &nothing, MINUTE).await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "wrap what is answered");
}
