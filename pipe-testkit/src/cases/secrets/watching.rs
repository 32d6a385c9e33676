use std::sync::Arc;
use std::time::Duration;

use pipe_core::secrets::{SecretEvent, SecretStream};
use pipe_core::{ErrorKind, SecretData, SecretRef, SecretsPlugin};

use super::{delete, expect_kind, unused, value, write, writes};

async fn watch(plugin: &dyn SecretsPlugin, at: &SecretRef) -> SecretStream {
    match plugin.watch_secret(at).await {
        Ok(stream) => stream,
        Err(error) => panic!("watch_secret of {at} failed: {error:#}"),
    }
}

/// Reads on until the stream shows this state; states in between may be skipped.
async fn until(stream: &mut SecretStream, expected: Option<&SecretData>) {
    let wait = async {
        loop {
            match stream.next().await.expect("the stream goes on").expect("the watch has no fault")
            {
                SecretEvent::Present(secret) if Some(&secret.data) == expected => return,
                SecretEvent::Absent if expected.is_none() => return,
                _ => {}
            }
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(60), wait).await;
    assert!(seen.is_ok(), "the watch never shows the state");
}

/// A plugin that declares `watch` watches; one that does not says so.
pub async fn a_watch_is_supported_or_refused(plugin: Arc<dyn SecretsPlugin>) {
    let at = unused(&plugin, "watch");
    if plugin.capabilities().watch {
        until(&mut watch(&plugin, &at).await, None).await;
    } else {
        expect_kind(plugin.watch_secret(&at).await, ErrorKind::Unsupported);
    }
}

/// REQ 004-77.5
pub async fn a_watch_shows_the_state_and_then_the_change(plugin: Arc<dyn SecretsPlugin>) {
    if plugin.capabilities().watch && writes(&plugin) {
        let at = unused(&plugin, "watched");
        write(&plugin, &at, value("before")).await;
        let mut stream = watch(&plugin, &at).await;
        until(&mut stream, Some(&value("before"))).await;
        write(&plugin, &at, value("after")).await;
        until(&mut stream, Some(&value("after"))).await;
    }
}

/// A delete is seen as such.
pub async fn a_watch_shows_a_delete(plugin: Arc<dyn SecretsPlugin>) {
    let capabilities = plugin.capabilities();
    if capabilities.watch && capabilities.delete && writes(&plugin) {
        let at = unused(&plugin, "watched-delete");
        write(&plugin, &at, value("here")).await;
        let mut stream = watch(&plugin, &at).await;
        until(&mut stream, Some(&value("here"))).await;
        delete(&plugin, &at).await;
        until(&mut stream, None).await;
    }
}
