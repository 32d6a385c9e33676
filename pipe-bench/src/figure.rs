//! What is promised, and what was measured.

use std::fmt;
use std::time::Duration;

use crate::Fault;

/// One promise about cost: an amount of ours beside its baseline, and how far apart they may be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Figure {
    /// What is promised.
    pub name: &'static str,
    /// How ours may relate to the baseline.
    pub limit: Limit,
    /// What was measured, or why nothing could be.
    pub measured: Result<Measured, Fault>,
}

/// An amount of ours and what it is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Measured {
    /// Ours.
    pub ours: Amount,
    /// What it is compared with: measured in the same run, or the promise itself.
    pub baseline: Amount,
}

/// A bound of the ratio of ours to the baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Limit {
    /// Ours may be so many times the baseline, and not more.
    AtMost(f64),
    /// Ours has to be so many times the baseline, or more.
    AtLeast(f64),
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Amount {
    /// How long one operation takes.
    Time(Duration),
    /// How many operations there are in a second.
    PerSecond(f64),
    /// How much memory there is.
    Bytes(u64),
    /// How often something happened.
    Count(u64),
}

impl Figure {
    /// The figure of this name, whose ratio is bounded by this limit.
    #[must_use]
    pub fn new(name: &'static str, limit: Limit, measured: Result<Measured, Fault>) -> Self {
        Self { name, limit, measured }
    }

    /// Whether the promise is kept. What could not be measured is not.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.measured.as_ref().is_ok_and(|measured| self.limit.allows(measured.ratio()))
    }
}

impl Measured {
    /// Two amounts of the same kind.
    #[must_use]
    pub fn new(ours: Amount, baseline: Amount) -> Self {
        Self { ours, baseline }
    }

    /// Times as rates, for promises that say how often something can be done.
    #[must_use]
    pub fn as_rates(self) -> Self {
        let rate = |amount| match amount {
            Amount::Time(time) => Amount::PerSecond(time.as_secs_f64().recip()),
            other => other,
        };
        Self { ours: rate(self.ours), baseline: rate(self.baseline) }
    }

    /// How many times the baseline ours is; no number for amounts that cannot be compared.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        match (self.ours, self.baseline) {
            (Amount::Time(ours), Amount::Time(baseline)) => ours.div_duration_f64(baseline),
            (Amount::PerSecond(ours), Amount::PerSecond(baseline)) => ours / baseline,
            (Amount::Bytes(ours), Amount::Bytes(baseline))
            | (Amount::Count(ours), Amount::Count(baseline)) => ours as f64 / baseline as f64,
            _ => f64::NAN,
        }
    }
}

impl Limit {
    /// Whether this ratio is within the bound. What is no number is not.
    #[must_use]
    pub fn allows(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(bound) => ratio <= bound,
            Self::AtLeast(bound) => ratio >= bound && ratio.is_finite(),
        }
    }

    /// Which of two measurements is nearer to what is promised.
    pub(crate) fn better(self, one: Measured, other: Measured) -> Measured {
        let is_better = match self {
            Self::AtMost(_) => one.ratio() <= other.ratio(),
            Self::AtLeast(_) => one.ratio() >= other.ratio(),
        };
        if is_better { one } else { other }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "<= {bound}"),
            Self::AtLeast(bound) => write!(f, ">= {bound}"),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(f, "{time:.1?}"),
            Self::PerSecond(rate) => write!(f, "{rate:.0}/s"),
            Self::Bytes(bytes) => write!(f, "{} KiB", bytes >> 10),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(ours: u64, baseline: u64) -> Result<Measured, Fault> {
        let time = |nanos| Amount::Time(Duration::from_nanos(nanos));
        Ok(Measured::new(time(ours), time(baseline)))
    }

    fn holds(limit: Limit, measured: Result<Measured, Fault>) -> bool {
        Figure::new("made up", limit, measured).holds()
    }

    #[test]
    fn a_ceiling_holds_up_to_itself_and_not_above() {
        let limit = Limit::AtMost(1.05);
        assert!(holds(limit, time(900, 1000)));
        assert!(holds(limit, time(1050, 1000)));
        assert!(!holds(limit, time(1051, 1000)));
    }

    #[test]
    fn a_floor_holds_down_to_itself_and_not_below() {
        let limit = Limit::AtLeast(400.0);
        assert!(holds(limit, time(401, 1)));
        assert!(holds(limit, time(400, 1)));
        assert!(!holds(limit, time(399, 1)));
    }

    #[test]
    fn what_could_not_be_measured_does_not_hold() {
        for limit in [Limit::AtMost(1.0), Limit::AtLeast(1.0)] {
            assert!(!holds(limit, Err(Fault::new("no server"))));
            assert!(!holds(limit, time(0, 0)), "nothing was measured");
        }
        assert!(!holds(Limit::AtLeast(1.0), time(1, 0)), "there is nothing to compare with");
    }

    #[test]
    fn amounts_of_different_kinds_do_not_hold() {
        let mixed = Measured::new(Amount::Count(1), Amount::Bytes(1));
        assert!(!holds(Limit::AtMost(1.0), Ok(mixed)));
        assert!(!holds(Limit::AtLeast(1.0), Ok(mixed)));
    }
}
