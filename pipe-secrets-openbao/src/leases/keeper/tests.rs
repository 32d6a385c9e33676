use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use pipe_core::{SecretData, SecretValue};
use tokio::time::sleep;

use super::*;
use crate::leases::LeaseEvents;

/// A server whose answers a test decides. It keeps time for its leases, as a real one does.
#[derive(Clone)]
struct Scripted(Arc<Script>);

struct Script {
    state: Mutex<Scene>,
    standing: watch::Sender<Standing>,
}

struct Scene {
    ttl: u64,
    /// How long a lease can live with all its renewals.
    max: u64,
    renewable: bool,
    issued: u32,
    renewals: u32,
    /// When the leases that there are were made, and when they end.
    leases: HashMap<String, (Instant, Instant)>,
    revoked: Vec<(String, u64)>,
    fails: Option<Error>,
    renewals_fail: Option<Error>,
    revocations_fail: Option<Error>,
    /// How long an answer takes.
    slow: Duration,
    attempts: Vec<u64>,
    started: Instant,
}

impl Scripted {
    fn new(ttl: u64, max: u64) -> Self {
        let state = Scene {
            ttl,
            max,
            renewable: true,
            issued: 0,
            renewals: 0,
            leases: HashMap::new(),
            revoked: Vec::new(),
            fails: None,
            renewals_fail: None,
            revocations_fail: None,
            slow: Duration::ZERO,
            attempts: Vec::new(),
            started: Instant::now(),
        };
        let (standing, _) = watch::channel(Standing::LoggedIn { login: 1, expires_at: None });
        Self(Arc::new(Script { state: Mutex::new(state), standing }))
    }

    fn scene(&self) -> MutexGuard<'_, Scene> {
        self.0.state.lock().unwrap()
    }

    fn log_in(&self, login: u64, expires_at: Option<Instant>) {
        self.0.standing.send_replace(Standing::LoggedIn { login, expires_at });
    }

    fn standing_now(&self) -> (u64, Option<Instant>) {
        match *self.0.standing.borrow() {
            Standing::LoggedIn { login, expires_at } => (login, expires_at),
            _ => (0, None),
        }
    }

    /// How many leases there are that have not ended.
    fn alive(&self) -> usize {
        let now = Instant::now();
        self.scene().leases.values().filter(|(_, end)| *end > now).count()
    }

    fn issued(&self) -> u32 {
        self.scene().issued
    }

    fn renewals(&self) -> u32 {
        self.scene().renewals
    }

    fn revoked(&self) -> Vec<String> {
        self.scene().revoked.iter().map(|(id, _)| id.clone()).collect()
    }

    fn elapsed(&self) -> u64 {
        self.scene().started.elapsed().as_secs()
    }

    async fn open_with(&self, overlap: u64) -> Result<LeasedSecret> {
        let (opener, opened) = oneshot::channel();
        let settings = Settings {
            path: "db/creds/app".to_owned(),
            overlap: Duration::from_secs(overlap),
            partings: Arc::new(Semaphore::new(1)),
        };
        tokio::spawn(keep(self.clone(), settings, opener));
        opened.await.unwrap()
    }

    async fn open(&self) -> LeasedSecret {
        self.open_with(10).await.unwrap()
    }
}

impl Source for Scripted {
    async fn issue(&self) -> Result<Issued> {
        let slow = self.scene().slow;
        sleep(slow).await;
        let at = self.elapsed();
        let (login, token_ends) = self.standing_now();
        let mut scene = self.scene();
        scene.attempts.push(at);
        if let Some(error) = &scene.fails {
            return Err(error.clone());
        }
        scene.issued += 1;
        let number = scene.issued;
        let (id, ttl, now) = (format!("lease-{number}"), scene.ttl, Instant::now());
        scene.leases.insert(id.clone(), (now, now + Duration::from_secs(ttl)));
        let duration = Duration::from_secs(ttl);
        let user = SecretValue::from(format!("user-{number}"));
        Ok(Issued {
            secret: Secret::new(SecretData::new().with("username", user)),
            lease: Lease { id, duration, renewable: scene.renewable },
            login,
            token_ends,
        })
    }

