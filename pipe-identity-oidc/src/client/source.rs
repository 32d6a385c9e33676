//! Credentials that refresh themselves.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use pipe_core::identity::{BearerToken, Credential, ServiceCredentials};
use pipe_core::{Clock, Error, ErrorKind, Result};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

/// A refresh does not come sooner than this after the last, however short the token lives.
const REFRESH_FLOOR: Duration = Duration::from_secs(30);
/// A token is not handed out in the last moments of its life, which the call may need to arrive; of
/// a short life it is a tenth.
const EXPIRY_LEEWAY: Duration = Duration::from_secs(10);
/// A token that replaced a refused one is not replaced again this soon: it would not be better.
const YOUNG: Duration = Duration::from_secs(10);
/// Pauses after failures: this, doubled each time, up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// When there is nothing to serve, the same failure is told for this long at most.
const ERROR_COOLDOWN: Duration = Duration::from_secs(5);

/// What was obtained.
pub(crate) struct Obtained {
    pub(crate) token: BearerToken,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) lifetime: Duration,
    /// When it was asked for, from which its life is counted.
    pub(crate) asked_at: Instant,
    pub(crate) expires_at: SystemTime,
}

/// A way to obtain one kind of credential.
#[async_trait]
pub(crate) trait Obtain: fmt::Debug + Send + Sync + 'static {
    async fn obtain(&self) -> Result<Obtained>;
}

/// Hands out one kind of credential, always one that is valid. Clones share it.
///
/// The credential is refreshed in the background at 80 % of its life, up to 10 % of that earlier by
/// chance so that a fleet does not refresh together, and not within 30 seconds. While a refresh
/// fails, the old credential is served until shortly before it expires, and the refresh is tried
/// again after a second, doubling to a minute. One that nobody asked for since the last refresh is
/// left to expire; the next caller then waits for another. All who wait share one request, which
/// goes on when one of them goes away.
#[derive(Clone)]
pub struct CredentialSource(Arc<Inner>);

struct Inner {
    obtain: Box<dyn Obtain>,
    clock: Clock,
    /// How long obtaining may take.
    patience: Duration,
    current: ArcSwapOption<Held>,
    /// When the current one is to be refreshed, in milliseconds since `started`; never while a
    /// refresh is under way.
    due: AtomicU64,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The request that is under way, which everybody waits for.
    flight: Option<Flight>,
    /// Until when everybody gets this failure instead of a request.
    failed: Option<(Instant, Error)>,
    /// How many requests in a row failed.
    failures: u32,
    /// Whether the next credential takes the place of one that was refused.
    replaces_refused: bool,
    keeper: Option<Task>,
    closed: bool,
}

type Flight = Shared<BoxFuture<'static, Result<Arc<Held>>>>;

/// A credential in use.
struct Held {
    credentials: ServiceCredentials,
    obtained_at: Instant,
    refresh_at: Instant,
    usable_until: Instant,
    leeway: Duration,
    replaces_refused: bool,
    used: AtomicBool,
}

impl Held {
    fn new(obtained: Obtained, replaces_refused: bool) -> Self {
        let Obtained { token, scopes, lifetime, asked_at, expires_at } = obtained;
        let leeway = EXPIRY_LEEWAY.min(lifetime / 10);
        let usable = lifetime - leeway;
        let early = 1.0 - 0.1 * fastrand::f64();
        let refresh_after = (lifetime * 4 / 5).mul_f64(early).max(REFRESH_FLOOR).min(usable);
        let credential = Credential::Bearer(token);
        Self {
            credentials: ServiceCredentials::new(credential, expires_at).with_scopes(scopes),
            obtained_at: Instant::now(),
            refresh_at: asked_at + refresh_after,
            usable_until: asked_at + usable,
            leeway,
            replaces_refused,
            used: AtomicBool::new(false),
        }
    }

    /// By the clock that nobody sets back, and by the calendar: the first stands still while the
    /// machine sleeps.
    fn is_usable(&self, now: Instant, today: SystemTime) -> bool {
        now < self.usable_until && today + self.leeway < self.credentials.expires_at
    }

