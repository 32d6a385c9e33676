//! Against real servers. Where none can be had, every test says so and is skipped; with
//! `PIPE_TESTKIT_REQUIRE=1` that is a failure. `live/README.md` says how to get one.

mod admin;
mod cluster;
mod compliance;
mod doctor;
mod inline;
mod kv;
mod leases;
mod lifecycle;
mod limits;
mod outage;
mod pki;
mod postgres;
mod refusals;
mod server;
mod setup;
mod standby;
mod tls;
mod transit;
mod watch;
mod wrapping;
