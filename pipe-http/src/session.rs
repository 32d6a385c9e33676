//! The token that we work with: obtained once for all who wait, renewed in time, replaced when the
//! server no longer takes it, and given back in the end.

mod login;

use std::fmt;
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, Shared};
use http::HeaderValue;
use pipe_core::{Error, ErrorKind, Result, SecretValue};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

pub use self::login::{Granted, Login};

/// After a failed login, callers get the same failure for this long instead of a login each. It
/// doubles, to a minute, while the server refuses the very tokens that it gives.
const LOGIN_COOLDOWN: Duration = Duration::from_secs(1);
/// A token that is refused this young was never good.
const YOUNG: Duration = Duration::from_secs(10);
/// A denial may be cured by a login that picks up new policies. It is tried this often at most,
/// and half as often each time, to once an hour.
const POLICY_COOLDOWN: Duration = Duration::from_secs(60);
/// A login is one request and a file or two; the request has a deadline of its own.
const BEYOND_THE_REQUEST: Duration = Duration::from_secs(5);
/// How long calls may still be under way with a token that was replaced.
const RETIREMENT: Duration = Duration::from_secs(60);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// A token in use.
pub struct Token {
    header: HeaderValue,
    value: SecretValue,
    expires_at: Option<Instant>,
    renew_at: Option<Instant>,
    renewable: bool,
    ours: bool,
    /// The life that the login gave; when renewals give far less, the maximum is near.
    granted: Option<Duration>,
    /// Counts logins: a renewed token is the same token.
    login: u64,
    obtained_at: Instant,
    /// Whether a lease hangs on it, which would end with it.
    has_leases: AtomicBool,
}

impl Token {
    fn new(
        way: &impl Login,
        granted: Granted,
        login: u64,
        original: Option<Duration>,
    ) -> Result<Self> {
        let header = way.header(&granted.token)?;
        let now = Instant::now();
        // A few per cent early, so that a fleet that started together does not renew together.
        let early = 1.0 - 0.05 * fastrand::f64();
        let renew_after = granted.lifetime.map(|life| way.refresh_after(life).mul_f64(early));
        Ok(Self {
            header,
            value: granted.token,
            expires_at: granted.lifetime.and_then(|life| now.checked_add(life)),
            renew_at: renew_after.and_then(|after| now.checked_add(after)),
            renewable: granted.renewable,
            ours: granted.ours,
            granted: original.or(granted.lifetime),
            login,
            obtained_at: now,
            has_leases: AtomicBool::new(false),
        })
    }

    /// A lease was given for this token: giving the token back would end it.
    pub fn has_lease(&self) {
        self.has_leases.store(true, Ordering::Relaxed);
    }

    /// Whether it should be given back.
    fn is_to_be_revoked(&self) -> bool {
        self.ours && !self.has_expired()
    }

    /// The header's value that shows it.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// Which login gave it, counted from one: a renewed token is that of the same login.
    #[must_use]
    pub fn login(&self) -> u64 {
        self.login
    }

    /// When it ends unless it is renewed; `None` when that is not known or never.
    #[must_use]
    pub fn expires_at(&self) -> Option<Instant> {
        self.expires_at
    }

    fn has_expired(&self) -> bool {
        self.expires_at.is_some_and(|end| Instant::now() >= end)
    }

    /// Whether a renewal gave so little that the token's maximum life is near.
    fn is_near_its_maximum(&self) -> bool {
        let left = self.expires_at.map(|end| end.saturating_duration_since(Instant::now()));
        left.zip(self.granted).is_some_and(|(left, granted)| left < granted / 2)
    }
}

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// Nobody has logged in yet.
    LoggedOut,
    /// With the token of this login, as told by [`Token::login`] and [`Token::expires_at`].
    LoggedIn {
        /// Which login it is.
        login: u64,
        /// When the token ends unless it is renewed.
        expires_at: Option<Instant>,
    },
    /// No call works any more.
    Closed,
}

impl Standing {
    fn with(token: &Token) -> Self {
        Self::LoggedIn { login: token.login, expires_at: token.expires_at }
    }
}

type Flight = Shared<BoxFuture<'static, Result<Arc<Token>>>>;

