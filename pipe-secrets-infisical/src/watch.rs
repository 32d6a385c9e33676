//! Following a secret by asking the server now and then whether it is still the same.
//!
//! All who follow one secret share one poller, which lives as long as one of them. Only the latest
//! state is kept, so a slow reader costs no memory. Our own writes wake the poller.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::stream;
use pipe_core::secrets::{Secret, SecretEvent, SecretStream};
use pipe_core::{Error, ErrorKind, Result, SecretData, SecretRef};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use crate::place::Place;
use crate::plugin::Inner;

const MAX_WATCHES: usize = 1000;
/// A fault that may pass by itself is told when it did not pass so often in a row.
const PATIENCE: u32 = 3;
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The pollers that are at work.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    shared: Mutex<HashMap<Place, Weak<Shared>>>,
    /// Counts what was read, so that nothing older is shown after something newer.
    reads: AtomicU64,
}

/// One poller, for all who follow the same secret. It ends with the last of them.
#[derive(Debug)]
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

#[derive(Clone, Debug)]
struct State {
    /// Which read it is from.
    read: u64,
    event: SecretEvent,
    /// Counts the faults that were told.
    faults: u64,
    fault: Option<Error>,
    closed: bool,
}

/// Follows a secret.
pub(crate) async fn watch(inner: &Arc<Inner>, secret: &SecretRef) -> Result<SecretStream> {
    let place = inner.home.place(secret)?;
    let read = inner.watches.begin();
    let event = event_of(inner.read(&place).await?);
    let shared = share(inner, place, read, &event)?;
    show(&shared.states, read, &event);
    let states = shared.states.subscribe();
    let faults = states.borrow().faults;
    let follower = Follower { _shared: shared, states, shown: None, faults };
    Ok(SecretStream::new(stream::unfold(follower, Follower::next)))
}

impl Watches {
    /// Ends all streams.
    pub(crate) fn close(&self) {
        for (_, shared) in self.lock().drain() {
            if let Some(shared) = shared.upgrade() {
                shared.task.abort();
                shared.states.send_modify(|state| state.closed = true);
            }
        }
    }

    /// Has the followers of a secret look at once.
    pub(crate) fn wake(&self, place: &Place) {
        if let Some(shared) = self.lock().get(place).and_then(Weak::upgrade) {
            shared.wake.notify_one();
        }
    }

    fn begin(&self) -> u64 {
        self.reads.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Weak<Shared>>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The poller that is at work, or a new one.
fn share(inner: &Arc<Inner>, place: Place, read: u64, event: &SecretEvent) -> Result<Arc<Shared>> {
    let mut watches = inner.watches.lock();
    if let Some(shared) = watches.get(&place).and_then(Weak::upgrade) {
        return Ok(shared);
    }
    watches.retain(|_, shared| shared.strong_count() > 0);
    if watches.len() >= MAX_WATCHES {
        return Err(Error::new(ErrorKind::RateLimited, "too many secrets are watched at once")
            .with("limit", MAX_WATCHES)
            .hint("drop the streams that are not read, or use a second instance of the plugin"));
    }
    let state = State { read, event: event.clone(), faults: 0, fault: None, closed: false };
    let states = Arc::new(watch::Sender::new(state));
    let wake = Arc::new(Notify::new());
    let poll = poll(Arc::clone(inner), place.clone(), Arc::clone(&states), Arc::clone(&wake));
    let task = tokio::spawn(poll).abort_handle();
    let shared = Arc::new(Shared { states, wake, task });
    watches.insert(place, Arc::downgrade(&shared));
    Ok(shared)
}

async fn poll(
    inner: Arc<Inner>,
    place: Place,
    states: Arc<watch::Sender<State>>,
    wake: Arc<Notify>,
) {
    let mut failures = 0_u32;
    let mut least = Duration::ZERO;
    loop {
        // Never for all at the same time, and less often while it fails.
        let pause = inner.poll_interval.mul_f64(0.8 + 0.4 * fastrand::f64());
        let pause = pause.saturating_mul(1 << failures.min(8)).min(LONGEST_PAUSE.max(pause));
        tokio::select! {
            () = tokio::time::sleep(pause.max(least)) => {}
            () = wake.notified(), if least.is_zero() => {}
        }
        let read = inner.watches.begin();
        match inner.read(&place).await {
            Ok(found) => {
                (failures, least) = (0, Duration::ZERO);
                show(&states, read, &event_of(found));
            }
            Err(error) => {
                failures += 1;
                least = error.retry_after().unwrap_or_default();
                if failures == PATIENCE || (failures == 1 && !error.is_retryable()) {
                    tell(&states, error.at(&inner.name, "watch_secret"));
                }
            }
        }
    }
}

fn event_of(found: Option<SecretData>) -> SecretEvent {
    found.map_or(SecretEvent::Absent, |data| SecretEvent::Present(Secret::new(data)))
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
