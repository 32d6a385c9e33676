//! Against a real Redis server, where `PIPE_LIVE_REDIS` names its binary. Elsewhere every test says
//! so and is skipped; with `PIPE_TESTKIT_REQUIRE=1` that is a failure. `live/README.md` says how to
//! install it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod compliance;
mod faults;
mod people;
mod server;
mod sharing;
