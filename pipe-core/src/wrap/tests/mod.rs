//! The claims of the decorators, on a paused clock.

mod observed;
mod retry;
mod timeout;