/// Hands out the token. Its tasks end when it is dropped.
pub struct Session<L: Login> {
    inner: Arc<Inner<L>>,
    /// How long to wait for a login.
    patience: Duration,
}

struct Inner<L> {
    login: L,
    state: Mutex<State>,
    /// Written under the lock of the state, so that it never runs behind.
    standing: watch::Sender<Standing>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Token>>,
    /// The login that is under way, which everybody waits for.
    flight: Option<Flight>,
    /// Until when everybody gets this failure instead of a login.
    failed: Option<(Instant, Error)>,
    logins: u64,
    /// How many tokens in a row were refused young.
    refused: u32,
    policy_logins: u32,
    policy_login_at: Option<Instant>,
    /// Tokens that others took the place of, while calls may be under way with them.
    retired: Vec<Arc<Token>>,
    keeper: Option<Task>,
    closed: bool,
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<L: Login> Session<L> {
    /// A session whose logins take `timeout` at most.
    #[must_use]
    pub fn new(login: L, timeout: Duration) -> Self {
        let (standing, _) = watch::channel(Standing::LoggedOut);
        let inner = Arc::new(Inner { login, state: Mutex::default(), standing });
        Self { inner, patience: timeout + BEYOND_THE_REQUEST }
    }

    /// The token, after a login when there is none.
    ///
    /// # Errors
    /// As for [`Login::login`].
    pub async fn token(&self) -> Result<Arc<Token>> {
        self.obtain(None).await
    }

    /// Follows logins and renewals: what the server gave for a token ends with that token.
    ///
    /// A token that the server took back stays in the standing until somebody logs in.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.inner.standing.subscribe()
    }

    /// Another token than this one, which the server refused.
    ///
    /// # Errors
    /// As for [`Login::login`]; `Unauthenticated` when there is no other.
    pub async fn replace(&self, refused: &Token) -> Result<Arc<Token>> {
        let token = self.obtain(Some(refused.login)).await?;
        if !token.ours && token.value == refused.value {
            // Reading the same token again would not make it valid.
            self.inner.forget(token.login);
            return Err(Error::new(ErrorKind::Unauthenticated, "the server refuses the token")
                .hint(L::REFUSED));
        }
        Ok(token)
    }

    /// Says that the server refused a token that took the place of a refused one. When it was
    /// young, logging in again does not help, and there will be a pause before the next login.
    pub fn distrust(&self, token: &Arc<Token>) {
        let mut state = self.inner.state();
        if state.current.as_ref().is_none_or(|current| current.login != token.login) {
            return;
        }
        if token.obtained_at.elapsed() > YOUNG {
            state.refused = 0;
            return;
        }
        state.current = None;
        state.keeper = None;
        let cooldown = LOGIN_COOLDOWN * 2_u32.pow(state.refused.min(6));
        state.refused += 1;
        let error =
            Error::new(ErrorKind::Unauthenticated, "the server refuses the tokens it gives")
                .hint(L::DISTRUSTED);
        state.failed = Some((Instant::now() + cooldown, error));
        if token.is_to_be_revoked() {
            state.retired.push(Arc::clone(token));
            let inner = Arc::downgrade(&self.inner);
            drop(tokio::spawn(revoke_retired(inner, token.login, Duration::ZERO)));
        }
    }

    /// Another token because this one may not do something, now and then: its role may have been
    /// given new policies, its file a new token. `None` when it is not worth trying.
    pub async fn reconsider(&self, denied: &Token) -> Option<Arc<Token>> {
        if denied.ours {
            let mut state = self.inner.state();
            let replaced = state.current.as_ref().is_some_and(|token| token.login > denied.login);
            if !replaced {
                let cooldown = POLICY_COOLDOWN * 2_u32.pow(state.policy_logins.min(6));
                if state.policy_login_at.is_some_and(|at| at.elapsed() < cooldown) {
                    return None;
                }
                if state.policy_login_at.replace(Instant::now()).is_some() {
                    state.policy_logins += 1;
                }
            }
        }
        let token = self.obtain(Some(denied.login)).await.ok()?;
        (token.ours || token.value != denied.value).then_some(token)
    }

