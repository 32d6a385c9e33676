//! What `Infisical` does beyond the contract of all plugins, offline.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod faults;
mod logins;
mod places;
mod setup;
mod values;
mod watching;