    async fn renew(&self, lease_id: &str, increment: Duration) -> Result<Option<Lease>> {
        let mut scene = self.scene();
        scene.renewals += 1;
        if let Some(error) = &scene.renewals_fail {
            return Err(error.clone());
        }
        let (now, max) = (Instant::now(), Duration::from_secs(scene.max));
        let Some((made, end)) = scene.leases.get_mut(lease_id) else { return Ok(None) };
        if *end <= now {
            return Ok(None);
        }
        *end = (now + increment).min(*made + max);
        // In whole seconds, as a real server.
        let duration = Duration::from_secs((*end - now).as_secs());
        Ok(Some(Lease { id: lease_id.to_owned(), duration, renewable: true }))
    }

    async fn is_alive(&self, lease_id: &str) -> Result<bool> {
        Ok(self.scene().leases.contains_key(lease_id))
    }

    async fn revoke(&self, lease_id: &str) -> Result<()> {
        let at = self.elapsed();
        let mut scene = self.scene();
        if let Some(error) = &scene.revocations_fail {
            return Err(error.clone());
        }
        scene.leases.remove(lease_id);
        scene.revoked.push((lease_id.to_owned(), at));
        Ok(())
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.0.standing.subscribe()
    }

    fn locate(&self, error: Error, operation: &'static str) -> Error {
        error.at("scripted", operation)
    }
}

fn user(secret: &LeasedSecret) -> String {
    let current = secret.current().expect("the credentials are valid");
    let user = current.secret.data.get("username").unwrap();
    user.expose_str().unwrap().to_owned()
}

fn down() -> Error {
    Error::new(ErrorKind::Unavailable, "scripted")
}

fn denied() -> Error {
    Error::new(ErrorKind::PermissionDenied, "scripted").hint("grant it")
}

