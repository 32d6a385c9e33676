use std::sync::Arc;
use std::time::Duration;

use pipe_core::identity::{SessionRecord, SessionStore};

use super::*;

/// How long a short-lived record lives. What has to be done while it does is done well within this.
const SHORT: Duration = Duration::from_secs(2);

fn short(data: &str) -> SessionRecord {
    SessionRecord::new(data, SHORT)
}

/// Until what lived for a short time is over.
async fn pass() {
    tokio::time::sleep(SHORT + Duration::from_millis(100)).await;
}

/// What is over is not read, whatever its kind.
pub async fn an_expired_record_is_not_read(store: Arc<dyn SessionStore>) {
    let place = Place::new("an_expired_record_is_not_read");
    let keys = [place.session(0), place.login(0), place.used(0)];
    for key in &keys {
        keep(&*store, key, short("x")).await;
    }
    pass().await;
    for key in &keys {
        assert_eq!(get(&*store, key).await, None, "{key}");
    }
}

/// What is over is not taken.
pub async fn an_expired_record_is_not_taken(store: Arc<dyn SessionStore>) {
    let key = Place::new("an_expired_record_is_not_taken").login(0);
    keep(&*store, &key, short("x")).await;
    pass().await;
    assert_eq!(take(&*store, &key).await, None);
}

/// What is over is not brought back.
pub async fn an_expired_record_is_not_replaced(store: Arc<dyn SessionStore>) {
    let key = Place::new("an_expired_record_is_not_replaced").session(0);
    keep(&*store, &key, short("x")).await;
    let version = version(&*store, &key).await;
    pass().await;
    assert!(!replace(&*store, &key, version, record("y")).await);
    assert_eq!(get(&*store, &key).await, None);
}

/// What is over is not counted among what was removed.
pub async fn an_expired_record_is_not_counted_by_its_tag(store: Arc<dyn SessionStore>) {
    let place = Place::new("an_expired_record_is_not_counted_by_its_tag");
    keep(&*store, &place.session(0), short("x").with_tag(place.tag(0))).await;
    keep(&*store, &place.session(1), record("x").with_tag(place.tag(0))).await;
    pass().await;
    assert_eq!(remove_tagged(&*store, &place.tag(0)).await, 1);
}

/// What is over leaves its key free, and its tags behind.
pub async fn an_expired_key_may_be_used_again(store: Arc<dyn SessionStore>) {
    let place = Place::new("an_expired_key_may_be_used_again");
    let key = place.session(0);
    keep(&*store, &key, short("old").with_tag(place.tag(0))).await;
    assert!(!insert(&*store, &key, record("early")).await);
    pass().await;
    keep(&*store, &key, record("new").with_tag(place.tag(1))).await;
    assert_eq!(remove_tagged(&*store, &place.tag(0)).await, 0);
    assert_eq!(data(&*store, &key).await, b"new");
    assert_eq!(remove_tagged(&*store, &place.tag(1)).await, 1);
}

/// A session that is used may last longer.
pub async fn replace_may_lengthen_the_time(store: Arc<dyn SessionStore>) {
    let place = Place::new("replace_may_lengthen_the_time");
    let key = place.session(0);
    keep(&*store, &key, short("old").with_tag(place.tag(0))).await;
    let version = version(&*store, &key).await;
    assert!(replace(&*store, &key, version, record("new").with_tag(place.tag(0))).await);
    pass().await;
    assert_eq!(data(&*store, &key).await, b"new");
    assert_eq!(remove_tagged(&*store, &place.tag(0)).await, 1);
}

/// And less long.
pub async fn replace_may_shorten_the_time(store: Arc<dyn SessionStore>) {
    let key = Place::new("replace_may_shorten_the_time").session(0);
    keep(&*store, &key, record("old")).await;
    let version = version(&*store, &key).await;
    assert!(replace(&*store, &key, version, short("new")).await);
    pass().await;
    assert_eq!(get(&*store, &key).await, None);
}

/// A tag leads to what lasts longest, in whichever order the records came.
pub async fn a_tag_lasts_as_long_as_its_last_record(store: Arc<dyn SessionStore>) {
    let place = Place::new("a_tag_lasts_as_long_as_its_last_record");
    for (n, order) in (0..).zip([[LONG, SHORT], [SHORT, LONG]]) {
        for (m, ttl) in (0..).zip(order) {
            let record = SessionRecord::new("x", ttl).with_tag(place.tag(n));
            keep(&*store, &place.session(2 * n + m), record).await;
        }
    }
    pass().await;
    for n in 0..2 {
        assert_eq!(remove_tagged(&*store, &place.tag(n)).await, 1);
    }
}
