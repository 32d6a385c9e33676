#![doc = include_str!("../README.md")]

pub mod jwt;
#[allow(dead_code, unused_imports, reason = "its users come with the plugin")]
mod provider;

pub use self::provider::{KeyState, ProviderCounters, ProviderStatus};
