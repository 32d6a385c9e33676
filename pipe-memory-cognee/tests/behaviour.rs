//! What the client does beyond the contract, on a fake server.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use pipe_core::memory::{
    DataPoint, DataPointKind, Domain, GovernanceMemory, Integration, IntegrationPath,
    IntegrationStatus, MemoryKey, Outcome, Relation, SearchQuery,
};
use pipe_core::{Error, ErrorKind, Result, SecretSource};
use pipe_http::HttpConfig;
use pipe_memory_cognee::{Auth, Cognee, CogneeConfig};
use pipe_testkit::fake::{self, CogneeFault};
use tokio::net::TcpListener;

fn memory(server: &fake::Cognee, auth: Auth) -> Cognee {
    Cognee::new(CogneeConfig::new(server.address(), auth)).expect("the settings are sound")
}

fn key(server: &fake::Cognee) -> Auth {
    Auth::api_key(SecretSource::Value(server.create_api_key().as_str().into()))
}

async fn with_key() -> (Cognee, fake::Cognee) {
    let server = fake::Cognee::start().await;
    (memory(&server, key(&server)), server)
}

fn domain(i: usize) -> DataPoint {
    let key = MemoryKey::new(format!("domain{i}")).expect("legal");
    Domain::new(key).with_description("cards").into()
}

/// A thousand in each archive, with the ends that relations take along: an import takes as long as
/// it has nodes, and `write_timeout` is for a thousand.
#[tokio::test]
async fn a_large_call_is_several_archives_of_a_thousand_at_most() {
    let (memory, server) = with_key().await;
    let points: Vec<_> = (0..2500).map(domain).collect();
    let relation = |i: usize| {
        let (from, to) = (i % 2500, (i * 7919 + i / 2500 + 1) % 2500);
        Relation::new(points[from].id(), "feeds", points[to].id()).expect("legal")
    };
    let relations: BTreeSet<_> = (0..5000).map(relation).collect();
    let relations: Vec<_> = relations.into_iter().collect();
    let report = memory.add_datapoints(&points, &relations).await.expect("the import");
    assert_eq!((report.data_points, report.relations), (2500, relations.len()));
    assert_eq!(server.graph_size("governance"), (2501, 2500 + relations.len()));
    // And the node of their kind.
    assert!(server.largest_import() <= 1001, "{}", server.largest_import());
}

/// However little of it is new.
#[tokio::test]
async fn a_thousand_data_points_and_their_relations_are_one_archive() {
    let (memory, server) = with_key().await;
    let points: Vec<_> = (0..1000).map(domain).collect();
    memory.add_datapoints(&points[..10], &[]).await.expect("the import");
    let relation = |i: usize| {
        let to = points[(i * 7 + 1) % 1000].id();
        Relation::new(points[i % 1000].id(), "feeds", to).expect("legal")
    };
    let relations: Vec<_> = (0..3000).map(relation).collect();
    let imports = || server.requests().iter().filter(|path| path.ends_with("/remember")).count();
    let before = imports();
    memory.add_datapoints(&points[10..], &relations).await.expect("the import");
    assert_eq!(imports(), before + 1);
}

#[tokio::test]
async fn a_token_that_is_no_longer_taken_is_replaced() {
    let server = fake::Cognee::start().await;
    let (username, password) = server.credentials();
    let auth = Auth::login(username, SecretSource::Value(password.as_str().into()));
    let memory = memory(&server, auth);
    memory.add_datapoints(&[domain(1)], &[]).await.expect("the first login");
    server.revoke_tokens();
    let hits = memory.search_integrations(&SearchQuery::new("cards")).await;
    assert_eq!(hits.expect("the second login").len(), 1);
}

#[tokio::test]
async fn a_dataset_that_somebody_made_anew_is_found() {
    let (memory, server) = with_key().await;
    let found = async || {
        let hits = memory.search_integrations(&SearchQuery::new("cards")).await;
        hits.expect("the search").len()
    };
    memory.add_datapoints(&[domain(1)], &[]).await.expect("the import");
    assert_eq!(found().await, 1);
    server.delete_dataset("governance");
    assert_eq!(found().await, 0);
    memory.add_datapoints(&[domain(2)], &[]).await.expect("the import");
    assert_eq!(found().await, 1);
}

