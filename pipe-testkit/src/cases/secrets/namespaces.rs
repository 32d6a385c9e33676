use std::sync::Arc;

use pipe_core::secrets::ListQuery;
use pipe_core::{ErrorKind, SecretsPlugin};

use super::{delete, expect_kind, namespace, read, unused, value, write, writes};

/// Where `namespaces` is declared, the same name in two namespaces and in none is three secrets,
/// for every operation; else a namespace is `Unsupported`.
pub async fn namespaces_are_isolated_or_unsupported(plugin: Arc<dyn SecretsPlugin>) {
    let capabilities = plugin.capabilities();
    let own = unused(&plugin, "isolated");
    let a = own.clone().with_namespace(namespace("a"));
    let b = own.clone().with_namespace(namespace("b"));
    if !capabilities.namespaces {
        expect_kind(plugin.get_secret(&a).await, ErrorKind::Unsupported);
        if capabilities.write {
            expect_kind(plugin.create_secret(&a, value("x")).await, ErrorKind::Unsupported);
        }
        if capabilities.list {
            let query = ListQuery::new().with_namespace(namespace("a"));
            expect_kind(plugin.list_secrets(&query).await, ErrorKind::Unsupported);
        }
        if capabilities.delete {
            expect_kind(plugin.delete_secret(&a).await, ErrorKind::Unsupported);
        }
        return;
    }
    assert_eq!(read(&plugin, &a).await, None);
    if !writes(&plugin) {
        return;
    }
    write(&plugin, &a, value("a")).await;
    assert_eq!(read(&plugin, &b).await, None, "b shows what a holds");
    assert_eq!(read(&plugin, &own).await, None, "the own namespace shows what a holds");
    write(&plugin, &b, value("b")).await;
    write(&plugin, &own, value("own")).await;
    assert_eq!(read(&plugin, &a).await, Some(value("a")), "a shows what others hold");
    if capabilities.list {
        let query = ListQuery::new().with_namespace(namespace("a"));
        let listed = plugin.list_secrets(&query).await.expect("list_secrets is declared");
        assert!(listed.contains(&a), "a's list lacks its own secret");
        assert!(listed.iter().all(|secret| secret.namespace == a.namespace), "{listed:?}");
    }
    if capabilities.delete {
        delete(&plugin, &a).await;
        assert_eq!(read(&plugin, &b).await, Some(value("b")), "deleting in a deleted in b");
        assert_eq!(read(&plugin, &own).await, Some(value("own")));
    }
}
