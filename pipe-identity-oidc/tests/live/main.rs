//! Against a certified OpenID provider. Where none is installed, every test says so and is skipped;
//! with `PIPE_TESTKIT_REQUIRE=1` that is a failure. `live/README.md` says how to install it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod admin;
mod browser;
mod compliance;
mod credentials;
mod devices;
mod faults;
mod login;
mod logout;
mod oauth;
mod people;
mod plugin;
mod process;
mod refusals;
mod rotation;
mod server;
mod services;
mod smoke;
mod smoke_faults;
mod tokens;
mod web;
