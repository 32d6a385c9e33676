//! Keeping a session's tokens fresh: one request for all who want them, in this process and in
//! others that share the store.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use pipe_core::identity::{SessionId, SessionKey};
use pipe_core::{Error, ErrorKind, LoginFault, Result, SecretValue, TokenFault};
use tokio::time::{Instant, sleep, timeout};

use super::Inner;
use super::callback::refused;
use super::id_token::Expected;
use super::record::{Person, Session, Tokens, seconds};
use super::sealed::{Seal, Use};
use super::tokens::{Answer, Grant};

/// More sessions than this are not renewed at a time.
const MOST_FLIGHTS: usize = 10_000;
/// How often a record is looked at again that somebody else changed meanwhile.
pub(super) const MOST_TRIES: usize = 32;
/// How long to wait for another process that renews the session, between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// And for a store that fails, at most.
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// Pauses after failures, in seconds: this, doubled each time, up to the longest.
const SHORTEST_PAUSE: u64 = 1;
const LONGEST_PAUSE: u64 = 60;

/// The session as it is afterwards; `None` when it is gone.
pub(super) type Renewed = Option<Arc<Session>>;
pub(super) type Flight = Shared<BoxFuture<'static, Result<Renewed>>>;

/// The renewals that are under way in this process.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<SessionKey, Flight>>);

impl Flights {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionKey, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("under_way", &self.lock().len()).finish()
    }
}

