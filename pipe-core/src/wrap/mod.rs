//! Decorators: what a caller composes around any plugin.
//!
//! Each is a plain struct around another plugin, `Wrapper::new(inner, …)`, and is a plugin of the
//! same kinds as the inner one. There is no builder: nesting says what happens inside of what.
//!
//! ```
//! use std::time::Duration;
//!
//! use pipe_core::SecretsPlugin;
//! use pipe_core::wrap::{CachePolicy, Cached, Metrics, Observed, Retry, Timeout};
//!
//! fn around(backend: impl SecretsPlugin) -> impl SecretsPlugin {
//!     let secrets = Timeout::new(backend, Duration::from_secs(5)); // bounds each attempt
//!     let secrets = Retry::new(secrets); // repeats what may help
//!     let secrets = Cached::new(secrets, CachePolicy::new()); // asks once for all who ask at once
//!     Observed::new(secrets, Metrics::new()) // a hit is an access too
//! }
//! ```
//!
//! # Order
//!
//! From the inside out: [`Timeout`], [`Retry`], [`Cached`], [`Observed`]. Another order compiles,
//! and means something else:
//!
//! ```
//! # use std::time::Duration;
//! # use pipe_core::SecretsPlugin;
//! # use pipe_core::wrap::{CachePolicy, Cached, Metrics, Observed, Retry, Timeout};
//! fn wrong(backend: impl SecretsPlugin) -> impl SecretsPlugin {
//!     // The cache's hits are not on record: only what reaches the backend is.
//!     let secrets = Observed::new(backend, Metrics::new());
//!     let secrets = Cached::new(secrets, CachePolicy::new());
//!     // All attempts share one bound: a backend that hangs once is never asked again.
//!     let secrets = Retry::new(secrets);
//!     Timeout::new(secrets, Duration::from_secs(5))
//! }
//! ```
//!
//! A [`GovernanceMemory`](crate::GovernanceMemory) has no [`Cached`] around it: what was added is found by the next search, whoever
//! added it. Its fallback is a memory in the process, and comes with the crate of the memory. Nor has
//! a [`UserLogin`](crate::identity::UserLogin): a session that ended would go on.
//!
//! [`Fallback`] takes two plugins; each has its own `Timeout` and `Retry`, and `Cached` and
//! `Observed` go around both. An `Observed` directly around a backend, in addition to the outer
//! one, tells how the backend does.
//!
//! # Cancellation
//!
//! A dropped future cancels what it waits for, with two exceptions: what others wait for too goes on
//! for them ([`Cached`]), and a cancelled call is on record ([`Observed`]). A write that was
//! cancelled may have happened, as one that ended in `Timeout` may.

mod answer;
mod cached;
mod decorate;
mod fallback;
mod metrics;
mod observed;
mod observer;
mod policy;
mod retry;
#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;
mod timeout;

pub use self::cached::{Cached, CachedRoles};
pub use self::fallback::{Fallback, FallbackPolicy};
pub use self::metrics::Metrics;
pub use self::observed::Observed;
pub use self::observer::{Answered, Call, Observer, Outcome, Receipt, Subject};
pub use self::policy::{CachePolicy, RetryPolicy};
pub use self::retry::Retry;
pub use self::timeout::Timeout;
