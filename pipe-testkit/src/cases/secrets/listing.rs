use std::sync::Arc;

use pipe_core::secrets::ListQuery;
use pipe_core::{ErrorKind, SecretRef, SecretsPlugin};

use super::{child, delete, expect_kind, named, namespace, read, unused, value, write, writes};

fn lists(plugin: &dyn SecretsPlugin) -> bool {
    plugin.capabilities().list && writes(plugin)
}

/// A query for all that the suite stores below `folder`; flat names cannot be narrowed.
fn below(plugin: &dyn SecretsPlugin, folder: &SecretRef) -> ListQuery {
    if plugin.capabilities().hierarchy {
        ListQuery::new().with_prefix(folder.name.clone())
    } else {
        ListQuery::new()
    }
}

fn member(plugin: &dyn SecretsPlugin, folder: &SecretRef, name: &str) -> SecretRef {
    if plugin.capabilities().hierarchy {
        child(folder, name)
    } else {
        named(&format!("{}-{name}", folder.name))
    }
}

async fn list(plugin: &dyn SecretsPlugin, query: &ListQuery) -> Vec<SecretRef> {
    match plugin.list_secrets(query).await {
        Ok(found) => found,
        Err(error) => panic!("list_secrets failed: {error:#}"),
    }
}

/// What the suite stored under `folder`, without what others stored in the same backend.
async fn members(plugin: &dyn SecretsPlugin, folder: &SecretRef) -> Vec<SecretRef> {
    let mut found = list(plugin, &below(plugin, folder)).await;
    found.retain(|secret| secret.name.as_str().starts_with(folder.name.as_str()));
    found
}

/// A plugin that declares `list` lists; one that does not says so.
pub async fn list_is_supported_or_refused(plugin: Arc<dyn SecretsPlugin>) {
    let listed = plugin.list_secrets(&ListQuery::new()).await;
    if plugin.capabilities().list {
        listed.expect("list_secrets is declared");
    } else {
        expect_kind(listed, ErrorKind::Unsupported);
    }
}

/// All are there, once, in order, at every depth, however many pages the backend needs.
pub async fn list_is_sorted_and_complete(plugin: Arc<dyn SecretsPlugin>) {
    if !lists(&plugin) {
        return;
    }
    let folder = unused(&plugin, "list");
    let mut expected = Vec::new();
    for i in (0..23).rev() {
        expected.push(member(&plugin, &folder, &format!("m{i:02}")));
    }
    if plugin.capabilities().hierarchy {
        // A name may be a secret and a folder at once.
        expected.push(child(&member(&plugin, &folder, "m05"), "inner"));
        expected.push(child(&child(&child(&folder, "a"), "b"), "c"));
        expected.push(child(&child(&folder, "m05-b"), "d"));
        expected.push(child(&folder, "1/2/3/4/5/6/7/8/9/10"));
    }
    for at in &expected {
        write(&plugin, at, value("x")).await;
    }
    expected.sort();
    assert_eq!(members(&plugin, &folder).await, expected);
}

/// `apps` finds `apps/db`, and neither `apps-old/db` nor `apps` itself.
pub async fn list_prefix_ends_at_a_segment_border(plugin: Arc<dyn SecretsPlugin>) {
    if !plugin.capabilities().hierarchy || !lists(&plugin) {
        return;
    }
    let folder = unused(&plugin, "border");
    let inside = child(&folder, "db");
    let beside = named(&format!("{}-old/db", folder.name));
    for at in [&inside, &beside, &folder] {
        write(&plugin, at, value("x")).await;
    }
    assert_eq!(list(&plugin, &below(&plugin, &folder)).await, [inside]);
}

/// A folder that is not there holds nothing; that is no error.
pub async fn list_of_an_empty_folder_is_empty(plugin: Arc<dyn SecretsPlugin>) {
    if plugin.capabilities().list {
        let folder = unused(&plugin, "nothing-here");
        assert_eq!(members(&plugin, &folder).await, []);
    }
}

/// More than the caller is willing to get is an error, never a shorter list.
pub async fn list_past_the_limit_is_an_error(plugin: Arc<dyn SecretsPlugin>) {
    if !lists(&plugin) {
        return;
    }
    let folder = unused(&plugin, "limit");
    for name in ["a", "b", "c"] {
        write(&plugin, &member(&plugin, &folder, name), value("x")).await;
    }
    let query = below(&plugin, &folder).with_limit(2);
    expect_kind(plugin.list_secrets(&query).await, ErrorKind::InvalidArgument);
    if plugin.capabilities().hierarchy {
        assert_eq!(list(&plugin, &query.with_limit(3)).await.len(), 3);
    }
}

/// What cannot be read is not listed.
pub async fn a_deleted_secret_is_not_listed(plugin: Arc<dyn SecretsPlugin>) {
    if plugin.capabilities().delete && lists(&plugin) {
        let folder = unused(&plugin, "list-deleted");
        let (kept, gone) = (member(&plugin, &folder, "kept"), member(&plugin, &folder, "gone"));
        write(&plugin, &kept, value("x")).await;
        write(&plugin, &gone, value("x")).await;
        delete(&plugin, &gone).await;
        assert_eq!(members(&plugin, &folder).await, [kept]);
    }
}

/// A reference from a list leads to the secret, as it is.
pub async fn listed_secrets_can_be_read(plugin: Arc<dyn SecretsPlugin>) {
    if lists(&plugin) {
        let folder = unused(&plugin, "list-read");
        write(&plugin, &member(&plugin, &folder, "one"), value("one")).await;
        let found = members(&plugin, &folder).await;
        assert_eq!(found.len(), 1, "{found:?}");
        for at in found {
            assert_eq!(read(&plugin, &at).await, Some(value("one")));
        }
    }
}

/// Each namespace lists what it holds, and the own one is no exception.
pub async fn a_list_is_of_its_namespace(plugin: Arc<dyn SecretsPlugin>) {
    if !plugin.capabilities().namespaces || !lists(&plugin) {
        return;
    }
    let folder = unused(&plugin, "list-space");
    let own = member(&plugin, &folder, "own");
    let a = member(&plugin, &folder, "a").with_namespace(namespace("a"));
    let b = member(&plugin, &folder, "b").with_namespace(namespace("b"));
    for at in [&own, &a, &b] {
        write(&plugin, at, value("x")).await;
    }
    for at in [&own, &a, &b] {
        let mut query = below(&plugin, &folder);
        query.namespace.clone_from(&at.namespace);
        let mut found = list(&plugin, &query).await;
        found.retain(|secret| secret.name.as_str().starts_with(folder.name.as_str()));
        assert_eq!(found, std::slice::from_ref(at));
    }
    // Not as a folder of the own namespace either.
    let all = list(&plugin, &ListQuery::new()).await;
    let foreign = |secret: &SecretRef| {
        [&a, &b].iter().any(|foreign| secret.name.as_str().ends_with(foreign.name.as_str()))
    };
    assert!(!all.iter().any(foreign), "the own namespace lists what others hold");
}
