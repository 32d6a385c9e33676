//! Another attempt, where it may help.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::RetryPolicy;
use super::decorate::{Operation, Repeat, decorate};
use super::policy::YEAR;
use crate::{Error, ErrorKind, Health, Plugin, Result};

/// Calls the inner plugin again while [`Error::is_retryable`] says that it may help.
///
/// - The pause before attempt *n* + 1 is chosen by chance between nothing and `base` · 2ⁿ⁻¹, at most
///   `longest` (exponential backoff with full jitter), so that those who failed together do not
///   come back together.
/// - When the server says how long to wait, that is the pause, but at least `floor`, and a little more
///   by chance. A server that asks for more time than is left ends the attempts at once.
/// - All attempts and pauses together take at most `deadline`.
/// - Only what is safe to repeat is: a delete is repeated when the server said that it did nothing
///   (`RateLimited`), and not when its answer was lost, because a second attempt could not tell
///   whether something was there. The end of a login of a person is never repeated: the first attempt
///   used it up. Health is asked for once.
/// - The last error is marked [`exhausted`](Error::exhausted), so that nested retries do not multiply.
///
/// It belongs around [`Timeout`](super::Timeout) and inside of [`Cached`](super::Cached). Dropping the
/// future ends the attempt under way, and there is no further one.
#[derive(Clone, Debug)]
pub struct Retry<P> {
    inner: P,
    policy: RetryPolicy,
}

impl<P> Retry<P> {
    /// Up to four attempts within 30 seconds: [`RetryPolicy::new`].
    #[must_use]
    pub fn new(inner: P) -> Self {
        Self::with_policy(inner, RetryPolicy::new())
    }

    /// Attempts and pauses as the policy says. [`RetryPolicy::check`] tells whether it makes sense;
    /// there is one attempt at least.
    #[must_use]
    pub fn with_policy(inner: P, policy: RetryPolicy) -> Self {
        Self { inner, policy }
    }
}

impl<P: Plugin> Retry<P> {
    async fn around<T, F>(&self, operation: Operation<'_>, attempt: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        // Clocks have an end.
        let deadline = Instant::now() + self.policy.deadline.min(YEAR);
        let mut attempts = 1;
        loop {
            let answer = tokio::time::timeout_at(deadline, attempt()).await;
            let error = match answer {
                Ok(Err(error)) if error.is_retryable() => error,
                Ok(answer) => return answer,
                Err(_) => return Err(self.out_of_time(&operation, attempts)),
            };
            let is_last = attempts >= self.policy.attempts || !may_repeat(&operation, &error);
            let pause = self.pause(attempts, &error);
            if is_last || pause >= deadline.duration_since(Instant::now()) {
                return Err(error.with("attempts", attempts).exhausted());
            }
            tracing::debug!(%error, attempts, ?pause, "trying again");
            tokio::time::sleep(pause).await;
            attempts += 1;
        }
    }

    pub(super) fn pause(&self, attempts: u32, error: &Error) -> Duration {
        let policy = &self.policy;
        let doublings = 1_u32.checked_shl(attempts - 1).unwrap_or(u32::MAX);
        let longest = policy.base.saturating_mul(doublings).min(policy.longest);
        let by_chance = longest.mul_f64(fastrand::f64());
        match error.retry_after() {
            Some(asked) => asked.max(policy.floor).saturating_add(by_chance),
            None => by_chance,
        }
    }

    fn out_of_time(&self, operation: &Operation<'_>, attempts: u32) -> Error {
        Error::new(ErrorKind::Timeout, "no answer before the deadline of all attempts")
            .at(self.inner.name(), operation.name)
            .with("attempts", attempts)
            .with("deadline", format_args!("{:?}", self.policy.deadline))
            .hint("bound each attempt with a `Timeout`, or raise `deadline` of the retry policy")
            .exhausted()
    }
}

fn may_repeat(operation: &Operation<'_>, error: &Error) -> bool {
    match operation.repeat {
        Repeat::Always => true,
        Repeat::WhenNothingHappened => error.kind() == ErrorKind::RateLimited,
        Repeat::Never => false,
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: Plugin> Plugin for Retry<P> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn health(&self) -> Health {
        self.inner.health().await
    }

    async fn close(&self) -> Result<()> {
        self.around(Operation::new("close"), || self.inner.close()).await
    }
}

decorate!(Retry);
