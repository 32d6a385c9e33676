//! What `Zitadel` does beyond the contract of all plugins, offline.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod administering;
mod authenticating;
mod permissions;
mod setup;
mod verifying;
