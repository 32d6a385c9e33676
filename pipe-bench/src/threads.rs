//! What two threads do in a second, beside one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use crate::{Amount, Fault, Measured};

/// How often each of the two has its turn; the median counts.
const TURNS: usize = 11;

const TURN: Duration = Duration::from_millis(100);

/// The rate of two threads together, and the rate of one. One thread and two take turns. `caller`
/// makes what a thread calls over and over.
///
/// A thread that is ready to run, and gets no core because others have them all, does not tell
/// anything about what it calls: that time is left out. Time spent waiting for a lock is not.
///
/// # Errors
/// When a call fails.
pub async fn by_one<C>(caller: impl Fn() -> C + Send + Sync + 'static) -> Result<Measured, Fault>
where
    C: AsyncFnMut() -> Result<(), Fault>,
{
    let caller = Arc::new(caller);
    let mut rates = [Vec::new(), Vec::new()];
    for turn in 0..TURNS * 2 {
        let threads = 1 + turn % 2;
        let caller = Arc::clone(&caller);
        let rate = tokio::task::spawn_blocking(move || rate_of(threads, &*caller)).await??;
        rates[turn % 2].push(rate);
    }
    let [one, two] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        Amount::PerSecond(rates[TURNS / 2])
    });
    Ok(Measured::new(two, one))
}

/// The numbers below this in an order of its own, over and over.
#[derive(Debug)]
pub struct Shuffled {
    order: Vec<usize>,
    at: usize,
}

/// Of so many, at least one.
#[must_use]
pub fn shuffled(count: usize) -> Shuffled {
    let mut order: Vec<_> = (0..count).collect();
    fastrand::shuffle(&mut order);
    Shuffled { order, at: 0 }
}

impl Shuffled {
    /// The next one. There is always one.
    #[allow(clippy::should_implement_trait, reason = "an iterator could end")]
    pub fn next(&mut self) -> usize {
        self.at = if self.at + 1 < self.order.len() { self.at + 1 } else { 0 };
        self.order[self.at]
    }
}

/// How many calls so many threads make in a second, together.
fn rate_of<C>(threads: usize, caller: &(impl Fn() -> C + Sync)) -> Result<f64, Fault>
where
    C: AsyncFnMut() -> Result<(), Fault>,
{
    let start = Barrier::new(threads + 1);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let call = caller();
                    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
                    start.wait();
                    let (clock, waited) = (Instant::now(), waited_for_a_core());
                    let calls = runtime.block_on(call_until(&is_over, call))?;
                    let waited = waited_for_a_core().saturating_sub(waited);
                    let took = clock.elapsed().saturating_sub(waited);
                    Ok(calls as f64 / took.as_secs_f64())
                })
            })
            .collect();
        start.wait();
        std::thread::sleep(TURN);
        is_over.store(true, Ordering::Relaxed);
        let rates = callers.into_iter().map(|caller| match caller.join() {
            Ok(rate) => rate,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        rates.sum()
    })
}

/// How long this thread was ready to run and did not: the second number of `schedstat`. Zero where
/// it cannot be told.
fn waited_for_a_core() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let waited = times.and_then(|text| text.split(' ').nth(1)?.parse().ok());
    Duration::from_nanos(waited.unwrap_or(0))
}

async fn call_until(
    is_over: &AtomicBool,
    mut call: impl AsyncFnMut() -> Result<(), Fault>,
) -> Result<u64, Fault> {
    let mut calls = 0;
    while !is_over.load(Ordering::Relaxed) {
        call().await?;
        calls += 1;
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_that_fails_on_a_thread_is_not_measured() {
        let measured = by_one(|| async || Err(Fault::new("no answer"))).await;
        assert_eq!(measured, Err(Fault::new("no answer")));
    }

    #[test]
    fn an_order_has_each_number_once_before_it_begins_again() {
        let mut order = shuffled(10);
        let mut first: Vec<_> = (0..10).map(|_| order.next()).collect();
        let again: Vec<_> = (0..10).map(|_| order.next()).collect();
        assert_eq!(first, again);
        first.sort_unstable();
        assert!(first.into_iter().eq(0..10));
    }
}
