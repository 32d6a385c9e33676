use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pipe_core::secrets::SecretVersion;
use pipe_core::{ErrorKind, Result, SecretsPlugin};

use super::{expect_kind, read, unused, value, write, writes};

/// Later versions are greater.
pub async fn versions_grow_with_every_change(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let at = unused(&plugin, "versions");
        let mut versions = Vec::new();
        for text in ["one", "two", "three"] {
            versions.push(write(&plugin, &at, value(text)).await.version);
        }
        let counted = versions.iter().flatten().count();
        assert!(counted == 0 || counted == 3, "versions come and go: {versions:?}");
        let grows = versions.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(counted == 0 || grows, "{versions:?}");
    }
}

/// A write that changes nothing makes no version.
pub async fn an_unchanged_write_keeps_the_version(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let at = unused(&plugin, "same-version");
        let first = write(&plugin, &at, value("x")).await;
        let second = write(&plugin, &at, value("x")).await;
        assert_eq!(first.version, second.version);
    }
}

/// The version that a read tells is the one that was written.
pub async fn a_read_tells_the_version_that_was_written(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let at = unused(&plugin, "read-version");
        write(&plugin, &at, value("before")).await;
        let written = write(&plugin, &at, value("after")).await;
        let found = plugin.get_secret(&at).await.expect("the read works").expect("it is stored");
        assert_eq!(found.version, written.version);
    }
}

/// Old versions are read where `versions` is declared, else asking for one is `Unsupported`.
pub async fn old_versions_are_readable_or_unsupported(plugin: Arc<dyn SecretsPlugin>) {
    let at = unused(&plugin, "old-version");
    if !plugin.capabilities().versions {
        let old = at.with_version(SecretVersion::new(1));
        expect_kind(plugin.get_secret(&old).await, ErrorKind::Unsupported);
        return;
    }
    if writes(&plugin) {
        let first = write(&plugin, &at, value("first")).await.version;
        let second = write(&plugin, &at, value("second")).await.version;
        let (first, second) = (first.expect("counted"), second.expect("counted"));
        assert_eq!(read(&plugin, &at.clone().with_version(first)).await, Some(value("first")));
        assert_eq!(read(&plugin, &at.clone().with_version(second)).await, Some(value("second")));
        assert_eq!(read(&plugin, &at).await, Some(value("second")));
    }
}

/// A version that was never written is absent.
pub async fn a_version_that_never_was_is_none(plugin: Arc<dyn SecretsPlugin>) {
    if plugin.capabilities().versions && writes(&plugin) {
        let at = unused(&plugin, "no-such-version");
        write(&plugin, &at, value("x")).await;
        let never = at.with_version(SecretVersion::new(1_000_000));
        assert_eq!(read(&plugin, &never).await, None);
    }
}

/// What was is not changed: a reference to a version can be read, and nothing else.
pub async fn an_old_version_cannot_be_written_or_deleted(plugin: Arc<dyn SecretsPlugin>) {
    if !writes(&plugin) {
        return;
    }
    let at = unused(&plugin, "history");
    let first = write(&plugin, &at, value("first")).await.version;
    write(&plugin, &at, value("second")).await;
    let old = at.clone().with_version(first.unwrap_or(SecretVersion::new(1)));
    refused(plugin.create_secret(&old, value("forged")).await);
    if plugin.capabilities().delete {
        refused(plugin.delete_secret(&old).await);
    }
    assert_eq!(read(&plugin, &at).await, Some(value("second")));
    if plugin.capabilities().versions {
        assert_eq!(read(&plugin, &old).await, Some(value("first")));
    }
}

#[track_caller]
fn refused<T>(result: Result<T>) {
    match result.map(drop).map_err(|error| error.kind()) {
        Err(ErrorKind::InvalidArgument | ErrorKind::Unsupported) => {}
        other => panic!("expected a refusal of the version, got {other:?}"),
    }
}

/// The time of a write, where it is told, is the time of the write: no other unit, no other zone.
pub async fn the_time_of_a_write_is_about_now(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let at = unused(&plugin, "time");
        write(&plugin, &at, value("x")).await;
        let found = plugin.get_secret(&at).await.expect("the read works").expect("it is stored");
        if let Some(written_at) = found.written_at {
            let now = SystemTime::now();
            let day = Duration::from_secs(24 * 3600);
            assert!(written_at > now - day && written_at < now + day, "{written_at:?}");
        }
    }
}
