//! What an operator is told about an issuer.

use std::fmt;
use std::time::Duration;

use pipe_core::{Error, Health};

/// Whether the keys of an issuer can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum KeyState {
    /// There are none yet.
    Cold,
    /// They are as new as they should be.
    Fresh,
    /// They are past their time, and serve while no others can be had, for a bounded time.
    Stale,
    /// They are too old to be trusted: every token is refused.
    Expired,
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cold => "cold",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Expired => "expired",
        })
    }
}

/// How an issuer's keys are just now, without asking anybody.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProviderStatus {
    /// The issuer.
    pub issuer: String,
    /// Whether its keys can be used.
    pub state: KeyState,
    /// How many keys there are.
    pub keys: usize,
    /// How long ago the issuer said that these are its keys.
    pub age: Option<Duration>,
    /// What the last attempt to get keys failed with; `None` when it succeeded.
    pub last_error: Option<Error>,
    /// How long no other attempt will be made.
    pub next_attempt_in: Option<Duration>,
    /// What is wrong with the settings, and was corrected.
    pub corrected: Option<&'static str>,
    /// What was done so far.
    pub counters: ProviderCounters,
}

/// What was done to know an issuer. The numbers only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProviderCounters {
    /// Attempts to get the discovery document.
    pub discoveries: u64,
    /// Attempts to get the keys.
    pub fetches: u64,
    /// How many of both failed.
    pub failures: u64,
    /// Unknown keys that led to no attempt.
    pub unknown_kid_suppressed: u64,
}

impl ProviderStatus {
    /// The same as health.
    #[must_use]
    pub fn health(&self) -> Health {
        let Self { issuer, state, keys, .. } = self;
        let mut reason = format!("{issuer}: {state}, {keys} keys");
        if let Some(age) = self.age {
            reason += &format!(" from {} s ago", age.as_secs());
        }
        if let Some(error) = &self.last_error {
            reason += &format!(", {} ({})", error.message(), error.kind().name());
            if let Some(wait) = self.next_attempt_in {
                reason += &format!(", next attempt in {} s", wait.as_secs());
            }
        }
        let hint = match (&self.last_error, self.corrected) {
            (Some(error), _) => error.hint_text().to_owned(),
            (None, Some(corrected)) => {
                reason += ", ";
                reason += corrected;
                "correct `keys.discovery`".to_owned()
            }
            (None, None) if *state == KeyState::Fresh => return Health::healthy(),
            (None, None) => "keys are fetched with the next token".to_owned(),
        };
        match state {
            KeyState::Fresh | KeyState::Stale => Health::degraded(reason, hint),
            KeyState::Cold if self.last_error.is_none() => Health::degraded(reason, hint),
            KeyState::Cold | KeyState::Expired => Health::unhealthy(reason, hint),
        }
    }
}
