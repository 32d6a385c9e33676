//! Plugins with all decorators around, to be held to the same suites as bare ones.

use std::time::Duration;

use pipe_core::Clock;
use pipe_core::audit::{Audit, OnFault, TracingSink};
use pipe_core::wrap::{CachePolicy, Cached, Metrics, Observed, Retry, Timeout};

/// The full stack.
pub type Stack<P> = Observed<Cached<Retry<Timeout<P>>>>;

/// The full stack without [`Retry`], for plugins whose backend is down: what `Retry` gave up on is not
/// retryable any more.
pub type StackWithoutRetry<P> = Observed<Cached<Timeout<P>>>;

/// Puts the full stack around a plugin. Its audit events are logged, where the leak scanner sees them.
///
/// ```
/// # use pipe_testkit::reference::InMemorySecrets as AcmeVault;
/// use pipe_testkit::wrapped::{Stack, stack};
///
/// async fn acme() -> Option<(Stack<AcmeVault>, ())> {
///     Some((stack(AcmeVault::new()), ()))
/// }
///
/// pipe_testkit::secrets_compliance!(acme);
/// # fn main() {}
/// ```
pub fn stack<P>(plugin: P) -> Stack<P> {
    let plugin = Retry::new(Timeout::new(plugin, LIMIT));
    observed(Cached::new(plugin, CachePolicy::new()))
}

/// As [`stack`], without [`Retry`].
pub fn stack_without_retry<P>(plugin: P) -> StackWithoutRetry<P> {
    observed(Cached::new(Timeout::new(plugin, LIMIT), CachePolicy::new()))
}

/// As [`stack_without_retry`], for a plugin that tells the time of day by this clock.
pub fn stack_without_retry_with_clock<P>(plugin: P, clock: &Clock) -> StackWithoutRetry<P> {
    observed(Cached::with_clock(Timeout::new(plugin, LIMIT), CachePolicy::new(), clock))
}

/// The full stack of a memory, which has no cache.
pub type MemoryStack<P> = Observed<Retry<Timeout<P>>>;

/// The full stack of a memory without [`Retry`].
pub type MemoryStackWithoutRetry<P> = Observed<Timeout<P>>;

/// As [`stack`], for a [`GovernanceMemory`](pipe_core::GovernanceMemory).
pub fn memory_stack<P>(memory: P) -> MemoryStack<P> {
    observed(Retry::new(Timeout::new(memory, LIMIT)))
}

/// As [`memory_stack`], without [`Retry`].
pub fn memory_stack_without_retry<P>(memory: P) -> MemoryStackWithoutRetry<P> {
    observed(Timeout::new(memory, LIMIT))
}

/// The full stack of a plugin that logs people in, which has no cache. There is no [`Retry`] in it: the
/// suite counts what the provider is asked.
pub type LoginStack<P> = Observed<Timeout<P>>;

/// As [`stack`], for a [`UserLogin`](pipe_core::identity::UserLogin).
pub fn login_stack<P>(login: P) -> LoginStack<P> {
    observed(Timeout::new(login, LIMIT))
}

const LIMIT: Duration = Duration::from_secs(30);

fn observed<P>(plugin: P) -> Observed<P> {
    Observed::new(plugin, (Audit::new(TracingSink::new(), OnFault::Refuse), Metrics::new()))
}
