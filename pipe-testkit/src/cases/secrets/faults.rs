//! Plugins that are not allowed to do anything, and plugins whose backend does not answer.

use std::sync::Arc;
use std::time::Duration;

use pipe_core::secrets::ListQuery;
use pipe_core::{Error, ErrorKind, HealthStatus, Result, SecretData, SecretRef, SecretsPlugin};

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

/// A watch that was not allowed is neither absence nor an end.
pub async fn a_denied_watch_is_an_error(plugin: Arc<dyn SecretsPlugin>) {
    if plugin.capabilities().watch {
        expect_denied(plugin.watch_secret(&unused(&plugin, "denied-watch")).await);
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
    for (operation, error) in every_failure(&plugin, &at).await {
        expect_place(&plugin, &at, operation, &error);
        let error = expect_denied::<()>(Err(error));
        let default = Error::new(error.kind(), "x");
        assert_ne!(error.hint_text(), default.hint_text(), "the hint names nothing: {error:#}");
    }
}

#[track_caller]
fn expect_place(plugin: &dyn SecretsPlugin, at: &SecretRef, operation: &str, error: &Error) {
    assert_eq!((error.plugin(), error.operation()), (plugin.name(), operation), "{error:#}");
    // A list is of no one secret.
    let named = operation == "list_secrets" || error.to_string().contains(at.name.as_str());
    assert!(named, "the secret is not named: {error:#}");
}

/// How each operation fails that the plugin declares.
async fn every_failure(plugin: &dyn SecretsPlugin, at: &SecretRef) -> Vec<(&'static str, Error)> {
    let capabilities = plugin.capabilities();
    let mut results = vec![("get_secret", plugin.get_secret(at).await.map(drop))];
    if capabilities.write {
        let written = plugin.create_secret(at, value("x")).await.map(drop);
        results.push(("create_secret", written));
    }
    if capabilities.delete {
        results.push(("delete_secret", plugin.delete_secret(at).await.map(drop)));
    }
    if capabilities.list {
        let query = match capabilities.hierarchy {
            true => ListQuery::new().with_prefix(at.name.clone()),
            false => ListQuery::new(),
        };
        let listed = plugin.list_secrets(&query).await.map(drop);
        results.push(("list_secrets", listed));
    }
    if capabilities.watch {
        results.push(("watch_secret", plugin.watch_secret(at).await.map(drop)));
    }
    let failure = |(operation, result): (&'static str, Result<()>)| match result {
        Err(error) => (operation, error),
        Ok(()) => panic!("{operation}: expected an error, got a success"),
    };
    results.into_iter().map(failure).collect()
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
    for (operation, error) in every_failure(&plugin, &unused(&plugin, "unavailable")).await {
        assert!(outage(error.kind()), "{operation}: {error:#}");
    }
}

/// An outage ends by itself, so a retry makes sense.
pub async fn an_unavailable_backend_is_retryable(plugin: Arc<dyn SecretsPlugin>) {
    for (operation, error) in every_failure(&plugin, &unused(&plugin, "retry")).await {
        assert!(error.is_retryable(), "{operation}: {error:#}");
    }
}

/// REQ 004-82.2: an outage names the plugin, the operation and the secret too.
pub async fn an_unavailable_call_says_where(plugin: Arc<dyn SecretsPlugin>) {
    let at = unused(&plugin, "outage-where");
    for (operation, error) in every_failure(&plugin, &at).await {
        expect_place(&plugin, &at, operation, &error);
    }
}

/// Every wait has a bound: nobody is held up for longer than a readiness probe or a shutdown can
/// bear.
pub async fn an_unavailable_backend_holds_up_nobody(plugin: Arc<dyn SecretsPlugin>) {
    async fn within<T>(what: &str, seconds: u64, wait: impl Future<Output = T>) -> T {
        let ended = tokio::time::timeout(Duration::from_secs(seconds), wait).await;
        ended.unwrap_or_else(|_| panic!("{what} takes longer than {seconds} seconds"))
    }
    let at = unused(&plugin, "holds-up");
    within("get_secret", 60, plugin.get_secret(&at)).await.expect_err("nobody answers");
    let _ = within("health", 10, plugin.health()).await;
    drop(within("close", 60, plugin.close()).await);
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
