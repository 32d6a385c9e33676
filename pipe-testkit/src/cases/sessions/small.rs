use std::sync::Arc;

use pipe_core::ErrorKind;
use pipe_core::identity::{SessionKey, SessionRecord, SessionStore};

use super::*;

/// What a small store has no room for: 1,024 records of 32 KiB.
const TOO_MANY: u32 = 1_024;

fn large() -> SessionRecord {
    SessionRecord::new(vec![7; 32 << 10], LONG)
}

/// Inserts until there is no room: what is kept, and what was refused.
async fn fill(
    store: &dyn SessionStore,
    key: impl Fn(u32) -> SessionKey,
) -> (Vec<SessionKey>, SessionKey) {
    let mut kept = Vec::new();
    for n in 0..TOO_MANY {
        match store.insert(&key(n), large()).await {
            Ok(true) => kept.push(key(n)),
            Ok(false) => panic!("insert found something under {}", key(n)),
            Err(error) if error.kind() == ErrorKind::RateLimited => return (kept, key(n)),
            Err(error) => panic!("a full store is told as {error:#}"),
        }
    }
    panic!("a small store has room for {TOO_MANY} records of 32 KiB")
}

/// No session that lives is given up for a new one, and what is refused is not kept.
pub async fn a_full_store_refuses_sessions(store: Arc<dyn SessionStore>) {
    let place = Place::new("a_full_store_refuses_sessions");
    let (kept, refused) = fill(&*store, |n| place.session(n)).await;
    assert!(!kept.is_empty());
    for key in &kept {
        there(get(&*store, key).await);
    }
    assert_eq!(get(&*store, &refused).await, None);
}

/// To forget what was used would let it be used again.
pub async fn a_full_store_refuses_marks(store: Arc<dyn SessionStore>) {
    let place = Place::new("a_full_store_refuses_marks");
    let (kept, refused) = fill(&*store, |n| place.used(n)).await;
    for key in &kept {
        there(get(&*store, key).await);
    }
    assert_eq!(get(&*store, &refused).await, None);
}

/// What is taken makes room.
pub async fn a_full_store_has_room_for_what_was_taken(store: Arc<dyn SessionStore>) {
    let place = Place::new("a_full_store_has_room_for_what_was_taken");
    let (kept, _) = fill(&*store, |n| place.session(n)).await;
    for key in &kept {
        there(take(&*store, key).await);
    }
    keep(&*store, &place.session(TOO_MANY), large()).await;
}

/// Anybody may begin logins.
pub async fn a_flood_of_logins_ends_no_session(store: Arc<dyn SessionStore>) {
    let place = Place::new("a_flood_of_logins_ends_no_session");
    for n in 0..4 {
        keep(&*store, &place.session(n), record("x")).await;
    }
    flood(&*store, &place).await;
    for n in 0..4 {
        there(get(&*store, &place.session(n)).await);
    }
}

/// Where old logins make way, it is not the newest that goes; elsewhere the new one is refused.
pub async fn the_newest_login_is_kept(store: Arc<dyn SessionStore>) {
    let place = Place::new("the_newest_login_is_kept");
    let newest = flood(&*store, &place).await.expect("there is room for one login");
    there(get(&*store, &newest).await);
}

/// The last login that was kept.
async fn flood(store: &dyn SessionStore, place: &Place) -> Option<SessionKey> {
    let mut newest = None;
    for n in 0..TOO_MANY {
        match store.insert(&place.login(n), large()).await {
            Ok(true) => newest = Some(place.login(n)),
            Ok(false) => panic!("insert found something under {}", place.login(n)),
            Err(error) if error.kind() == ErrorKind::RateLimited => break,
            Err(error) => panic!("a full store is told as {error:#}"),
        }
    }
    newest
}
