//! The claims of the decorators, on a paused clock.

mod login;
mod memory;
mod observed;
mod retry;
mod timeout;
