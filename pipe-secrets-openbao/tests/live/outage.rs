//! The server goes away and comes back (REQ 001-99).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use pipe_core::{HealthStatus, Plugin, SecretData, SecretRef, SecretsPlugin};
use pipe_http::HttpConfig;
use serde_json::json;

use crate::server::Server;
use crate::setup::{Pod, config, namespace, plugin, token};

/// Readers go on while the server is killed and started again, twice: no wrong answer, only
/// retryable errors, and service resumes in the same plugin.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_a_pause_and_nothing_else() {
    let Some(mut server) = Server::persistent().await else { return };
    let namespace = namespace(server.admin()).await;
    let pod = Pod::start(server.admin(), &namespace).await;
    let http = HttpConfig::new().with_timeout(Duration::from_secs(5));
    let plugin = plugin(config(server.address(), &namespace, pod.auth()).with_http(http));
    let secret = SecretRef::new("apps/db").unwrap();
    let data = SecretData::new().with("password", "hunter2");
    plugin.create_secret(&secret, data.clone()).await.unwrap();

    let (stop, good, failed) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU32::new(0)),
        Arc::new(AtomicU32::new(0)),
    );
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (plugin, secret, data) = (plugin.clone(), secret.clone(), data.clone());
            let (stop, good, failed) = (Arc::clone(&stop), Arc::clone(&good), Arc::clone(&failed));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    match plugin.get_secret(&secret).await {
                        Ok(found) => {
                            assert_eq!(found.expect("the secret is there").data, data);
                            good.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => {
                            assert!(error.is_retryable(), "{error:#}");
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    for _ in 0..2 {
        wait_for_more(&good).await;
        server.kill();
        wait_for_more(&failed).await;
        assert_eq!(plugin.health().await.status, HealthStatus::Unhealthy);
        server.restart().await;
        wait_for_more(&good).await;
        assert!(plugin.health().await.is_serving());
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.expect("no reader saw anything wrong");
    }
}

async fn wait_for_more(counter: &AtomicU32) {
    let before = counter.load(Ordering::Relaxed);
    let more = async {
        while counter.load(Ordering::Relaxed) < before + 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), more).await.expect("the readers go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_server_is_an_outage_and_says_so() {
    let Some(mut server) = Server::persistent().await else { return };
    let namespace = namespace(server.admin()).await;
    let made = server.admin().token(&namespace, &["bot"], "10m", json!({})).await;
    let plugin = plugin(config(server.address(), &namespace, token(made)));
    let secret = SecretRef::new("absent").unwrap();
    assert_eq!(plugin.get_secret(&secret).await.unwrap(), None);
    server.seal().await;
    let error = plugin.get_secret(&secret).await.unwrap_err();
    assert!(error.is_retryable() && error.hint_text().contains("unseal"), "{error}");
    let health = plugin.health().await;
    assert_eq!(
        (health.status, health.reason.as_str()),
        (HealthStatus::Unhealthy, "the server is sealed")
    );
    server.unseal().await;
    assert_eq!(plugin.get_secret(&secret).await.unwrap(), None);
}

/// The declared limits are those of a server that keeps its data in raft storage.
#[tokio::test(flavor = "multi_thread")]
async fn the_declared_limits_hold_on_raft_storage() {
    let Some(server) = Server::persistent().await else { return };
    let namespace = namespace(server.admin()).await;
    let made = server.admin().token(&namespace, &["bot"], "10m", json!({})).await;
    let plugin = plugin(config(server.address(), &namespace, token(made)));
    let limit = plugin.capabilities().max_secret_bytes;
    let secret = SecretRef::new("large").unwrap();
    for byte in [b'a', b'<', b'"', 1, 0xff] {
        let data = SecretData::new().with("large", vec![byte; limit]);
        plugin.create_secret(&secret, data.clone()).await.unwrap();
        assert!(plugin.get_secret(&secret).await.unwrap().unwrap().data == data, "{byte}");
    }
}
