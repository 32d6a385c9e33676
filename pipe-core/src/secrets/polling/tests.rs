use std::sync::atomic::AtomicUsize;

use crate::SecretData;
use crate::secrets::Secret;

use super::*;

const INTERVAL: Duration = Duration::from_secs(30);

/// A store whose only secret holds a number, and which may be out of order.
#[derive(Default)]
struct Store {
    number: Mutex<Option<u32>>,
    fault: Mutex<Option<ErrorKind>>,
    looks: AtomicUsize,
    known: Mutex<Vec<Option<SecretEvent>>>,
}

fn event(number: u32) -> SecretEvent {
    SecretEvent::Present(Secret::new(SecretData::new().with("number", number.to_string())))
}

impl Store {
    fn set(&self, number: Option<u32>) {
        *self.number.lock().unwrap() = number;
    }

    fn fail(&self, fault: Option<ErrorKind>) {
        *self.fault.lock().unwrap() = fault;
    }

    fn looks(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl PolledStore for Store {
    type Place = &'static str;

    async fn look(&self, _: &&'static str, known: Option<&SecretEvent>) -> Result<SecretEvent> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.known.lock().unwrap().push(known.cloned());
        match *self.fault.lock().unwrap() {
            Some(kind) => Err(Error::new(kind, "out of order")),
            None => Ok(self.number.lock().unwrap().map_or(SecretEvent::Absent, event)),
        }
    }
}

fn store() -> (Arc<Store>, Pollers<Store>) {
    (Arc::default(), Pollers::new("store", INTERVAL))
}

async fn next(stream: &mut SecretStream) -> SecretEvent {
    stream.next().await.expect("the stream goes on").expect("no fault")
}

#[tokio::test(start_paused = true)]
async fn all_who_follow_a_secret_share_one_poller() {
    let (store, pollers) = store();
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut stream = pollers.follow(&store, "a").await.unwrap();
        assert_eq!(next(&mut stream).await, SecretEvent::Absent);
        streams.push(stream);
    }
    let before = store.looks();
    store.set(Some(1));
    for stream in &mut streams {
        assert_eq!(next(stream).await, event(1));
    }
    assert_eq!(store.looks() - before, 1);
    // What is known is told to the store, which need not read what is the same.
    assert_eq!(store.known.lock().unwrap().last(), Some(&Some(SecretEvent::Absent)));
    // The poller ends with the last of them.
    drop(streams);
    let before = store.looks();
    tokio::time::sleep(INTERVAL * 10).await;
    assert_eq!(store.looks(), before);
    assert_eq!(Arc::strong_count(&store), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_of_our_own_is_seen_at_once() {
    let (store, pollers) = store();
    let mut stream = pollers.follow(&store, "a").await.unwrap();
    assert_eq!(next(&mut stream).await, SecretEvent::Absent);
    let start = tokio::time::Instant::now();
    store.set(Some(1));
    pollers.wake(&"b");
    pollers.wake(&"a");
    assert_eq!(next(&mut stream).await, event(1));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_interval_is_varied_and_no_state_is_shown_twice() {
    let (store, pollers) = store();
    store.set(Some(1));
    let mut stream = pollers.follow(&store, "a").await.unwrap();
    assert_eq!(next(&mut stream).await, event(1));
    let waiting = tokio::time::timeout(INTERVAL * 20, stream.next()).await;
    assert!(waiting.is_err(), "the same state is shown again");
    let looks = store.looks();
    assert!((16..=26).contains(&looks), "{looks} looks in twenty intervals");
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_told_when_it_does_not_pass() {
    let (store, pollers) = store();
    let mut stream = pollers.follow(&store, "a").await.unwrap();
    assert_eq!(next(&mut stream).await, SecretEvent::Absent);
    // An outage may pass by itself; a denial does not.
    for (kind, looks) in [(ErrorKind::Unavailable, 3), (ErrorKind::PermissionDenied, 1)] {
        store.fail(Some(kind));
        let before = store.looks();
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!(
            (error.kind(), error.plugin(), error.operation()),
            (kind, "store", "watch_secret")
        );
        assert_eq!(store.looks() - before, looks);
        store.fail(None);
        store.set(Some(looks as u32));
        assert_eq!(next(&mut stream).await, event(looks as u32));
    }
    // It looks less often while the store fails: once in five minutes in the end.
    store.fail(Some(ErrorKind::Unavailable));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let before = store.looks();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(store.looks() - before <= 13, "{}", store.looks() - before);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_not_followed() {
    let (store, pollers) = store();
    store.fail(Some(ErrorKind::PermissionDenied));
    let error = pollers.follow(&store, "a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    tokio::time::sleep(INTERVAL * 10).await;
    assert_eq!(store.looks(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_plugin_ends_its_streams() {
    let (store, pollers) = store();
    let mut stream = pollers.follow(&store, "a").await.unwrap();
    assert_eq!(next(&mut stream).await, SecretEvent::Absent);
    pollers.close();
    assert!(stream.next().await.is_none());
}

/// Places that count up, to reach the limit.
#[derive(Default)]
struct Empty;

#[async_trait]
impl PolledStore for Empty {
    type Place = usize;

    async fn look(&self, _: &usize, _: Option<&SecretEvent>) -> Result<SecretEvent> {
        Ok(SecretEvent::Absent)
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_than_a_thousand_secrets_are_followed() {
    let (store, pollers) = (Arc::new(Empty), Pollers::new("store", INTERVAL));
    let mut streams = Vec::new();
    for place in 0..MAX_WATCHES {
        streams.push(pollers.follow(&store, place).await.unwrap());
    }
    let error = pollers.follow(&store, MAX_WATCHES).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    drop(streams.pop());
    drop(pollers.follow(&store, MAX_WATCHES).await.unwrap());
}
