//! What fails between the provider's answer and its being kept.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use async_trait::async_trait;
use pipe_core::identity::{
    BearerToken, SessionKey, SessionRecord, SessionTag, StoredSession, UserSession,
};
use pipe_core::{Error, ErrorKind, HealthStatus, LoginFault, Plugin as _, Result, TokenFault};
use pipe_testkit::issuer::{Fault, OldKeys};

use super::*;

const PERIOD: Duration = Duration::from_secs(600);

/// A store whose next calls of `replace` come to this.
#[derive(Debug, Default)]
struct Failing {
    sessions: MemorySessions,
    replaces: Mutex<VecDeque<Next>>,
    /// Nothing can be looked up.
    is_down: AtomicBool,
    /// These logout tokens arrive before the next session is kept.
    logouts: Mutex<Vec<(Arc<TestIssuer>, RelyingParty, BearerToken)>>,
    /// No mark is kept but the first.
    is_full_of_marks: AtomicBool,
}

#[derive(Debug)]
enum Next {
    Works,
    Fails(ErrorKind),
    /// The session ended a moment before.
    Gone,
}
use Next::{Fails, Gone, Works};

impl Failing {
    fn next(&self, outcomes: impl IntoIterator<Item = Next>) {
        *self.replaces.lock().unwrap() = outcomes.into_iter().collect();
    }
}

#[async_trait]
impl SessionStore for Failing {
    async fn insert(&self, key: &SessionKey, record: SessionRecord) -> Result<bool> {
        if matches!(key, SessionKey::Used(_)) && self.is_full_of_marks.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::RateLimited, "the store is full"));
        }
        let logouts = match key {
            SessionKey::Session(_) => std::mem::take(&mut *self.logouts.lock().unwrap()),
            _ => Vec::new(),
        };
        for (issuer, login, token) in logouts {
            issuer.clock().forward(Duration::from_millis(1));
            let ended = login.back_channel_logout(&token).await;
            assert_eq!(ended.ok(), (!self.is_full_of_marks.load(Ordering::Relaxed)).then_some(0));
            self.is_full_of_marks.store(true, Ordering::Relaxed);
        }
        self.sessions.insert(key, record).await
    }

    async fn get(&self, key: &SessionKey) -> Result<Option<StoredSession>> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unavailable, "the store is down"));
        }
        self.sessions.get(key).await
    }

    async fn replace(&self, key: &SessionKey, version: u64, record: SessionRecord) -> Result<bool> {
        let next = self.replaces.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match next {
            Some(Fails(kind)) => return Err(Error::new(kind, "the store fails")),
            Some(Gone) => drop(self.sessions.take(key).await?),
            Some(Works) | None => {}
        }
        self.sessions.replace(key, version, record).await
    }

    async fn take(&self, key: &SessionKey) -> Result<Option<StoredSession>> {
        self.sessions.take(key).await
    }

    async fn remove_tagged(&self, tag: &SessionTag) -> Result<u64> {
        self.sessions.remove_tagged(tag).await
    }
}

async fn failing() -> (TestIssuer, Arc<Failing>, RelyingParty) {
    let issuer = provider().await;
    issuer.set_access_token_lifetime(PERIOD);
    let store = Arc::new(Failing::default());
    let login = login(config(&issuer).with_sessions(Arc::clone(&store) as Arc<dyn SessionStore>));
    (issuer, store, login)
}

#[tokio::test]
async fn a_login_whose_store_is_down_is_not_healthy() {
    let (_issuer, store, login) = failing().await;
    assert_eq!(login.health().await.status, HealthStatus::Healthy);
    store.is_down.store(true, Ordering::Relaxed);
    let health = login.health().await;
    assert_eq!(health.status, HealthStatus::Unhealthy);
    assert_eq!(health.reason, "the store is down");
}