impl Inner {
    /// Renews the session, unless that is under way: then everybody waits for the same. It goes on
    /// when those who wait go away, for what the provider gives replaces what it gave before.
    ///
    /// # Errors
    /// `LoginRefused(SessionRevoked)` when the provider does not renew it: then it is gone.
    /// `Unavailable`, `Timeout`, `RateLimited` when it could not be asked.
    pub(super) fn renewal(self: &Arc<Self>, id: &SessionId, seal: &Seal) -> Result<Flight> {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(&seal.key) {
            return Ok(flight.clone());
        }
        if flights.len() >= MOST_FLIGHTS {
            return Err(Error::new(
                ErrorKind::RateLimited,
                "too many sessions are renewed at once",
            )
            .hint("let fewer requests in at a time"));
        }
        let task = tokio::spawn(fly(Arc::clone(self), id.clone(), seal.key));
        let flight = async move {
            task.await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Unavailable, "the renewal ended with its runtime"))
            })
        };
        let flight = flight.boxed().shared();
        flights.insert(seal.key, flight.clone());
        Ok(flight)
    }

    /// What comes of a renewal, which may belong to a runtime that stands still.
    pub(super) async fn wait_for(&self, renewal: Flight) -> Result<Renewed> {
        match timeout(self.patience.saturating_mul(2), renewal).await {
            Ok(renewed) => renewed,
            Err(_) => Err(Error::new(ErrorKind::Timeout, "renewing the session takes too long")
                .hint("check the provider's load, or raise `issuer.http.timeout`")),
        }
    }

    async fn renew(&self, id: &SessionId) -> Result<Renewed> {
        let seal = self.seal(Use::Session, &[id.expose()])?;
        let Some(session) = self.claim(&seal).await? else { return Ok(None) };
        let session = match session {
            Claimed::Mine(session) => session,
            Claimed::Fresh(session) => return Ok(Some(session)),
        };
        let Some(refresh) = session.tokens.refresh.as_ref().map(|token| token.0.clone()) else {
            return Ok(Some(session));
        };
        let answer = self.client.tokens(Grant::Refresh(&refresh), LoginFault::SessionRevoked).await;
        let outcome = match answer {
            Ok(answer) => self.fresh(&session, answer).await,
            Err(error) => Err((error, None)),
        };
        match outcome {
            Ok(renewed) => {
                let landed = self.land(&seal, &refresh, |session| renewed.apply(session)).await?;
                if landed.is_none() {
                    self.give_back(refresh_of(renewed.tokens)).await;
                }
                Ok(landed)
            }
            Err((error, tokens)) if ends_the_session(&error) => {
                self.end(&seal, &refresh).await?;
                self.give_back(refresh_of(tokens)).await;
                tracing::info!(plugin = self.name, %error, "a session has ended: it is not renewed");
                Err(match error.kind() {
                    ErrorKind::TokenRejected(_) => error,
                    _ => refused(LoginFault::SessionRevoked),
                })
            }
            Err((error, tokens)) => {
                let now = seconds(self.clock.now());
                tracing::warn!(plugin = self.name, %error, "a session could not be renewed");
                let landed = self
                    .land(&seal, &refresh, |session| {
                        session.failures = session.failures.saturating_add(1);
                        session.retry_at = now.saturating_add(pause(session.failures, &error));
                        session.renewing_until = None;
                        if let Some(tokens) = tokens.clone() {
                            // The ID token that was verified stays: nobody verified the other.
                            let verified = std::mem::replace(&mut session.tokens, tokens).id;
                            session.tokens.id = verified;
                        }
                    })
                    .await?;
                if landed.is_none() {
                    self.give_back(refresh_of(tokens)).await;
                    return Ok(None);
                }
                Err(error)
            }
        }
    }

    /// Says to all who share the store that we renew this session.
    async fn claim(&self, seal: &Seal) -> Result<Option<Claimed>> {
        let deadline = Instant::now() + self.patience;
        for _ in 0..MOST_TRIES {
            let Some((mut session, version)) = self.load(seal).await? else { return Ok(None) };
            let now = seconds(self.clock.now());
            if !session.tokens.are_due(now) || session.tokens.refresh.is_none() {
                return Ok(Some(Claimed::Fresh(Arc::new(session))));
            }
            if now < session.retry_at {
                return Err(resting(session.retry_at - now));
            }
            if session.renewing_until.is_some_and(|until| now < until) {
                // By another process: ours are one.
                while self.is_claimed(seal).await? {
                    if Instant::now() >= deadline {
                        return Err(Error::new(
                            ErrorKind::Timeout,
                            "another instance takes too long",
                        ));
                    }
                    sleep(LOOK).await;
                }
                continue;
            }
            let until = now.saturating_add(self.patience.as_secs().max(1));
            session.renewing_until = Some(until);
            let record = session.sealed(seal, &self.times, now)?;
            if self.store.replace(&seal.key, version, record).await? {
                return Ok(Some(Claimed::Mine(Arc::new(session))));
            }
        }
        Err(contended())
    }

    async fn is_claimed(&self, seal: &Seal) -> Result<bool> {
        let loaded = self.load(seal).await?;
        let now = seconds(self.clock.now());
        Ok(loaded
            .is_some_and(|(session, _)| session.renewing_until.is_some_and(|until| now < until)))
    }

    /// What the provider gave, and who it says that the person is.
    async fn fresh(
        &self,
        session: &Session,
        answer: Answer,
    ) -> Result<Fresh, (Error, Option<Tokens>)> {
        let identified = match &answer.id {
            None => self.person_now(session, &answer).await,
            Some(token) => {
                let before = Some(&session.person);
                let access_token = answer.access.expose();
                let expected = Expected { nonce: None, max_age: None, before, access_token };
                self.identify(token, &answer, expected).await.map(Some)
            }
        };
        let tokens = answer.into_tokens(&session.tokens.scopes, Some(&session.tokens)).ok();
        match identified {
            // OpenID Connect Core 12.2
            Ok(Some(person))
                if person.subject != session.person.subject
                    || person.issuer != session.person.issuer =>
            {
                Err((self.id_tokens.refused(TokenFault::WrongSubject), tokens))
            }
            Ok(Some(person)) if !person.repeats_nonce_of(&session.person) => {
                Err((self.id_tokens.refused(TokenFault::WrongNonce), tokens))
            }
            Ok(person) => Ok(Fresh { tokens, person }),
            // The provider signs with a key that it had not published when we looked a moment ago.
            Err(error) if error.kind() == ErrorKind::TokenRejected(TokenFault::UnknownKey) => {
                Err((unknown_key(), tokens))
            }
            // The old refresh token is spent: the new one is kept, whatever became of the rest.
            Err(error) => Err((error, tokens)),
        }
    }

    /// Who they are without another ID token: by the one that there is, and by what the userinfo
    /// endpoint says now, where it is asked.
    async fn person_now(&self, session: &Session, answer: &Answer) -> Result<Option<Person>> {
        let more = self.user_info(&answer.access, &session.person.subject).await?;
        let Some(more) = more else { return Ok(None) };
        let claims = self.id_tokens.kept(&session.tokens.id.0)?;
        self.id_tokens.person(&claims, Some(more)).map(Some)
    }

    /// Changes the session, if its refresh token is still the one that was used. A store that fails is
    /// asked again for a while: what the provider gave is there once.
    async fn land(
        &self,
        seal: &Seal,
        used: &SecretValue,
        change: impl Fn(&mut Session) + Sync,
    ) -> Result<Renewed> {
        let deadline = Instant::now() + self.patience;
        let mut pause = LOOK;
        loop {
            match self.change(seal, used, &change).await {
                Err(error) if error.kind().is_retryable() && Instant::now() + pause < deadline => {
                    tracing::warn!(plugin = self.name, %error, "a renewed session is not stored yet");
                }
                landed => return landed,
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_LOOK);
        }
    }

    async fn change(
        &self,
        seal: &Seal,
        used: &SecretValue,
        change: &(impl Fn(&mut Session) + Sync),
    ) -> Result<Renewed> {
        for _ in 0..MOST_TRIES {
            let Some((mut session, version)) = self.load(seal).await? else {
                return Ok(None);
            };
            if session.tokens.refresh.as_ref().is_none_or(|token| token.0 != *used) {
                return Ok(Some(Arc::new(session)));
            }
            change(&mut session);
            let record = session.sealed(seal, &self.times, seconds(self.clock.now()))?;
            if self.store.replace(&seal.key, version, record).await? {
                return Ok(Some(Arc::new(session)));
            }
        }
        Err(contended())
    }

    /// There is no session, or none any more: what was obtained for it is for nobody.
    pub(super) async fn give_back(&self, refresh: Option<SecretValue>) {
        if let Some(refresh) = refresh
            && let Err(error) = self.client.revoke(&refresh).await
        {
            tracing::warn!(plugin = self.name, %error, "a refresh token could not be revoked");
        }
    }

    async fn end(&self, seal: &Seal, used: &SecretValue) -> Result<()> {
        if let Some((session, _)) = self.load(seal).await?
            && session.tokens.refresh.as_ref().is_some_and(|token| token.0 == *used)
        {
            self.store.take(&seal.key).await?;
        }
        Ok(())
    }
}

