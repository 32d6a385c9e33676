//! Two sides measured in turns, so that whatever else the machine does hits both.

use std::time::{Duration, Instant};

use crate::{Amount, Fault, Measured};

/// How much to measure.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// How often each side has its turn.
    turns: usize,
    /// How many times are taken in a turn.
    samples: usize,
    /// How many calls one of these times is the mean of.
    calls: u32,
}

impl Plan {
    /// For calls that take microseconds at least: each is timed by itself.
    pub const EACH_CALL: Self = Self { turns: 400, samples: 10, calls: 1 };
    /// For calls that are faster than a clock can tell.
    pub const BATCHES: Self = Self { turns: 100, samples: 5, calls: 500 };
    /// As [`BATCHES`](Self::BATCHES), for calls that all need arguments of their own.
    pub const DISTINCT: Self = Self { turns: 50, samples: 5, calls: 200 };

    /// How many calls of each side there are in all.
    #[must_use]
    pub fn calls_of_each_side(self) -> usize {
        (self.warm_up().turns + self.turns) * self.samples * self.calls as usize
    }

    /// The first turns pay for connections, caches and page faults, and are forgotten.
    fn warm_up(self) -> Self {
        Self { turns: 1 + self.turns / 10, ..self }
    }
}

/// The medians of two sides, which take turns.
///
/// # Errors
/// When a call fails.
pub async fn side_by_side(
    plan: Plan,
    mut ours: impl AsyncFnMut() -> Result<(), Fault>,
    mut baseline: impl AsyncFnMut() -> Result<(), Fault>,
) -> Result<Measured, Fault> {
    let mut times = (Vec::new(), Vec::new());
    for plan in [plan.warm_up(), plan] {
        times = (Vec::new(), Vec::new());
        for turn in 0..plan.turns {
            // Who is first changes, so that neither always follows the other.
            if turn % 2 == 0 {
                turn_of(&mut ours, plan, &mut times.0).await?;
                turn_of(&mut baseline, plan, &mut times.1).await?;
            } else {
                turn_of(&mut baseline, plan, &mut times.1).await?;
                turn_of(&mut ours, plan, &mut times.0).await?;
            }
        }
    }
    Ok(Measured::new(Amount::Time(median(times.0)), Amount::Time(median(times.1))))
}

/// The median of one side, where the other one is a number.
///
/// # Errors
/// When a call fails.
pub async fn alone(
    plan: Plan,
    mut ours: impl AsyncFnMut() -> Result<(), Fault>,
) -> Result<Duration, Fault> {
    let mut times = Vec::new();
    for plan in [plan.warm_up(), plan] {
        times.clear();
        for _ in 0..plan.turns {
            turn_of(&mut ours, plan, &mut times).await?;
        }
    }
    Ok(median(times))
}

async fn turn_of(
    side: &mut impl AsyncFnMut() -> Result<(), Fault>,
    plan: Plan,
    times: &mut Vec<Duration>,
) -> Result<(), Fault> {
    for _ in 0..plan.samples {
        let start = Instant::now();
        for _ in 0..plan.calls {
            side().await?;
        }
        times.push(start.elapsed() / plan.calls);
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::cell::RefCell;

    const PLAN: Plan = Plan { turns: 20, samples: 2, calls: 3 };

    #[test]
    fn a_median_is_not_moved_by_a_few_that_are_slow() {
        let times = [1, 900, 2, 3, 900].map(Duration::from_nanos);
        assert_eq!(median(times.to_vec()), Duration::from_nanos(3));
        assert_eq!(median(Vec::new()), Duration::ZERO);
    }

    #[tokio::test]
    async fn both_sides_are_called_equally_often_and_in_turns() {
        let calls = RefCell::new(String::new());
        let side = async |name| {
            calls.borrow_mut().push(name);
            Ok(())
        };
        side_by_side(PLAN, async || side('o').await, async || side('b').await).await.unwrap();
        let calls = calls.into_inner();
        assert_eq!(calls.matches('o').count(), calls.matches('b').count());
        assert_eq!(calls.len(), 2 * PLAN.calls_of_each_side());
        assert!(!calls.contains("ooooooooooooo") && !calls.contains("bbbbbbbbbbbbb"), "{calls}");
    }

    #[tokio::test]
    async fn the_side_that_is_slower_is_seen_to_be() {
        let slow = async || {
            std::thread::sleep(Duration::from_micros(200));
            Ok(())
        };
        let measured = side_by_side(PLAN, slow, async || Ok(())).await.unwrap();
        assert!(measured.ratio() > 2.0, "{measured:?}");
    }

    #[tokio::test]
    async fn a_call_that_fails_is_not_measured() {
        let fails = async || Err(Fault::new("no answer"));
        let measured = side_by_side(PLAN, async || Ok(()), fails).await;
        assert_eq!(measured, Err(Fault::new("no answer")));
        assert!(alone(PLAN, fails).await.is_err());
    }
}
