//! Plugins that keep everything in memory: the contract in its simplest form, for development,
//! for tests of code that uses a plugin, and as a model for those who write one.
//!
//! They forget everything when the process ends, and their secrets are protected by nothing but
//! the process's memory: **not for production** (REQ 004-85.5).

mod flaky;
mod governance;
mod identity;
mod secrets;

pub use self::flaky::Flaky;
pub use self::governance::InMemoryGovernance;
pub use self::identity::InMemoryIdentity;
pub use self::secrets::InMemorySecrets;
