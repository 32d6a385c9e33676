//! What a server is set up to refuse, and what it cannot take (REQ 004-82).

use std::collections::BTreeMap;

use pipe_core::secrets::Change;
use pipe_core::{
    Error, ErrorKind, Namespace, Plugin, SecretData, SecretRef, SecretSource, SecretValue,
    SecretsPlugin,
};
use pipe_secrets_openbao::{AppRoleAuth, KeyChanges};
use serde_json::json;

use crate::server;
use crate::setup::{config, namespace, plugin, token};

fn db() -> SecretRef {
    SecretRef::new("apps/db").expect("legal")
}

fn data(key: &str, value: &str) -> SecretData {
    SecretData::new().with(key, value)
}

#[track_caller]
fn expect(error: &Error, kind: ErrorKind, hint: &str) {
    assert_eq!(error.kind(), kind, "{error:#}");
    assert_eq!(error.is_retryable(), kind.is_retryable(), "{error:#}");
    assert!(error.hint_text().contains(hint), "no `{hint}` in: {error:#}");
}

/// A mount may ask of every write what it is based on, of values and of notes.
#[tokio::test]
async fn check_and_set_can_be_asked_for() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let required = json!({ "cas_required": true, "metadata_cas_required": true });
    admin.write(&namespace, "secret/config", required).await;
    let bao = plugin(config(server.address(), &namespace, token(admin.root_token())));
    assert_eq!(bao.create_secret(&db(), data("a", "1")).await.unwrap().change, Change::Created);
    assert_eq!(bao.create_secret(&db(), data("a", "2")).await.unwrap().change, Change::Updated);
    let changes = KeyChanges::new().set("b", "3");
    bao.patch_secret(&db(), &changes).await.unwrap();
    let expected = data("a", "2").with("b", "3");
    assert_eq!(bao.get_secret(&db()).await.unwrap().unwrap().data, expected);
    for (key, value) in [("team", "one"), ("stage", "two"), ("team", "three")] {
        let notes = BTreeMap::from([(key.to_owned(), Some(value.to_owned()))]);
        bao.merge_metadata(&db(), &notes).await.unwrap();
    }
    let custom = bao.secret_metadata(&db()).await.unwrap().unwrap().custom;
    let custom: Vec<_> = custom.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(custom, [("stage", "two"), ("team", "three")]);
    assert!(bao.delete_secret(&db()).await.unwrap());
}

#[tokio::test]
async fn a_sealed_namespace_is_an_outage_of_its_own() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let seal = json!({ "seal": "seal \"shamir\" {\n shares = 1\n threshold = 1\n}" });
    admin.write(&namespace, "sys/namespaces/vault", seal).await;
    let bao = plugin(config(server.address(), &namespace, token(admin.root_token())));
    let below = db().with_namespace(Namespace::new("vault").unwrap());
    let error = bao.get_secret(&below).await.unwrap_err();
    expect(&error, ErrorKind::Unavailable, "unseal the namespace");
    assert_eq!(bao.get_secret(&db()).await.unwrap(), None, "the others go on");
}

#[tokio::test]
async fn more_than_the_server_takes() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    admin.write(&namespace, "sys/mounts/transit", json!({ "type": "transit" })).await;
    admin.write(&namespace, "transit/keys/k", json!({})).await;
    let bao = plugin(config(server.address(), &namespace, token(admin.root_token())));
    bao.create_secret(&db(), data("a", "1")).await.unwrap();
    let many = (0..1100).fold(KeyChanges::new(), |changes, key| changes.remove(format!("k{key}")));
    let error = bao.patch_secret(&db(), &many).await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "max_request_json_strings");
    let large = SecretValue::from(vec![7; 26 << 20]);
    let error = bao.cipher("transit", "k").unwrap().encrypt(&large).await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "max_request_size");
    assert_eq!(bao.get_secret(&db()).await.unwrap().unwrap().data, data("a", "1"));
    let error = bao.read_secret("secret/apps/db").await.unwrap_err();
    expect(&error, ErrorKind::ConfigInvalid, "data/");
}

/// Batch tokens can be neither renewed nor given back.
#[tokio::test]
async fn a_batch_token_does_all_the_same() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let role = json!({ "token_policies": ["bot"], "token_ttl": "2s", "token_type": "batch" });
    let (role_id, secret_id) = admin.approle(&namespace, "batch", role).await;
    let value = |text: String| SecretSource::Value(text.into());
    let auth = AppRoleAuth::new(value(role_id), value(secret_id));
    let bao = plugin(config(server.address(), &namespace, auth));
    let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while std::time::Instant::now() < end {
        assert_eq!(bao.get_secret(&db()).await.unwrap(), None);
    }
    bao.close().await.unwrap();
}