/// G7: the refresh token that was used is spent, so nothing but the answer renews the session again.
#[tokio::test]
async fn what_a_renewal_brought_is_kept_by_a_store_that_fails_for_a_moment() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::RateLimited] {
        let (issuer, store, login) = failing().await;
        let done = log_in(&login, &issuer, &Person::new("alice")).await;
        issuer.clock().forward(PERIOD);
        // The use is counted, the renewal announced, and then its answer is to be kept.
        store.next([Works, Works, Fails(kind), Fails(kind)]);
        assert!(login.access_token(&done.id).await.unwrap().is_some());
        issuer.clock().forward(PERIOD);
        assert!(login.access_token(&done.id).await.unwrap().is_some());
        assert_eq!((issuer.refreshes("alice"), issuer.reuses("alice")), (2, 0));
    }
}

/// A full store keeps what it has; that a use could not be counted ends the session sooner, not now.
#[tokio::test]
async fn a_session_that_can_be_read_goes_on_in_a_store_that_takes_nothing() {
    for kind in [ErrorKind::RateLimited, ErrorKind::Unavailable, ErrorKind::Timeout] {
        let (issuer, store, login) = failing().await;
        let done = log_in(&login, &issuer, &Person::new("alice")).await;
        issuer.clock().forward(Duration::from_secs(200));
        store.next([Fails(kind), Fails(kind)]);
        let idle = |session: UserSession| session.idle_until;
        let before = done.session.idle_until;
        assert_eq!(login.session(&done.id).await.unwrap().map(idle), Some(before));
        assert!(login.access_token(&done.id).await.unwrap().is_some());
    }
}

/// G2: the provider signs with a key that it published a moment ago, and we looked a moment before.
#[tokio::test]
async fn a_key_that_is_not_known_yet_ends_no_session() {
    let (issuer, _, login) = failing().await;
    let done = log_in(&login, &issuer, &Person::new("alice")).await;
    issuer.rotate(OldKeys::Dropped);
    issuer.clock().forward(PERIOD);
    let refused = login.access_token(&done.id).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(login.session(&done.id).await.unwrap().is_some());
    assert!(login.access_token(&done.id).await.unwrap().is_some());
    assert_eq!((issuer.refreshes("alice"), issuer.reuses("alice")), (1, 0));
}

/// OpenID Connect Core 12.2: the ID token of a renewal need not say what the login's said.
#[tokio::test]
async fn how_somebody_proved_who_they_are_outlasts_a_renewal_that_is_silent_about_it() {
    let issuer = provider().await;
    issuer.set_access_token_lifetime(PERIOD);
    let login = login(config(&issuer).with_assurance("mfa"));
    let done = log_in(&login, &issuer, &Person::new("alice").acr("mfa")).await;
    issuer.clock().forward(PERIOD);
    issuer.spoil_id_token(|token| token.without("acr"));
    assert!(login.access_token(&done.id).await.unwrap().is_some());
    let session = login.session(&done.id).await.unwrap().unwrap();
    assert_eq!(session.assurance.as_deref(), Some("mfa"));
    // What it does say counts.
    issuer.clock().forward(PERIOD);
    issuer.spoil_id_token(|token| token.claim("acr", "password"));
    let refused = login.access_token(&done.id).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TokenRejected(TokenFault::WrongAssurance));
    assert_eq!(login.session(&done.id).await.unwrap(), None);
}

/// RFC 7009: also when the answer was of no use for now.
#[tokio::test]
async fn what_was_obtained_for_a_session_that_ended_meanwhile_is_given_back() {
    for is_key_known in [true, false] {
        let (issuer, store, login) = failing().await;
        let done = log_in(&login, &issuer, &Person::new("alice")).await;
        if !is_key_known {
            issuer.rotate(OldKeys::Dropped);
        }
        issuer.clock().forward(PERIOD);
        store.next([Works, Works, Gone]);
        assert!(login.access_token(&done.id).await.unwrap().is_none());
        assert!(issuer.was_revoked("alice"), "{is_key_known}");
    }
}

