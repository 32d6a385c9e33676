//! A standby serves reads from its own copy, which lags (measured: stale in 20 to 80 % of reads
//! right after a write).

use std::time::Duration;

use pipe_core::secrets::Change;
use pipe_core::wrap::{Retry, RetryPolicy};
use pipe_core::{SecretData, SecretRef, SecretsPlugin};
use serde_json::json;

use crate::server::Server;
use crate::setup::{config, namespace, plugin, token};

#[tokio::test(flavor = "multi_thread")]
async fn our_own_writes_are_seen_on_a_standby() {
    let Some(leader) = Server::persistent().await else { return };
    let Some(standby) = Server::standby_of(&leader).await else { return };
    let namespace = namespace(leader.admin()).await;
    let made = leader.admin().token(&namespace, &["bot"], "10m", json!({})).await;
    // A standby sets its engine up anew as it catches up, and says so: nothing to do with our writes.
    let patient = RetryPolicy::new().with_attempts(30).with_deadline(Duration::from_secs(60));
    let plugin = plugin(config(standby.address(), &namespace, token(made)));
    let plugin = Retry::with_policy(plugin, patient);
    // The standby may not have heard of the namespace and the token yet.
    let absent = SecretRef::new("absent").unwrap();
    let heard = async {
        while plugin.get_secret(&absent).await.is_err() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), heard).await.expect("the standby catches up");
    let data = |value: &str| SecretData::new().with("value", value);
    for number in 0..40 {
        let secret = SecretRef::new(format!("s{number}")).unwrap();
        let created = plugin.create_secret(&secret, data("a")).await.unwrap();
        assert_eq!(created.change, Change::Created);
        let read = plugin.get_secret(&secret).await.unwrap();
        assert_eq!(read.expect("it was just written").data, data("a"));
        assert_eq!(plugin.create_secret(&secret, data("b")).await.unwrap().change, Change::Updated);
        assert_eq!(plugin.create_secret(&secret, data("a")).await.unwrap().change, Change::Updated);
        assert!(plugin.delete_secret(&secret).await.unwrap(), "it was there");
        assert_eq!(plugin.get_secret(&secret).await.unwrap(), None);
    }
}
