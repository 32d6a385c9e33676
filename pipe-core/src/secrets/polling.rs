//! Following secrets of a store that tells nobody when one changes.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::{SecretEvent, SecretStream};
use crate::{Error, ErrorKind, Result};

const MAX_WATCHES: usize = 1000;
/// A fault that may pass by itself is told when it did not pass so often in a row.
const PATIENCE: u32 = 3;
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A store that is asked now and then whether a secret is still the same.
#[async_trait]
pub trait PolledStore: Send + Sync + 'static {
    /// What a secret is known by here.
    type Place: Clone + fmt::Debug + Eq + Hash + Send + Sync + 'static;

    /// The secret's state now. `known` is the state that was seen before: where the store can tell
    /// cheaply that it is the same, a copy of it is the answer.
    ///
    /// # Errors
    /// As for `get_secret` of the plugin.
    async fn look(&self, place: &Self::Place, known: Option<&SecretEvent>) -> Result<SecretEvent>;
}

/// The pollers of a plugin, one for each secret that is followed.
///
/// All who follow one secret share one poller, which lives as long as one of them. Only the latest
/// state is kept, so a slow reader costs no memory. A plugin's own writes wake the poller.
///
/// The interval is varied by a fifth, so that many do not ask at the same time, and grows while the
/// store fails, to five minutes.
pub struct Pollers<S: PolledStore> {
    plugin: String,
    interval: Duration,
    shared: Mutex<HashMap<S::Place, Weak<Shared>>>,
    /// Counts what was read, so that nothing older is shown after something newer.
    reads: Arc<AtomicU64>,
}

/// One poller, for all who follow the same secret. It ends with the last of them.
struct Shared {
    states: Arc<watch::Sender<State>>,
    wake: Arc<Notify>,
    task: AbortHandle,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct State {
    /// Which read it is from.
    read: u64,
    event: SecretEvent,
    /// Counts the faults that were told.
    faults: u64,
    fault: Option<Error>,
    closed: bool,
}

impl<S: PolledStore> Pollers<S> {
    /// Pollers that look this often; `plugin` is the instance's name in errors.
    pub fn new(plugin: impl Into<String>, interval: Duration) -> Self {
        let (shared, reads) = (Mutex::default(), Arc::default());
        Self { plugin: plugin.into(), interval, shared, reads }
    }

    /// Follows a secret: its state now, then every later one.
    ///
    /// # Errors
    /// Those of the first look; `RateLimited` when a thousand secrets are followed already.
    pub async fn follow(&self, store: &Arc<S>, place: S::Place) -> Result<SecretStream> {
        let read = self.reads.fetch_add(1, Ordering::Relaxed);
        let event = store.look(&place, None).await?;
        let shared = self.share(store, place, read, &event)?;
        show(&shared.states, read, &event);
        let states = shared.states.subscribe();
        let faults = states.borrow().faults;
        let follower = Follower { _shared: shared, states, shown: None, faults };
        Ok(SecretStream::new(stream::unfold(follower, Follower::next)))
    }

    /// Ends all streams.
    pub fn close(&self) {
        for (_, shared) in self.lock().drain() {
            if let Some(shared) = shared.upgrade() {
                shared.task.abort();
                shared.states.send_modify(|state| state.closed = true);
            }
        }
    }

