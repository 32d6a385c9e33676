use std::sync::Arc;
use std::time::Duration;

use pipe_core::ErrorKind;
use pipe_core::memory::{
    ComplianceRecord, ComplianceStatus, Custom, DataPoint, DataPointKind, Decision, Domain,
    DomainCapability, GovernanceMemory, GovernancePolicy, HubRule, IntegrationPath,
    IntegrationPattern, IntegrationStatus, MAX_DATA_POINT, Relation, ReviewDecision, ReviewRequest,
    SearchQuery,
};

use super::{Place, add, add_related, expect_kind, points, search};

/// Nothing to do is no fault.
pub async fn nothing_added_is_a_success(memory: Arc<dyn GovernanceMemory>) {
    let report = add(&memory, &[]).await;
    assert_eq!((report.data_points, report.relations, report.skipped_relations), (0, 0, 0));
}

/// The report tells how much is stored.
pub async fn what_was_added_is_counted(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("counted");
    let domains = ["a", "b"].map(|name| DataPoint::from(Domain::new(place.domain(name))));
    let integration = DataPoint::from(place.integration("one"));
    let relations = integration.relations();
    let all = [&domains[..], &[integration]].concat();
    let report = add_related(&memory, &all, &relations).await;
    assert_eq!((report.data_points, report.relations), (3, 2), "{report:?}");
    assert_eq!((report.skipped_relations, report.queued), (0, 0), "{report:?}");
}

/// A search after the call sees what the call added.
pub async fn what_was_added_is_found(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("found");
    let integration = DataPoint::from(place.integration("one"));
    add(&memory, std::slice::from_ref(&integration)).await;
    assert_eq!(points(place.search(&memory).await), [integration]);
}

/// Every kind, with everything that it has.
pub async fn a_data_point_comes_back_as_it_was_added(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("kinds");
    let about = || format!("everything about {}", place.word);
    let (integration, policy) = (place.key("integration"), place.key("policy"));
    let path = IntegrationPath::Other(format!("path-{}", place.word));
    let runbook = DataPointKind::custom("Runbook").expect("a legal kind");
    let all: Vec<DataPoint> = vec![
        Domain::new(place.domain("a")).with_description(about()).with_owner("owner").into(),
        place
            .integration("integration")
            .with_description(about())
            .with_status(IntegrationStatus::Other("paused".to_owned()))
            .with_factor("clear contract")
            .with_priority("high")
            .with_approver("somebody")
            .into(),
        ComplianceRecord::new(
            place.key("record"),
            integration.clone(),
            policy.clone(),
            ComplianceStatus::Waived,
        )
        .with_description(about())
        .into(),
        ReviewDecision::new(place.key("decision"), integration.clone(), Decision::Approved)
            .with_rationale(about())
            .with_reviewer("reviewer")
            .into(),
        IntegrationPattern::new(place.key("pattern"), path)
            .with_description(about())
            .with_success_factor("schema registry")
            .with_failure_factor("no owner")
            .into(),
        DomainCapability::new(place.key("capability"), place.domain("a"))
            .with_description(about())
            .into(),
        GovernancePolicy::new(policy)
            .with_description(about())
            .with_hub_rule(HubRule::of([place.domain("c")]))
            .into(),
        ReviewRequest::new(place.key("request"), integration)
            .with_requester("requester")
            .with_description(about())
            .into(),
        Custom::new(runbook, place.key("runbook"))
            .with_description(about())
            .with_property("type", "PipeIntegration")
            .with_property("steps", serde_json::json!([1, {"two": null}, 3.5]))
            // Of decimals, one in eight is another number to a reader that is not exact.
            .with_property(
                "rates",
                (0..64).map(|i| f64::from(i) / 1000.0 + 0.1).collect::<Vec<_>>(),
            )
            .into(),
    ];
    add(&memory, &all).await;
    for point in all {
        let query = SearchQuery::new(about()).with_kind(point.kind()).with_limit(100);
        let hits = search(&memory, &query).await;
        let found = hits.into_iter().find(|hit| hit.point.id() == point.id());
        assert_eq!(found.map(|hit| hit.point), Some(point));
    }
}

