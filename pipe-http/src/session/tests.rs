use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio::sync::Notify;

use async_trait::async_trait;

use super::*;

/// A server whose answers a test decides.
#[derive(Clone)]
struct Scripted(Arc<Script>);

struct Script {
    logins: AtomicU32,
    renewals: AtomicU32,
    revoked: Mutex<Vec<String>>,
    lifetime: AtomicU64,
    renewed_lifetime: AtomicU64,
    login_fails: Mutex<Option<ErrorKind>>,
    renewal_fails: Mutex<Option<ErrorKind>>,
    /// When set, a login waits for it.
    gate: Mutex<Option<Arc<Notify>>>,
    ours: bool,
}

impl Scripted {
    fn new() -> Self {
        Self::with_ours(true)
    }

    fn with_ours(ours: bool) -> Self {
        Self(Arc::new(Script {
            logins: AtomicU32::new(0),
            renewals: AtomicU32::new(0),
            revoked: Mutex::default(),
            lifetime: AtomicU64::new(600),
            renewed_lifetime: AtomicU64::new(600),
            login_fails: Mutex::default(),
            renewal_fails: Mutex::default(),
            gate: Mutex::default(),
            ours,
        }))
    }

    fn logins(&self) -> u32 {
        self.0.logins.load(Ordering::SeqCst)
    }

    fn renewals(&self) -> u32 {
        self.0.renewals.load(Ordering::SeqCst)
    }

    fn revoked(&self) -> Vec<String> {
        self.0.revoked.lock().unwrap().clone()
    }

    fn fail_logins(&self, kind: impl Into<Option<ErrorKind>>) {
        *self.0.login_fails.lock().unwrap() = kind.into();
    }

    fn fail_renewals(&self, kind: impl Into<Option<ErrorKind>>) {
        *self.0.renewal_fails.lock().unwrap() = kind.into();
    }
}

fn seconds(counter: &AtomicU64) -> Option<Duration> {
    Some(counter.load(Ordering::SeqCst)).filter(|s| *s > 0).map(Duration::from_secs)
}

#[async_trait]
impl Login for Scripted {
    const REFUSED: &'static str = "another token";
    const DISTRUSTED: &'static str = "the role";

    fn header(&self, token: &SecretValue) -> Result<HeaderValue> {
        Ok(HeaderValue::from_bytes(token.expose()).unwrap())
    }

    async fn login(&self) -> Result<Granted> {
        let gate = self.0.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.notified().await;
        }
        let count = self.0.logins.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(kind) = *self.0.login_fails.lock().unwrap() {
            return Err(Error::new(kind, "scripted"));
        }
        let token = if self.0.ours { format!("token-{count}") } else { "fixed".to_owned() };
        Ok(Granted {
            token: token.into(),
            lifetime: seconds(&self.0.lifetime),
            renewable: true,
            ours: self.0.ours,
        })
    }

    async fn renew(&self, _: &HeaderValue) -> Result<Granted> {
        self.0.renewals.fetch_add(1, Ordering::SeqCst);
        if let Some(kind) = *self.0.renewal_fails.lock().unwrap() {
            return Err(Error::new(kind, "scripted"));
        }
        let lifetime = seconds(&self.0.renewed_lifetime);
        Ok(Granted { token: "ignored".into(), lifetime, renewable: true, ours: true })
    }

    async fn revoke(&self, token: &HeaderValue) -> Result<()> {
        self.0.revoked.lock().unwrap().push(token.to_str().unwrap().to_owned());
        Ok(())
    }
}

/// A server whose logins wait for the gate to open.
fn gated() -> (Scripted, Arc<Notify>) {
    let server = Scripted::new();
    let gate = Arc::new(Notify::new());
    *server.0.gate.lock().unwrap() = Some(Arc::clone(&gate));
    (server, gate)
}

fn session<L: Login>(login: L) -> Session<L> {
    Session::new(login, Duration::from_secs(30))
}

fn text(token: &Token) -> &str {
    token.header.to_str().unwrap()
}

