use std::sync::Arc;
use std::time::Duration;

use pipe_core::ErrorKind;
use pipe_core::identity::{SessionRecord, SessionStore};

use super::*;
use crate::leak::Canary;

/// As much as is promised.
pub async fn a_record_at_the_limits_is_kept(store: Arc<dyn SessionStore>) {
    let place = Place::new("a_record_at_the_limits_is_kept");
    let bytes = vec![0xa5; SessionRecord::LONGEST];
    let mut largest = SessionRecord::new(bytes.clone(), LONG);
    let tags: Vec<_> = (0..).map(|n| place.tag(n)).take(SessionRecord::MOST_TAGS).collect();
    largest.tags.clone_from(&tags);
    keep(&*store, &place.session(0), largest).await;
    assert_eq!(data(&*store, &place.session(0)).await, bytes);
    assert_eq!(remove_tagged(&*store, &tags[SessionRecord::MOST_TAGS - 1]).await, 1);
}

/// A byte more is refused by insert and replace, and nothing changes.
pub async fn a_record_that_is_too_long_is_refused(store: Arc<dyn SessionStore>) {
    let place = Place::new("a_record_that_is_too_long_is_refused");
    let long = SessionRecord::new(vec![0; SessionRecord::LONGEST + 1], LONG);
    expect_refused(&*store, &place, long).await;
}

/// A tag more is refused by insert and replace, and nothing changes.
pub async fn a_record_with_too_many_tags_is_refused(store: Arc<dyn SessionStore>) {
    let place = Place::new("a_record_with_too_many_tags_is_refused");
    let mut tagged = record("new");
    tagged.tags = (0..).map(|n| place.tag(n)).take(SessionRecord::MOST_TAGS + 1).collect();
    expect_refused(&*store, &place, tagged).await;
    assert_eq!(remove_tagged(&*store, &place.tag(0)).await, 0);
}

/// There is nothing to keep: insert and replace succeed, and the record is gone.
pub async fn a_record_without_time_is_gone_at_once(store: Arc<dyn SessionStore>) {
    let place = Place::new("a_record_without_time_is_gone_at_once");
    let gone = || SessionRecord::new("gone", Duration::ZERO).with_tag(place.tag(0));
    let key = place.session(0);
    assert!(insert(&*store, &key, gone()).await);
    assert_eq!(get(&*store, &key).await, None);
    keep(&*store, &key, record("old").with_tag(place.tag(1))).await;
    assert!(!insert(&*store, &key, gone()).await, "the key is taken");
    let version = version(&*store, &key).await;
    assert!(replace(&*store, &key, version, gone()).await);
    assert_eq!(get(&*store, &key).await, None);
    for n in 0..2 {
        assert_eq!(remove_tagged(&*store, &place.tag(n)).await, 0);
    }
}

/// It is kept for as long as can be.
pub async fn a_time_beyond_all_bounds_is_kept(store: Arc<dyn SessionStore>) {
    let place = Place::new("a_time_beyond_all_bounds_is_kept");
    for (n, ttl) in
        (0..).zip([Duration::MAX, Duration::from_millis(u64::MAX), Duration::from_nanos(1 << 62)])
    {
        let endless = SessionRecord::new("x", ttl).with_tag(place.tag(0));
        keep(&*store, &place.session(n), endless).await;
        there(get(&*store, &place.session(n)).await);
    }
    assert_eq!(remove_tagged(&*store, &place.tag(0)).await, 3);
}

/// Nor when the store, or what it returns, is shown.
pub async fn no_data_appears_in_logs_or_errors(store: Arc<dyn SessionStore>) {
    let canary = Canary::new();
    let key = Place::new("no_data_appears_in_logs_or_errors").session(0);
    keep(&*store, &key, record(canary.value())).await;
    canary.look_at_debug("the store", &store);
    canary.look_at_result("get", &store.get(&key).await);
    let long = SessionRecord::new(canary.value().repeat(SessionRecord::LONGEST), LONG);
    canary.look_at_result("insert", &store.insert(&key, long.clone()).await);
    canary.look_at_result("replace", &store.replace(&key, 1, long).await);
    canary.look_at_result("take", &store.take(&key).await);
    canary.assert_unseen();
}

async fn expect_refused(store: &dyn SessionStore, place: &Place, record: SessionRecord) {
    let (free, taken) = (place.session(0), place.session(1));
    keep(store, &taken, super::record("old")).await;
    let version = version(store, &taken).await;
    expect_kind(store.insert(&free, record.clone()).await, ErrorKind::InvalidArgument);
    assert_eq!(get(store, &free).await, None);
    expect_kind(store.replace(&taken, version, record).await, ErrorKind::InvalidArgument);
    assert_eq!(data(store, &taken).await, b"old");
}
