//! Where sessions are kept, as a document says it or as the program gives it.

use std::sync::Arc;

use pipe_core::identity::{MemorySessions, SessionStore};
use pipe_core::{ConfigFaults, Result};
use serde::Deserialize;

#[cfg(feature = "redis")]
use crate::{RedisConfig, RedisSessions};

/// Where sessions are kept.
///
/// In a document, `store` says which kind of store it is:
///
/// ```toml
/// [sessions]
/// store = "memory"
/// max_sessions = 10_000
/// ```
///
/// With the feature `redis`, `store = "redis"` and the settings of `RedisConfig`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "store", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SessionsConfig {
    /// In the memory of this process.
    Memory(MemorySessionsConfig),
    /// In a Redis server, which several processes share.
    #[cfg(feature = "redis")]
    Redis(RedisConfig),
    /// In a store that the program has made. Not part of a document.
    #[serde(skip)]
    Given(Arc<dyn SessionStore>),
}

/// How many records there may be in [`MemorySessions`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct MemorySessionsConfig {
    /// How many sessions; 100,000.
    pub max_sessions: usize,
    /// How many logins that have begun; 10,000. One that is being finished counts as two.
    pub max_logins: usize,
    /// How many marks of what may be used once, and was; 100,000.
    pub max_used: usize,
}

impl Default for MemorySessionsConfig {
    fn default() -> Self {
        Self { max_sessions: 100_000, max_logins: 10_000, max_used: 100_000 }
    }
}

impl Default for SessionsConfig {
    fn default() -> Self {
        Self::Memory(MemorySessionsConfig::default())
    }
}

impl SessionsConfig {
    /// The store. Nothing is asked yet.
    pub(super) fn store(self) -> Result<Arc<dyn SessionStore>> {
        match self {
            Self::Memory(config) => config.store(),
            #[cfg(feature = "redis")]
            Self::Redis(config) => Ok(Arc::new(RedisSessions::new(config)?)),
            Self::Given(store) => Ok(store),
        }
    }
}

impl MemorySessionsConfig {
    fn store(self) -> Result<Arc<dyn SessionStore>> {
        let mut faults = ConfigFaults::new();
        faults.require(self.max_sessions > 0, "max_sessions", "must be at least one");
        faults.require(self.max_logins > 1, "max_logins", "must be at least two");
        faults.require(self.max_used > 0, "max_used", "must be at least one");
        faults.into_result()?;
        let store = MemorySessions::new()
            .with_max_sessions(self.max_sessions)
            .with_max_logins(self.max_logins)
            .with_max_used(self.max_used);
        Ok(Arc::new(store))
    }
}
