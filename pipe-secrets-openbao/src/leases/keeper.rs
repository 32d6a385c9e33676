//! The task that keeps one lease: renews it, follows it up in time, gives it back.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use pipe_core::secrets::Secret;
use pipe_core::{Error, ErrorKind, Result};
use pipe_http::session::Standing;
use tokio::sync::{Notify, Semaphore, broadcast, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::secret::{Handle, LeaseEvent, LeasedCredentials, LeasedSecret, State, lapsed};
use crate::raw::Lease;

/// A server can ask for more patience than a lease has.
const LONGEST_ASKED: Duration = Duration::from_secs(300);
/// When so many renewals in a row have failed, others are tried for: perhaps those can be had.
const RENEWALS: u32 = 3;
/// What a reader of events may fall behind by.
const EVENTS: usize = 16;
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// Attempts are this far apart at least, however near the end is.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(100);
/// The server tells whole seconds.
const ROUNDING: Duration = Duration::from_secs(1);
/// How often somebody who was refused can have the server asked.
const SUSPICION: Duration = Duration::from_secs(1);
/// As many predecessors are valid at the same time; one more ends the overlap of the oldest.
const MAX_PREDECESSORS: u64 = 4;
/// How long giving back may take after the last handle was dropped.
const PARTING: Duration = Duration::from_secs(10);

/// The server, as far as one lease needs it. Every call ends by itself.
pub(super) trait Source: Send + Sync + 'static {
    fn issue(&self) -> impl Future<Output = Result<Issued>> + Send;

    /// The renewed lease; `None` when it is gone.
    fn renew(
        &self,
        lease_id: &str,
        increment: Duration,
    ) -> impl Future<Output = Result<Option<Lease>>> + Send;

    fn is_alive(&self, lease_id: &str) -> impl Future<Output = Result<bool>> + Send;

    fn revoke(&self, lease_id: &str) -> impl Future<Output = Result<()>> + Send;

    fn standing(&self) -> watch::Receiver<Standing>;

    /// Says where an error happened.
    fn locate(&self, error: Error, operation: &'static str) -> Error;
}

/// What the server made.
pub(super) struct Issued {
    pub(super) secret: Secret,
    pub(super) lease: Lease,
    /// The login whose token it hangs on, and when that token ends.
    pub(super) login: u64,
    pub(super) token_ends: Option<Instant>,
}

pub(super) struct Settings {
    pub(super) path: String,
    pub(super) overlap: Duration,
    pub(super) partings: Arc<Semaphore>,
}

/// Obtains credentials, hands them over, and keeps them until they are closed or dropped.
pub(super) async fn keep<S: Source>(
    source: S,
    settings: Settings,
    opener: oneshot::Sender<Result<LeasedSecret>>,
) {
    // Followed from before the request on, so that no login is missed.
    let standing = source.standing();
    let asked_at = Instant::now();
    let held = match source.issue().await {
        Ok(issued) => Held::new(issued, asked_at, settings.overlap),
        Err(error) => {
            drop(opener.send(Err(error)));
            return;
        }
    };
    let (state, seen) = watch::channel(held.state());
    let (events, event) = broadcast::channel(EVENTS);
    let (closer, closing) = watch::channel(false);
    let suspected = Arc::new(Notify::new());
    let keeper = Keeper {
        source: Arc::new(source),
        overlap: settings.overlap,
        partings: settings.partings,
        path: settings.path.clone(),
        standing,
        closing,
        suspected: Arc::clone(&suspected),
        asked_at: None,
        state,
        events,
        predecessors: Predecessors::new(),
    };
    let handle = Handle {
        path: settings.path,
        state: seen,
        events: event,
        closing: closer,
        suspected,
        lapsed: keeper.source.locate(lapsed(None), "current"),
    };
    // When nobody waits any more, the handle is dropped here, and the task finds itself alone.
    drop(opener.send(Ok(LeasedSecret::new(handle))));
    keeper.run(held).await;
}

/// What to do about a lease next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Renew,
    Succeed,
}

/// The current credentials, and what is to be done about them.
struct Held {
    secret: Secret,
    lease: Lease,
    /// The life that the lease began with: less than that from a renewal is near the maximum.
    life: Duration,
    ends: Instant,
    login: u64,
    token_ends: Option<Instant>,
    step: Step,
    due: Instant,
    attempts: u32,
    last_error: Option<Error>,
    /// The credentials are not to be used any more.
    failure: Option<Error>,
    announced: bool,
}

