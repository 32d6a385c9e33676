use std::sync::Arc;

use pipe_core::{ErrorKind, SecretsPlugin};

use super::{child, expect_kind, read, unused, value, write, writes};

/// Absence is an answer, not an error.
pub async fn get_of_a_missing_secret_is_none(plugin: Arc<dyn SecretsPlugin>) {
    let at = unused(&plugin, "missing");
    assert_eq!(read(&plugin, &at).await, None);
}

/// A secret below a name does not make that name a secret.
pub async fn get_of_a_folder_is_none(plugin: Arc<dyn SecretsPlugin>) {
    if !plugin.capabilities().hierarchy || !writes(&plugin) {
        return;
    }
    let folder = unused(&plugin, "folder");
    write(&plugin, &child(&folder, "inside"), value("x")).await;
    assert_eq!(read(&plugin, &folder).await, None);
}

/// A secret is not found under longer names.
pub async fn get_below_a_secret_is_none(plugin: Arc<dyn SecretsPlugin>) {
    if !plugin.capabilities().hierarchy || !writes(&plugin) {
        return;
    }
    let at = unused(&plugin, "leaf");
    write(&plugin, &at, value("x")).await;
    assert_eq!(read(&plugin, &child(&at, "below")).await, None);
}

/// Names of several segments work where they are declared, and are refused where not.
pub async fn a_name_with_segments_is_supported_or_refused(plugin: Arc<dyn SecretsPlugin>) {
    let at = child(&child(&unused(&plugin, "deep"), "b"), "c");
    if !plugin.capabilities().hierarchy {
        expect_kind(plugin.get_secret(&at).await, ErrorKind::InvalidArgument);
        if plugin.capabilities().write {
            let written = plugin.create_secret(&at, value("x")).await;
            expect_kind(written, ErrorKind::InvalidArgument);
        }
        return;
    }
    assert_eq!(read(&plugin, &at).await, None);
    if writes(&plugin) {
        write(&plugin, &at, value("deep")).await;
        assert_eq!(read(&plugin, &at).await, Some(value("deep")));
    }
}
