use std::sync::Arc;

use pipe_core::identity::{SessionRecord, SessionStore};
use pipe_core::{Error, ErrorKind};

use super::*;

/// "We could not find out" is not "there is nothing".
pub async fn an_unavailable_store_is_an_error(store: Arc<dyn SessionStore>) {
    let place = Place::new("an_unavailable_store_is_an_error");
    for error in all_errors(&*store, &place).await {
        assert!(
            matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout),
            "an outage is told as {error:#}"
        );
    }
}

/// A caller may try again.
pub async fn an_unavailable_store_is_retryable(store: Arc<dyn SessionStore>) {
    let place = Place::new("an_unavailable_store_is_retryable");
    for error in all_errors(&*store, &place).await {
        assert!(error.is_retryable(), "{error:#}");
    }
}

/// Which store, in which operation; and no data.
pub async fn an_unavailable_store_says_where(store: Arc<dyn SessionStore>) {
    let place = Place::new("an_unavailable_store_says_where");
    for error in all_errors(&*store, &place).await {
        assert!(!error.plugin().is_empty() && !error.operation().is_empty(), "{error:#}");
        assert!(!format!("{error:#} {error:?}").contains("ruby-slippers"), "data is shown");
    }
}

/// What is wrong in itself is refused, whether or not anybody could be asked.
pub async fn a_bad_record_is_refused_without_asking(store: Arc<dyn SessionStore>) {
    let key = Place::new("a_bad_record_is_refused_without_asking").session(0);
    let long = SessionRecord::new(vec![0; SessionRecord::LONGEST + 1], LONG);
    expect_kind(store.insert(&key, long.clone()).await, ErrorKind::InvalidArgument);
    expect_kind(store.replace(&key, 1, long).await, ErrorKind::InvalidArgument);
}

/// What each operation fails with.
async fn all_errors(store: &dyn SessionStore, place: &Place) -> [Error; 5] {
    let key = place.session(0);
    let record = || record("ruby-slippers");
    [
        store.insert(&key, record()).await.err(),
        store.get(&key).await.err(),
        store.replace(&key, 1, record()).await.err(),
        store.take(&key).await.err(),
        store.remove_tagged(&place.tag(0)).await.err(),
    ]
    .map(|error| error.expect("an outage is told as an answer"))
}
