use std::sync::Arc;

use pipe_core::secrets::SecretVersion;
use pipe_core::{ErrorKind, SecretsPlugin};

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