    fn hand_out(&self) -> ServiceCredentials {
        // Read first, so that callers do not fight over the cache line.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        self.credentials.clone()
    }
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl CredentialSource {
    /// What this obtains, with this much time for each attempt.
    pub(crate) fn new(obtain: impl Obtain, clock: Clock, patience: Duration) -> Self {
        Self(Arc::new(Inner {
            obtain: Box::new(obtain),
            clock,
            patience,
            current: ArcSwapOption::empty(),
            due: AtomicU64::new(u64::MAX),
            started: Instant::now(),
            state: Mutex::default(),
        }))
    }

    /// A credential that is valid now. Without waiting, while there is one.
    ///
    /// # Errors
    /// As for [`authenticate_service`](pipe_core::IdentityPlugin::authenticate_service), when there
    /// is none and none can be obtained. The same failure is told for up to five seconds before the
    /// provider is asked again.
    pub async fn get(&self) -> Result<ServiceCredentials> {
        let inner = &self.0;
        let now = Instant::now();
        let served = {
            let current = inner.current.load();
            let usable = current.as_ref().filter(|held| held.is_usable(now, inner.clock.now()));
            usable.map(|held| held.hand_out())
        };
        if let Some(credentials) = served {
            if inner.since_start(now) >= inner.due.load(Ordering::Relaxed) {
                inner.refresh();
            }
            return Ok(credentials);
        }
        let flight = match inner.join()? {
            Joined::Current(held) => return Ok(held.hand_out()),
            Joined::Flight(flight) => flight,
        };
        // The flight has a deadline of its own, but may belong to a runtime that stands still.
        match timeout(inner.patience.saturating_add(SHORTEST_PAUSE), flight).await {
            Ok(held) => Ok(held?.hand_out()),
            Err(_) => Err(too_slow()),
        }
    }

    /// Says that this token was refused, with a 401, where it was shown: it is not handed out any
    /// more, and the next caller gets another.
    ///
    /// It is `false`, and nothing happens, when the token is not the current one, for then it has
    /// been replaced; and when it took the place of a refused one less than ten seconds ago, for
    /// then another would be refused as well. So whoever calls again after `true` and gives up
    /// after `false` never runs in circles.
    pub fn invalidate_if_same(&self, token: &BearerToken) -> bool {
        let mut state = self.0.state();
        let current = self.0.current.load_full();
        let Some(held) = current.filter(
            |held| matches!(&held.credentials.credential, Credential::Bearer(own) if own == token),
        ) else {
            return false;
        };
        if held.replaces_refused && held.obtained_at.elapsed() < YOUNG {
            return false;
        }
        state.replaces_refused = true;
        state.keeper = None;
        self.0.current.store(None);
        tracing::debug!("a token was refused where it was shown");
        true
    }

    /// Ends the background refresh, and lets go of the credential. No call works afterwards.
    pub fn close(&self) {
        let mut state = self.0.state();
        state.closed = true;
        state.keeper = None;
        self.0.current.store(None);
    }
}

enum Joined {
    Current(Arc<Held>),
    Flight(Flight),
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn since_start(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.started);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn usable(&self) -> Option<Arc<Held>> {
        let now = Instant::now();
        self.current.load_full().filter(|held| held.is_usable(now, self.clock.now()))
    }

    /// The current credential if there is one by now, else the request that all share.
    fn join(self: &Arc<Self>) -> Result<Joined> {
        let mut state = self.state();
        if state.closed {
            return Err(closed());
        }
        if let Some(held) = self.usable() {
            return Ok(Joined::Current(held));
        }
        if let Some(flight) = state.flight.as_ref().filter(|flight| flight.peek().is_none()) {
            return Ok(Joined::Flight(flight.clone()));
        }
        if let Some((until, error)) = &state.failed
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        Ok(Joined::Flight(self.start(&mut state)))
    }

    /// Starts a refresh if it is due and none is under way; gives the one that is.
    fn refresh(self: &Arc<Self>) -> Option<Flight> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        if let Some(flight) = state.flight.as_ref().filter(|flight| flight.peek().is_none()) {
            return Some(flight.clone());
        }
        let is_due = self.since_start(Instant::now()) >= self.due.load(Ordering::Relaxed);
        is_due.then(|| self.start(&mut state))
    }