    /// Gives back what is ours. No call works afterwards.
    ///
    /// # Errors
    /// As for [`Login::revoke`], after every token was tried.
    pub async fn close(&self) -> Result<()> {
        let (flight, mut tokens) = {
            let mut state = self.inner.state();
            state.closed = true;
            state.keeper = None;
            self.inner.standing.send_replace(Standing::Closed);
            let mut tokens = std::mem::take(&mut state.retired);
            tokens.extend(state.current.take());
            (state.flight.take(), tokens)
        };
        if let Some(flight) = flight {
            // A login that is under way sees that we closed, and gives its token back itself.
            drop(tokio::time::timeout(self.patience, flight).await);
        }
        tokens.retain(|token| token.is_to_be_revoked());
        let mut result = Ok(());
        for token in tokens {
            result = result.and(self.inner.login.revoke(&token.header).await);
        }
        result
    }

    /// As [`Inner::obtain`], with a bound: the login may belong to a runtime that stands still.
    async fn obtain(&self, refused: Option<u64>) -> Result<Arc<Token>> {
        let flight = match self.inner.obtain(refused) {
            Either::Left(known) => return known.into_inner(),
            Either::Right(flight) => flight,
        };
        tokio::time::timeout(self.patience, flight).await.unwrap_or_else(|_| {
            self.inner.state().flight = None;
            Err(Error::new(ErrorKind::Timeout, "the login takes too long")
                .hint("check the server's load, or raise `http.timeout`"))
        })
    }
}