async fn pass(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

async fn failure(events: &mut LeaseEvents) -> Error {
    loop {
        let event = events.next().await.expect("the lease is open");
        if let LeaseEvent::Failed { error } = event {
            return error;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_at_two_thirds_of_its_life() {
    let server = Scripted::new(600, 86_400);
    let secret = server.open().await;
    let mut events = secret.events();
    let before = secret.current().unwrap().expires_at;
    pass(379).await;
    assert_eq!(server.renewals(), 0);
    pass(22).await;
    assert_eq!(server.renewals(), 1);
    let LeaseEvent::Renewed { expires_at } = events.next().await.unwrap() else {
        panic!("it was renewed")
    };
    assert!(expires_at > before);
    assert_eq!(secret.current().unwrap().expires_at, expires_at);
    pass(3600).await;
    assert_eq!((server.issued(), user(&secret)), (1, "user-1".to_owned()));
}

/// The server answers 200 and gives less than it was asked for.
#[tokio::test(start_paused = true)]
async fn a_capped_lease_has_a_successor_before_its_end_and_is_given_back_after_the_overlap() {
    let server = Scripted::new(60, 100);
    let secret = server.open().await;
    let mut events = secret.events();
    let mut successions = Vec::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1000) {
        sleep(Duration::from_millis(500)).await;
        let user = user(&secret);
        let number: usize = user.strip_prefix("user-").unwrap().parse().unwrap();
        let lease = secret.current().unwrap().lease.id.clone();
        let end = server.scene().leases[&lease].1;
        assert!(end > Instant::now(), "the server ended what is current");
        if successions.len() < number {
            successions.push(server.elapsed());
        }
    }
    assert!(successions.len() > 9, "{successions:?}");
    let revoked = server.scene().revoked.clone();
    for (index, (id, at)) in revoked.iter().enumerate() {
        assert_eq!(*id, format!("lease-{}", index + 1));
        let overlap = at - successions[index + 1];
        assert!((9..=10).contains(&overlap), "{overlap} s after {successions:?}");
    }
    assert!(server.alive() <= 2);
    assert!(matches!(
        events.next().await,
        Some(LeaseEvent::Renewed { .. } | LeaseEvent::Successor { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_renewed_has_a_successor_in_time() {
    let server = Scripted::new(60, 60);
    server.scene().renewable = false;
    let secret = server.open_with(25).await.unwrap();
    pass(32).await;
    assert_eq!(user(&secret), "user-1");
    pass(4).await;
    assert_eq!(user(&secret), "user-2");
    assert_eq!((server.renewals(), server.alive()), (0, 2));
    pass(25).await;
    assert_eq!(server.alive(), 1);
}

/// Not one lease after the other.
#[tokio::test(start_paused = true)]
async fn an_overlap_longer_than_the_lease_is_half_of_it() {
    let server = Scripted::new(10, 10);
    server.scene().renewable = false;
    let _secret = server.open_with(3600).await.unwrap();
    pass(100).await;
    let issued = server.issued();
    assert!((20..=23).contains(&issued), "{issued}");
    assert!(server.alive() <= 3);
}

/// Whether a renewal is the last one shows when it is made.
#[tokio::test(start_paused = true)]
async fn a_short_lease_is_renewed_early_enough_for_the_overlap() {
    let server = Scripted::new(10, 10);
    let secret = server.open_with(5).await.unwrap();
    pass(4).await;
    assert_eq!(user(&secret), "user-1");
    pass(1).await;
    assert_eq!((user(&secret).as_str(), server.alive()), ("user-2", 2));
    sleep(Duration::from_millis(4_500)).await;
    assert!(server.scene().leases.contains_key("lease-1"), "the overlap was cut short");
}

#[tokio::test(start_paused = true)]
async fn leases_that_end_at_once_are_no_flood_of_requests() {
    let server = Scripted::new(0, 0);
    let secret = server.open().await;
    pass(300).await;
    assert!(secret.current().is_err());
    assert!(server.issued() <= 12, "{}", server.issued());
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_is_denied_leads_to_successors() {
    let server = Scripted::new(60, 600);
    server.scene().renewals_fail = Some(denied());
    let secret = server.open().await;
    pass(61).await;
    assert_eq!(user(&secret), "user-2");
}

/// As of an engine that answers renewals by breaking the connection.
#[tokio::test(start_paused = true)]
async fn renewals_that_always_fail_lead_to_successors_before_the_end() {
    let server = Scripted::new(3, 600);
    server.scene().renewals_fail = Some(down());
    let secret = server.open_with(1).await.unwrap();
    for _ in 0..1000 {
        user(&secret);
        sleep(Duration::from_millis(100)).await;
    }
    assert!(server.issued() > 30, "{}", server.issued());
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_survived_while_the_lease_holds_and_is_loud_after_it() {
    let server = Scripted::new(600, 86_400);
    let secret = server.open().await;
    let mut events = secret.events();
    server.scene().fails = Some(down());
    server.scene().renewals_fail = Some(down());
    pass(590).await;
    assert_eq!(user(&secret), "user-1");
    assert_eq!(server.renewals(), RENEWALS);
    let attempts = server.scene().attempts.len();
    assert!((5..30).contains(&attempts), "{attempts}");
    let error = failure(&mut events).await;
    assert_eq!(server.elapsed(), 600);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let error = secret.current().unwrap_err();
    assert!(error.is_retryable(), "{error:#}");
    // Attempts go on, and not often.
    let before = server.scene().attempts.len();
    pass(3600).await;
    let attempts = server.scene().attempts.len() - before;
    assert!((110..250).contains(&attempts), "{attempts}");
    server.scene().fails = None;
    pass(31).await;
    assert_eq!(user(&secret), "user-2");
    assert!(matches!(events.next().await, Some(LeaseEvent::Successor { .. })));
}

#[tokio::test(start_paused = true)]
async fn the_error_after_the_end_is_that_of_the_last_attempt() {
    let server = Scripted::new(60, 60);
    let secret = server.open().await;
    server.scene().fails = Some(denied());
    pass(70).await;
    let error = secret.current().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(!error.is_retryable());
    assert_eq!(error.hint_text(), "grant it");
}

/// Also while a request hangs.
#[tokio::test(start_paused = true)]
async fn ended_credentials_are_not_handed_out() {
    let server = Scripted::new(60, 60);
    server.scene().renewable = false;
    let secret = server.open().await;
    let mut events = secret.events();
    server.scene().slow = Duration::from_secs(3600);
    pass(59).await;
    assert_eq!(user(&secret), "user-1");
    pass(1).await;
    assert!(secret.current().is_err());
    failure(&mut events).await;
    assert_eq!(server.elapsed(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_gone_is_followed_at_once() {
    let server = Scripted::new(600, 86_400);
    let secret = server.open().await;
    server.scene().leases.clear();
    pass(401).await;
    assert_eq!(user(&secret), "user-2");
    assert!(server.revoked().is_empty(), "there was nothing to give back");
}

#[tokio::test(start_paused = true)]
async fn a_suspicion_has_the_server_asked_once_a_second_at_most() {
    let server = Scripted::new(600, 86_400);
    let secret = server.open().await;
    let mut events = secret.events();
    secret.suspect();
    pass(2).await;
    assert_eq!(user(&secret), "user-1");
    server.scene().leases.clear();
    secret.suspect();
    assert!(matches!(events.next().await, Some(LeaseEvent::Successor { .. })));
    assert_eq!(user(&secret), "user-2");
    server.scene().leases.clear();
    secret.suspect();
    sleep(Duration::from_millis(500)).await;
    assert_eq!(user(&secret), "user-2");
}

/// A lease ends with the token that it was given for.
#[tokio::test(start_paused = true)]
async fn a_new_login_leads_to_successors_and_the_predecessor_stays_for_the_overlap() {
    let server = Scripted::new(600, 86_400);
    let secret = server.open().await;
    pass(5).await;
    server.log_in(2, None);
    pass(1).await;
    assert_eq!(user(&secret), "user-2");
    assert!(server.revoked().is_empty());
    pass(10).await;
    assert_eq!(server.revoked(), ["lease-1"]);
    // A renewal of the token is no login.
    server.log_in(2, Some(Instant::now() + Duration::from_secs(900)));
    pass(1).await;
    assert_eq!(user(&secret), "user-2");
}

#[tokio::test(start_paused = true)]
async fn credentials_end_with_their_token() {
    let server = Scripted::new(600, 86_400);
    let end = Instant::now() + Duration::from_secs(60);
    server.log_in(1, Some(end));
    let secret = server.open().await;
    let mut events = secret.events();
    assert_eq!(secret.current().unwrap().expires_at, end.into_std());
    let later = end + Duration::from_secs(60);
    server.log_in(1, Some(later));
    pass(1).await;
    assert_eq!(secret.current().unwrap().expires_at, later.into_std());
    server.scene().fails = Some(down());
    pass(117).await;
    assert_eq!(user(&secret), "user-1");
    failure(&mut events).await;
    assert_eq!(server.elapsed(), 120);
    assert!(secret.current().is_err());
}

#[tokio::test(start_paused = true)]
async fn closing_gives_back_everything_once() {
    let server = Scripted::new(600, 86_400);
    let secret = server.open_with(300).await.unwrap();
    let mut events = secret.events();
    server.log_in(2, None);
    pass(1).await;
    assert_eq!(server.alive(), 2);
    secret.close().await.unwrap();
    secret.clone().close().await.unwrap();
    assert_eq!((server.alive(), server.revoked().len()), (0, 2));
    let error = secret.current().unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    assert!(matches!(events.next().await, Some(LeaseEvent::Successor { .. })));
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn closing_says_why_nothing_was_given_back() {
    let server = Scripted::new(600, 86_400);
    let secret = server.open().await;
    server.scene().revocations_fail = Some(denied());
    assert_eq!(secret.close().await.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_lease_is_given_back_and_nothing_goes_on() {
    let server = Scripted::new(600, 86_400);
    let secret = server.open().await;
    let clone = secret.clone();
    drop(secret);
    pass(1).await;
    assert_eq!(server.alive(), 1);
    drop(clone);
    pass(1).await;
    assert_eq!(server.alive(), 0);
    pass(3600).await;
    assert_eq!((server.issued(), server.renewals()), (1, 0));
    assert_eq!(Arc::strong_count(&server.0), 1, "a task still holds the server");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waited_for_is_given_back() {
    let server = Scripted::new(600, 86_400);
    server.scene().slow = Duration::from_secs(5);
    let gone = timeout(Duration::from_secs(1), server.open_with(1)).await;
    assert!(gone.is_err());
    pass(5).await;
    assert_eq!(server.revoked(), ["lease-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_first_request_leaves_nothing() {
    let server = Scripted::new(600, 86_400);
    server.scene().fails = Some(denied());
    let error = server.open_with(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    pass(60).await;
    assert_eq!((server.scene().attempts.len(), Arc::strong_count(&server.0)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_closed_plugin_ends_the_lease_aloud() {
    let server = Scripted::new(600, 86_400);
    let secret = server.open().await;
    let mut events = secret.events();
    server.0.standing.send_replace(Standing::Closed);
    let error = failure(&mut events).await;
    assert!(!error.is_retryable());
    assert!(secret.current().is_err());
    assert!(secret.close().await.is_err());
    assert!(events.next().await.is_none());
}

/// A revocation that fails for a while is tried again, and no longer than there is a lease.
#[tokio::test(start_paused = true)]
async fn a_predecessor_is_given_back_later_when_the_server_is_down() {
    let server = Scripted::new(600, 86_400);
    let _secret = server.open().await;
    server.scene().revocations_fail = Some(down());
    server.log_in(2, None);
    pass(60).await;
    server.scene().revocations_fail = None;
    pass(31).await;
    assert_eq!(server.revoked(), ["lease-1"]);
}

/// With a login a second and an overlap of an hour.
#[tokio::test(start_paused = true)]
async fn no_more_than_four_predecessors_are_kept() {
    let server = Scripted::new(86_400, 86_400);
    let _secret = server.open_with(3600).await.unwrap();
    for login in 2..50 {
        server.log_in(login, None);
        pass(1).await;
        assert!(server.alive() <= 6, "{}", server.alive());
    }
    assert_eq!(server.alive(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_falls_behind_gets_the_last_events() {
    let server = Scripted::new(60, 86_400);
    let secret = server.open().await;
    let mut events = secret.events();
    pass(6000).await;
    let mut count = 0;
    while timeout(Duration::ZERO, events.next()).await.is_ok() {
        count += 1;
    }
    assert_eq!(count, EVENTS);
}

#[tokio::test(start_paused = true)]
async fn nothing_shows_the_credentials() {
    let server = Scripted::new(60, 86_400);
    let secret = server.open().await;
    let current = secret.current().unwrap();
    let shown = format!("{secret:?} {current:?} {:?}", secret.events());
    assert!(!shown.contains("user-1"), "{shown}");
}

/// This server ends no lease by itself, as one that is busy does not do it in time.
#[tokio::test(start_paused = true)]
async fn what_has_ended_is_given_back_too() {
    let server = Scripted::new(8, 8);
    server.scene().slow = Duration::from_millis(500);
    let secret = server.open_with(4).await.unwrap();
    pass(20).await;
    secret.close().await.unwrap();
    assert!(server.issued() > 2);
    assert_eq!(server.revoked().len(), server.issued() as usize);
    assert!(server.scene().leases.is_empty(), "{:?}", server.scene().leases);

    let server = Scripted::new(8, 8);
    let secret = server.open().await;
    server.scene().fails = Some(down());
    pass(9).await;
    server.scene().revocations_fail = Some(denied());
    secret.close().await.expect("it has ended by itself");
}