    fn start(self: &Arc<Self>, state: &mut State) -> Flight {
        self.due.store(u64::MAX, Ordering::Relaxed);
        let task = tokio::spawn(fly(Arc::clone(self)));
        let flight = async move {
            task.await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Unavailable, "the request ended with its runtime"))
            })
        };
        let flight = flight.boxed().shared();
        state.flight = Some(flight.clone());
        flight
    }

    fn land(self: &Arc<Self>, obtained: Result<Obtained>) -> Result<Arc<Held>> {
        let mut state = self.state();
        state.flight = None;
        if state.closed {
            return Err(closed());
        }
        match obtained {
            Ok(obtained) => {
                let replaces_refused = std::mem::take(&mut state.replaces_refused);
                let held = Arc::new(Held::new(obtained, replaces_refused));
                (state.failures, state.failed) = (0, None);
                self.current.store(Some(Arc::clone(&held)));
                self.due.store(self.since_start(held.refresh_at), Ordering::Relaxed);
                let keeper = keep(Arc::downgrade(self), Arc::downgrade(&held), held.refresh_at);
                state.keeper = Some(Task(tokio::spawn(keeper)));
                Ok(held)
            }
            Err(error) => {
                let pause = pause(state.failures, &error);
                state.failures = state.failures.saturating_add(1);
                let now = Instant::now();
                state.failed = Some((now + pause.min(ERROR_COOLDOWN), error.clone()));
                self.due.store(self.since_start(now + pause), Ordering::Relaxed);
                tracing::warn!(%error, "no credential was obtained");
                Err(error)
            }
        }
    }
}

/// One request, from start to end, whoever goes away meanwhile.
async fn fly(inner: Arc<Inner>) -> Result<Arc<Held>> {
    /// Makes way for the next request when this one ends early: by a panic, or with its runtime.
    struct Underway(Option<Arc<Inner>>);
    impl Drop for Underway {
        fn drop(&mut self) {
            if let Some(inner) = self.0.take() {
                inner.state().flight = None;
                inner.due.store(inner.since_start(Instant::now()), Ordering::Relaxed);
            }
        }
    }
    let mut underway = Underway(Some(Arc::clone(&inner)));
    let obtained = timeout(inner.patience, inner.obtain.obtain()).await;
    underway.0 = None;
    inner.land(obtained.unwrap_or_else(|_| Err(too_slow())))
}

/// Refreshes the credential when its time comes, as long as it is in use. Ends when another takes
/// its place, or with its source.
async fn keep(inner: Weak<Inner>, held: Weak<Held>, mut next: Instant) {
    loop {
        sleep_until(next).await;
        let (Some(inner), Some(held)) = (inner.upgrade(), held.upgrade()) else { return };
        let is_usable = held.is_usable(Instant::now(), inner.clock.now());
        if !is_usable || !held.used.load(Ordering::Relaxed) {
            return;
        }
        if let Some(flight) = inner.refresh()
            && flight.await.is_ok()
        {
            return;
        }
        let due = Duration::from_millis(inner.due.load(Ordering::Relaxed));
        // Never sooner than a pause, in case that a request of somebody else is about to land.
        let soonest = Instant::now() + SHORTEST_PAUSE / 2;
        next = inner.started.checked_add(due).map_or(soonest, |due| due.max(soonest));
    }
}

/// A second after the first failure, doubling to a minute, with jitter; and not before the server
/// wants to be asked again, within that minute.
fn pause(failures: u32, error: &Error) -> Duration {
    let longest = SHORTEST_PAUSE.saturating_mul(1 << failures.min(6)).min(LONGEST_PAUSE);
    let jittered = longest / 2 + longest.mul_f64(fastrand::f64() / 2.0);
    let asked = error.retry_after().unwrap_or_default().min(LONGEST_PAUSE);
    jittered.max(asked)
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the credentials' source is closed")
        .hint("make a new plugin; this one was closed")
        .exhausted()
}

fn too_slow() -> Error {
    Error::new(ErrorKind::Timeout, "obtaining a credential takes too long")
        .hint("check the provider's load, or raise `http.timeout`")
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state();
        f.debug_struct("CredentialSource")
            .field("obtain", &self.0.obtain)
            .field("holds_one", &self.0.current.load().is_some())
            .field("failures", &state.failures)
            .field("closed", &state.closed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
