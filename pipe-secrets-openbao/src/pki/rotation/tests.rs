use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::*;
use crate::pki::certificate::tests::Authority;

const HOUR: Duration = Duration::from_secs(3600);

/// Issues certificates of an hour, unless it is told to fail.
#[derive(Clone)]
struct Fake(Arc<FakeState>);

struct FakeState {
    authority: Authority,
    issued: AtomicU32,
    asked: AtomicU32,
    failure: Mutex<Option<Error>>,
    delay: Mutex<Duration>,
}

impl Fake {
    fn new() -> Self {
        Self(Arc::new(FakeState {
            authority: Authority::new(),
            issued: AtomicU32::new(0),
            asked: AtomicU32::new(0),
            failure: Mutex::default(),
            delay: Mutex::default(),
        }))
    }

    async fn start(&self) -> RotatingCertificate {
        RotatingCertificate::of(Box::new(self.clone())).await.unwrap()
    }

    fn fail(&self, error: Option<Error>) {
        *self.0.failure.lock().unwrap() = error;
    }

    fn asked(&self) -> u32 {
        self.0.asked.load(Ordering::SeqCst)
    }

    fn issued(&self) -> u32 {
        self.0.issued.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Source for Fake {
    async fn issue(&self) -> Result<IssuedCertificate> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let delay = *self.0.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        if let Some(error) = self.0.failure.lock().unwrap().clone() {
            return Err(error);
        }
        self.0.issued.fetch_add(1, Ordering::SeqCst);
        Ok(self.0.authority.issue_for(HOUR))
    }
}

fn sealed() -> Error {
    Error::new(ErrorKind::Unavailable, "the server is sealed")
}

/// The next event; on a paused clock, time passes as far as it has to.
async fn next(events: &mut Receiver<RotationEvent>) -> RotationEvent {
    timeout(10 * HOUR, events.recv()).await.expect("an event comes").unwrap()
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_at_two_thirds_of_its_life() {
    let start = Instant::now();
    let rotating = Fake::new().start().await;
    let first = rotating.current();
    let mut events = rotating.subscribe();
    let RotationEvent::Renewed { serial_number, not_after } = next(&mut events).await else {
        panic!("it is renewed");
    };
    let passed = start.elapsed();
    assert!(passed <= HOUR * 2 / 3 + Duration::from_millis(2), "{passed:?}");
    assert!(passed >= (HOUR * 2 / 3).mul_f64(0.95), "{passed:?}");
    let second = rotating.current();
    assert_eq!(second.serial_number(), serial_number);
    assert_eq!(second.not_after(), not_after);
    assert_ne!(second.serial_number(), first.serial_number());
    assert_ne!(second.private_key(), first.private_key());
    assert!(matches!(rotating.state(), RotationState::Current));
}

#[tokio::test(start_paused = true)]
async fn there_is_none_without_a_first_certificate() {
    let fake = Fake::new();
    fake.fail(Some(sealed()));
    let error = RotatingCertificate::of(Box::new(fake)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_and_it_is_tried_again_while_the_old_one_serves() {
    let fake = Fake::new();
    let rotating = fake.start().await;
    let first = rotating.current();
    let mut events = rotating.subscribe();
    fake.fail(Some(sealed()));
    for _ in 0..5 {
        assert!(matches!(next(&mut events).await, RotationEvent::Failed { .. }));
        assert!(matches!(rotating.state(), RotationState::Failing(_)));
        assert_eq!(rotating.current().serial_number(), first.serial_number());
    }
    fake.fail(None);
    assert!(matches!(next(&mut events).await, RotationEvent::Renewed { .. }));
    assert!(matches!(rotating.state(), RotationState::Current));
    assert!(!first.has_expired());
}

#[tokio::test(start_paused = true)]
async fn an_expired_one_is_told_and_not_shown_until_there_is_a_new_one() {
    let fake = Fake::new();
    let start = Instant::now();
    let rotating = fake.start().await;
    let mut events = rotating.subscribe();
    fake.fail(Some(sealed()));
    let mut attempts = 0;
    while !matches!(next(&mut events).await, RotationEvent::Expired { .. }) {
        attempts += 1;
    }
    // The pauses are bounded: twenty minutes are left after two thirds.
    assert!((20..60).contains(&attempts), "{attempts}");
    assert!(start.elapsed() <= HOUR + Duration::from_millis(2), "{:?}", start.elapsed());
    assert!(matches!(rotating.state(), RotationState::Expired(Some(_))));
    assert!(rotating.current().has_expired());
    #[cfg(feature = "rustls")]
    {
        use rustls::client::ResolvesClientCert as _;
        let schemes = [rustls::SignatureScheme::ECDSA_NISTP256_SHA256];
        let resolver = rotating.resolver().unwrap();
        assert!(!resolver.has_certs());
        assert!(resolver.resolve(&[], &schemes).is_none());
    }
    fake.fail(None);
    while !matches!(next(&mut events).await, RotationEvent::Renewed { .. }) {}
    assert!(matches!(rotating.state(), RotationState::Current));
}

#[tokio::test(start_paused = true)]
async fn an_issue_that_hangs_is_given_up() {
    let fake = Fake::new();
    let rotating = fake.start().await;
    *fake.0.delay.lock().unwrap() = 10 * HOUR;
    let error = rotating.rotate_now().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(matches!(rotating.state(), RotationState::Failing(_)));
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_at_once_share_one_certificate() {
    let fake = Fake::new();
    let rotating = fake.start().await;
    *fake.0.delay.lock().unwrap() = Duration::from_secs(1);
    let asked = futures_util::future::join_all((0..10).map(|_| rotating.rotate_now())).await;
    let newest = rotating.current();
    assert!(asked.iter().flatten().all(|got| got.serial_number() == newest.serial_number()));
    assert!(asked.iter().all(Result::is_ok));
    assert_eq!(fake.issued(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_fails_keeps_the_old_one_and_the_schedule() {
    let fake = Fake::new();
    let start = Instant::now();
    let rotating = fake.start().await;
    let first = rotating.current();
    fake.fail(Some(sealed()));
    rotating.rotate_now().await.unwrap_err();
    assert_eq!(rotating.current().serial_number(), first.serial_number());
    fake.fail(None);
    let mut events = rotating.subscribe();
    next(&mut events).await;
    assert!(start.elapsed() >= (HOUR * 2 / 3).mul_f64(0.95), "{:?}", start.elapsed());
}

/// Longer than five minutes it does not keep us away, whatever it says.
#[tokio::test(start_paused = true)]
async fn the_servers_wish_to_be_left_alone_is_heeded_within_bounds() {
    let fake = Fake::new();
    let rotating = fake.start().await;
    let mut events = rotating.subscribe();
    fake.fail(Some(sealed().retry_in(100 * HOUR)));
    next(&mut events).await;
    let failed_at = Instant::now();
    next(&mut events).await;
    let pause = failed_at.elapsed();
    assert!(pause >= LONGEST_PAUSE && pause < LONGEST_PAUSE + Duration::from_secs(1), "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn its_task_ends_with_the_last_handle() {
    let fake = Fake::new();
    let rotating = fake.start().await;
    let other = rotating.clone();
    let mut events = rotating.subscribe();
    drop(rotating);
    assert!(matches!(next(&mut events).await, RotationEvent::Renewed { .. }));
    let asked = fake.asked();
    drop(other);
    assert!(matches!(timeout(HOUR, events.recv()).await.unwrap(), Err(RecvError::Closed)));
    tokio::time::sleep(10 * HOUR).await;
    assert_eq!(fake.asked(), asked);
}

#[cfg(feature = "rustls")]
#[tokio::test(start_paused = true)]
async fn a_resolver_is_a_handle() {
    let fake = Fake::new();
    let rotating = fake.start().await;
    let resolver = rotating.resolver().unwrap();
    let mut events = rotating.subscribe();
    drop(rotating);
    assert!(matches!(next(&mut events).await, RotationEvent::Renewed { .. }));
    drop(resolver);
}

#[tokio::test(start_paused = true)]
async fn a_closed_one_serves_what_it_has_and_is_not_renewed() {
    let fake = Fake::new();
    let rotating = fake.start().await;
    rotating.close();
    assert!(matches!(rotating.state(), RotationState::Closed));
    let error = rotating.rotate_now().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!error.is_retryable());
    assert!(!rotating.current().has_expired());
    tokio::time::sleep(HOUR).await;
    assert_eq!(fake.asked(), 1);
    assert!(matches!(rotating.state(), RotationState::Expired(None)));
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn new_ones_are_written_to_the_directories() {
    let name = format!("pipe-rotation-{}-{:x}", std::process::id(), fastrand::u64(..));
    let directory = std::env::temp_dir().join(name);
    let rotating = Fake::new().start().await;
    rotating.write_to(&directory).await.unwrap();
    let read = || std::fs::read_to_string(directory.join("tls.crt")).unwrap();
    assert_eq!(read(), rotating.current().certificate().bundle_pem());
    rotating.rotate_now().await.unwrap();
    assert_eq!(read(), rotating.current().certificate().bundle_pem());

    // It is put in our way, and then out of it.
    let mut events = rotating.subscribe();
    std::fs::remove_file(directory.join("tls.key")).unwrap();
    std::fs::write(directory.join("tls.key"), "theirs").unwrap();
    rotating.rotate_now().await.unwrap();
    assert!(matches!(next(&mut events).await, RotationEvent::Failed { .. }));
    assert!(matches!(rotating.state(), RotationState::Failing(_)));
    std::fs::remove_file(directory.join("tls.key")).unwrap();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(matches!(rotating.state(), RotationState::Current));
    assert_eq!(read(), rotating.current().certificate().bundle_pem());
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test(start_paused = true)]
async fn debug_does_not_show_the_key() {
    let rotating = Fake::new().start().await;
    let shown = format!("{rotating:?}");
    assert!(!shown.contains("PRIVATE KEY"), "{shown}");
}
