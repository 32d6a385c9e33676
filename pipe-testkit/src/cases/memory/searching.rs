use std::sync::Arc;

use pipe_core::ErrorKind;
use pipe_core::memory::{
    DataPoint, DataPointKind, Domain, GovernanceMemory, IntegrationStatus, Outcome, SearchQuery,
};

use super::{Place, add, expect_kind, points, search};

/// What is about the query comes before what is about something else.
pub async fn the_closest_comes_first(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("closest");
    let about = |name: &str, text: &str| place.integration(name).with_description(text);
    let all = [
        about("ledger", "monthly statements of the general ledger").into(),
        about("fraud", "fraud alerts while a card is used").into(),
        about("profile", "profiles of customers for marketing").into(),
    ];
    add(&memory, &all).await;
    let query = SearchQuery::new("alerts about fraud with a card").with_domain(place.domain("a"));
    let hits = search(&memory, &query).await;
    let first = hits.first().expect("something is found");
    assert_eq!(first.point.key(), &place.key("fraud"), "{hits:?}");
}

/// Not more than were asked for, and the closest of them.
pub async fn a_limit_is_kept(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("limit");
    let all: Vec<DataPoint> = (0..5).map(|i| place.integration(&format!("{i}")).into()).collect();
    add(&memory, &all).await;
    assert_eq!(search(&memory, &place.query().with_limit(3)).await.len(), 3);
    assert_eq!(search(&memory, &place.query().with_limit(5)).await.len(), 5);
}

/// A query that asks for nothing is a mistake of whoever asks.
pub async fn a_search_for_nothing_is_refused(memory: Arc<dyn GovernanceMemory>) {
    let queries = [
        SearchQuery::new(""),
        SearchQuery::new(" \n"),
        SearchQuery::new("x".repeat(9 << 10)),
        SearchQuery::new("x").with_limit(0),
        SearchQuery::new("x").with_limit(101),
    ];
    for query in queries {
        expect_kind(memory.search_integrations(&query).await, ErrorKind::InvalidArgument);
    }
}

/// A filter by kind lets nothing else through, and all of that kind.
pub async fn a_search_by_kind_finds_no_other(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("bykind");
    let text = format!("settlement of {}", place.word);
    let domain = Domain::new(place.domain("a")).with_description(&text).into();
    add(&memory, &[place.integration("one").into(), DataPoint::clone(&domain)]).await;
    let query = SearchQuery::new(&text).with_kind(DataPointKind::Domain).with_limit(100);
    let hits = search(&memory, &query).await;
    assert!(hits.iter().all(|hit| hit.point.kind() == DataPointKind::Domain), "{hits:?}");
    assert!(hits.iter().any(|hit| hit.point == domain), "{hits:?}");
}

/// Either end of an integration counts.
pub async fn a_search_by_domain_finds_no_other(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("bydomain");
    let mut inverse = place.integration("inverse");
    std::mem::swap(&mut inverse.source, &mut inverse.target);
    let mut other = place.integration("other");
    other.source = place.domain("c");
    let (inverse, one) = (inverse.into(), place.integration("one").into());
    add(&memory, &[DataPoint::clone(&one), other.into(), DataPoint::clone(&inverse)]).await;
    assert_eq!(points(place.search(&memory).await), [inverse, one]);
}

/// What has not ended has neither outcome.
pub async fn a_search_by_outcome_finds_no_other(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("byoutcome");
    let with = |name: &str, status| DataPoint::from(place.integration(name).with_status(status));
    let all = [
        with("connected", IntegrationStatus::Connected),
        with("failed", IntegrationStatus::Failed),
        with("pending", IntegrationStatus::Pending),
        with("rejected", IntegrationStatus::Rejected),
    ];
    add(&memory, &all).await;
    let [connected, failed, _, rejected] = all;
    let success = place.query().with_outcome(Outcome::Success);
    assert_eq!(points(search(&memory, &success).await), [connected]);
    let failure = place.query().with_outcome(Outcome::Failure);
    assert_eq!(points(search(&memory, &failure).await), [failed, rejected]);
}

/// Nothing found is an empty list.
pub async fn a_domain_that_nobody_knows_has_no_hits(memory: Arc<dyn GovernanceMemory>) {
    assert_eq!(Place::new("unknown").search(&memory).await, []);
}

/// Similarities fall, and stay within their bounds.
pub async fn similarities_are_ordered_and_bounded(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("ordered");
    let text = |i: usize| format!("settlement of {} {}", place.word, "and more ".repeat(i * 4));
    let one = |i: usize| place.integration(&format!("{i}")).with_description(text(i)).into();
    let all: Vec<DataPoint> = (0..6).rev().map(one).collect();
    add(&memory, &all).await;
    let hits = place.search(&memory).await;
    assert_eq!(hits.len(), all.len());
    assert!(hits.iter().all(|hit| hit.similarity > 0.0 && hit.similarity <= 1.0), "{hits:?}");
    assert!(hits.is_sorted_by(|a, b| a.similarity >= b.similarity), "{hits:?}");
}

/// The same place in every answer.
pub async fn every_answer_says_where_it_comes_from(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("source");
    let report = add(&memory, &[place.integration("one").into()]).await;
    let hits = place.search(&memory).await;
    assert!(hits.iter().all(|hit| hit.source == report.source), "{hits:?}");
    let suggestion = place.suggest(&memory).await.expect("there is evidence");
    assert_eq!(suggestion.source, report.source);
}