    /// Has the followers of a secret look at once.
    pub fn wake(&self, place: &S::Place) {
        if let Some(shared) = self.lock().get(place).and_then(Weak::upgrade) {
            shared.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<S::Place, Weak<Shared>>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The poller that is at work, or a new one.
    fn share(
        &self,
        store: &Arc<S>,
        place: S::Place,
        read: u64,
        event: &SecretEvent,
    ) -> Result<Arc<Shared>> {
        let mut pollers = self.lock();
        if let Some(shared) = pollers.get(&place).and_then(Weak::upgrade) {
            return Ok(shared);
        }
        pollers.retain(|_, shared| shared.strong_count() > 0);
        if pollers.len() >= MAX_WATCHES {
            return Err(Error::new(ErrorKind::RateLimited, "too many secrets are watched at once")
                .with("limit", MAX_WATCHES)
                .hint(
                    "drop the streams that are not read, or use a second instance of the plugin",
                ));
        }
        let state = State { read, event: event.clone(), faults: 0, fault: None, closed: false };
        let states = Arc::new(watch::Sender::new(state));
        let wake = Arc::new(Notify::new());
        let poller = Poller {
            store: Arc::clone(store),
            place: place.clone(),
            plugin: self.plugin.clone(),
            interval: self.interval,
            reads: Arc::clone(&self.reads),
            states: Arc::clone(&states),
            wake: Arc::clone(&wake),
        };
        let task = tokio::spawn(poller.run()).abort_handle();
        let shared = Arc::new(Shared { states, wake, task });
        pollers.insert(place, Arc::downgrade(&shared));
        Ok(shared)
    }
}

impl<S: PolledStore> fmt::Debug for Pollers<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pollers").field("interval", &self.interval).finish_non_exhaustive()
    }
}

struct Poller<S: PolledStore> {
    store: Arc<S>,
    place: S::Place,
    plugin: String,
    interval: Duration,
    reads: Arc<AtomicU64>,
    states: Arc<watch::Sender<State>>,
    wake: Arc<Notify>,
}

impl<S: PolledStore> Poller<S> {
    async fn run(self) {
        let mut failures = 0_u32;
        let mut least = Duration::ZERO;
        loop {
            // Never for all at the same time, and less often while it fails.
            let pause = self.interval.mul_f64(0.8 + 0.4 * fastrand::f64());
            let pause = pause.saturating_mul(1 << failures.min(8)).min(LONGEST_PAUSE.max(pause));
            if least.is_zero() {
                // Woken, or it is time.
                let _ = tokio::time::timeout(pause, self.wake.notified()).await;
            } else {
                tokio::time::sleep(pause.max(least)).await;
            }
            let read = self.reads.fetch_add(1, Ordering::Relaxed);
            let known = self.states.borrow().event.clone();
            match self.store.look(&self.place, Some(&known)).await {
                Ok(event) => {
                    (failures, least) = (0, Duration::ZERO);
                    show(&self.states, read, &event);
                }
                Err(error) => {
                    failures += 1;
                    least = error.retry_after().unwrap_or_default();
                    if failures == PATIENCE || (failures == 1 && !error.is_retryable()) {
                        tell(&self.states, error.at(&self.plugin, "watch_secret"));
                    }
                }
            }
        }
    }
}

/// Nothing older than what is known is shown, whoever read it.
fn show(states: &watch::Sender<State>, read: u64, event: &SecretEvent) {
    states.send_if_modified(|state| {
        let changes = read >= state.read && state.event != *event;
        if read >= state.read {
            state.read = read;
            state.event = event.clone();
        }
        changes
    });
}

fn tell(states: &watch::Sender<State>, fault: Error) {
    tracing::warn!(error = %fault, "a watch does not go on");
    states.send_modify(|state| {
        state.faults += 1;
        state.fault = Some(fault);
    });
}

/// One of those who follow.
struct Follower {
    _shared: Arc<Shared>,
    states: watch::Receiver<State>,
    /// The state that was shown last.
    shown: Option<SecretEvent>,
    faults: u64,
}

impl Follower {
    async fn next(mut self) -> Option<(Result<SecretEvent>, Self)> {
        loop {
            let state = self.states.borrow_and_update().clone();
            if state.closed {
                return None;
            }
            if self.shown.as_ref() != Some(&state.event) {
                self.shown = Some(state.event.clone());
                return Some((Ok(state.event), self));
            }
            if let Some(fault) = state.fault.filter(|_| state.faults != self.faults) {
                self.faults = state.faults;
                return Some((Err(fault), self));
            }
            self.states.changed().await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests;
