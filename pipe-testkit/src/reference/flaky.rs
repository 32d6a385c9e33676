//! A backend that fails now and then.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pipe_core::secrets::{ListQuery, Secret, SecretStream, SecretsCapabilities, WriteOutcome};
use pipe_core::{Error, ErrorKind, Health, Plugin, Result, SecretData, SecretRef, SecretsPlugin};

/// Wraps a store so that a share of its calls fails at random: half of them before anything
/// happened, half of them after it did, as when an answer is lost on its way.
///
/// What fails, and how, depends on the seed and on the order of the calls only.
///
/// ```
/// use pipe_testkit::reference::{Flaky, InMemorySecrets};
///
/// let secrets = Flaky::new(InMemorySecrets::new(), 0.3, 42);
/// ```
pub struct Flaky<P> {
    inner: P,
    share: f64,
    dice: Mutex<fastrand::Rng>,
}

/// Whether a call fails, and when.
enum Fate {
    Succeeds,
    FailsBefore(Error),
    FailsAfter(Error),
}

impl<P: Plugin> Flaky<P> {
    /// Fails this share of the calls: 0.3 are three in ten.
    #[must_use]
    pub fn new(inner: P, share: f64, seed: u64) -> Self {
        Self { inner, share, dice: Mutex::new(fastrand::Rng::with_seed(seed)) }
    }

    fn fate(&self, at: &dyn fmt::Display, operation: &'static str) -> Fate {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        if dice.f64() >= self.share {
            return Fate::Succeeds;
        }
        let fault = |kind| {
            Error::new(kind, "the store fails now and then")
                .at(self.inner.name(), operation)
                .with("secret", at)
                .hint("try again: this store is made to fail")
        };
        match dice.u8(0..4) {
            // Servers that send "Retry-After: 0" are many.
            0 => Fate::FailsBefore(fault(ErrorKind::RateLimited).retry_in(Duration::ZERO)),
            1 => Fate::FailsBefore(fault(ErrorKind::Unavailable)),
            2 => Fate::FailsAfter(fault(ErrorKind::Unavailable)),
            _ => Fate::FailsAfter(fault(ErrorKind::Timeout)),
        }
    }
}

impl Fate {
    async fn run<T>(self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        match self {
            Self::Succeeds => call.await,
            Self::FailsBefore(error) => Err(error),
            Self::FailsAfter(error) => call.await.and(Err(error)),
        }
    }
}

impl<P: fmt::Debug> fmt::Debug for Flaky<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inner, share, .. } = self;
        f.debug_struct("Flaky").field("inner", inner).field("share", share).finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: Plugin> Plugin for Flaky<P> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn health(&self) -> Health {
        self.inner.health().await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

#[async_trait]
impl<P: SecretsPlugin> SecretsPlugin for Flaky<P> {
    fn capabilities(&self) -> SecretsCapabilities {
        self.inner.capabilities()
    }

    async fn get_secret(&self, secret: &SecretRef) -> Result<Option<Secret>> {
        self.fate(secret, "get_secret").run(self.inner.get_secret(secret)).await
    }

    async fn create_secret(&self, secret: &SecretRef, data: SecretData) -> Result<WriteOutcome> {
        self.fate(secret, "create_secret").run(self.inner.create_secret(secret, data)).await
    }

    async fn delete_secret(&self, secret: &SecretRef) -> Result<bool> {
        self.fate(secret, "delete_secret").run(self.inner.delete_secret(secret)).await
    }

    async fn list_secrets(&self, query: &ListQuery) -> Result<Vec<SecretRef>> {
        self.fate(&"*", "list_secrets").run(self.inner.list_secrets(query)).await
    }

    async fn watch_secret(&self, secret: &SecretRef) -> Result<SecretStream> {
        self.fate(secret, "watch_secret").run(self.inner.watch_secret(secret)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::InMemorySecrets;

    async fn failures(share: f64, seed: u64) -> (usize, usize) {
        let secrets = Flaky::new(InMemorySecrets::new(), share, seed);
        let (mut failed, mut written) = (0, 0);
        for i in 0..1_000 {
            let at = SecretRef::new(format!("s{i}")).unwrap();
            let answer = secrets.create_secret(&at, SecretData::new().with("k", "v")).await;
            failed += usize::from(answer.is_err());
            written += usize::from(secrets.inner.get_secret(&at).await.unwrap().is_some());
        }
        (failed, written)
    }

    #[tokio::test]
    async fn the_share_fails_and_half_of_it_after_the_effect() {
        let (failed, written) = failures(0.3, 7).await;
        assert!((250..350).contains(&failed), "{failed}");
        assert!((800..900).contains(&written), "{written}");
        assert_eq!(failures(0.0, 7).await, (0, 1_000));
    }

    #[tokio::test]
    async fn the_same_seed_fails_the_same_calls() {
        assert_eq!(failures(0.5, 1).await, failures(0.5, 1).await);
    }
}