impl Held {
    fn new(issued: Issued, asked_at: Instant, overlap: Duration) -> Self {
        let life = issued.lease.duration;
        let mut held = Self {
            secret: issued.secret,
            step: if issued.lease.renewable { Step::Renew } else { Step::Succeed },
            lease: issued.lease,
            life,
            ends: asked_at + life,
            login: issued.login,
            token_ends: issued.token_ends,
            due: asked_at,
            attempts: 0,
            last_error: None,
            failure: None,
            announced: false,
        };
        // An overlap longer than the lease must not lead to one lease after the other.
        held.plan(asked_at, overlap.min(life / 2));
        if life.is_zero() {
            // Nor must a server that gives none.
            held.due += LONGEST_BACKOFF;
        }
        held
    }

    fn renewed(&mut self, lease: Lease, asked_at: Instant, overlap: Duration) {
        let life = lease.duration;
        let is_capped = life + ROUNDING < self.life;
        self.step = if lease.renewable && !is_capped { Step::Renew } else { Step::Succeed };
        self.lease = lease;
        self.ends = asked_at + life;
        self.attempts = 0;
        self.last_error = None;
        self.failure = None;
        self.announced = false;
        self.plan(asked_at, overlap);
    }

    /// A third of the life is left for attempts that fail, and more where the overlap asks for it:
    /// a renewal may turn out to be the last one.
    fn plan(&mut self, now: Instant, overlap: Duration) {
        let life = self.ends.saturating_duration_since(now);
        let ahead = match self.step {
            Step::Renew => overlap.min(life / 2).max(life / 3),
            Step::Succeed => overlap.max(life / 3),
        };
        // A few per cent early, so that a fleet that started together does not renew together.
        let early = 1.0 - 0.05 * fastrand::f64();
        self.due = now + life.saturating_sub(ahead).mul_f64(early);
    }

    /// When the credentials end: with their lease, or with the token before.
    fn end(&self) -> Instant {
        self.token_ends.map_or(self.ends, |end| end.min(self.ends))
    }

    fn state(&self) -> State {
        let expires_at = self.end().into_std();
        let (secret, lease) = (self.secret.clone(), self.lease.clone());
        State {
            credentials: Arc::new(LeasedCredentials { secret, lease, expires_at }),
            ends: self.end(),
            failure: self.failure.clone(),
            ended: None,
        }
    }

    /// When to try again: sooner when the end is near.
    fn retry(&mut self, error: Error) {
        let now = Instant::now();
        let mut delay = backoff(self.attempts);
        let left = self.end().saturating_duration_since(now);
        if !left.is_zero() {
            delay = delay.min(left / 4).max(SHORTEST_BACKOFF);
        }
        // However long the server asks to wait, the end of the lease does not.
        let asked = error.retry_after().unwrap_or_default().min(LONGEST_ASKED);
        self.due = now + delay.max(asked);
        self.attempts += 1;
        self.last_error = Some(error);
    }
}

struct Keeper<S> {
    source: Arc<S>,
    overlap: Duration,
    partings: Arc<Semaphore>,
    path: String,
    standing: watch::Receiver<Standing>,
    closing: watch::Receiver<bool>,
    suspected: Arc<Notify>,
    /// When the server was last asked because of a suspicion.
    asked_at: Option<Instant>,
    state: watch::Sender<State>,
    events: broadcast::Sender<LeaseEvent>,
    predecessors: Predecessors,
}

impl<S: Source> Keeper<S> {
    async fn run(mut self, mut held: Held) {
        // It may have changed between the request and now.
        self.standing.mark_changed();
        loop {
            tokio::select! {
                biased;
                _ = self.closing.changed() => break,
                changed = self.standing.changed() => {
                    if changed.is_err() || !self.follow(&mut held) {
                        return self.orphaned();
                    }
                }
                () = sleep_until(held.end()), if held.failure.is_none() => self.lapse(&mut held),
                () = sleep_until(held.due) => match held.step {
                    Step::Renew => self.renew(&mut held).await,
                    Step::Succeed => self.succeed(&mut held).await,
                },
                () = self.suspected.notified() => self.investigate(&mut held).await,
                Some(outcome) = self.predecessors.join_next() => self.parted(outcome.as_ref()),
            }
        }
        self.part(&held).await;
    }

    /// What the login means for the lease; whether there is one.
    fn follow(&mut self, held: &mut Held) -> bool {
        let standing = *self.standing.borrow_and_update();
        match standing {
            Standing::LoggedIn { login, expires_at } if login == held.login => {
                held.token_ends = expires_at;
                self.publish(held);
            }
            Standing::LoggedIn { login, .. } if login > held.login => {
                held.step = Step::Succeed;
                held.due = Instant::now();
                held.attempts = 0;
            }
            Standing::Closed => return false,
            _ => {}
        }
        true
    }

