//! The claims of the decorators, on a paused clock.

mod memory;
mod observed;
mod retry;
mod timeout;
