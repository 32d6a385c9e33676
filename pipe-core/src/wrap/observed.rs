//! Every call on record.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;
use tracing::Instrument;

use super::answer::Answer;
use super::decorate::{Operation, decorate};
use super::observer::Subject;
use super::{Call, Observer, Outcome, Receipt};
use crate::ambient::Ambient;
use crate::{Health, Plugin, Result, TraceContext};

/// Tells an [`Observer`] of every call, and runs it in a `tracing` span of its own.
///
/// It belongs outermost: a cache's hit is an access too, and three attempts are one call.
///
/// - The requester, the reason and the trace are those of the task:
///   [`SecurityContext::scope`](crate::SecurityContext::scope), [`with_reason`](crate::with_reason),
///   [`TraceContext::scope`]. Within a trace, the inner plugin works in a span of its own, whose id
///   it can pass on.
/// - A call whose future is dropped is reported as `Cancelled`, and so is one that panics.
/// - An answer that could not be put on record is withheld, when the observer says so.
/// - Health and `close` are no accesses, and are not reported. While the observer has a fault, a
///   healthy plugin is `Degraded`.
///
/// ```
/// use pipe_core::SecretsPlugin;
/// use pipe_core::wrap::{CachePolicy, Cached, Metrics, Observed};
///
/// fn right(backend: impl SecretsPlugin) -> impl SecretsPlugin {
///     Observed::new(Cached::new(backend, CachePolicy::new()), Metrics::new())
/// }
///
/// fn wrong(backend: impl SecretsPlugin) -> impl SecretsPlugin {
///     // Who read what is not on record while the cache has it.
///     Cached::new(Observed::new(backend, Metrics::new()), CachePolicy::new())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Observed<P> {
    inner: P,
    observer: Arc<dyn Observer>,
}

impl<P> Observed<P> {
    /// Tells this observer. Several are one: a pair of observers, or a `Vec<Arc<dyn Observer>>`, is
    /// an observer too.
    #[must_use]
    pub fn new(inner: P, observer: impl Observer) -> Self {
        Self { inner, observer: Arc::new(observer) }
    }
}

impl<P: Plugin> Observed<P> {
    async fn around<T, F>(&self, operation: Operation<'_>, attempt: impl Fn() -> F) -> Result<T>
    where
        T: Answer,
        F: Future<Output = Result<T>>,
    {
        self.observer.admit().wait().await?;
        let mut ambient = Ambient::current();
        let trace = ambient.trace.as_ref().map(TraceContext::child);
        let span = tracing::info_span!(
            "plugin call",
            plugin = self.inner.name(),
            operation = operation.name,
            trace_id = trace.as_ref().map(TraceContext::trace_id),
            span_id = trace.as_ref().map(TraceContext::span_id),
            outcome = tracing::field::Empty,
        );
        ambient.trace.clone_from(&trace);
        let mut record = Record {
            observer: &*self.observer,
            plugin: self.inner.name(),
            operation,
            ambient,
            span,
            started: Instant::now(),
            is_over: false,
        };
        let call = attempt().instrument(record.span.clone());
        let answer = match trace {
            Some(trace) => trace.scope(call).await,
            None => call.await,
        };
        let receipt = match &answer {
            Ok(answer) => record.finish(Outcome::Answered(answer.answered())),
            Err(error) => record.finish(Outcome::Failed(error)),
        };
        receipt.wait().await.and(answer)
    }
}

/// Reports the call in the end, and reports it as cancelled when there is no end.
struct Record<'a> {
    observer: &'a dyn Observer,
    plugin: &'a str,
    operation: Operation<'a>,
    ambient: Ambient,
    span: tracing::Span,
    started: Instant,
    is_over: bool,
}

impl Record<'_> {
    fn finish(&mut self, outcome: Outcome<'_>) -> Receipt {
        self.is_over = true;
        self.span.record("outcome", outcome.name());
        self.observer.finished(&Call {
            plugin: self.plugin,
            operation: self.operation.name,
            subject: self.operation.subject.map(Subject),
            requester: self.ambient.caller.as_deref(),
            reason: self.ambient.reason.as_deref(),
            trace: self.ambient.trace.as_ref(),
            took: self.started.elapsed(),
            outcome,
        })
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            drop(self.finish(Outcome::Cancelled));
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: Plugin> Plugin for Observed<P> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn health(&self) -> Health {
        let health = self.inner.health().await;
        match self.observer.fault() {
            Some(fault) if health.status == crate::HealthStatus::Healthy => {
                Health::degraded(fault.message(), fault.hint_text())
            }
            _ => health,
        }
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

decorate!(Observed);
