//! What a caller composes around any plugin.

mod cached;
mod fallback;
mod metrics;
mod observed;
mod retry;
mod timeout;
