use super::*;
use crate::memory::{GovernancePolicy, IntegrationStatus};

fn key(key: &str) -> MemoryKey {
    MemoryKey::new(key).unwrap()
}

fn past(source: &str, target: &str, path: IntegrationPath, i: usize, good: bool) -> DataPoint {
    let status = if good { IntegrationStatus::Connected } else { IntegrationStatus::Failed };
    let key_of = key(&format!("{source}-{target}-{path}-{i}"));
    Integration::new(key_of, key(source), key(target), path)
        .with_status(status)
        .with_factor(if good { "clear contract" } else { "rate limit" })
        .into()
}

fn suggest(points: &[DataPoint]) -> Option<PathSuggestion> {
    let mut suggester = Suggester::new(key("a"), key("b"));
    points.iter().for_each(|point| suggester.consider(point));
    suggester.suggest(Source::Local)
}

fn hub(count: usize, good: usize) -> Vec<DataPoint> {
    (0..count).map(|i| past("a", "b", IntegrationPath::Hub, i, i < good)).collect()
}

fn direct(count: usize, good: usize) -> Vec<DataPoint> {
    (0..count).map(|i| past("a", "b", IntegrationPath::Direct, i, i < good)).collect()
}

fn policy(rule: HubRule) -> DataPoint {
    GovernancePolicy::new(key("hub-first")).with_hub_rule(rule).into()
}

#[test]
fn the_lower_bound_is_wilsons() {
    // Where `(rate - p)² = z² p (1 - p) / n`, found by bisection.
    assert!((wilson_lower_bound(0.8, 10.0) - 0.540_793).abs() < 1e-6);
    assert!((wilson_lower_bound(1.0, 1.0) - 0.269_866).abs() < 1e-6);
    assert_eq!(wilson_lower_bound(0.0, 10.0), 0.0);
    assert_eq!(wilson_lower_bound(1.0, 0.0), 0.0);
}

#[test]
fn no_evidence_is_no_number() {
    assert_eq!(suggest(&[]), None);
    assert_eq!(suggest(&[past("c", "d", IntegrationPath::Hub, 0, true)]), None);
    let pending = Integration::new(key("p"), key("a"), key("b"), IntegrationPath::Hub);
    assert_eq!(suggest(&[pending.into()]), None);
}

#[test]
fn a_path_is_the_word_that_it_is_written_as() {
    let other = IntegrationPath::Other("direct".to_owned());
    let points = [direct(3, 3), vec![past("a", "b", other, 9, true)]].concat();
    assert_eq!(suggest(&points).unwrap().ranked[0].confidence.n, 4);
    let refused = suggest(&[points, vec![policy(HubRule::everywhere())]].concat()).unwrap();
    assert_eq!((refused.ranked.len(), refused.refused.len()), (0, 1));
}

#[test]
fn what_succeeded_more_often_comes_first() {
    let points = [hub(10, 4), direct(10, 9)].concat();
    let paths: Vec<_> =
        suggest(&points).unwrap().ranked.into_iter().map(|ranked| ranked.path).collect();
    assert_eq!(paths, [IntegrationPath::Direct, IntegrationPath::Hub]);
}

#[test]
fn one_lucky_try_does_not_beat_many_good_ones() {
    let suggestion = suggest(&[hub(20, 18), direct(1, 1)].concat()).unwrap();
    assert_eq!(suggestion.best().unwrap().path, IntegrationPath::Hub);
}

#[test]
fn neighbours_count_less_and_only_where_there_is_little_else() {
    let neighbours: Vec<_> =
        (0..10).map(|i| past("a", "c", IntegrationPath::Hub, i, true)).collect();
    let alone = suggest(&neighbours).unwrap().ranked.remove(0).confidence;
    assert_eq!((alone.n, alone.coverage), (10, 0.25));
    let own = suggest(&[hub(5, 5), neighbours].concat()).unwrap().ranked.remove(0).confidence;
    assert_eq!((own.n, own.coverage), (5, 1.0));
    assert!(own.value > alone.value);
}

#[test]
fn any_number_of_neighbours_does_not_outvote_ones_own() {
    let neighbours = |path: IntegrationPath, good| {
        (0..30).map(move |i| past("a", &format!("n{i}"), path.clone(), i, good))
    };
    let mut points = [hub(4, 4), direct(4, 0)].concat();
    points.extend(neighbours(IntegrationPath::Hub, false));
    points.extend(neighbours(IntegrationPath::Direct, true));
    let suggestion = suggest(&points).unwrap();
    let best = suggestion.best().unwrap();
    assert_eq!((&best.path, best.confidence.n), (&IntegrationPath::Hub, 34));
    assert!(best.confidence.success_rate > 0.75, "{:?}", best.confidence);
}

#[test]
fn the_hub_rule_refuses_the_direct_path_and_says_why() {
    let suggestion =
        suggest(&[direct(9, 9), hub(3, 1), vec![policy(HubRule::everywhere())]].concat()).unwrap();
    assert_eq!(suggestion.best().unwrap().path, IntegrationPath::Hub);
    let refused = &suggestion.refused[0];
    assert_eq!((&refused.path, &refused.policy), (&IntegrationPath::Direct, &key("hub-first")));
    assert!(refused.reason.contains("hub-first"), "{}", refused.reason);
}

#[test]
fn evidence_for_nothing_but_a_refused_path_suggests_none() {
    let points = [direct(9, 9), vec![policy(HubRule::of([key("b")]))]].concat();
    let suggestion = suggest(&points).unwrap();
    assert!(suggestion.best().is_none());
    assert_eq!(suggestion.refused.len(), 1);
}

#[test]
fn the_hub_rule_of_others_forbids_nothing() {
    let points = [direct(9, 9), vec![policy(HubRule::of([key("c")]))]].concat();
    assert_eq!(suggest(&points).unwrap().best().unwrap().path, IntegrationPath::Direct);
    assert!(!HubRule::everywhere().applies(&key("a"), &key("a")));
}

#[test]
fn factors_come_from_what_happened_and_from_patterns() {
    let pattern = IntegrationPattern::new(key("p"), IntegrationPath::Hub)
        .with_success_factor("schema registry")
        .with_failure_factor("no owner");
    let points = [hub(3, 2), vec![pattern.into()]].concat();
    let best = suggest(&points).unwrap().ranked.remove(0);
    assert_eq!(best.success_factors, ["clear contract", "schema registry"]);
    assert_eq!(best.failure_factors, ["no owner", "rate limit"]);
    assert_eq!(best.evidence.len(), 3);
    assert!(best.reasons[0].starts_with("2 of 3 integrations of a with b by hub"));
}

#[test]
fn the_order_in_which_a_memory_knows_things_changes_nothing() {
    let mut points = [hub(7, 3), direct(7, 5), vec![policy(HubRule::of([key("c")]))]].concat();
    let before = suggest(&points);
    points.reverse();
    assert_eq!(suggest(&points), before);
}