fn refresh_of(tokens: Option<Tokens>) -> Option<SecretValue> {
    tokens.and_then(|tokens| tokens.refresh).map(|refresh| refresh.0)
}

enum Claimed {
    /// Nobody else renews it.
    Mine(Arc<Session>),
    /// It need not be renewed any more.
    Fresh(Arc<Session>),
}

struct Fresh {
    tokens: Option<Tokens>,
    person: Option<Person>,
}

impl Fresh {
    fn apply(&self, session: &mut Session) {
        if let Some(tokens) = &self.tokens {
            session.tokens = tokens.clone();
        }
        if let Some(person) = &self.person {
            // When they proved who they are, where, and in which login, stays as it was.
            let before = std::mem::replace(&mut session.person, person.clone());
            session.person.sid = before.sid;
            session.person.nonce = before.nonce;
            session.person.authenticated_at = before.authenticated_at;
            let assurance = &mut session.person.assurance;
            *assurance = assurance.take().or(before.assurance);
        }
        (session.renewing_until, session.failures, session.retry_at) = (None, 0, 0);
    }
}

/// One renewal, from start to end, whoever goes away meanwhile.
async fn fly(inner: Arc<Inner>, id: SessionId, key: SessionKey) -> Result<Renewed> {
    /// Makes way for the next one, also when this one ends early: by a panic, or with its runtime.
    struct Underway(Arc<Inner>, SessionKey);
    impl Drop for Underway {
        fn drop(&mut self) {
            self.0.flights.lock().remove(&self.1);
        }
    }
    let underway = Underway(inner, key);
    underway.0.renew(&id).await
}

/// What no later attempt can mend.
pub(super) fn ends_the_session(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::LoginRefused(_) | ErrorKind::TokenRejected(_))
}

fn pause(failures: u32, error: &Error) -> u64 {
    let doubled = SHORTEST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(6));
    let asked = error.retry_after().map_or(0, |after| after.as_secs());
    doubled.max(asked).min(LONGEST_PAUSE)
}

fn resting(seconds: u64) -> Error {
    Error::new(ErrorKind::Unavailable, "the session could not be renewed a moment ago")
        .retry_in(Duration::from_secs(seconds))
        .exhausted()
}

fn unknown_key() -> Error {
    Error::new(ErrorKind::Unavailable, "the key of the renewed ID token is not known yet")
        .hint("let the provider publish a key before it signs with it, or lower `issuer.key_times.min_refresh`")
}

pub(super) fn contended() -> Error {
    Error::new(ErrorKind::Unavailable, "a record changes faster than it can be written")
}
