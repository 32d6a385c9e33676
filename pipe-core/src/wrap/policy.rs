//! The settings of the decorators, which are their own builders.

use std::time::Duration;

use serde::Deserialize;

use crate::{ConfigFaults, Result};

/// How often, and for how long, [`Retry`](super::Retry) tries.
///
/// In a document, durations are text with a unit:
///
/// ```
/// # let document = r#"
/// { "attempts": 5, "deadline": "20s" }
/// # "#;
/// # let policy: pipe_core::wrap::RetryPolicy = serde_json::from_str(document).unwrap();
/// # assert_eq!((policy.attempts, policy.base), (5, std::time::Duration::from_millis(100)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How many attempts there are at most, the first one included; 4.
    pub attempts: u32,
    /// The longest pause after the first attempt, which doubles with each further one; 100 ms.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub base: Duration,
    /// The longest pause of all, unless the server asks for a longer one; 5 seconds.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub longest: Duration,
    /// The shortest pause when the server says when to come back: servers say zero; 50 ms.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub floor: Duration,
    /// How long all attempts and pauses may take together; 30 seconds.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub deadline: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 4,
            base: Duration::from_millis(100),
            longest: Duration::from_secs(5),
            floor: Duration::from_millis(50),
            deadline: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many attempts there are at most, the first one included.
    #[must_use]
    pub fn with_attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// The longest pause after the first attempt.
    #[must_use]
    pub fn with_base(self, base: Duration) -> Self {
        Self { base, ..self }
    }

    /// The longest pause of all, unless the server asks for a longer one.
    #[must_use]
    pub fn with_longest(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// The shortest pause when the server says when to come back.
    #[must_use]
    pub fn with_floor(self, floor: Duration) -> Self {
        Self { floor, ..self }
    }

    /// How long all attempts and pauses may take together.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Refuses a policy that would never try, or hammer the server.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the settings.
    pub fn check(&self) -> Result<()> {
        let mut faults = ConfigFaults::new();
        faults.require(self.attempts > 0, "attempts", "must be at least 1");
        faults.require(!self.base.is_zero(), "base", "must be more than nothing");
        faults.require(self.longest >= self.base, "longest", "must not be shorter than `base`");
        faults.require(!self.floor.is_zero(), "floor", "must be more than nothing");
        faults.require(!self.deadline.is_zero(), "deadline", "must be more than nothing");
        faults.into_result()
    }
}

/// What [`Cached`](super::Cached) keeps, and for how long.
///
/// In a document, durations are text with a unit:
///
/// ```
/// # let document = r#"
/// { "ttl": "5m", "stale_if_error": "1h" }
/// # "#;
/// # let policy: pipe_core::wrap::CachePolicy = serde_json::from_str(document).unwrap();
/// # assert_eq!(policy.ttl, std::time::Duration::from_secs(300));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CachePolicy {
    /// How long an answer is served without asking again; one minute. Each answer's own time is up
    /// to a tenth shorter, by chance, so that what was read together is not asked for together.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub ttl: Duration,
    /// How long "nothing is there" is served; 5 seconds. Zero keeps no absence.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub absent_ttl: Duration,
    /// When an answer that is asked for is renewed in the background, in percent of its time; 80.
    /// At 100 nothing is.
    pub refresh_ahead: u8,
    /// How long past its time an answer is served when the backend cannot be asked; 5 minutes.
    /// Zero serves nothing that is past its time.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub stale_if_error: Duration,
    /// How many answers of a kind are kept at most; 10,000.
    pub max_entries: usize,
    /// How many bytes the kept answers may have, their values and an allowance for the rest; 64
    /// MiB. Secrets, checked tokens and credentials are counted each by themselves.
    pub max_bytes: usize,
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(60),
            absent_ttl: Duration::from_secs(5),
            refresh_ahead: 80,
            stale_if_error: Duration::from_secs(300),
            max_entries: 10_000,
            max_bytes: 64 << 20,
        }
    }
}

impl CachePolicy {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long an answer is served without asking again.
    #[must_use]
    pub fn with_ttl(self, ttl: Duration) -> Self {
        Self { ttl, ..self }
    }

    /// How long "nothing is there" is served.
    #[must_use]
    pub fn with_absent_ttl(self, absent_ttl: Duration) -> Self {
        Self { absent_ttl, ..self }
    }

    /// When an answer that is asked for is renewed in the background, in percent of its time.
    #[must_use]
    pub fn with_refresh_ahead(self, percent: u8) -> Self {
        Self { refresh_ahead: percent, ..self }
    }

    /// How long past its time an answer is served when the backend cannot be asked.
    #[must_use]
    pub fn with_stale_if_error(self, stale_if_error: Duration) -> Self {
        Self { stale_if_error, ..self }
    }

    /// How many answers are kept at most.
    #[must_use]
    pub fn with_max_entries(self, max_entries: usize) -> Self {
        Self { max_entries, ..self }
    }

    /// How many bytes the kept answers may have.
    #[must_use]
    pub fn with_max_bytes(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }

    /// With every number that [`check`](Self::check) would refuse moved to the nearest that it takes.
    pub(super) fn within_bounds(self) -> Self {
        Self {
            ttl: self.ttl.clamp(Duration::from_nanos(1), YEAR),
            absent_ttl: self.absent_ttl.min(YEAR),
            refresh_ahead: self.refresh_ahead.clamp(1, 100),
            stale_if_error: self.stale_if_error.min(YEAR),
            max_entries: self.max_entries.max(1),
            max_bytes: self.max_bytes.max(1),
        }
    }

    /// Refuses a policy that keeps nothing, or that cannot be kept.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the settings.
    pub fn check(&self) -> Result<()> {
        let mut faults = ConfigFaults::new();
        let in_bounds = |time: Duration| time <= YEAR;
        faults.require(!self.ttl.is_zero() && in_bounds(self.ttl), "ttl", "must be up to a year");
        faults.require(in_bounds(self.absent_ttl), "absent_ttl", "must be up to a year");
        faults.require(in_bounds(self.stale_if_error), "stale_if_error", "must be up to a year");
        faults.require(
            (1..=100).contains(&self.refresh_ahead),
            "refresh_ahead",
            "must be 1 to 100",
        );
        faults.require(self.max_entries > 0, "max_entries", "must be at least 1");
        faults.require(self.max_bytes > 0, "max_bytes", "must be at least 1");
        faults.into_result()
    }
}

/// No time in a policy is longer: sums of a few stay within what clocks can tell.
pub(super) const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn the_defaults_are_sound() {
        assert!(RetryPolicy::new().check().is_ok() && CachePolicy::new().check().is_ok());
    }

    #[test]
    fn all_faults_are_named_at_once() {
        let zero = Duration::ZERO;
        let retry = RetryPolicy::new().with_attempts(0).with_floor(zero).with_deadline(zero);
        let error = retry.check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert_eq!(error.hint_text(), "correct attempts, floor, deadline");
        let cache = CachePolicy::new().with_ttl(zero).with_refresh_ahead(101).with_max_entries(0);
        assert_eq!(
            cache.check().unwrap_err().hint_text(),
            "correct ttl, refresh_ahead, max_entries"
        );
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(serde_json::from_str::<CachePolicy>(r#"{"tll":"1m"}"#).is_err());
        assert!(serde_json::from_str::<RetryPolicy>(r#"{"attempt":1}"#).is_err());
    }
}