/// RFC 9700 4.2.4: a stolen code may come in a login of the thief's own.
#[tokio::test]
async fn a_code_that_comes_in_another_login_ends_the_session_that_it_began() {
    let issuer = provider().await;
    let login = login(config(&issuer));
    let start = login.begin_login(&LoginRequest::new()).await.unwrap();
    let callback = issuer.authorize(&start.location, &Person::new("alice"));
    let (_, query) = callback.split_once('?').unwrap();
    let parameter = |query: &str, name: &str| {
        let pairs = url_pairs(query);
        pairs.into_iter().find(|(it, _)| it == name).unwrap().1
    };
    let code = parameter(query, "code");
    let done =
        login.finish_login(&LoginCallback::new(query).with_browser(start.browser)).await.unwrap();

    let other = login.begin_login(&LoginRequest::new()).await.unwrap();
    let theirs = issuer.authorize(&other.location, &Person::new("mallory"));
    let (_, query) = theirs.split_once('?').unwrap();
    let query = query.replacen(&parameter(query, "code"), &code, 1);
    let refused = login
        .finish_login(&LoginCallback::new(query).with_browser(other.browser))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LoginRefused(LoginFault::CodeRefused));
    assert_eq!(login.session(&done.id).await.unwrap(), None);
}

/// RFC 9700 4.2.4: nobody knows which of two who bring a code is its owner, so neither gets anything.
#[tokio::test]
async fn what_a_code_was_exchanged_for_is_given_back_when_it_comes_twice_meanwhile() {
    let issuer = provider().await;
    let store = store();
    let one = login(config(&issuer).with_sessions(Arc::clone(&store)));
    let other = login(config(&issuer).with_sessions(store));
    let start = one.begin_login(&LoginRequest::new()).await.unwrap();
    let location = issuer.authorize(&start.location, &Person::new("alice"));
    let (_, query) = location.split_once('?').unwrap();
    let callback = LoginCallback::new(query).with_browser(start.browser);
    issuer.fail_times("/token", Fault::Held, 1);
    let replay = async {
        while issuer.hits("/token") == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let stolen = other.finish_login(&LoginCallback::new(query)).await;
        assert!(!issuer.was_revoked("alice"));
        issuer.heal("/token");
        stolen
    };
    let (first, second) = tokio::join!(one.finish_login(&callback), replay);
    for refused in [first, second] {
        let kind = refused.unwrap_err().kind();
        assert_eq!(kind, ErrorKind::LoginRefused(LoginFault::UnknownLogin));
    }
    assert!(issuer.was_revoked("alice"));
    // And that was that.
    let again = log_in(&one, &issuer, &Person::new("alice")).await;
    assert!(other.session(&again.id).await.unwrap().is_some());
}

/// The pairs of a query whose values are base64url or percent-encoded URLs, as they stand there.
fn url_pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// G12: which of a person's sessions it is cannot be found out, so none of these may go on.
#[tokio::test]
async fn a_logout_with_a_sid_ends_sessions_of_its_subject_that_have_none() {
    let issuer = provider().await;
    let login = login(config(&issuer));
    let alice = log_in(&login, &issuer, &Person::new("alice")).await;
    let bob = log_in(&login, &issuer, &Person::new("bob")).await;
    let token = BearerToken::new(issuer.logout_token(CLIENT, "alice", "a-sid").sign());
    assert_eq!(login.back_channel_logout(&token).await.unwrap(), 1);
    assert_eq!(login.session(&alice.id).await.unwrap(), None);
    assert!(login.session(&bob.id).await.unwrap().is_some());
}