async fn pass(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_callers_share_one_login() {
    let server = Scripted::new();
    let session = session(server.clone());
    let tokens = futures_util::future::join_all((0..100).map(|_| session.token())).await;
    assert!(tokens.into_iter().all(|token| text(&token.unwrap()) == "token-1"));
    assert_eq!(server.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_does_not_end_the_login_of_others() {
    let (server, gate) = gated();
    let session = session(server.clone());
    let gone = tokio::time::timeout(Duration::from_secs(1), session.token()).await;
    assert!(gone.is_err());
    gate.notify_one();
    assert_eq!(text(&session.token().await.unwrap()), "token-1");
    assert_eq!(server.logins(), 1);
}

/// The caller that started the login went away; its token is refused later all the same.
#[tokio::test(start_paused = true)]
async fn a_login_that_nobody_waited_for_is_not_the_answer_to_the_next_refusal() {
    let (server, gate) = gated();
    let session = session(server.clone());
    let gone = tokio::time::timeout(Duration::from_secs(1), session.token()).await;
    assert!(gone.is_err());
    gate.notify_one();
    *server.0.gate.lock().unwrap() = None;
    pass(1).await;
    let refused = session.token().await.unwrap();
    assert_eq!(text(&session.replace(&refused).await.unwrap()), "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_failed_login_is_shared_and_not_repeated_at_once() {
    let server = Scripted::new();
    server.fail_logins(ErrorKind::Unavailable);
    let session = session(server.clone());
    let errors = futures_util::future::join_all((0..100).map(|_| session.token())).await;
    assert!(errors.iter().all(|e| e.as_ref().is_err_and(Error::is_retryable)));
    assert!(session.token().await.is_err());
    assert_eq!(server.logins(), 1);
    server.fail_logins(None);
    pass(2).await;
    assert_eq!(text(&session.token().await.unwrap()), "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_at_two_thirds_of_its_life() {
    let server = Scripted::new();
    let session = session(server.clone());
    session.token().await.unwrap();
    pass(379).await;
    assert_eq!(server.renewals(), 0);
    pass(22).await;
    assert_eq!(server.renewals(), 1);
    // It goes on, with the same token.
    pass(3600).await;
    assert!(server.renewals() >= 9, "{}", server.renewals());
    assert_eq!((server.logins(), text(&session.token().await.unwrap())), (1, "token-1"));
}

#[tokio::test(start_paused = true)]
async fn a_token_near_its_maximum_life_is_followed_by_a_login_in_time() {
    let server = Scripted::new();
    server.0.renewed_lifetime.store(100, Ordering::SeqCst);
    let session = session(server.clone());
    session.token().await.unwrap();
    pass(401).await;
    assert_eq!((server.renewals(), server.logins()), (1, 2));
    assert_eq!(text(&session.token().await.unwrap()), "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_for_a_while_is_tried_again_before_the_end() {
    let server = Scripted::new();
    server.fail_renewals(ErrorKind::Unavailable);
    let session = session(server.clone());
    session.token().await.unwrap();
    pass(450).await;
    assert!(server.renewals() >= 2);
    assert_eq!(text(&session.token().await.unwrap()), "token-1");
    server.fail_renewals(None);
    pass(60).await;
    let renewals = server.renewals();
    pass(200).await;
    assert_eq!((server.logins(), server.renewals()), (1, renewals));
}

#[tokio::test(start_paused = true)]
async fn a_refused_renewal_leads_to_a_login() {
    let server = Scripted::new();
    server.fail_renewals(ErrorKind::Unauthenticated);
    let session = session(server.clone());
    session.token().await.unwrap();
    pass(401).await;
    assert_eq!((server.renewals(), server.logins()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_the_token_lives_ends_by_itself() {
    let server = Scripted::new();
    let session = session(server.clone());
    session.token().await.unwrap();
    server.fail_renewals(ErrorKind::Unavailable);
    server.fail_logins(ErrorKind::Unavailable);
    pass(700).await;
    assert!(session.token().await.is_err());
    server.fail_renewals(None);
    server.fail_logins(None);
    pass(60).await;
    assert!(session.token().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_once_for_all() {
    let server = Scripted::new();
    let session = session(server.clone());
    let refused = session.token().await.unwrap();
    let replaced = futures_util::future::join_all((0..10).map(|_| session.replace(&refused))).await;
    assert!(replaced.into_iter().all(|token| text(&token.unwrap()) == "token-2"));
    assert_eq!(server.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_somebody_else_that_is_refused_is_an_error_that_names_the_setting() {
    let session = session(Scripted::with_ours(false));
    let refused = session.token().await.unwrap();
    let Err(error) = session.replace(&refused).await else { panic!("it is the same token") };
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert_eq!(error.hint_text(), Scripted::REFUSED);
}

#[tokio::test(start_paused = true)]
async fn a_denial_leads_to_one_login_a_minute_and_the_old_token_is_given_back() {
    let server = Scripted::new();
    let session = session(server.clone());
    let denied = session.token().await.unwrap();
    let second = session.reconsider(&denied).await.unwrap();
    assert_eq!(text(&second), "token-2");
    assert!(session.reconsider(&second).await.is_none());
    // Whoever was denied with the old token gets the new one.
    assert_eq!(text(&session.reconsider(&denied).await.unwrap()), "token-2");
    assert_eq!(server.logins(), 2);
    pass(61).await;
    assert_eq!(server.revoked(), ["token-1"]);
    assert_eq!(text(&session.reconsider(&second).await.unwrap()), "token-3");
}

#[tokio::test(start_paused = true)]
async fn closing_gives_the_token_back_once_and_ends_everything() {
    let server = Scripted::new();
    let session = session(server.clone());
    session.token().await.unwrap();
    session.close().await.unwrap();
    session.close().await.unwrap();
    assert_eq!(server.revoked(), ["token-1"]);
    let Err(error) = session.token().await else { panic!("the session is closed") };
    assert!(!error.is_retryable(), "{error}");
    pass(3600).await;
    assert_eq!((server.logins(), server.renewals()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_token_of_somebody_else_is_not_given_back() {
    let server = Scripted::with_ours(false);
    let session = session(server.clone());
    session.token().await.unwrap();
    session.close().await.unwrap();
    assert!(server.revoked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_login_under_way_while_closing_gives_its_token_back() {
    let (server, gate) = gated();
    let session = session(server.clone());
    let waiting = tokio::time::timeout(Duration::from_secs(1), session.token()).await;
    assert!(waiting.is_err());
    session.close().await.unwrap();
    gate.notify_one();
    pass(1).await;
    assert_eq!(server.revoked(), ["token-1"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_on_after_the_session_is_dropped() {
    let server = Scripted::new();
    let session = session(server.clone());
    session.token().await.unwrap();
    drop(session);
    pass(3600).await;
    assert_eq!((server.logins(), server.renewals()), (1, 0));
    assert_eq!(Arc::strong_count(&server.0), 1, "a task still holds the session");
}

/// A token file with a line break in it made vaultrs panic.
#[tokio::test(start_paused = true)]
async fn a_token_with_a_line_break_is_an_error() {
    struct Broken;
    #[async_trait]
    impl Login for Broken {
        const REFUSED: &'static str = "";
        const DISTRUSTED: &'static str = "";

        fn header(&self, token: &SecretValue) -> Result<HeaderValue> {
            crate::bearer(token.expose())
        }

        async fn login(&self) -> Result<Granted> {
            let token = SecretValue::from("s.abc\ndef");
            Ok(Granted { token, lifetime: None, renewable: false, ours: false })
        }
        async fn renew(&self, _: &HeaderValue) -> Result<Granted> {
            self.login().await
        }
        async fn revoke(&self, _: &HeaderValue) -> Result<()> {
            Ok(())
        }
    }
    let Err(error) = session(Broken).token().await else { panic!("no header holds it") };
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(!format!("{error:?}").contains("abc"));
}

/// The server gives tokens and refuses them: that must not become a flood of logins.
#[tokio::test(start_paused = true)]
async fn tokens_that_are_refused_at_once_lead_to_a_growing_pause() {
    let server = Scripted::new();
    let session = session(server.clone());
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let first = session.token().await.unwrap();
        let second = session.replace(&first).await.unwrap();
        session.distrust(&second);
        let paused_at = Instant::now();
        while session.token().await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
        pauses.push(paused_at.elapsed().as_secs());
    }
    assert_eq!(pauses, [1, 2, 4, 8]);
    assert_eq!(server.logins(), 9);
    // None of the refused tokens is left on the server.
    assert!(server.revoked().contains(&"token-2".to_owned()), "{:?}", server.revoked());
}

#[tokio::test(start_paused = true)]
async fn closing_gives_replaced_tokens_back_too() {
    let server = Scripted::new();
    let session = session(server.clone());
    let denied = session.token().await.unwrap();
    session.reconsider(&denied).await.unwrap();
    session.close().await.unwrap();
    assert_eq!(server.revoked(), ["token-1", "token-2"]);
}

/// Giving the token back would end the credentials that were given for it.
#[tokio::test(start_paused = true)]
async fn a_token_with_leases_is_left_to_expire() {
    let server = Scripted::new();
    let session = session(server.clone());
    let denied = session.token().await.unwrap();
    denied.has_lease();
    session.reconsider(&denied).await.unwrap();
    pass(300).await;
    assert!(server.revoked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_a_login_under_way() {
    let (server, gate) = gated();
    let session = session(server.clone());
    let waiting = tokio::time::timeout(Duration::from_secs(1), session.token()).await;
    assert!(waiting.is_err());
    let opener = async {
        pass(1).await;
        gate.notify_one();
    };
    let (closed, ()) = tokio::join!(session.close(), opener);
    closed.unwrap();
    assert_eq!(server.revoked(), ["token-1"]);
}

/// The login may belong to a runtime that nobody drives any more.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_login_for_ever() {
    let server = Scripted::new();
    let gate = Arc::new(Notify::new());
    *server.0.gate.lock().unwrap() = Some(gate);
    let session = session(server.clone());
    let Err(error) = session.token().await else { panic!("the login never ends") };
    assert_eq!(error.kind(), ErrorKind::Timeout);
    *server.0.gate.lock().unwrap() = None;
    assert!(session.token().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_file_with_a_new_token_is_read_again_when_the_old_one_may_not() {
    let server = Scripted::with_ours(false);
    let session = session(server.clone());
    let denied = session.token().await.unwrap();
    assert!(session.reconsider(&denied).await.is_none(), "it is the same token");
    assert_eq!(server.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_standing_follows_logins_and_renewals_and_the_end() {
    let server = Scripted::new();
    let session = session(server.clone());
    let mut standing = session.standing();
    assert_eq!(*standing.borrow_and_update(), Standing::LoggedOut);
    let started = Instant::now();
    let after = |login, seconds| Standing::LoggedIn {
        login,
        expires_at: Some(started + Duration::from_secs(seconds)),
    };
    let first = session.token().await.unwrap();
    assert_eq!(first.login(), 1);
    assert_eq!(first.expires_at(), Some(started + Duration::from_secs(600)));
    standing.changed().await.unwrap();
    assert_eq!(*standing.borrow_and_update(), after(1, 600));
    standing.changed().await.unwrap();
    let Standing::LoggedIn { login, expires_at } = *standing.borrow_and_update() else {
        panic!("a renewal is no end")
    };
    assert_eq!((login, expires_at), (1, Some(Instant::now() + Duration::from_secs(600))));
    session.replace(&first).await.unwrap();
    standing.changed().await.unwrap();
    assert!(matches!(*standing.borrow_and_update(), Standing::LoggedIn { login: 2, .. }));
    session.close().await.unwrap();
    standing.changed().await.unwrap();
    assert_eq!(*standing.borrow_and_update(), Standing::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_standing_of_a_dropped_session_is_its_end() {
    let session = session(Scripted::new());
    session.token().await.unwrap();
    let standing = session.standing();
    drop(session);
    assert_eq!(*standing.borrow(), Standing::Closed);
}

/// What hangs on a token need not be made anew because its file was read again.
#[tokio::test(start_paused = true)]
async fn the_same_token_read_again_is_no_news() {
    let session = session(Scripted::with_ours(false));
    let denied = session.token().await.unwrap();
    let mut standing = session.standing();
    assert!(matches!(*standing.borrow_and_update(), Standing::LoggedIn { login: 1, .. }));
    assert!(session.reconsider(&denied).await.is_none());
    assert!(!standing.has_changed().unwrap());
}