/// Whatever a text says, and whatever it would mean to a database.
pub async fn odd_text_comes_back_as_it_was_added(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("odd");
    let texts = [
        "'}) MATCH (n) DETACH DELETE n //",
        "\"quoted\" \\ back\\slashed \\u0041",
        "line\nbreaks\r\nand\ttabs",
        "nul \0 and \u{7f} and \u{2028}",
        "äöü 漢字 🦀 e\u{301}",
        "/etc/passwd",
        "https://example.com/?q=1&r=2#f",
        "{\"data_point\":\"Domain\",\"key\":\"x\"}",
        "--boundary\r\ncontent-disposition: form-data; name=\"x\"\r\n\r\n",
    ];
    let odd = |(i, text): (usize, &&str)| {
        let description = format!("settlement of {} {text}", place.word);
        place.integration(&format!("{i}")).with_description(description).with_factor(*text).into()
    };
    let all: Vec<DataPoint> = texts.iter().enumerate().map(odd).collect();
    add(&memory, &all).await;
    assert_eq!(points(place.search(&memory).await), all);
}

/// A data point is known by its kind and key.
pub async fn adding_twice_is_one(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("twice");
    let integration = DataPoint::from(place.integration("one"));
    for _ in 0..2 {
        let report = add(&memory, std::slice::from_ref(&integration)).await;
        assert_eq!(report.data_points, 1);
    }
    assert_eq!(points(place.search(&memory).await), [integration]);
}

/// Nothing of the earlier one is left.
pub async fn a_later_data_point_replaces_an_earlier(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("replaced");
    let earlier = place.integration("one").with_factor("rate limit").with_priority("high");
    let later = place.integration("one").with_status(IntegrationStatus::Failed);
    add(&memory, &[earlier.into()]).await;
    add(&memory, &[later.clone().into()]).await;
    assert_eq!(points(place.search(&memory).await), [DataPoint::from(later)]);
}

/// Within a call too, the later one counts, and both are one.
pub async fn the_same_key_twice_in_one_call_is_one(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("doubled");
    let later = place.integration("one").with_status(IntegrationStatus::Failed);
    let both = [place.integration("one").into(), later.clone().into()];
    assert_eq!(add(&memory, &both).await.data_points, 1);
    assert_eq!(points(place.search(&memory).await), [DataPoint::from(later)]);
}

/// What was added by an earlier call can be related to, and stays as it is.
pub async fn a_relation_to_what_is_known_is_stored(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("related");
    let [one, two] = ["one", "two"].map(|name| DataPoint::from(place.integration(name)));
    add(&memory, std::slice::from_ref(&one)).await;
    let replaces = Relation::new(two.id(), "replaces", one.id()).expect("a legal name");
    let report = add_related(&memory, std::slice::from_ref(&two), &[replaces]).await;
    assert_eq!((report.data_points, report.relations), (1, 1), "{report:?}");
    assert_eq!(report.skipped_relations, 0, "{report:?}");
    assert_eq!(points(place.search(&memory).await), [one, two]);
}

/// A relation to nothing is not stored, and not lost without a word either.
pub async fn a_relation_to_nothing_is_skipped_and_counted(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("dangling");
    let [one, never] = ["one", "never"].map(|name| DataPoint::from(place.integration(name)));
    let replaces = Relation::new(one.id(), "replaces", never.id()).expect("a legal name");
    let report = add_related(&memory, std::slice::from_ref(&one), &[replaces]).await;
    assert_eq!((report.data_points, report.relations), (1, 0), "{report:?}");
    assert_eq!(report.skipped_relations, 1, "{report:?}");
    assert_eq!(points(place.search(&memory).await), [one]);
}

/// All of it: what is refused leaves nothing behind.
pub async fn too_much_is_refused_as_a_whole(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("much");
    let small = place.integration("small").into();
    let large = place.integration("large").with_description("x".repeat(MAX_DATA_POINT)).into();
    expect_kind(memory.add_datapoints(&[small, large], &[]).await, ErrorKind::InvalidArgument);
    assert_eq!(points(place.search(&memory).await), []);
}

/// What several add at once is all there.
pub async fn writers_at_once_lose_nothing(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("atonce");
    let all: Vec<DataPoint> = (0..4).map(|i| place.integration(&format!("{i}")).into()).collect();
    let writers = all.chunks(1).map(|one| add(&memory, one));
    futures_util::future::join_all(writers).await;
    assert_eq!(points(place.search(&memory).await), all);
}

/// Whoever gave up may ask again, and what they added can be added again.
pub async fn a_dropped_call_leaves_the_memory_usable(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("dropped");
    let integration = DataPoint::from(place.integration("one"));
    let one = std::slice::from_ref(&integration);
    for wait in [0, 1, 5] {
        let call = memory.add_datapoints(one, &[]);
        let _ = tokio::time::timeout(Duration::from_millis(wait), call).await;
    }
    add(&memory, one).await;
    assert_eq!(points(place.search(&memory).await), [integration]);
}