    async fn renew(&mut self, held: &mut Held) {
        let asked_at = Instant::now();
        let (source, id) = (Arc::clone(&self.source), held.lease.id.clone());
        match self.meanwhile(held, source.renew(&id, held.life)).await {
            Ok(Some(lease)) => {
                held.renewed(lease, asked_at, self.overlap);
                let expires_at = self.publish(held);
                tracing::debug!(path = self.path, "the lease was renewed");
                self.tell(LeaseEvent::Renewed { expires_at });
            }
            Ok(None) => self.gone(held).await,
            Err(error) if error.is_retryable() => {
                tracing::warn!(path = self.path, %error, "the lease could not be renewed yet");
                held.retry(error);
                if held.attempts >= RENEWALS {
                    held.step = Step::Succeed;
                }
            }
            Err(error) => {
                // Others may be had all the same, as late as makes sense.
                let error = self.source.locate(error, "renew");
                tracing::warn!(path = self.path, %error, "the lease cannot be renewed");
                held.step = Step::Succeed;
                held.plan(Instant::now(), self.overlap);
                held.last_error = Some(error);
            }
        }
    }

    /// The lease ended before its time.
    async fn gone(&mut self, held: &mut Held) {
        tracing::warn!(path = self.path, "the lease is gone: somebody revoked it, or its token");
        held.step = Step::Succeed;
        held.attempts = 0;
        held.failure = Some(self.source.locate(lapsed(None), "current"));
        held.ends = Instant::now();
        self.publish(held);
        self.succeed(held).await;
    }

    async fn succeed(&mut self, held: &mut Held) {
        let asked_at = Instant::now();
        let source = Arc::clone(&self.source);
        match self.meanwhile(held, source.issue()).await {
            Ok(issued) => {
                let successor = Held::new(issued, asked_at, self.overlap);
                let predecessor = std::mem::replace(held, successor);
                let expires_at = self.publish(held);
                tracing::info!(path = self.path, "the credentials have successors");
                self.tell(LeaseEvent::Successor { expires_at });
                self.predecessors.add(&self.source, predecessor, self.overlap);
                // The login may have been replaced while the request was under way.
                self.standing.mark_changed();
            }
            Err(error) => {
                let error = self.source.locate(error, "issue");
                tracing::warn!(path = self.path, %error, "the credentials have no successors yet");
                held.retry(error);
                if held.failure.is_some() {
                    self.fail(held);
                }
            }
        }
    }

    /// Runs a request, at whose end the credentials may have ended.
    async fn meanwhile<T>(&self, held: &mut Held, request: impl Future<Output = T>) -> T {
        let mut request = pin!(request);
        loop {
            tokio::select! {
                biased;
                answer = &mut request => return answer,
                () = sleep_until(held.end()), if held.failure.is_none() => self.lapse(held),
            }
        }
    }

    /// The credentials ended without successors.
    fn lapse(&self, held: &mut Held) {
        if held.step == Step::Renew {
            held.step = Step::Succeed;
            held.due = held.due.min(Instant::now() + LONGEST_BACKOFF);
        }
        self.fail(held);
    }

    /// Says why there are no credentials, aloud once.
    fn fail(&self, held: &mut Held) {
        let error = self.source.locate(lapsed(held.last_error.as_ref()), "current");
        held.failure = Some(error.clone());
        self.publish(held);
        if !held.announced {
            held.announced = true;
            tracing::error!(path = self.path, error = format!("{error:#}"), "no valid credentials");
            self.tell(LeaseEvent::Failed { error });
        }
    }

    /// Somebody was refused with the credentials.
    async fn investigate(&mut self, held: &mut Held) {
        let now = Instant::now();
        if held.failure.is_some() || self.asked_at.is_some_and(|at| now < at + SUSPICION) {
            return;
        }
        self.asked_at = Some(now);
        let (source, id) = (Arc::clone(&self.source), held.lease.id.clone());
        match self.meanwhile(held, source.is_alive(&id)).await {
            Ok(true) => {}
            Ok(false) => self.gone(held).await,
            Err(error) => tracing::debug!(path = self.path, %error, "the lease was not found out"),
        }
    }

    fn publish(&self, held: &Held) -> std::time::Instant {
        let state = held.state();
        let expires_at = state.credentials.expires_at;
        self.state.send_replace(state);
        expires_at
    }

