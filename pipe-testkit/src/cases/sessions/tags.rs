use std::sync::Arc;

use pipe_core::identity::SessionStore;

use super::*;

/// Of whatever kind, by whichever of its tags; once.
pub async fn all_with_a_tag_are_removed(store: Arc<dyn SessionStore>) {
    let place = Place::new("all_with_a_tag_are_removed");
    let sessions = (0..600).map(|n| place.session(n));
    let keys: Vec<_> = sessions.chain([place.login(0), place.used(0)]).collect();
    for (n, key) in (10..).zip(&keys) {
        let record = record("x").with_tag(place.tag(n)).with_tag(place.tag(1));
        keep(&*store, key, record).await;
    }
    assert_eq!(remove_tagged(&*store, &place.tag(1)).await, 602);
    for key in &keys {
        assert_eq!(get(&*store, key).await, None, "{key} is still there");
    }
    assert_eq!(remove_tagged(&*store, &place.tag(1)).await, 0);
    assert_eq!(remove_tagged(&*store, &place.tag(10)).await, 0);
}

/// Others stay: with other tags or none, and of another kind under the same digest.
pub async fn those_without_the_tag_stay(store: Arc<dyn SessionStore>) {
    let place = Place::new("those_without_the_tag_stay");
    keep(&*store, &place.session(0), record("x").with_tag(place.tag(1))).await;
    keep(&*store, &place.login(0), record("x")).await;
    keep(&*store, &place.used(0), record("x").with_tag(place.tag(2))).await;
    keep(&*store, &place.session(1), record("x").with_tag(place.tag(2))).await;
    assert_eq!(remove_tagged(&*store, &place.tag(1)).await, 1);
    for key in [place.login(0), place.used(0), place.session(1)] {
        there(get(&*store, &key).await);
    }
    assert_eq!(remove_tagged(&*store, &place.tag(2)).await, 2);
    there(get(&*store, &place.login(0)).await);
}

/// The old tag leads nowhere, and a tag that stays still leads to the record.
pub async fn replace_changes_the_tags(store: Arc<dyn SessionStore>) {
    let place = Place::new("replace_changes_the_tags");
    let key = place.session(0);
    let old = record("old").with_tag(place.tag(1)).with_tag(place.tag(2));
    keep(&*store, &key, old).await;
    let version = version(&*store, &key).await;
    let new = record("new").with_tag(place.tag(2)).with_tag(place.tag(3));
    assert!(replace(&*store, &key, version, new).await);
    assert_eq!(remove_tagged(&*store, &place.tag(1)).await, 0);
    assert_eq!(data(&*store, &key).await, b"new");
    assert_eq!(remove_tagged(&*store, &place.tag(3)).await, 1);
    assert_eq!(get(&*store, &key).await, None);
    assert_eq!(remove_tagged(&*store, &place.tag(2)).await, 0);
}

/// A tag that was not there before leads to the record, and one that stays does so too.
pub async fn a_tag_that_stays_still_leads_there(store: Arc<dyn SessionStore>) {
    let place = Place::new("a_tag_that_stays_still_leads_there");
    let key = place.session(0);
    keep(&*store, &key, record("old").with_tag(place.tag(1))).await;
    for _ in 0..3 {
        let version = version(&*store, &key).await;
        assert!(replace(&*store, &key, version, record("new").with_tag(place.tag(1))).await);
    }
    assert_eq!(remove_tagged(&*store, &place.tag(1)).await, 1);
}

/// The tag of a record that is gone does not hang on to its key.
pub async fn a_tag_ends_with_its_record(store: Arc<dyn SessionStore>) {
    let place = Place::new("a_tag_ends_with_its_record");
    let key = place.session(0);
    keep(&*store, &key, record("first").with_tag(place.tag(1))).await;
    take(&*store, &key).await;
    assert_eq!(remove_tagged(&*store, &place.tag(1)).await, 0);
    keep(&*store, &key, record("second")).await;
    assert_eq!(remove_tagged(&*store, &place.tag(1)).await, 0);
    assert_eq!(data(&*store, &key).await, b"second");
}

/// It is one record, and one tag.
pub async fn a_tag_given_twice_counts_once(store: Arc<dyn SessionStore>) {
    let place = Place::new("a_tag_given_twice_counts_once");
    let twice = record("x").with_tag(place.tag(1)).with_tag(place.tag(1));
    keep(&*store, &place.session(0), twice).await;
    assert_eq!(remove_tagged(&*store, &place.tag(1)).await, 1);
}
