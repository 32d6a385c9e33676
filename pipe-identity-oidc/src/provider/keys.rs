//! Keeps the keys of an issuer: cold, fresh, stale and served, expired and refused.
//!
//! Whoever asks for a known key reads an `ArcSwap` and goes on; nothing that the provider does
//! or fails to do can make it wait. An unknown key waits for one fetch, shared by all who
//! want one, and only when the last one is some time ago.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};
use futures_util::FutureExt as _;
use pipe_core::{Error, ErrorKind, Result};
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::lane::{Counts, Lane, Pace, Turn, Work};
use super::ring::{KeyRing, Life, Version};
use super::settings::TTL_RANGE;
use super::source::{Load, Loaded};
use super::status::KeyState;

/// How many key ids are remembered as not there.
const MOST_MISSES: usize = 1000;

/// How long keys serve.
#[derive(Clone, Copy, Debug)]
pub(super) enum Span {
    /// So long when the server does not say, and so much longer while it cannot be asked.
    Remote { ttl: Duration, stale_bound: Duration },
    /// Until there is a better version, which is looked for this often.
    Static { look: Duration },
}

impl Span {
    fn life(self, said: Option<Duration>) -> Life {
        match self {
            Self::Remote { ttl, stale_bound } => {
                let ttl = said.unwrap_or(ttl).clamp(TTL_RANGE.0, TTL_RANGE.1);
                // A fifth of the time is left for a provider that is away for a moment.
                let due = ttl.mul_f64(0.8 - 0.05 * fastrand::f64());
                Life { due, ends: Some((ttl, ttl + stale_bound)) }
            }
            Self::Static { look } => Life { due: look, ends: None },
        }
    }
}

/// The keys of one issuer.
pub(super) struct Keys {
    inner: Arc<Inner>,
}

struct Inner {
    issuer: String,
    span: Span,
    rest: Duration,
    /// `None` when the keys are part of the configuration and never change.
    load: Option<Arc<dyn Load>>,
    lane: Arc<Lane>,
    ring: ArcSwapOption<KeyRing>,
    misses: Cache<KidHash, Miss>,
    suppressed: AtomicU64,
    shown: AtomicU8,
}

/// A key id comes from whoever sends a token: its size must not be ours.
type KidHash = [u8; 16];

/// A key id that was looked for in vain.
#[derive(Clone, Copy)]
struct Miss {
    times: u32,
    until: Instant,
}

