//! Following a secret, whose metadata are asked for now and then.

use std::time::Duration;

use pipe_core::secrets::{SecretEvent, SecretStream};
use pipe_core::{Plugin, SecretData, SecretRef, SecretsPlugin};
use serde_json::json;

use crate::server;
use crate::setup::{config, namespace, plugin, token};

const VALUES_ALONE: &str = r#"
path "secret/data/*" { capabilities = ["create", "read", "update", "delete"] }
"#;

async fn state(states: &mut SecretStream) -> SecretEvent {
    let next = tokio::time::timeout(Duration::from_secs(30), states.next()).await;
    next.expect("a state is shown").expect("the watch goes on").expect("it has no fault")
}

fn value(event: &SecretEvent) -> Option<&SecretData> {
    match event {
        SecretEvent::Present(secret) => Some(&secret.data),
        _ => None,
    }
}

/// With and without a policy that shows the metadata.
#[tokio::test]
async fn the_change_of_somebody_else_is_seen() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    admin.policy(&namespace, "values", VALUES_ALONE).await;
    for (policy, name) in [("bot", "one"), ("values", "two")] {
        let made = admin.token(&namespace, &[policy], "10m", json!({})).await;
        let bao = plugin(config(server.address(), &namespace, token(made)));
        let secret = SecretRef::new(name).unwrap();
        let mut states = bao.watch_secret(&secret).await.unwrap();
        assert_eq!(state(&mut states).await, SecretEvent::Absent);
        let path = format!("secret/data/{name}");
        for text in ["a", "b"] {
            let body = json!({ "data": { "value": text } });
            admin.write(&namespace, &path, body).await;
            let expected = SecretData::new().with("value", text);
            assert_eq!(value(&state(&mut states).await), Some(&expected), "{policy}");
        }
        // A delete leaves the number of the version as it was, and so does its undoing.
        admin.delete(&namespace, &path).await;
        assert_eq!(state(&mut states).await, SecretEvent::Absent, "{policy}");
        let undelete = format!("secret/undelete/{name}");
        admin.write(&namespace, &undelete, json!({ "versions": [2] })).await;
        let expected = SecretData::new().with("value", "b");
        assert_eq!(value(&state(&mut states).await), Some(&expected), "{policy}");
        // Removed for ever and made anew, it counts from one again.
        admin.delete(&namespace, &format!("secret/metadata/{name}")).await;
        for text in ["c", "d"] {
            admin.write(&namespace, &path, json!({ "data": { "value": text } })).await;
        }
        let expected = SecretData::new().with("value", "d");
        while value(&state(&mut states).await) != Some(&expected) {}
        bao.close().await.unwrap();
        assert!(states.next().await.is_none(), "a closed plugin ends its watches");
    }
}

#[tokio::test]
async fn an_old_version_is_not_followed() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let made = admin.token(&namespace, &["bot"], "10m", json!({})).await;
    let bao = plugin(config(server.address(), &namespace, token(made)));
    let secret = SecretRef::new("a").unwrap();
    let old = secret.with_version(pipe_core::secrets::SecretVersion::new(1));
    let error = bao.watch_secret(&old).await.unwrap_err();
    assert_eq!(error.kind(), pipe_core::ErrorKind::Unsupported, "{error:#}");
}
