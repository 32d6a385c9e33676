use std::collections::BTreeSet;
use std::sync::Arc;

use pipe_core::identity::SessionStore;

use super::*;

/// Who has seen the record may change it.
pub async fn replace_puts_the_new_record_in_place(store: Arc<dyn SessionStore>) {
    let key = Place::new("replace_puts_the_new_record_in_place").session(0);
    keep(&*store, &key, record("old")).await;
    let version = version(&*store, &key).await;
    assert!(replace(&*store, &key, version, record("new")).await);
    assert_eq!(data(&*store, &key).await, b"new");
}

/// Who has not seen it may not: the data, the version and the tags stay.
pub async fn replace_of_another_version_changes_nothing(store: Arc<dyn SessionStore>) {
    let place = Place::new("replace_of_another_version_changes_nothing");
    let key = place.session(0);
    keep(&*store, &key, record("first")).await;
    let old = version(&*store, &key).await;
    assert!(replace(&*store, &key, old, record("second").with_tag(place.tag(1))).await);
    let before = get(&*store, &key).await;
    for version in [old, 0, u64::MAX] {
        let third = record("third").with_tag(place.tag(2));
        assert!(!replace(&*store, &key, version, third).await, "of version {version}");
    }
    assert_eq!(get(&*store, &key).await, before);
    assert_eq!(remove_tagged(&*store, &place.tag(2)).await, 0);
    assert_eq!(remove_tagged(&*store, &place.tag(1)).await, 1);
}

/// Of all who saw the same state, one changes it.
pub async fn one_of_many_replaces_at_once_succeeds(store: Arc<dyn SessionStore>) {
    let key = Place::new("one_of_many_replaces_at_once_succeeds").session(0);
    keep(&*store, &key, record("old")).await;
    let version = version(&*store, &key).await;
    let tasks: Vec<_> = (0..MANY)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(
                async move { replace(&*store, &key, version, record(&n.to_string())).await },
            )
        })
        .collect();
    assert_eq!(how_many(tasks).await, 1);
}

/// A session that ended while its tokens were refreshed stays ended.
pub async fn replace_never_brings_back_what_is_gone(store: Arc<dyn SessionStore>) {
    let place = Place::new("replace_never_brings_back_what_is_gone");
    let (taken, tagged) = (place.session(0), place.session(1));
    for key in [taken, tagged] {
        keep(&*store, &key, record("old").with_tag(place.tag(0))).await;
    }
    let versions = [version(&*store, &taken).await, version(&*store, &tagged).await];
    take(&*store, &taken).await;
    remove_tagged(&*store, &place.tag(0)).await;
    for (key, version) in [taken, tagged].iter().zip(versions) {
        let new = record("new").with_tag(place.tag(0));
        assert!(!replace(&*store, key, version, new).await);
        assert_eq!(get(&*store, key).await, None);
    }
    assert_eq!(remove_tagged(&*store, &place.tag(0)).await, 0);
}

/// The version of a record that is gone does not fit a later one under the same key.
pub async fn a_version_does_not_fit_a_later_record(store: Arc<dyn SessionStore>) {
    let key = Place::new("a_version_does_not_fit_a_later_record").session(0);
    keep(&*store, &key, record("first")).await;
    let old = version(&*store, &key).await;
    take(&*store, &key).await;
    keep(&*store, &key, record("second")).await;
    assert!(!replace(&*store, &key, old, record("third")).await);
    assert_eq!(data(&*store, &key).await, b"second");
}

/// Also when nothing else changes. Reading changes nothing.
pub async fn every_state_has_a_version_of_its_own(store: Arc<dyn SessionStore>) {
    let key = Place::new("every_state_has_a_version_of_its_own").session(0);
    keep(&*store, &key, record("same")).await;
    let mut versions = BTreeSet::new();
    for _ in 0..20 {
        let seen = version(&*store, &key).await;
        assert_eq!(version(&*store, &key).await, seen);
        assert!(versions.insert(seen), "{seen} comes back");
        assert!(replace(&*store, &key, seen, record("same")).await);
    }
}
