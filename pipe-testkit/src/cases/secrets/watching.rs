use std::sync::Arc;
use std::time::Duration;

use pipe_core::secrets::{SecretEvent, SecretStream};
use pipe_core::{ErrorKind, SecretData, SecretRef, SecretsPlugin};

use super::{delete, expect_kind, namespace, unused, value, write, writes};

async fn watch(plugin: &dyn SecretsPlugin, at: &SecretRef) -> SecretStream {
    match plugin.watch_secret(at).await {
        Ok(stream) => stream,
        Err(error) => panic!("watch_secret of {at} failed: {error:#}"),
    }
}

/// The next state.
async fn next(stream: &mut SecretStream) -> SecretEvent {
    let next = tokio::time::timeout(Duration::from_secs(60), stream.next()).await;
    next.expect("no state is shown").expect("the stream goes on").expect("the watch has no fault")
}

#[track_caller]
fn expect_data(event: &SecretEvent, expected: &SecretData) {
    match event {
        SecretEvent::Present(secret) => assert_eq!(secret.data, *expected),
        other => panic!("expected a secret, got {other:?}"),
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

/// The first state is the current one, and no older one.
pub async fn a_watch_begins_with_the_current_state(plugin: Arc<dyn SecretsPlugin>) {
    if plugin.capabilities().watch && writes(&plugin) {
        let at = unused(&plugin, "first-state");
        assert_eq!(next(&mut watch(&plugin, &at).await).await, SecretEvent::Absent);
        for text in ["older", "current"] {
            write(&plugin, &at, value(text)).await;
            expect_data(&next(&mut watch(&plugin, &at).await).await, &value(text));
        }
    }
}

/// The version in an event is the one that the write reported.
pub async fn a_watch_tells_the_version_that_was_written(plugin: Arc<dyn SecretsPlugin>) {
    if plugin.capabilities().watch && writes(&plugin) {
        let at = unused(&plugin, "event-version");
        let mut stream = watch(&plugin, &at).await;
        assert_eq!(next(&mut stream).await, SecretEvent::Absent);
        for text in ["first", "second"] {
            let written = write(&plugin, &at, value(text)).await;
            match next(&mut stream).await {
                SecretEvent::Present(secret) => assert_eq!(secret.version, written.version),
                other => panic!("expected a secret, got {other:?}"),
            }
        }
    }
}

/// A delete is a state like any other, not the end.
pub async fn a_watch_goes_on_after_a_delete(plugin: Arc<dyn SecretsPlugin>) {
    let capabilities = plugin.capabilities();
    if capabilities.watch && capabilities.delete && writes(&plugin) {
        let at = unused(&plugin, "goes-on");
        write(&plugin, &at, value("before")).await;
        let mut stream = watch(&plugin, &at).await;
        until(&mut stream, Some(&value("before"))).await;
        delete(&plugin, &at).await;
        until(&mut stream, None).await;
        for text in ["after", "later"] {
            write(&plugin, &at, value(text)).await;
            until(&mut stream, Some(&value(text))).await;
        }
    }
}

/// The same name elsewhere is another secret.
pub async fn a_watch_is_of_its_namespace(plugin: Arc<dyn SecretsPlugin>) {
    let capabilities = plugin.capabilities();
    if capabilities.watch && capabilities.namespaces && writes(&plugin) {
        let own = unused(&plugin, "namespace-watch");
        let a = own.clone().with_namespace(namespace("a"));
        write(&plugin, &own, value("own")).await;
        let (mut of_own, mut of_a) = (watch(&plugin, &own).await, watch(&plugin, &a).await);
        expect_data(&next(&mut of_own).await, &value("own"));
        assert_eq!(next(&mut of_a).await, SecretEvent::Absent);
        write(&plugin, &a, value("a")).await;
        expect_data(&next(&mut of_a).await, &value("a"));
        write(&plugin, &own, value("own again")).await;
        expect_data(&next(&mut of_own).await, &value("own again"));
    }
}
