//! What every plugin can say about itself.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::Result;

/// The part of the contract that identity, secrets and memory plugins share.
///
/// `Debug` is required, and must show no secret: the leak suite looks at it.
#[async_trait]
pub trait Plugin: fmt::Debug + Send + Sync + 'static {
    /// The instance's name in errors, audit and metrics: `openbao`, `openbao-eu`.
    fn name(&self) -> &str;

    /// How the plugin and its backend are *now*, for readiness probes and operators.
    ///
    /// Implementors: never err, never hang (at most 5 seconds), never answer from memory.
    async fn health(&self) -> Health;

    /// Gives back what the plugin holds: revokes its own token, ends its tasks. Idempotent.
    ///
    /// # Errors
    /// When something could not be given back; it then ends by itself when its lifetime is over.
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// Whether a plugin can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HealthStatus {
    /// It works.
    Healthy,
    /// It works, and something is wrong.
    Degraded,
    /// It does not work.
    Unhealthy,
}

/// A plugin's answer to "how are you?".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Whether the plugin can serve.
    pub status: HealthStatus,
    /// What is wrong; empty when healthy.
    pub reason: String,
    /// What to change; empty when healthy.
    pub hint: String,
}

impl Health {
    /// It works.
    #[must_use]
    pub fn healthy() -> Self {
        Self { status: HealthStatus::Healthy, reason: String::new(), hint: String::new() }
    }

    /// It works, and something is wrong.
    pub fn degraded(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status: HealthStatus::Degraded, reason: reason.into(), hint: hint.into() }
    }

    /// It does not work.
    pub fn unhealthy(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status: HealthStatus::Unhealthy, reason: reason.into(), hint: hint.into() }
    }

    /// Whether calls can be expected to succeed: healthy or degraded.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.status < HealthStatus::Unhealthy
    }
}

/// An error met while asking is an answer: unhealthy, for that reason.
impl From<&crate::Error> for Health {
    fn from(error: &crate::Error) -> Self {
        Self::unhealthy(error.message(), error.hint_text())
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: Plugin + ?Sized> Plugin for $pointer {
            fn name(&self) -> &str {
                (**self).name()
            }
            async fn health(&self) -> Health {
                (**self).health().await
            }
            async fn close(&self) -> Result<()> {
                (**self).close().await
            }
        }
    )*};
}
forward!(Arc<P>, Box<P>);
