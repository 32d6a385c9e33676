//! One attempt at a time, with a rest after each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use pipe_core::{Error, ErrorKind, Result};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

/// An attempt that is under way. It goes on when one who waits for it goes away.
pub(super) type Flight = Shared<BoxFuture<'static, Result<()>>>;

/// How attempts follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The rest after a success.
    pub(super) rest: Duration,
    /// The rest after the first failure of a row, and the longest one.
    pub(super) backoff: (Duration, Duration),
    /// How long an attempt may take.
    pub(super) patience: Duration,
}

/// What becomes of a wish for an attempt.
pub(super) enum Turn {
    /// One is under way.
    Wait(Flight),
    /// The last one succeeded just now.
    Resting,
    /// The last one failed just now; the error says when the next may begin.
    Failing(Error),
}

/// Runs attempts. Whatever is under way ends with it.
pub(super) struct Lane {
    pace: Pace,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    flight: Option<(Flight, AbortHandle)>,
    /// Until when there is no other attempt, and what the last one failed with.
    rest: Option<(Instant, Option<Error>)>,
    counts: Counts,
    failed_in_a_row: u32,
}

/// What a lane has done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) attempts: u64,
    pub(super) failures: u64,
}

impl Lane {
    pub(super) fn new(pace: Pace) -> Arc<Self> {
        Arc::new(Self { pace, state: Mutex::default() })
    }

    /// Joins the attempt that is under way, or begins one if it is time.
    pub(super) fn join(
        self: &Arc<Self>,
        work: impl FnOnce() -> BoxFuture<'static, Result<()>>,
    ) -> Turn {
        let mut state = self.state();
        if let Some((flight, task)) = &state.flight {
            if !task.is_finished() {
                return Turn::Wait(flight.clone());
            }
            // It settles before it ends, unless its runtime ended or it panicked.
            drop(self.settle(&mut state, Err(ended())));
        }
        let now = Instant::now();
        if let Some((until, error)) = &state.rest
            && now < *until
        {
            return match error {
                Some(error) => Turn::Failing(error.clone().retry_in(*until - now)),
                None => Turn::Resting,
            };
        }
        state.counts.attempts += 1;
        let attempt = timeout(self.pace.patience, work());
        let lane = Arc::downgrade(self);
        let task = tokio::spawn(async move {
            let outcome = attempt.await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Timeout, "no complete answer within `timeout`"))
            });
            match lane.upgrade() {
                Some(lane) => lane.settle(&mut lane.state(), outcome),
                None => outcome,
            }
        });
        let abort = task.abort_handle();
        let flight = task.map(|outcome| outcome.unwrap_or_else(|_| Err(ended()))).boxed().shared();
        state.flight = Some((flight.clone(), abort));
        Turn::Wait(flight)
    }

    /// Waits, but not for longer than an attempt may take: its runtime may stand still.
    pub(super) async fn wait(&self, flight: Flight) -> Result<()> {
        timeout(self.pace.patience, flight).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout, "no complete answer within `timeout`"))
        })
    }

    pub(super) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// What the last attempt failed with, and how long there will be no other.
    pub(super) fn trouble(&self) -> (Option<Error>, Option<Duration>) {
        match &self.state().rest {
            Some((until, error)) => {
                (error.clone(), Some(until.saturating_duration_since(Instant::now())))
            }
            None => (None, None),
        }
    }

    fn settle(&self, state: &mut State, outcome: Result<()>) -> Result<()> {
        state.flight = None;
        let now = Instant::now();
        match outcome {
            Ok(()) => {
                state.failed_in_a_row = 0;
                state.rest = Some((now + self.pace.rest, None));
                Ok(())
            }
            Err(error) => {
                let pause = self.pause(state.failed_in_a_row, error.retry_after());
                state.failed_in_a_row += 1;
                state.counts.failures += 1;
                let error = error.retry_in(pause);
                state.rest = Some((now + pause, Some(error.clone())));
                Err(error)
            }
        }
    }

    fn pause(&self, failed: u32, asked: Option<Duration>) -> Duration {
        let (first, longest) = self.pace.backoff;
        let pause = first.saturating_mul(2_u32.saturating_pow(failed)).min(longest);
        // So that a fleet that failed together does not come back together.
        let pause = pause.mul_f64(1.0 - 0.2 * fastrand::f64());
        pause.max(asked.unwrap_or_default().min(longest))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.state().flight {
            task.abort();
        }
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::Unavailable, "the attempt ended with its runtime")
}

#[cfg(test)]
mod tests;
