use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn digest(n: u32) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..4].copy_from_slice(&n.to_le_bytes());
    digest
}

fn session(n: u32) -> SessionKey {
    SessionKey::Session(digest(n))
}

fn login(n: u32) -> SessionKey {
    SessionKey::Login(digest(n))
}

fn record() -> SessionRecord {
    SessionRecord::new("sealed", MINUTE)
}

fn tagged(n: u32) -> SessionRecord {
    record().with_tag(SessionTag::new(digest(n)))
}

#[tokio::test]
async fn a_flood_of_logins_ends_no_session_and_grows_nothing() {
    let store = MemorySessions::new().with_max_logins(100);
    for n in 0..50 {
        assert!(store.insert(&session(n), tagged(n)).await.unwrap());
    }
    for n in 0..10_000 {
        assert!(store.insert(&login(n), tagged(n)).await.unwrap());
    }
    assert_eq!(format!("{:?}", store.logins), "100 of 100");
    for n in 0..50 {
        assert!(store.get(&session(n)).await.unwrap().is_some());
    }
    assert!(store.tags.count() <= 150, "{} tags", store.tags.count());
}

#[tokio::test]
async fn the_oldest_login_makes_way_and_no_other() {
    let store = MemorySessions::new().with_max_logins(3);
    for n in 0..4 {
        store.insert(&login(n), record()).await.unwrap();
    }
    for n in 0..4 {
        assert_eq!(store.get(&login(n)).await.unwrap().is_some(), n > 0, "{n}");
    }
}

#[tokio::test]
async fn without_room_for_any_login_a_login_is_refused() {
    let store = MemorySessions::new().with_max_logins(0);
    let error = store.insert(&login(0), record()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert!(error.to_string().contains("max_logins"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_is_over_takes_no_room_from_what_is_new() {
    let store = MemorySessions::new().with_max_sessions(64);
    for n in 0..64 {
        store.insert(&session(n), record()).await.unwrap();
    }
    let error = store.insert(&session(64), record()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    tokio::time::advance(MINUTE).await;
    for n in 100..164 {
        assert!(store.insert(&session(n), record()).await.unwrap(), "{n}");
    }
}

#[tokio::test]
async fn there_are_never_more_than_allowed_whoever_inserts_at_once() {
    let store = Arc::new(MemorySessions::new().with_max_sessions(500));
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut kept = 0;
                for n in 0..500 {
                    kept +=
                        usize::from(store.insert(&session(task * 500 + n), record()).await.is_ok());
                }
                kept
            })
        })
        .collect();
    let mut kept = 0;
    for task in tasks {
        kept += task.await.unwrap();
    }
    assert_eq!(kept, 500);
}

#[tokio::test(start_paused = true)]
async fn memory_is_given_back_when_records_are_over() {
    let store = MemorySessions::new();
    for n in 0..50_000 {
        store.insert(&session(n), tagged(n)).await.unwrap();
    }
    tokio::time::advance(MINUTE).await;
    // Calls about anything at all.
    for n in 0..2_000 {
        store.get(&session(n)).await.unwrap();
    }
    assert_eq!(store.sessions.count.load(Relaxed), 0);
    assert_eq!(store.tags.count(), 0);
    assert!(store.sessions.capacity() < 50_000 / 16, "{}", store.sessions.capacity());
}

#[tokio::test]
async fn what_ends_or_changes_leaves_nothing_behind() {
    let store = MemorySessions::new();
    for n in 0..1_000 {
        store.insert(&session(n), tagged(n)).await.unwrap();
        let version = store.get(&session(n)).await.unwrap().unwrap().version;
        assert!(store.replace(&session(n), version, tagged(n + 1)).await.unwrap());
        match n % 2 {
            0 => assert!(store.take(&session(n)).await.unwrap().is_some()),
            _ => {
                let tag = SessionTag::new(digest(n + 1));
                assert_eq!(store.remove_tagged(&tag).await.unwrap(), 1);
            }
        }
    }
    assert_eq!(store.sessions.count.load(Relaxed), 0);
    assert_eq!(store.tags.count(), 0);
    assert_eq!(store.sessions.listed(), 0);
}

#[tokio::test]
async fn a_read_copies_no_data() {
    let store = MemorySessions::new();
    let record = record();
    let data = record.data.clone();
    store.insert(&session(0), record).await.unwrap();
    let read = store.get(&session(0)).await.unwrap().unwrap();
    assert_eq!(read.data.expose().as_ptr(), data.expose().as_ptr());
}

#[tokio::test]
async fn a_time_beyond_all_bounds_is_kept() {
    let store = MemorySessions::new();
    store.insert(&session(0), SessionRecord::new("x", Duration::MAX)).await.unwrap();
    assert!(store.get(&session(0)).await.unwrap().is_some());
}

#[test]
fn debug_shows_numbers_only() {
    assert_eq!(
        format!("{:?}", MemorySessions::new()),
        "MemorySessions { sessions: 0 of 100000, logins: 0 of 10000, used: 0 of 100000, .. }"
    );
}
