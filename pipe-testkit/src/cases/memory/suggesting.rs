use std::sync::Arc;

use pipe_core::memory::{
    DataPointId, DataPointKind, GovernanceMemory, GovernancePolicy, HubRule, IntegrationPath,
    IntegrationStatus, Suggester,
};

use super::{Place, add};

/// Where nothing is known, nothing is said.
pub async fn no_evidence_is_no_suggestion(memory: Arc<dyn GovernanceMemory>) {
    let (place, other) = (Place::new("noevidence"), Place::new("elsewhere"));
    add(&memory, &other.past(&IntegrationPath::Hub, 3, 0)).await;
    assert_eq!(place.suggest(&memory).await, None);
}

/// An integration that is approved, and not built, says nothing about what works.
pub async fn what_has_not_ended_is_no_evidence(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("notended");
    let with = |name: &str, status| place.integration(name).with_status(status).into();
    let all = [with("a", IntegrationStatus::Approved), with("p", IntegrationStatus::Pending)];
    add(&memory, &all).await;
    assert_eq!(place.suggest(&memory).await, None);
}

/// By how often it did, and not by how often it was tried.
pub async fn the_path_that_succeeded_comes_first(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("first");
    let hub = place.past(&IntegrationPath::Hub, 3, 7);
    let mesh = place.past(&IntegrationPath::Mesh, 5, 0);
    add(&memory, &[hub, mesh].concat()).await;
    let suggestion = place.suggest(&memory).await.expect("there is evidence");
    let paths: Vec<_> = suggestion.ranked.iter().map(|ranked| &ranked.path).collect();
    assert_eq!(paths, [&IntegrationPath::Mesh, &IntegrationPath::Hub]);
}

/// A suggestion can be looked into.
pub async fn a_suggestion_names_its_evidence(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("named");
    add(&memory, &place.past(&IntegrationPath::Hub, 2, 1)).await;
    let suggestion = place.suggest(&memory).await.expect("there is evidence");
    let best = suggestion.best().expect("nothing is refused");
    assert_eq!(best.confidence.n, 3);
    let ids = |name: &str| DataPointId::of(&DataPointKind::Integration, &place.key(name));
    let mut expected = ["hub-0", "hub-1", "hub-2"].map(ids);
    expected.sort();
    assert_eq!(best.evidence, expected);
    assert!(!best.reasons.is_empty());
}

/// What is known now counts, not what was known once.
pub async fn a_suggestion_follows_an_outcome(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("follows");
    add(&memory, &place.past(&IntegrationPath::Hub, 6, 0)).await;
    let before = place.suggest(&memory).await.expect("there is evidence");
    add(&memory, &place.past(&IntegrationPath::Hub, 1, 5)).await;
    let after = place.suggest(&memory).await.expect("there is evidence");
    let rate = |of: &pipe_core::memory::PathSuggestion| of.ranked[0].confidence.success_rate;
    assert!(rate(&before) > rate(&after), "{before:?} {after:?}");
    assert_eq!(after.ranked[0].confidence.n, 6);
}

/// However well it went, with the policy's key in the reason.
pub async fn the_hub_rule_refuses_the_direct_path(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("hubrule");
    let policy =
        GovernancePolicy::new(place.key("policy")).with_hub_rule(HubRule::of([place.domain("b")]));
    let direct = place.past(&IntegrationPath::Direct, 9, 0);
    let hub = place.past(&IntegrationPath::Hub, 1, 2);
    add(&memory, &[direct, hub, vec![policy.into()]].concat()).await;
    let suggestion = place.suggest(&memory).await.expect("there is evidence");
    let paths: Vec<_> = suggestion.ranked.iter().map(|ranked| &ranked.path).collect();
    assert_eq!(paths, [&IntegrationPath::Hub]);
    let [refused] = &suggestion.refused[..] else { panic!("{suggestion:?}") };
    assert_eq!((&refused.path, &refused.policy), (&IntegrationPath::Direct, &place.key("policy")));
    assert!(refused.reason.contains(place.key("policy").as_str()), "{}", refused.reason);
}

/// A rule is for those whom it names.
pub async fn the_hub_rule_of_others_refuses_nothing(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("othersrule");
    let policy =
        GovernancePolicy::new(place.key("policy")).with_hub_rule(HubRule::of([place.domain("c")]));
    let direct = place.past(&IntegrationPath::Direct, 3, 0);
    add(&memory, &[direct, vec![policy.into()]].concat()).await;
    let suggestion = place.suggest(&memory).await.expect("there is evidence");
    assert_eq!(suggestion.refused, []);
    let best = suggestion.best().expect("nothing is refused");
    assert_eq!(best.path, IntegrationPath::Direct);
}

/// The numbers are the same in every memory.
pub async fn the_numbers_are_those_of_the_shared_arithmetic(memory: Arc<dyn GovernanceMemory>) {
    let place = Place::new("arithmetic");
    let mut all = place.past(&IntegrationPath::Hub, 2, 1);
    let mut near = place.integration("near").with_status(IntegrationStatus::Failed);
    near.target = place.domain("c");
    all.push(near.into());
    add(&memory, &all).await;
    let mut suggester = Suggester::new(place.domain("a"), place.domain("b"));
    all.iter().for_each(|point| suggester.consider(point));
    let suggestion = place.suggest(&memory).await.expect("there is evidence");
    assert_eq!(suggester.suggest(suggestion.source), Some(suggestion));
}
