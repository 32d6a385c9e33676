//! Against a certified OpenID provider. Where none is installed, every test says so and is skipped;
//! with `PIPE_TESTKIT_REQUIRE=1` that is a failure. `live/README.md` says how to install it.

mod admin;
mod credentials;
mod oauth;
mod process;
mod server;
mod smoke;
mod smoke_faults;
mod web;
