//! A thousand data points and three thousand relations in one call, without a language model, and
//! still there after a restart.

use pipe_core::memory::{
    DataPoint, DataPointKind, GovernanceMemory, Integration, IntegrationPath, IntegrationStatus,
    MemoryKey, Relation, SearchQuery,
};

use crate::server::{Posture, Server};

fn key(text: impl AsRef<str>) -> MemoryKey {
    MemoryKey::new(text).expect("legal")
}

fn integration(i: usize) -> DataPoint {
    let paths = [IntegrationPath::Hub, IntegrationPath::Direct, IntegrationPath::Mesh];
    // By the hub it always goes well.
    let status = match i % 3 {
        0 => IntegrationStatus::Connected,
        _ if i.is_multiple_of(2) => IntegrationStatus::Connected,
        _ => IntegrationStatus::Failed,
    };
    let (source, target) = (i / 3 % 10, i / 30 % 10);
    Integration::new(
        key(format!("INT-{i:04}")),
        key(format!("source{source}")),
        key(format!("target{target}")),
        paths[i % 3].clone(),
    )
    .with_status(status)
    .with_description(format!("exchange number{i} of topic{} and topic{}", i % 50, i % 70))
    .into()
}

/// However far they are from the query: the server compares no more than a hundred texts.
#[tokio::test]
async fn a_filter_finds_all_that_it_admits_among_thousands() {
    let Some(server) = crate::server::shared().await else { return };
    let memory = server.memory_in("pipe-live-filters");
    let point = |i: usize| -> DataPoint {
        let is_rare = i % 700 == 350;
        let source = if is_rare { "rare".to_owned() } else { format!("source{}", i % 9) };
        let text =
            if is_rare { format!("weekly file {i}") } else { format!("settlement of cards {i}") };
        Integration::new(key(format!("F-{i:04}")), key(source), key("target"), IntegrationPath::Hub)
            .with_status(IntegrationStatus::Connected)
            .with_description(text)
            .into()
    };
    let points: Vec<_> = (0..3000).map(point).collect();
    memory.add_datapoints(&points, &[]).await.expect("the import");
    let query = SearchQuery::new("settlement of cards")
        .with_kind(DataPointKind::Integration)
        .with_domain(key("rare"));
    let hits = memory.search_integrations(&query).await.expect("the search");
    let mut keys: Vec<_> = hits.iter().map(|hit| hit.point.key().as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["F-0350", "F-1050", "F-1750", "F-2450"]);
    let few = memory.search_integrations(&query.with_limit(2)).await.expect("the search");
    assert_eq!(few.len(), 2);
}

#[tokio::test]
async fn a_thousand_data_points_are_one_call_and_survive_a_restart() {
    let Some(mut server) = Server::start(Posture::AccessControl).await else { return };
    let memory = server.memory_in("scale");
    let points: Vec<_> = (0..1000).map(integration).collect();
    let relations: Vec<_> = (0..3000)
        .map(|i| {
            let other = (i * 7 + i / 1000 + 1) % 1000;
            Relation::new(points[i % 1000].id(), "resembles", points[other].id()).expect("legal")
        })
        .collect();
    let different = relations.iter().collect::<std::collections::BTreeSet<_>>().len();
    let report = memory.add_datapoints(&points, &relations).await.expect("the import");
    assert_eq!((report.data_points, report.relations), (1000, different));

    let query = SearchQuery::new("exchange number777").with_kind(DataPointKind::Integration);
    let (a, b) = (key("source3"), key("target4"));
    let before = memory.search_integrations(&query).await.expect("the search");
    assert_eq!(before[0].point, points[777], "{before:?}");
    let suggested = memory.suggest_integration_path(&a, &b).await.expect("the suggestion");
    let best = suggested.clone().expect("there is evidence").ranked.remove(0);
    assert_eq!(best.path, IntegrationPath::Hub);

    server.restart().await;
    let after = memory.search_integrations(&query).await.expect("the search");
    assert_eq!(after[0].point, points[777], "{after:?}");
    assert_eq!(memory.suggest_integration_path(&a, &b).await.expect("as before"), suggested);
    assert_eq!(server.graph_size("scale").await, (1001, 1000 + different));
    assert_eq!(server.chat_calls().await, 0, "a language model was asked");
}
