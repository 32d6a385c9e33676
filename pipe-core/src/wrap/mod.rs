//! What a caller composes around any plugin.

mod cached;
mod fallback;
mod metrics;
mod observed;
mod policy;
mod retry;
mod timeout;

pub use self::fallback::{Fallback, FallbackPolicy};
pub use self::policy::{CachePolicy, RetryPolicy};