    fn tell(&self, event: LeaseEvent) {
        // Nobody has to listen.
        drop(self.events.send(event));
    }

    fn parted(&self, outcome: Result<&Result<()>, &tokio::task::JoinError>) {
        if let Ok(Err(error)) = outcome {
            tracing::warn!(path = self.path, %error, "a replaced lease is left to end by itself");
        }
    }

    /// The plugin was closed: no request works any more, and what was ours ended with the token.
    fn orphaned(&self) {
        let error = Error::new(ErrorKind::Unavailable, "the plugin is closed")
            .hint("close leases before the plugin that they belong to")
            .exhausted();
        let error = self.source.locate(error, "current");
        self.tell(LeaseEvent::Failed { error: error.clone() });
        self.end(error.clone(), Err(error));
    }

    /// Gives everything back.
    async fn part(mut self, held: &Held) {
        let is_asked = *self.closing.borrow();
        let closed = Error::new(ErrorKind::Unavailable, "the lease is closed")
            .hint("open another one")
            .exhausted();
        let closed = self.source.locate(closed, "current");
        self.state.send_modify(|state| state.failure = Some(closed.clone()));
        let source = Arc::clone(&self.source);
        let partings = Arc::clone(&self.partings);
        let parting = async {
            // Handles that are dropped by the thousand are no thousand requests at once.
            let _turn = if is_asked { None } else { partings.acquire().await.ok() };
            self.predecessors.part_now();
            let has_ended = Instant::now() >= held.end();
            let mut result = match source.revoke(&held.lease.id).await {
                Err(_) if has_ended => Ok(()),
                result => result,
            };
            while let Some(outcome) = self.predecessors.join_next().await {
                result = result.and(outcome.unwrap_or(Ok(())));
            }
            result
        };
        let result = if is_asked {
            parting.await.map_err(|error| source.locate(error, "close"))
        } else {
            timeout(PARTING, parting).await.unwrap_or(Ok(()))
        };
        self.end(closed, result);
    }

    fn end(&self, failure: Error, result: Result<()>) {
        self.state.send_modify(|state| {
            state.failure = Some(failure);
            state.ended = Some(result);
        });
    }
}

/// Leases that others took the place of, each in a task that gives it back after the overlap. Those
/// whose time is up are given back too: a server that is busy ends them late.
struct Predecessors {
    tasks: JoinSet<Result<()>>,
    count: u64,
    /// Those up to this number are to be given back now.
    over: watch::Sender<u64>,
}

impl Predecessors {
    fn new() -> Self {
        Self { tasks: JoinSet::new(), count: 0, over: watch::channel(0).0 }
    }

    fn add<S: Source>(&mut self, source: &Arc<S>, held: Held, overlap: Duration) {
        let (now, end) = (Instant::now(), held.end());
        if end <= now {
            return;
        }
        self.count += 1;
        let number = self.count;
        self.over.send_if_modified(|over| {
            let oldest = number.saturating_sub(MAX_PREDECESSORS);
            let is_more = *over < oldest;
            *over = (*over).max(oldest);
            is_more
        });
        let mut over = self.over.subscribe();
        let source = Arc::clone(source);
        self.tasks.spawn(async move {
            let is_over = async {
                drop(over.wait_for(|over| *over >= number).await);
            };
            let mut is_over = pin!(is_over);
            let mut due = end.min(now.checked_add(overlap).unwrap_or(end));
            let mut attempts = 0;
            loop {
                let is_last = tokio::select! {
                    () = &mut is_over => true,
                    () = sleep_until(due) => false,
                };
                let has_ended = Instant::now() >= end;
                match source.revoke(&held.lease.id).await {
                    // The server sees to it, if not at once.
                    Err(_) if has_ended => return Ok(()),
                    Err(error) if error.is_retryable() && !is_last => {
                        due = Instant::now() + backoff(attempts);
                        attempts += 1;
                    }
                    result => return result,
                }
            }
        });
    }

    /// Ends all overlaps.
    fn part_now(&self) {
        self.over.send_replace(u64::MAX);
    }

    async fn join_next(&mut self) -> Option<Result<Result<()>, tokio::task::JoinError>> {
        self.tasks.join_next().await
    }
}

/// One second, doubling to thirty, each with jitter.
fn backoff(attempts: u32) -> Duration {
    let longest = Duration::from_secs(1 << attempts.min(5)).min(LONGEST_BACKOFF);
    longest / 2 + longest.mul_f64(fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests;