impl Keys {
    pub(super) fn new(issuer: &str, span: Span, pace: Pace, load: Option<Arc<dyn Load>>) -> Self {
        let inner = Inner {
            issuer: issuer.to_owned(),
            span,
            rest: pace.rest,
            load,
            lane: Lane::new(pace),
            ring: ArcSwapOption::empty(),
            misses: Cache::new(MOST_MISSES),
            suppressed: AtomicU64::new(0),
            shown: AtomicU8::new(KeyState::Cold as u8),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes in what was loaded before anything else happens.
    pub(super) fn begin(&self, document: &[u8], version: Option<Version>) -> Result<()> {
        self.inner.settle(document, version, None)
    }

    pub(super) fn current(&self) -> Option<Arc<KeyRing>> {
        self.inner.ring.load_full().filter(|ring| ring.is_usable(Instant::now()))
    }

    /// The keys that there are, even if they are too old.
    pub(super) fn held(&self) -> Option<Arc<KeyRing>> {
        self.inner.ring.load_full()
    }

    pub(super) fn generation_at(&self, now: Instant) -> Option<u64> {
        let ring = self.inner.ring.load();
        let ring = ring.as_ref().filter(|ring| ring.is_usable(now))?;
        // Whoever remembers what was verified asks for nothing more, and is to notice a removed key.
        if ring.is_due(now) {
            self.inner.announce();
            self.inner.nudge();
        }
        Some(ring.generation())
    }

    pub(super) async fn ring_for(&self, kid: Option<&str>) -> Result<Arc<KeyRing>> {
        let inner = &self.inner;
        let now = Instant::now();
        let ring = inner.ring.load_full().filter(|ring| ring.is_usable(now));
        if let Some(ring) = &ring
            && kid.is_none_or(|kid| ring.keys().contains(kid))
        {
            if ring.is_due(now) {
                inner.announce();
                inner.nudge();
            }
            return Ok(Arc::clone(ring));
        }
        if let (Some(ring), Some(kid)) = (ring, kid)
            && (inner.load.is_none() || inner.has_missed(kid))
        {
            inner.suppressed.fetch_add(1, Ordering::Relaxed);
            return Ok(ring);
        }
        inner.announce();
        let (ring, is_asked) = self.ask().await?;
        if let Some(kid) = kid
            && is_asked
            && !ring.keys().contains(kid)
        {
            inner.miss(kid);
        }
        Ok(ring)
    }

    /// The keys after a fetch, if it is time for one.
    pub(super) async fn newer(&self) -> Result<Arc<KeyRing>> {
        self.ask().await.map(|(ring, _)| ring)
    }

    /// The same, and whether there was a fetch.
    async fn ask(&self) -> Result<(Arc<KeyRing>, bool)> {
        let inner = &self.inner;
        let mut is_asked = false;
        match inner.join() {
            Some(Turn::Wait(flight)) => {
                inner.lane.wait(flight).await.map_err(|error| inner.unavailable(&error))?;
                is_asked = true;
            }
            Some(Turn::Failing(error)) => {
                inner.suppressed.fetch_add(1, Ordering::Relaxed);
                return Err(inner.unavailable(&error));
            }
            Some(Turn::Resting) => {
                inner.suppressed.fetch_add(1, Ordering::Relaxed);
            }
            None => {}
        }
        let ring = self.current().ok_or_else(|| {
            inner.unavailable(&Error::new(ErrorKind::Unavailable, "there are no keys"))
        })?;
        Ok((ring, is_asked))
    }

    pub(super) fn state(&self) -> KeyState {
        self.inner.state()
    }

    pub(super) fn counts(&self) -> Counts {
        self.inner.lane.counts()
    }

    pub(super) fn suppressed(&self) -> u64 {
        self.inner.suppressed.load(Ordering::Relaxed)
    }

    pub(super) fn trouble(&self) -> (Option<Error>, Option<Duration>) {
        self.inner.lane.trouble()
    }
}

impl Inner {
    fn join(self: &Arc<Self>) -> Option<Turn> {
        let load = self.load.as_ref()?;
        Some(self.lane.join(|| self.work(load)))
    }

    /// Nobody waits for it.
    fn nudge(self: &Arc<Self>) {
        if let Some(load) = &self.load {
            self.lane.nudge(|| self.work(load));
        }
    }

    /// It does not hold the keys: they, and it with them, end when their owner does.
    fn work(self: &Arc<Self>, load: &Arc<dyn Load>) -> Work {
        let (weak, load) = (Arc::downgrade(self), Arc::clone(load));
        let have = self.ring.load().as_ref().and_then(|ring| ring.version.clone());
        async move {
            let loaded = load.load(have).await;
            let Some(inner) = weak.upgrade() else { return loaded.map(drop) };
            let outcome = match loaded {
                Ok(Loaded::Unchanged { version, lifetime }) => inner.confirm(version, lifetime),
                Ok(Loaded::Document { body, version, lifetime }) => {
                    inner.settle(&body, version, lifetime)
                }
                Err(error) => Err(error),
            };
            if let Err(error) = &outcome {
                tracing::warn!(issuer = inner.issuer, %error, "keys cannot be had");
            }
            inner.announce();
            outcome
        }
        .boxed()
    }

    fn confirm(&self, version: Option<Version>, lifetime: Option<Duration>) -> Result<()> {
        let ring = self.ring.load();
        let ring = ring.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "the provider says that nothing changed since never")
        })?;
        self.ring.store(Some(Arc::new(ring.renewed(version, self.span.life(lifetime)))));
        Ok(())
    }

    fn settle(
        &self,
        document: &[u8],
        version: Option<Version>,
        lifetime: Option<Duration>,
    ) -> Result<()> {
        let life = self.span.life(lifetime);
        let held = self.ring.load();
        if let Some(held) = held.as_ref().filter(|held| held.is_same_document(document)) {
            self.ring.store(Some(Arc::new(held.renewed(version, life))));
            return Ok(());
        }
        let ring = KeyRing::parse(document, version, life)?;
        let (issuer, generation) = (&*self.issuer, ring.generation());
        let keys = ring.keys();
        for skipped in keys.skipped() {
            let (index, reason) = (skipped.index, skipped.reason);
            tracing::warn!(issuer, generation, index, reason, "a key of the issuer is not used");
        }
        tracing::info!(issuer, generation, keys = keys.len(), "the issuer has new keys");
        self.ring.store(Some(Arc::new(ring)));
        self.misses.clear();
        Ok(())
    }

    fn state(&self) -> KeyState {
        let now = Instant::now();
        match &*self.ring.load() {
            None => KeyState::Cold,
            Some(ring) if ring.is_fresh(now) => KeyState::Fresh,
            Some(ring) if ring.is_usable(now) => KeyState::Stale,
            Some(_) => KeyState::Expired,
        }
    }

    /// Tells of a state once.
    fn announce(&self) {
        let state = self.state();
        // A plain read first: this is called for each token while keys are stale.
        if self.shown.load(Ordering::Relaxed) == state as u8
            || self.shown.swap(state as u8, Ordering::Relaxed) == state as u8
        {
            return;
        }
        let issuer = &*self.issuer;
        match state {
            KeyState::Cold => {}
            KeyState::Fresh => tracing::info!(issuer, "the keys of the issuer are fresh"),
            KeyState::Stale => tracing::warn!(issuer, "serving keys that are past their time"),
            KeyState::Expired => {
                tracing::error!(issuer, "the keys are too old: every token is refused");
            }
        }
    }

    fn has_missed(&self, kid: &str) -> bool {
        self.misses.get(&hash(kid)).is_some_and(|miss| Instant::now() < miss.until)
    }

    /// A key that is announced before it is published is found soon; one that is made up is
    /// looked for ever more rarely.
    fn miss(&self, kid: &str) {
        let (hash, now) = (hash(kid), Instant::now());
        let times = match self.misses.get(&hash) {
            Some(miss) if now < miss.until => return,
            Some(miss) => miss.times.saturating_add(1),
            None => 0,
        };
        let pause = self.rest.saturating_mul(2_u32.saturating_pow(times)).min(LONGEST_MISS);
        self.misses.insert(hash, Miss { times, until: now + pause });
        tracing::debug!(issuer = self.issuer, kid = %Short(hash), "the issuer has no such key");
    }

    /// Why a token cannot be judged, which is not its fault.
    fn unavailable(&self, cause: &Error) -> Error {
        let error = Error::new(ErrorKind::Unavailable, "the keys of the issuer cannot be had")
            .with("issuer", &self.issuer)
            .with("cause", cause.message())
            .with("cause_kind", cause.kind().name())
            .hint(cause.hint_text().to_owned());
        let error =
            cause.contexts().fold(error, |error, (key, value)| error.with(key.to_owned(), value));
        match cause.retry_after() {
            Some(delay) => error.retry_in(delay),
            None => error,
        }
    }
}

/// A key id is looked for again after this long at the latest: who presents a key id before its key
/// is published keeps the key out for no longer.
const LONGEST_MISS: Duration = Duration::from_secs(60);

fn hash(kid: &str) -> KidHash {
    let mut hash = KidHash::default();
    hash.copy_from_slice(&digest(&SHA256, kid.as_bytes()).as_ref()[..16]);
    hash
}

/// The first four bytes, which tell key ids apart without showing them.
struct Short(KidHash);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
