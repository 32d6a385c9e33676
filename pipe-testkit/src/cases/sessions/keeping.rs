use std::sync::Arc;
use std::time::Duration;

use pipe_core::identity::{SessionRecord, SessionStore};

use super::*;

/// What goes in comes out.
pub async fn what_was_inserted_is_read_back(store: Arc<dyn SessionStore>) {
    let key = Place::new("what_was_inserted_is_read_back").session(0);
    keep(&*store, &key, record("the data")).await;
    assert_eq!(data(&*store, &key).await, b"the data");
    assert_eq!(data(&*store, &key).await, b"the data", "the second time");
}

/// Nothing is an answer, and no error.
pub async fn what_was_never_kept_is_absent(store: Arc<dyn SessionStore>) {
    let place = Place::new("what_was_never_kept_is_absent");
    for key in [place.session(0), place.login(0), place.used(0)] {
        assert_eq!(get(&*store, &key).await, None);
        assert_eq!(take(&*store, &key).await, None);
        assert!(!replace(&*store, &key, 1, record("x")).await);
        assert_eq!(get(&*store, &key).await, None);
    }
    assert_eq!(remove_tagged(&*store, &place.tag(0)).await, 0);
}

/// Who comes second neither gets in nor changes what is there: not the data, the version, the tags.
pub async fn a_second_insert_changes_nothing(store: Arc<dyn SessionStore>) {
    let place = Place::new("a_second_insert_changes_nothing");
    let key = place.session(0);
    keep(&*store, &key, record("first").with_tag(place.tag(1))).await;
    let before = get(&*store, &key).await;
    assert!(!insert(&*store, &key, record("second").with_tag(place.tag(2))).await);
    assert_eq!(get(&*store, &key).await, before);
    assert_eq!(remove_tagged(&*store, &place.tag(2)).await, 0);
    assert_eq!(remove_tagged(&*store, &place.tag(1)).await, 1);
}

/// What may be used once is used by one.
pub async fn one_of_many_inserts_at_once_succeeds(store: Arc<dyn SessionStore>) {
    let key = Place::new("one_of_many_inserts_at_once_succeeds").used(0);
    let tasks: Vec<_> = (0..MANY)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { insert(&*store, &key, record(&n.to_string())).await })
        })
        .collect();
    assert_eq!(how_many(tasks).await, 1);
}

/// The record is gone with the one who took it.
pub async fn a_record_is_taken_once(store: Arc<dyn SessionStore>) {
    let key = Place::new("a_record_is_taken_once").login(0);
    keep(&*store, &key, record("the data")).await;
    assert_eq!(there(take(&*store, &key).await).data.expose(), b"the data");
    assert_eq!(take(&*store, &key).await, None);
    assert_eq!(get(&*store, &key).await, None);
}

/// A login that is called back twice at once begins one session.
pub async fn one_of_many_takes_at_once_succeeds(store: Arc<dyn SessionStore>) {
    let key = Place::new("one_of_many_takes_at_once_succeeds").login(0);
    keep(&*store, &key, record("the data")).await;
    let tasks: Vec<_> = (0..MANY)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { take(&*store, &key).await.is_some() })
        })
        .collect();
    assert_eq!(how_many(tasks).await, 1);
}

/// What was taken leaves its key free.
pub async fn a_key_may_be_used_again(store: Arc<dyn SessionStore>) {
    let key = Place::new("a_key_may_be_used_again").session(0);
    for text in ["first", "second"] {
        keep(&*store, &key, record(text)).await;
        assert_eq!(there(take(&*store, &key).await).data.expose(), text.as_bytes());
    }
}

/// A login, a session and a mark of the same digest have nothing to do with each other.
pub async fn kinds_with_equal_digests_are_apart(store: Arc<dyn SessionStore>) {
    let place = Place::new("kinds_with_equal_digests_are_apart");
    let keys = [(place.session(0), "session"), (place.login(0), "login"), (place.used(0), "used")];
    for (key, text) in keys {
        keep(&*store, &key, record(text)).await;
    }
    for (key, text) in keys {
        assert_eq!(there(take(&*store, &key).await).data.expose(), text.as_bytes());
    }
}

/// Sealed records are bytes.
pub async fn binary_data_comes_back_byte_for_byte(store: Arc<dyn SessionStore>) {
    let key = Place::new("binary_data_comes_back_byte_for_byte").session(0);
    let bytes: Vec<u8> = (0..=255).chain((0..=255).rev()).chain(*b"\r\n\0$-1\r\n").collect();
    keep(&*store, &key, SessionRecord::new(bytes.clone(), LONG)).await;
    assert_eq!(data(&*store, &key).await, bytes);
    let version = version(&*store, &key).await;
    assert!(replace(&*store, &key, version, SessionRecord::new(&bytes[1..], LONG)).await);
    assert_eq!(there(take(&*store, &key).await).data.expose(), &bytes[1..]);
}

/// A mark of what was used has nothing to say.
pub async fn empty_data_is_not_absent(store: Arc<dyn SessionStore>) {
    let key = Place::new("empty_data_is_not_absent").used(0);
    keep(&*store, &key, record("")).await;
    assert!(!insert(&*store, &key, record("")).await);
    assert!(data(&*store, &key).await.is_empty());
    assert!(there(take(&*store, &key).await).data.is_empty());
}

/// Who gives up waiting harms nobody: later calls get answers of their own.
pub async fn a_dropped_call_leaves_the_store_usable(store: Arc<dyn SessionStore>) {
    let place = Place::new("a_dropped_call_leaves_the_store_usable");
    for n in 0..20 {
        let (dropped, next) = (place.session(2 * n), place.session(2 * n + 1));
        let soon = Duration::from_micros(u64::from(n) * 20);
        let call = store.insert(&dropped, record("dropped"));
        drop(tokio::time::timeout(soon, call).await);
        keep(&*store, &next, record(&n.to_string())).await;
        drop(tokio::time::timeout(soon, store.get(&dropped)).await);
        assert_eq!(data(&*store, &next).await, n.to_string().as_bytes());
    }
}
