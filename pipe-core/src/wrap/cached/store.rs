//! Answers of one kind: what is remembered, and what is under way.

use std::hash::{Hash, RandomState};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;

use super::entry::{Answer, Entry, Kind, Times, Use};
use super::flights::Flights;
use crate::wrap::CachePolicy;
use crate::{Clock, Error, Result, in_current_context};

/// A call of the inner plugin.
pub(super) type Fetch<V> = Pin<Box<dyn Future<Output = Result<V>> + Send>>;

/// How many answers are renewed in the background at the same time; more wait until somebody asks
/// again.
const BACKGROUND_LIMIT: usize = 64;
/// No renewal in the background takes longer, even without a `Timeout` inside.
const BACKGROUND_DEADLINE: Duration = Duration::from_secs(60);
/// How often what nobody may be served any more is thrown away.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// A part of the cache is not smaller, so that large answers fit into it.
const SMALLEST_SHARD: usize = 4 << 20;
const MOST_SHARDS: usize = 16;

pub(super) struct Store<K, V>(Arc<Shared<K, V>>);

struct Shared<K, V> {
    kind: Kind,
    times: Times,
    kept: Cache<K, Entry<V>, Weight, RandomState>,
    flights: Flights<K, V>,
    background: Mutex<JoinSet<()>>,
    swept_at: Mutex<Instant>,
}

/// An entry weighs its bytes, but at least a share of the whole: so the limit of the weight is one
/// of the number too.
#[derive(Clone, Copy)]
struct Weight {
    least: u64,
}

impl<K, V: Answer> Weighter<K, Entry<V>> for Weight {
    fn weight(&self, _: &K, entry: &Entry<V>) -> u64 {
        (entry.size as u64).max(self.least)
    }
}

impl<K: Clone + Eq + Hash + Send + Sync + 'static, V: Answer> Store<K, V> {
    pub(super) fn new(policy: &CachePolicy, kind: Kind, clock: &Clock) -> Self {
        let options = OptionsBuilder::new()
            .shards((policy.max_bytes / SMALLEST_SHARD).clamp(1, MOST_SHARDS))
            .estimated_items_capacity(policy.max_entries)
            .weight_capacity(policy.max_bytes as u64)
            .build()
            .expect("both capacities are set");
        let weight = Weight { least: policy.max_bytes.div_ceil(policy.max_entries) as u64 };
        Self(Arc::new(Shared {
            kind,
            times: Times::new(kind, policy.clone(), clock.clone()),
            kept: Cache::with_options(
                options,
                weight,
                RandomState::new(),
                DefaultLifecycle::default(),
            ),
            flights: Flights::new(),
            background: Mutex::default(),
            swept_at: Mutex::new(Instant::now()),
        }))
    }

    /// What is remembered, or what `fetch` says.
    pub(super) async fn get(&self, key: &K, fetch: impl FnOnce() -> Fetch<V>) -> Result<V> {
        let Some(entry) = self.0.kept.get(key) else {
            return self.0.fetch(key, fetch).await;
        };
        match self.0.times.use_of(&entry) {
            Use::Serve => Ok(entry.value),
            Use::ServeAndRefresh => {
                self.refresh(key, fetch);
                Ok(entry.value)
            }
            Use::Forget => self.0.fetch(key, fetch).await,
            Use::Ask => match self.0.fetch(key, fetch).await {
                Err(error) if error.kind().is_retryable() => match self.0.kept.get(key) {
                    // Unless it was forgotten meanwhile.
                    Some(entry) if entry.is_usable_at(Instant::now()) => {
                        tracing::warn!(%error, "serving an answer that is past its time");
                        Ok(entry.value)
                    }
                    _ => Err(error),
                },
                answer => answer,
            },
        }
    }

    /// Asks now. Calls that began before are not joined.
    pub(super) async fn fetch_anew(&self, key: &K, fetch: impl FnOnce() -> Fetch<V>) -> Result<V> {
        self.0.flights.leave(key, || ());
        self.0.fetch(key, fetch).await
    }

    pub(super) fn forget(&self, key: &K) {
        self.0.flights.leave(key, || {
            self.0.kept.remove(key);
        });
    }

    pub(super) fn clear(&self) {
        self.0.background().abort_all();
        self.0.flights.leave_all(|| self.0.kept.clear());
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.kept.len()
    }

    fn refresh(&self, key: &K, fetch: impl FnOnce() -> Fetch<V>) {
        let mut background = self.0.background();
        while background.try_join_next().is_some() {}
        if background.len() >= BACKGROUND_LIMIT || self.0.flights.is_under_way(key) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (shared, key, call) = (Arc::clone(&self.0), key.clone(), fetch());
        // The span of whoever happened to ask ends before this does.
        let refresh = async move {
            let answer = shared.fetch(&key, || call);
            match tokio::time::timeout(BACKGROUND_DEADLINE, answer).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "an answer could not be renewed"),
                Err(_) => tracing::warn!("an answer was not renewed in time"),
            }
        };
        background.spawn_on(in_current_context(refresh), &runtime);
    }
}

impl<K: Clone + Eq + Hash, V: Answer> Shared<K, V> {
    async fn fetch(&self, key: &K, fetch: impl FnOnce() -> Fetch<V>) -> Result<V> {
        let mut ticket = self.flights.join(key, || {
            // Whoever polls it, it works for the one who began it.
            Box::pin(in_current_context(fetch().in_current_span()))
        });
        let answer = ticket.wait().await;
        if let Err(error) = &answer
            && !self.outlives(error)
        {
            // Even when a later call has taken the place of this one.
            self.kept.remove(key);
        }
        ticket.land(|| match &answer {
            Ok(value) => match self.times.entry(value.clone()) {
                Some(entry) => self.kept.insert(key.clone(), entry),
                None => drop(self.kept.remove(key)),
            },
            Err(_) => {
                let now = Instant::now();
                match self.kept.get(key) {
                    Some(entry) if entry.is_usable_at(now) => {
                        self.kept.insert(key.clone(), entry.failing_at(now));
                    }
                    _ => drop(self.kept.remove(key)),
                }
            }
        });
        self.sweep();
        answer
    }

    /// Whether what is kept may be served although the next answer is this error. Credentials live
    /// until they end, whatever becomes of the next ones.
    fn outlives(&self, error: &Error) -> bool {
        error.kind().is_retryable() || self.kind == Kind::Credentials
    }

    /// Secrets do not stay in memory for longer than they can be served.
    fn sweep(&self) {
        let now = Instant::now();
        let mut swept_at = self.swept_at.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(*swept_at) >= SWEEP_INTERVAL {
            *swept_at = now;
            drop(swept_at);
            self.kept.retain(|_, entry| entry.is_usable_at(now));
        }
    }

    fn background(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.background.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
