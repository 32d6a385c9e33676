//! Exchanges with real peers on this machine.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod authority;
mod exchange;
mod leak;
mod peer;
mod proxy;
mod tls;