/// An answer that is not understood is neither nothing nor a success.
#[tokio::test]
async fn an_unknown_form_is_unexpected() {
    let (memory, server) = with_key().await;
    memory.add_datapoints(&[domain(1)], &[]).await.expect("the import");
    server.inject(CogneeFault::WrongShape200, usize::MAX);
    let key = |text: &str| MemoryKey::new(text).expect("legal");
    let errors = [
        memory.add_datapoints(&[domain(1)], &[]).await.err(),
        memory.search_integrations(&SearchQuery::new("cards")).await.err(),
        memory.suggest_integration_path(&key("a"), &key("b")).await.err(),
    ];
    for error in errors {
        let error = error.expect("the answer is not understood");
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{error:#}");
    }
}

/// By its name, the server would make another dataset of that name, and say that all went well.
#[tokio::test]
async fn a_dataset_that_somebody_shares_for_reading_is_not_written_to() {
    let (memory, server) = with_key().await;
    memory.add_datapoints(&[domain(1)], &[]).await.expect("the import");
    server.make_read_only();
    // Whether its id is known already or not.
    let other = self::memory(&server, key(&server));
    for memory in [&memory, &other] {
        let hits = memory.search_integrations(&SearchQuery::new("cards")).await;
        assert_eq!(hits.expect("the search").len(), 1);
        let error = memory.add_datapoints(&[domain(2)], &[]).await.expect_err("it is not ours");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:#}");
        let hits = memory.search_integrations(&SearchQuery::new("cards")).await;
        assert_eq!(hits.expect("the search").len(), 1);
    }
}

/// Who may have an account may share what they like, under any name.
#[tokio::test]
async fn a_dataset_of_somebody_else_does_not_take_the_place_of_ours() {
    let (memory, server) = with_key().await;
    memory.add_datapoints(&[domain(1)], &[]).await.expect("the import");
    server.share_dataset("governance");
    let memory = self::memory(&server, key(&server));
    let hits = memory.search_integrations(&SearchQuery::new("cards")).await;
    assert_eq!(hits.expect("the search").len(), 1);
    memory.add_datapoints(&[domain(2)], &[]).await.expect("the import");
    let hits = memory.search_integrations(&SearchQuery::new("cards")).await;
    assert_eq!(hits.expect("the search").len(), 2);
}

#[tokio::test]
async fn of_several_that_others_share_none_is_chosen() {
    let (memory, server) = with_key().await;
    server.share_dataset("governance");
    memory.add_datapoints(&[domain(1)], &[]).await.expect("one is shared, for writing");
    server.share_dataset("governance");
    let memory = self::memory(&server, key(&server));
    let errors = [
        memory.add_datapoints(&[domain(1)], &[]).await.err(),
        memory.search_integrations(&SearchQuery::new("cards")).await.err(),
    ];
    for error in errors {
        let error = error.expect("it is not clear which");
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error:#}");
        assert_eq!(error.context("setting"), Some("dataset"));
    }
}

fn integration(i: usize) -> DataPoint {
    let key = |text: String| MemoryKey::new(text).expect("legal");
    let source = key(if i.is_multiple_of(500) { "rare".into() } else { format!("d{}", i % 7) });
    let status = match i % 1000 {
        0 => IntegrationStatus::Failed,
        _ => IntegrationStatus::Connected,
    };
    Integration::new(key(format!("INT-{i}")), source, key("target".into()), IntegrationPath::Hub)
        .with_status(status)
        // Those that are looked for are the furthest from the query.
        .with_description(if i.is_multiple_of(500) { "weekly file" } else { "settlement of cards" })
        .into()
}

/// However far they are from the query: the server compares no more than a hundred.
#[tokio::test]
async fn a_filter_finds_all_that_it_admits_among_thousands() {
    let (memory, _server) = with_key().await;
    let points: Vec<_> = (0..2500).map(integration).collect();
    memory.add_datapoints(&points, &[]).await.expect("the import");
    let rare = SearchQuery::new("settlement of cards")
        .with_domain(MemoryKey::new("rare").expect("legal"))
        .with_limit(20);
    let keys = async |query: &SearchQuery| {
        let hits = memory.search_integrations(query).await.expect("the search");
        assert!(hits.iter().all(|hit| hit.similarity > 0.0), "{hits:?}");
        assert!(hits.is_sorted_by(|a, b| a.similarity >= b.similarity), "{hits:?}");
        hits.iter().map(|hit| hit.point.key().to_string()).collect::<BTreeSet<_>>()
    };
    let all = ["INT-0", "INT-1000", "INT-1500", "INT-2000", "INT-500"].map(str::to_owned).into();
    assert_eq!(keys(&rare).await, all);
    let failed = ["INT-0", "INT-1000", "INT-2000"].map(str::to_owned).into();
    assert_eq!(keys(&rare.clone().with_outcome(Outcome::Failure)).await, failed);
    assert_eq!(keys(&rare.with_limit(3)).await.len(), 3);
}

/// A filter that admits what is near needs no more than the search.
#[tokio::test]
async fn a_filter_that_is_filled_does_not_read_the_graph() {
    let (memory, server) = with_key().await;
    memory.add_datapoints(&(1..30).map(integration).collect::<Vec<_>>(), &[]).await.expect("added");
    let query = SearchQuery::new("settlement").with_kind(DataPointKind::Integration).with_limit(5);
    assert_eq!(memory.search_integrations(&query).await.expect("the search").len(), 5);
    assert!(!server.requests().iter().any(|request| request.ends_with("/graph")));
}

/// What reads the whole graph names the setting that it does not fit into.
#[tokio::test]
async fn a_graph_without_room_names_the_setting() {
    let server = fake::Cognee::start().await;
    let memory = memory(&server, key(&server));
    memory.add_datapoints(&(0..200).map(domain).collect::<Vec<_>>(), &[]).await.expect("added");
    let http = HttpConfig::new().with_max_body(20_000);
    let config = CogneeConfig::new(server.address(), key(&server)).with_http(http);
    let small = Cognee::new(config).expect("the settings are sound");
    let key = |text: &str| MemoryKey::new(text).expect("legal");
    let relation = Relation::new(domain(1).id(), "feeds", domain(2).id()).expect("legal");
    let errors = [
        small.suggest_integration_path(&key("a"), &key("b")).await.err(),
        small.add_datapoints(&[], &[relation]).await.err(),
        small.search_integrations(&SearchQuery::new("cards").with_limit(100)).await.err(),
    ];
    for error in errors {
        let error = error.expect("there is no room for it");
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error:#}");
        assert_eq!(error.context("setting"), Some("http.max_body"));
        assert!(error.hint_text().contains("http.max_body"), "{error:#}");
    }
    let evidence = memory.suggest_integration_path(&key("a"), &key("b")).await;
    assert_eq!(evidence.expect("there is room"), None);
}

/// The answer has each data point several times, and a hundred of them unless it is asked for fewer.
#[tokio::test]
async fn a_search_among_long_texts_fits() {
    let server = fake::Cognee::start().await;
    let http = HttpConfig::new().with_max_body(1 << 20);
    let config = CogneeConfig::new(server.address(), key(&server)).with_http(http);
    let memory = Cognee::new(config).expect("the settings are sound");
    let long = |i: usize| -> DataPoint {
        let key = MemoryKey::new(format!("domain{i:03}")).expect("legal");
        let text = format!("cards {} {}", "about ".repeat(i), "x".repeat(10_000));
        Domain::new(key).with_description(text).into()
    };
    let points: Vec<_> = (0..150).map(long).collect();
    let found = async |limit: usize| -> Result<usize> {
        let hits = memory.search_integrations(&SearchQuery::new("cards").with_limit(limit)).await?;
        assert!(hits.is_sorted_by(|a, b| a.similarity >= b.similarity), "{hits:?}");
        let keys = hits.iter().map(|hit| hit.point.key().to_string());
        Ok(keys.collect::<BTreeSet<_>>().len())
    };
    memory.add_datapoints(&points[..40], &[]).await.expect("the import");
    // As many as the answer has room for, and the others out of the graph, which has room too.
    assert_eq!(found(10).await.expect("there is room"), 10);
    assert_eq!(found(100).await.expect("there is room"), 40);
    memory.add_datapoints(&points[40..], &[]).await.expect("the import");
    assert_eq!(found(10).await.expect("there is room"), 10);
    let error: Error = found(100).await.expect_err("neither has room");
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error:#}");
    let nothing = HttpConfig::new().with_max_body(20_000);
    let config = CogneeConfig::new(server.address(), key(&server)).with_http(nothing);
    let memory = Cognee::new(config).expect("the settings are sound");
    let error = memory.search_integrations(&SearchQuery::new("cards")).await;
    let error = error.expect_err("no data point has room");
    assert_eq!(error.context("setting"), Some("http.max_body"), "{error:#}");
}

/// A server that takes connections and says nothing: whoever adds waits for those before, and no
/// longer than for the server.
#[tokio::test]
async fn a_server_that_hangs_holds_up_nobody_for_longer_than_the_setting_says() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("it is bound"));
    let limit = Duration::from_secs(1);
    let config = CogneeConfig::new(address, Auth::None)
        .with_http(HttpConfig::new().with_timeout(limit))
        .with_write_timeout(limit);
    let memory = Cognee::new(config).expect("the settings are sound");
    let (point, start) = ([domain(1)], Instant::now());
    let added = join_all((0..40).map(|_| memory.add_datapoints(&point, &[]))).await;
    // One after another, they would take forty times as long.
    assert!(start.elapsed() < limit * 20, "{:?}", start.elapsed());
    let settings = added.into_iter().map(|added| {
        let error = added.expect_err("nobody answers");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:#}");
        error.context("setting").expect("it is named").to_owned()
    });
    let settings: BTreeSet<_> = settings.collect();
    // To find the dataset is a read.
    assert_eq!(settings, ["http.timeout", "write_timeout"].map(str::to_owned).into());
}

#[test]
fn all_faulty_settings_are_named_at_once() {
    let login = Auth::login("", SecretSource::Value("x".into()));
    let config = CogneeConfig::new("ftp://user:canary@host", login).with_dataset("a/b");
    assert!(!format!("{config:?}").contains("canary"), "{config:?}");
    let error = Cognee::new(config).expect_err("three faults");
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    for setting in ["address", "dataset", "auth.username"] {
        assert!(error.context(setting).is_some(), "{setting}: {error:#}");
    }
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
}
