//! Plugins that are not allowed to do anything, and plugins whose backend does not answer.

use std::sync::Arc;

use pipe_core::secrets::ListQuery;
use pipe_core::{Error, ErrorKind, HealthStatus, Result, SecretData, SecretsPlugin};

use super::leaks::drive;
use super::{expect_kind, unused, value};
use crate::leak::Canary;

#[track_caller]
fn expect_denied<T>(result: Result<T>) -> Error {
    match result {
        Err(error)
            if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unauthenticated) =>
        {
            error
        }
        Err(error) => panic!("expected a denial, got {error:#}"),
        Ok(_) => panic!("expected a denial, got a success"),
    }
}

/// "You may not know" is not "there is none".
pub async fn a_denied_read_is_not_absence(plugin: Arc<dyn SecretsPlugin>) {
    expect_denied(plugin.get_secret(&unused(&plugin, "denied-read")).await);
}

/// A write that was not allowed is no success.
pub async fn a_denied_write_is_an_error(plugin: Arc<dyn SecretsPlugin>) {
    if plugin.capabilities().write {
        expect_denied(plugin.create_secret(&unused(&plugin, "denied-write"), value("x")).await);
    }
}

/// A delete that was not allowed is not "there was none".
pub async fn a_denied_delete_is_an_error(plugin: Arc<dyn SecretsPlugin>) {
    if plugin.capabilities().delete {
        expect_denied(plugin.delete_secret(&unused(&plugin, "denied-delete")).await);
    }
}

/// A list that was not allowed is not an empty list.
pub async fn a_denied_list_is_an_error(plugin: Arc<dyn SecretsPlugin>) {
    if plugin.capabilities().list {
        expect_denied(plugin.list_secrets(&ListQuery::new()).await);
    }
}

/// Asking again changes nothing: a person has to.
pub async fn a_denied_call_is_not_retryable(plugin: Arc<dyn SecretsPlugin>) {
    let error = expect_denied(plugin.get_secret(&unused(&plugin, "denied-retry")).await);
    assert!(!error.is_retryable(), "{error:#}");
}

/// REQ 004-82.2, 004-82.3: the error names the plugin, the operation and the secret, and says
/// what to change in words of its own.
pub async fn a_denied_call_says_where_and_what_to_change(plugin: Arc<dyn SecretsPlugin>) {
    let at = unused(&plugin, "denied-where");
    let error = expect_denied(plugin.get_secret(&at).await);
    assert_eq!((error.plugin(), error.operation()), (plugin.name(), "get_secret"), "{error:#}");
    let default = Error::new(error.kind(), "x");
    assert_ne!(error.hint_text(), default.hint_text(), "the hint names nothing: {error:#}");
    assert!(error.to_string().contains(at.name.as_str()), "the secret is not named: {error:#}");
}

/// A refused write shows no value.
pub async fn a_denied_call_shows_no_value(plugin: Arc<dyn SecretsPlugin>) {
    let canary = Canary::new();
    drive(&plugin, &canary).await;
    canary.assert_unseen();
}

fn outage(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout)
}

/// "Nobody answers" is not "there is none", and no list is not an empty list.
pub async fn an_unavailable_backend_is_not_absence(plugin: Arc<dyn SecretsPlugin>) {
    let at = unused(&plugin, "unavailable");
    let error = plugin.get_secret(&at).await.expect_err("nobody answers");
    assert!(outage(error.kind()), "{error:#}");
    if plugin.capabilities().list {
        plugin.list_secrets(&ListQuery::new()).await.expect_err("nobody answers");
    }
    if plugin.capabilities().write {
        plugin.create_secret(&at, value("x")).await.expect_err("nobody answers");
    }
    if plugin.capabilities().delete {
        plugin.delete_secret(&at).await.expect_err("nobody answers");
    }
}

/// An outage ends by itself, so a retry makes sense.
pub async fn an_unavailable_backend_is_retryable(plugin: Arc<dyn SecretsPlugin>) {
    let error = plugin.get_secret(&unused(&plugin, "retry")).await.expect_err("nobody answers");
    assert!(error.is_retryable(), "{error:#}");
}

/// Health is honest, and says what to look at.
pub async fn an_unavailable_backend_is_told_by_health(plugin: Arc<dyn SecretsPlugin>) {
    let health = plugin.health().await;
    assert_eq!(health.status, HealthStatus::Unhealthy);
    assert!(!health.reason.is_empty() && !health.hint.is_empty(), "{health:?}");
}

/// A service that shuts down because its backend is gone can do so.
pub async fn an_unavailable_backend_does_not_stop_close(plugin: Arc<dyn SecretsPlugin>) {
    drop(plugin.get_secret(&unused(&plugin, "close")).await);
    plugin.close().await.expect("nothing is held, so nothing has to be given back");
}

/// What can never be stored is refused without a request: the answer does not depend on the
/// backend being there.
pub async fn bad_input_is_refused_without_asking_the_backend(plugin: Arc<dyn SecretsPlugin>) {
    let capabilities = plugin.capabilities();
    if !capabilities.write {
        return;
    }
    let at = unused(&plugin, "refused");
    let large = SecretData::new().with("large", vec![b'x'; capabilities.max_secret_bytes + 1]);
    expect_kind(plugin.create_secret(&at, large).await, ErrorKind::InvalidArgument);
    if capabilities.max_keys < 100_000 {
        let many = (0..=capabilities.max_keys).map(|i| (i.to_string(), "x")).collect();
        expect_kind(plugin.create_secret(&at, many).await, ErrorKind::InvalidArgument);
    }
    if !capabilities.binary {
        let binary = SecretData::new().with("binary", vec![0xff]);
        expect_kind(plugin.create_secret(&at, binary).await, ErrorKind::InvalidArgument);
    }
}

/// A failed call shows no value.
pub async fn an_unavailable_backend_shows_no_value(plugin: Arc<dyn SecretsPlugin>) {
    let canary = Canary::new();
    drive(&plugin, &canary).await;
    canary.assert_unseen();
}