/// G12: the provider told us that the session has ended while we were making it.
#[tokio::test]
async fn a_logout_during_a_login_is_not_lost() {
    for is_about_sid in [true, false] {
        let (issuer, store, login) = failing().await;
        let issuer = Arc::new(issuer);
        let token = issuer.logout_token(CLIENT, "alice", "a-sid");
        let token = match is_about_sid {
            true => token.without("sub"),
            false => token.without("sid"),
        };
        issuer.spoil_id_token(|token| token.claim("sid", "a-sid"));
        let token = BearerToken::new(token.sign());
        store.logouts.lock().unwrap().push((Arc::clone(&issuer), login.clone(), token));
        let callback = begin(&login, &issuer, &Person::new("alice")).await;
        let refused = login.finish_login(&callback).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::LoginRefused(LoginFault::SessionRevoked));
        assert!(issuer.was_revoked("alice"));
        store.is_full_of_marks.store(false, Ordering::Relaxed);
        // Whoever logs in after that is logged in.
        issuer.clock().forward(Duration::from_secs(1));
        let again = log_in(&login, &issuer, &Person::new("alice")).await;
        assert!(login.session(&again.id).await.unwrap().is_some());
    }
}

/// G12: nor is it when another comes that the store cannot note.
#[tokio::test]
async fn a_logout_that_cannot_be_noted_undoes_none_that_was() {
    let (issuer, store, login) = failing().await;
    let issuer = Arc::new(issuer);
    for _ in 0..2 {
        let token = issuer.logout_token(CLIENT, "alice", "a-sid").without("sid");
        let token = BearerToken::new(token.sign());
        store.logouts.lock().unwrap().push((Arc::clone(&issuer), login.clone(), token));
    }
    let callback = begin(&login, &issuer, &Person::new("alice")).await;
    let refused = login.finish_login(&callback).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LoginRefused(LoginFault::SessionRevoked));
}

/// RFC 7009: a browser that is closed may take the request with it, and a token that nobody has any more
/// is to be of no use to whoever finds it.
#[tokio::test]
async fn a_logout_that_nobody_waits_for_gives_back_what_there_is() {
    let (issuer, _, login) = failing().await;
    let done = log_in(&login, &issuer, &Person::new("alice")).await;
    {
        let mut logged_out = login.log_out(&done.id);
        let once = std::future::poll_fn(|context| Poll::Ready(logged_out.as_mut().poll(context)));
        assert!(once.await.is_pending());
    }
    let revoked = async {
        while !issuer.was_revoked("alice") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), revoked).await.unwrap();
    assert_eq!(login.session(&done.id).await.unwrap(), None);
}

/// Entra ID says so where a policy has changed: nothing but another login brings tokens again, and a session
/// that goes on without them would keep people from it.
#[tokio::test]
async fn a_renewal_for_which_the_person_is_needed_ends_the_session() {
    for code in ["interaction_required", "login_required", "consent_required"] {
        let (issuer, _, login) = failing().await;
        let done = log_in(&login, &issuer, &Person::new("alice")).await;
        issuer.clock().forward(PERIOD);
        issuer.fail("/token", Fault::Status(400, format!(r#"{{"error":"{code}"}}"#)));
        let refused = login.access_token(&done.id).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::LoginRefused(LoginFault::SessionRevoked), "{code}");
        assert_eq!(login.session(&done.id).await.unwrap(), None);
        // At a login, the person is there.
        let callback = begin(&login, &issuer, &Person::new("alice")).await;
        let refused = login.finish_login(&callback).await.unwrap_err();
        let needed = ErrorKind::LoginRefused(LoginFault::InteractionRequired);
        assert_eq!(refused.kind(), needed, "{code}");
    }
}

/// RFC 6585 4: whatever else such an answer says, it is about how often one asks.
#[tokio::test]
async fn a_provider_that_is_asked_too_often_ends_no_session() {
    let (issuer, _, login) = failing().await;
    let done = log_in(&login, &issuer, &Person::new("alice")).await;
    issuer.clock().forward(PERIOD);
    let body = r#"{"error":"invalid_grant"}"#.to_owned();
    issuer.fail_times("/token", Fault::Status(429, body), 1);
    let refused = login.access_token(&done.id).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::RateLimited);
    issuer.clock().forward(Duration::from_secs(60));
    assert!(login.access_token(&done.id).await.unwrap().is_some());
}
