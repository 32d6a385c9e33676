use std::sync::Arc;

use futures_util::future::join_all;
use pipe_core::secrets::Change;
use pipe_core::{ErrorKind, SecretData, SecretsPlugin};

use super::{expect_kind, read, unused, value, write, writes};

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
        let outcomes = join_all((0..16).map(|_| write(&plugin, &at, value("same")))).await;
        let created = outcomes.iter().filter(|outcome| outcome.change == Change::Created).count();
        assert_eq!(created, 1, "{created} of 16 equal writes report that they created it");
        assert_eq!(read(&plugin, &at).await, Some(value("same")));
    }
}
