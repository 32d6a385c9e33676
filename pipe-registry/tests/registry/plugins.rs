//! The plugins of a document: decorated, observed, healthy, closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use pipe_core::secrets::{Secret, SecretsCapabilities, WriteOutcome};
use pipe_core::wrap::{Call, Observer, Receipt};
use pipe_core::{
    Error, ErrorKind, Health, HealthStatus, Plugin, Result, SecretData, SecretRef, SecretsPlugin,
};
use pipe_registry::{Format, Plugins, Registry};

use crate::Settings;

/// Fails every other time, and counts.
#[derive(Clone, Debug, Default)]
struct Counting(Arc<AtomicUsize>);

#[async_trait]
impl Plugin for Counting {
    fn name(&self) -> &str {
        "counting"
    }
    async fn health(&self) -> Health {
        Health::degraded("on purpose", "nothing")
    }
    async fn close(&self) -> Result<()> {
        Err(Error::new(ErrorKind::Unavailable, "not closed"))
    }
}

#[async_trait]
impl SecretsPlugin for Counting {
    fn capabilities(&self) -> SecretsCapabilities {
        SecretsCapabilities::READ_ONLY
    }
    async fn get_secret(&self, _: &SecretRef) -> Result<Option<Secret>> {
        match self.0.fetch_add(1, Ordering::Relaxed) % 2 {
            0 => Err(Error::new(ErrorKind::Unavailable, "on purpose")),
            _ => Ok(Some(Secret::new(SecretData::new().with("a", "b")))),
        }
    }
    async fn create_secret(&self, _: &SecretRef, _: SecretData) -> Result<WriteOutcome> {
        Err(Error::unsupported("counting", "create_secret"))
    }
}

#[derive(Clone, Debug, Default)]
struct Calls(Arc<AtomicUsize>);

impl Observer for Calls {
    fn finished(&self, _: &Call<'_>) -> Receipt {
        self.0.fetch_add(1, Ordering::Relaxed);
        Receipt::done()
    }
}

fn plugins(counting: &Counting, calls: &Calls, decorators: &str) -> Plugins {
    let counting = counting.clone();
    Registry::new()
        .with_secrets_kind::<Settings, _, _>("counting", move |_| Ok(counting.clone()))
        .with_observer(calls.clone())
        .load(
            &format!("secrets = {{ kind = 'counting', decorators = {decorators} }}"),
            Format::Toml,
        )
        .expect("the document is sound")
}

#[tokio::test]
async fn decorators_are_as_the_document_says() {
    let (counting, calls) = <(Counting, Calls)>::default();
    let decorators = "{ timeout = '5s', retry = { base = '1ms' }, cache = { ttl = '1m' } }";
    let secrets = plugins(&counting, &calls, decorators).secrets("default").unwrap();
    let secret = SecretRef::new("a").unwrap();
    for _ in 0..3 {
        assert!(secrets.get_secret(&secret).await.unwrap().is_some());
    }
    // One failed attempt and its repetition; after that, the cache's answers. All are observed.
    assert_eq!(counting.0.load(Ordering::Relaxed), 2);
    assert_eq!(calls.0.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn without_decorators_a_plugin_is_as_it_is() {
    let (counting, calls) = <(Counting, Calls)>::default();
    let secrets = plugins(&counting, &calls, "{}").secrets("default").unwrap();
    let secret = SecretRef::new("a").unwrap();
    assert!(secrets.get_secret(&secret).await.is_err());
    assert_eq!(counting.0.load(Ordering::Relaxed), 1);
}

/// REQ 001-104
#[tokio::test]
async fn health_is_that_of_the_worst_plugin() {
    let registry = Registry::new()
        .with_secrets_kind::<Settings, _, _>("counting", |_| Ok(Counting::default()))
        .with_secrets_kind::<Settings, _, _>("in-memory", crate::in_memory);
    let document = "secrets.a.kind = 'in-memory'\nsecrets.b.kind = 'counting'";
    let health = registry.load(document, Format::Toml).unwrap().health().await;
    assert_eq!(health.status, HealthStatus::Degraded);
    assert!(health.is_serving());
    assert_eq!(health.plugins["secrets.a"], Health::healthy());
    assert_eq!(health.plugins["secrets.b"].reason, "on purpose");
    assert_eq!(Plugins::default().health().await.status, HealthStatus::Healthy);
}

#[tokio::test]
async fn closing_closes_all_and_names_those_that_failed() {
    let (counting, calls) = <(Counting, Calls)>::default();
    let error = plugins(&counting, &calls, "{}").close().await.unwrap_err();
    assert_eq!(error.context("instances"), Some("secrets.default"));
    assert!(Plugins::default().close().await.is_ok());
}
