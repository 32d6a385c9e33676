//! A bound on each call.

use std::time::Duration;

use async_trait::async_trait;

use super::decorate::{Operation, decorate};
use crate::{Error, ErrorKind, Health, Plugin, Result};

/// Bounds each call of the inner plugin.
///
/// It belongs directly around the backend, inside of [`Retry`](super::Retry), so that it bounds each
/// attempt. What is cut off ends in `Timeout`; a write that was cut off may have happened. A watch
/// is bounded until it has begun. Adding many data points to a memory takes minutes, and so its bound
/// has to have room for that. Dropping the future drops the inner one.
///
/// ```
/// use std::time::Duration;
/// use pipe_core::{SecretsPlugin, wrap::{Retry, Timeout}};
///
/// fn right(backend: impl SecretsPlugin) -> impl SecretsPlugin {
///     Retry::new(Timeout::new(backend, Duration::from_secs(5)))
/// }
///
/// fn wrong(backend: impl SecretsPlugin) -> impl SecretsPlugin {
///     // One slow attempt uses up the time of all.
///     Timeout::new(Retry::new(backend), Duration::from_secs(5))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Timeout<P> {
    inner: P,
    limit: Duration,
}

impl<P> Timeout<P> {
    /// Bounds each call by this time.
    #[must_use]
    pub fn new(inner: P, limit: Duration) -> Self {
        Self { inner, limit }
    }
}

impl<P: Plugin> Timeout<P> {
    async fn around<T, F>(&self, operation: Operation<'_>, attempt: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let answer = tokio::time::timeout(self.limit, attempt()).await;
        answer.unwrap_or_else(|_| {
            let error = self.fault(operation.name);
            Err(match operation.subject {
                Some(subject) => error.with("subject", subject),
                None => error,
            })
        })
    }

    fn fault(&self, operation: &'static str) -> Error {
        Error::new(ErrorKind::Timeout, "no answer in time")
            .at(self.inner.name(), operation)
            .with("limit", format_args!("{:?}", self.limit))
            .hint("find out why the backend is slow, or raise the timeout of the decorator")
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: Plugin> Plugin for Timeout<P> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn health(&self) -> Health {
        let health = tokio::time::timeout(self.limit, self.inner.health()).await;
        health.unwrap_or_else(|_| Health::from(&self.fault("health")))
    }

    async fn close(&self) -> Result<()> {
        let closed = tokio::time::timeout(self.limit, self.inner.close()).await;
        closed.unwrap_or_else(|_| Err(self.fault("close")))
    }
}

decorate!(Timeout);
