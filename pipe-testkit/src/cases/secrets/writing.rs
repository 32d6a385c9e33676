use std::sync::Arc;

use pipe_core::secrets::Change;
use pipe_core::{ErrorKind, SecretData, SecretsPlugin};

use super::{delete, expect_kind, read, unused, value, write, writes};

/// A plugin that declares `write` writes; one that does not says so.
pub async fn a_write_is_supported_or_refused(plugin: Arc<dyn SecretsPlugin>) {
    let at = unused(&plugin, "write");
    if writes(&plugin) {
        write(&plugin, &at, value("x")).await;
        assert!(read(&plugin, &at).await.is_some(), "the write succeeded, and nothing is stored");
    } else {
        expect_kind(plugin.create_secret(&at, value("x")).await, ErrorKind::Unsupported);
    }
}

/// REQ 004-78.3
pub async fn the_first_write_is_reported_as_created(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let outcome = write(&plugin, &unused(&plugin, "created"), value("x")).await;
        assert_eq!(outcome.change, Change::Created);
    }
}

/// REQ 004-78.3
pub async fn another_value_is_reported_as_updated(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let at = unused(&plugin, "updated");
        write(&plugin, &at, value("before")).await;
        assert_eq!(write(&plugin, &at, value("after")).await.change, Change::Updated);
        assert_eq!(read(&plugin, &at).await, Some(value("after")));
    }
}

/// A write replaces the whole secret: keys that it does not name are gone.
pub async fn an_update_replaces_all_keys(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let at = unused(&plugin, "replaced");
        write(&plugin, &at, SecretData::new().with("kept", "1").with("gone", "2")).await;
        let after = SecretData::new().with("kept", "1").with("new", "3");
        write(&plugin, &at, after.clone()).await;
        assert_eq!(read(&plugin, &at).await, Some(after));
    }
}

/// REQ 004-78.4
pub async fn the_same_write_twice_is_unchanged(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let at = unused(&plugin, "twice");
        write(&plugin, &at, value("same")).await;
        assert_eq!(write(&plugin, &at, value("same")).await.change, Change::Unchanged);
        assert_eq!(read(&plugin, &at).await, Some(value("same")));
    }
}

/// REQ 004-78.4: sixteen callers at once store the same; all succeed, at most one creates.
pub async fn the_same_write_at_once_is_a_success_for_all(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let at = unused(&plugin, "at-once");
        let writers = (0..16).map(|_| {
            let (plugin, at) = (Arc::clone(&plugin), at.clone());
            tokio::spawn(async move { write(&plugin, &at, value("same")).await.change })
        });
        let mut created = 0;
        for writer in writers.collect::<Vec<_>>() {
            created += u32::from(writer.await.expect("no writer fails") == Change::Created);
        }
        assert_eq!(created, 1, "{created} of 16 equal writes report that they created it");
        assert_eq!(read(&plugin, &at).await, Some(value("same")));
    }
}

/// Fewer keys are other data.
pub async fn a_write_that_only_drops_a_key_is_an_update(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let at = unused(&plugin, "fewer");
        write(&plugin, &at, SecretData::new().with("a", "1").with("b", "2")).await;
        let fewer = SecretData::new().with("a", "1");
        assert_eq!(write(&plugin, &at, fewer.clone()).await.change, Change::Updated);
        assert_eq!(read(&plugin, &at).await, Some(fewer));
    }
}

/// Whoever changed something sees the change, absence included, whatever was read before.
pub async fn a_read_after_a_change_is_never_stale(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let at = unused(&plugin, "stale");
        assert_eq!(read(&plugin, &at).await, None);
        for text in ["first", "second"] {
            write(&plugin, &at, value(text)).await;
            assert_eq!(read(&plugin, &at).await, Some(value(text)));
        }
        if plugin.capabilities().delete {
            delete(&plugin, &at).await;
            assert_eq!(read(&plugin, &at).await, None);
            write(&plugin, &at, value("third")).await;
            assert_eq!(read(&plugin, &at).await, Some(value("third")));
        }
    }
}