impl<L> Inner<L> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: Login> Inner<L> {
    /// The current token unless it is the one of login `refused`, else that of a login which all
    /// who ask share, and which goes on when one of them goes away.
    fn obtain(self: &Arc<Self>, refused: Option<u64>) -> Either<Ready<Result<Arc<Token>>>, Flight> {
        let mut state = self.state();
        if state.closed {
            return ready(Err(closed())).left_future();
        }
        if let Some(token) = &state.current
            && refused.is_none_or(|login| token.login > login)
            && !token.has_expired()
        {
            return ready(Ok(Arc::clone(token))).left_future();
        }
        if let Some(flight) = state.flight.as_ref().filter(|flight| flight.peek().is_none()) {
            return flight.clone().right_future();
        }
        if let Some((until, error)) = &state.failed
            && Instant::now() < *until
        {
            return ready(Err(error.clone())).left_future();
        }
        let task = tokio::spawn(Arc::clone(self).log_in());
        let flight = async move {
            task.await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Unavailable, "the login ended with its runtime"))
            })
        };
        let flight = flight.boxed().shared();
        state.flight = Some(flight.clone());
        flight.right_future()
    }

    async fn log_in(self: Arc<Self>) -> Result<Arc<Token>> {
        let granted = self.login.login().await;
        let ours = granted.as_ref().is_ok_and(|granted| granted.ours);
        let token = {
            let mut state = self.state();
            // Those who wait have it; for others it is over, even if nobody waited to the end.
            state.flight = None;
            let login = state.logins + 1;
            let token = granted
                .and_then(|granted| Token::new(&self.login, granted, login, None))
                .map(Arc::new);
            match &token {
                Ok(token) if !state.closed => {
                    state.logins = login;
                    state.failed = None;
                    let replaced = state.current.replace(Arc::clone(token));
                    // A file that holds the same token as before was no login.
                    if replaced.as_ref().is_none_or(|replaced| replaced.value != token.value) {
                        self.standing.send_replace(Standing::with(token));
                    }
                    if let Some(replaced) = replaced
                        && replaced.is_to_be_revoked()
                        && !replaced.has_leases.load(Ordering::Relaxed)
                    {
                        let inner = Arc::downgrade(&self);
                        drop(tokio::spawn(revoke_retired(inner, replaced.login, RETIREMENT)));
                        state.retired.push(replaced);
                    }
                    state.keeper = token.renew_at.is_some().then(|| {
                        let inner = Arc::downgrade(&self);
                        Task(tokio::spawn(keep(inner, Arc::clone(token))))
                    });
                }
                Ok(_) => {}
                Err(error) => {
                    let cooldown = error.retry_after().unwrap_or_default().max(LOGIN_COOLDOWN);
                    state.failed = Some((Instant::now() + cooldown, error.clone()));
                }
            }
            if !state.closed {
                return token;
            }
            token?
        };
        if ours {
            drop(self.login.revoke(&token.header).await);
        }
        Err(closed())
    }

    /// Lets go of a token that turned out to be worthless.
    fn forget(&self, login: u64) {
        let mut state = self.state();
        state.current.take_if(|token| token.login == login);
    }

    /// Puts a renewed token in the place of the one it renews, unless that was replaced.
    fn renewed(&self, token: &Arc<Token>) -> bool {
        let mut state = self.state();
        match &mut state.current {
            Some(current) if current.login == token.login => {
                *current = Arc::clone(token);
                self.standing.send_replace(Standing::with(token));
                true
            }
            _ => false,
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the plugin is closed")
        .hint("make a new plugin; this one gave its token back")
        .exhausted()
}

/// Gives a retired token back once nobody can be using it.
async fn revoke_retired<L: Login>(inner: Weak<Inner<L>>, login: u64, after: Duration) {
    sleep(after).await;
    let Some(inner) = inner.upgrade() else { return };
    let retired = {
        let mut state = inner.state();
        let place = state.retired.iter().position(|token| token.login == login);
        place.map(|place| state.retired.remove(place))
    };
    if let Some(token) = retired {
        drop(inner.login.revoke(&token.header).await);
    }
}

/// Renews the token at two thirds of its life, and logs in anew when renewing leads nowhere. Ends
/// when the session does, or when another token takes over.
async fn keep<L: Login>(inner: Weak<Inner<L>>, mut token: Arc<Token>) {
    while let Some(renew_at) = token.renew_at {
        sleep_until(renew_at).await;
        let Some(inner) = inner.upgrade() else { return };
        if token.renewable
            && let Some(renewed) = renew(&inner, &token).await
        {
            if !inner.renewed(&renewed) {
                return;
            }
            token = renewed;
            if !token.is_near_its_maximum() {
                continue;
            }
        }
        // The login starts a keeper of its own in the place of this one.
        let mut backoff = Backoff::new();
        while inner.obtain(Some(token.login)).await.is_err() && !inner.state().closed {
            sleep(backoff.next()).await;
        }
        return;
    }
}

/// The renewed token; `None` when it cannot be renewed, or not before it ends.
async fn renew<L: Login>(inner: &Inner<L>, token: &Token) -> Option<Arc<Token>> {
    let mut backoff = Backoff::new();
    while !token.has_expired() {
        match inner.login.renew(&token.header).await {
            Ok(granted) => {
                let granted = Granted { token: token.value.clone(), ours: token.ours, ..granted };
                return Token::new(&inner.login, granted, token.login, token.granted)
                    .ok()
                    .map(Arc::new);
            }
            Err(error) if error.is_retryable() => sleep(backoff.next()).await,
            Err(_) => return None,
        }
    }
    None
}

/// One second, doubling to thirty, each with full jitter.
struct Backoff(Duration);

impl Backoff {
    fn new() -> Self {
        Self(Duration::from_secs(1))
    }

    fn next(&mut self) -> Duration {
        let longest = self.0;
        self.0 = (longest * 2).min(LONGEST_BACKOFF);
        longest / 2 + longest.mul_f64(fastrand::f64() / 2.0)
    }
}

impl<L: Login> Drop for Session<L> {
    fn drop(&mut self) {
        // The keeper holds on to what holds it; and a login under way gives its token back.
        let mut state = self.inner.state();
        state.closed = true;
        state.keeper = None;
        self.inner.standing.send_replace(Standing::Closed);
    }
}

/// Nothing of the token.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("login", &self.login).finish_non_exhaustive()
    }
}

/// Nothing of the token.
impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl<L: Login> fmt::Debug for Session<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.state();
        f.debug_struct("Session")
            .field("logins", &state.logins)
            .field("logged_in", &state.current.is_some())
            .field("closed", &state.closed)
            .finish()
    }
}

#[cfg(test)]
mod tests;
