//! Against a real API server. Where none is installed, every test says so and is skipped; with
//! `PIPE_TESTKIT_REQUIRE=1` that is a failure. `live/README.md` says how to install it.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod api;
mod callers;
mod credentials;
mod exchanges;
mod flags;
mod plugin;
mod process;
mod server;
mod setup;
mod smoke;
mod smoke_server;
