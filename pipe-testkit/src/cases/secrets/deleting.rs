use std::sync::Arc;

use pipe_core::secrets::Change;
use pipe_core::{ErrorKind, SecretsPlugin};

use super::{child, delete, expect_kind, named, read, unused, value, write, writes};

fn deletes(plugin: &dyn SecretsPlugin) -> bool {
    plugin.capabilities().delete && writes(plugin)
}

/// A plugin that declares `delete` deletes; one that does not says so.
pub async fn delete_is_supported_or_refused(plugin: Arc<dyn SecretsPlugin>) {
    let at = unused(&plugin, "delete");
    if plugin.capabilities().delete {
        delete(&plugin, &at).await;
    } else {
        expect_kind(plugin.delete_secret(&at).await, ErrorKind::Unsupported);
    }
}

/// What was deleted is absent, and the delete says that there was something.
pub async fn delete_removes_the_secret(plugin: Arc<dyn SecretsPlugin>) {
    if deletes(&plugin) {
        let at = unused(&plugin, "deleted");
        write(&plugin, &at, value("x")).await;
        assert!(delete(&plugin, &at).await, "the delete says that nothing was there");
        assert_eq!(read(&plugin, &at).await, None);
    }
}

/// Deleting what is not there is no error.
pub async fn delete_of_a_missing_secret_is_false(plugin: Arc<dyn SecretsPlugin>) {
    if plugin.capabilities().delete {
        assert!(!delete(&plugin, &unused(&plugin, "never-there")).await);
    }
}

/// Deleting is idempotent.
pub async fn delete_twice_is_false_the_second_time(plugin: Arc<dyn SecretsPlugin>) {
    if deletes(&plugin) {
        let at = unused(&plugin, "deleted-twice");
        write(&plugin, &at, value("x")).await;
        delete(&plugin, &at).await;
        assert!(!delete(&plugin, &at).await, "the second delete says that it deleted something");
    }
}

/// After a delete the name is free again, and nothing of the old secret comes back.
pub async fn a_write_after_a_delete_is_created(plugin: Arc<dyn SecretsPlugin>) {
    if deletes(&plugin) {
        let at = unused(&plugin, "reborn");
        let before = write(&plugin, &at, value("same").with("old", "x")).await;
        delete(&plugin, &at).await;
        let after = write(&plugin, &at, value("same")).await;
        assert_eq!(after.change, Change::Created);
        assert!(after.version >= before.version, "{before:?} {after:?}");
        assert_eq!(read(&plugin, &at).await, Some(value("same")));
    }
}

/// A delete takes one secret, and neither its neighbours nor what is below it.
pub async fn delete_leaves_neighbours(plugin: Arc<dyn SecretsPlugin>) {
    if deletes(&plugin) {
        let at = unused(&plugin, "neighbours");
        let mut neighbours = vec![named(&format!("{}-2", at.name))];
        if plugin.capabilities().hierarchy {
            neighbours.push(child(&at, "child"));
        }
        for secret in neighbours.iter().chain([&at]) {
            write(&plugin, secret, value("x")).await;
        }
        assert!(delete(&plugin, &at).await, "the delete says that nothing was there");
        assert_eq!(read(&plugin, &at).await, None);
        for secret in neighbours {
            assert_eq!(read(&plugin, &secret).await, Some(value("x")), "{secret} is gone");
        }
    }
}
