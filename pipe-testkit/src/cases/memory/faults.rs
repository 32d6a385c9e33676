use std::sync::Arc;

use pipe_core::memory::{
    Custom, DataPoint, DataPointKind, GovernanceMemory, MAX_DATA_POINT, SearchQuery,
};
use pipe_core::{Error, ErrorKind};
use serde_json::Value;

use super::{Place, expect_kind};

/// "We may not look" is not "there is nothing".
pub async fn a_denied_search_is_not_empty(memory: Arc<dyn GovernanceMemory>) {
    let found = memory.search_integrations(&Place::new("deniedsearch").query()).await;
    expect_denial(found);
}

/// "We may not look" is not "there is no evidence".
pub async fn a_denied_suggestion_is_not_none(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("deniedsuggestion");
    let (a, b) = (place.domain("a"), place.domain("b"));
    expect_denial(memory.suggest_integration_path(&a, &b).await);
}

/// What may not be stored is not said to be.
pub async fn a_denied_add_is_an_error(memory: Arc<dyn GovernanceMemory>) {
    let integration = Place::new("deniedadd").integration("one").into();
    expect_denial(memory.add_datapoints(&[integration], &[]).await);
}

/// An outage is neither an empty list, nor the lack of evidence, nor a success.
pub async fn an_outage_is_an_error(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("outagekind");
    for error in all_errors(&memory, &place).await {
        assert!(
            matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout),
            "an outage is told as {error:#}"
        );
    }
}

/// A caller may try again, and a fallback may take over.
pub async fn an_outage_is_retryable(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("outageretry");
    for error in all_errors(&memory, &place).await {
        assert!(error.is_retryable(), "{error:#}");
    }
}

/// Which memory, in which operation.
pub async fn an_outage_says_where(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("outagewhere");
    for error in all_errors(&memory, &place).await {
        assert_eq!(error.plugin(), memory.name(), "{error:#}");
        assert!(!error.operation().is_empty(), "{error:#}");
    }
}

/// A probe sees it.
pub async fn an_outage_is_told_by_health(memory: Arc<dyn GovernanceMemory>) {
    let health = memory.health().await;
    assert!(!health.is_serving(), "{health:?}");
    assert!(!health.reason.is_empty() && !health.hint.is_empty(), "{health:?}");
}

/// What is wrong in itself is refused, whether or not anybody could be asked.
pub async fn bad_input_is_refused_without_asking(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("badinput");
    let large = "x".repeat(MAX_DATA_POINT);
    let large = place.integration("large").with_description(large).into();
    // It can be written as JSON, and not be read again.
    let deep = (0..200).fold(Value::from(1), |inner, _| vec![inner].into());
    let kind = DataPointKind::custom("Runbook").expect("a legal kind");
    let deep = Custom::new(kind, place.key("deep")).with_property("deep", deep).into();
    for point in [large, deep] {
        expect_kind(memory.add_datapoints(&[point], &[]).await, ErrorKind::InvalidArgument);
    }
    let found = memory.search_integrations(&SearchQuery::new(" ")).await;
    expect_kind(found, ErrorKind::InvalidArgument);
}

#[track_caller]
fn expect_denial<T>(result: pipe_core::Result<T>) {
    match result {
        Err(error) => assert!(
            matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unauthenticated),
            "a denial is told as {error:#}"
        ),
        Ok(_) => panic!("a denial is told as a success"),
    }
}

/// What each operation fails with.
async fn all_errors(memory: &dyn GovernanceMemory, place: &Place) -> [Error; 3] {
    let (a, b) = (place.domain("a"), place.domain("b"));
    let integration = DataPoint::from(place.integration("one"));
    [
        memory.add_datapoints(&[integration], &[]).await.err(),
        memory.search_integrations(&place.query()).await.err(),
        memory.suggest_integration_path(&a, &b).await.err(),
    ]
    .map(|error| error.expect("an outage is told as a success"))
}
