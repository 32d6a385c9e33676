//! What goes on while the server is away, and what is delivered afterwards.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use pipe_core::memory::{
    Custom, DataPoint, DataPointKind, Domain, GovernanceMemory, Integration, IntegrationPath,
    IntegrationStatus, MemoryKey, SearchQuery, Source,
};
use pipe_core::{ErrorKind, Health, HealthStatus, Plugin as _};
use pipe_http::HttpConfig;
use pipe_memory_cognee::{
    Auth, Cognee, CogneeConfig, Delivery, Fallback, FallbackPolicy, LocalMemory, Reads, Writes,
};
use pipe_testkit::reference::InMemoryGovernance;
use tokio::net::TcpListener;

/// A directory of one test, which is removed with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pipe-fallback-{}-{count}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn policy(&self, limit: usize) -> FallbackPolicy {
        let writes = Writes::Queue { directory: self.0.clone(), limit };
        FallbackPolicy::new(Reads::AnswerLocally, writes)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn open(server: &InMemoryGovernance, policy: FallbackPolicy) -> Fallback<InMemoryGovernance> {
    Fallback::open(server.clone(), LocalMemory::new(), policy).await.expect("it can be opened")
}

fn domain(name: &str, description: &str) -> DataPoint {
    let key = MemoryKey::new(name).expect("legal");
    Domain::new(key).with_description(description).into()
}

async fn found(memory: &dyn GovernanceMemory, text: &str) -> Vec<(DataPoint, Source)> {
    let hits = memory.search_integrations(&SearchQuery::new(text)).await.expect("the search");
    hits.into_iter().map(|hit| (hit.point, hit.source)).collect()
}

mod compliance {
    use super::*;

    async fn present() -> Option<(Fallback<InMemoryGovernance>, Directory)> {
        let directory = Directory::new();
        Some((open(&InMemoryGovernance::new(), directory.policy(1000)).await, directory))
    }

    async fn denied() -> Option<(Fallback<InMemoryGovernance>, Directory)> {
        let (server, directory) = (InMemoryGovernance::new(), Directory::new());
        server.fail_with(ErrorKind::PermissionDenied);
        Some((open(&server, directory.policy(1000)).await, directory))
    }

    async fn unavailable() -> Option<(Fallback<InMemoryGovernance>, ())> {
        let server = InMemoryGovernance::new();
        server.fail_with(ErrorKind::Unavailable);
        Some((open(&server, FallbackPolicy::new(Reads::Fail, Writes::Fail)).await, ()))
    }

    pipe_testkit::memory_compliance!(present, denied = denied, unavailable = unavailable);
}

/// The same suite, with nobody but the process to answer.
mod away {
    use super::*;

    async fn away() -> Option<(Fallback<InMemoryGovernance>, Directory)> {
        let (server, directory) = (InMemoryGovernance::new(), Directory::new());
        server.fail_with(ErrorKind::Unavailable);
        Some((open(&server, directory.policy(1000)).await, directory))
    }

    #[tokio::test]
    async fn answers_say_that_they_are_local() {
        let (memory, _directory) = away().await.expect("it needs nobody");
        let payments = domain("payments", "cards");
        let report = memory.add_datapoints(std::slice::from_ref(&payments), &[]).await;
        let report = report.expect("it waits");
        assert_eq!((report.source, report.data_points, report.queued), (Source::Local, 0, 1));
        assert_eq!(found(&memory, "cards").await, [(payments, Source::Local)]);
        let health = memory.health().await;
        assert_eq!(health.status, HealthStatus::Degraded, "{health:?}");
    }

    #[tokio::test]
    async fn a_suggestion_is_local_too() {
        let (memory, _directory) = away().await.expect("it needs nobody");
        let key = |text: &str| MemoryKey::new(text).expect("legal");
        let past = Integration::new(key("i"), key("a"), key("b"), IntegrationPath::Hub)
            .with_status(IntegrationStatus::Connected);
        memory.add_datapoints(&[past.into()], &[]).await.expect("it waits");
        let suggestion = memory.suggest_integration_path(&key("a"), &key("b")).await;
        let suggestion = suggestion.expect("it is answered").expect("there is evidence");
        assert_eq!(suggestion.source, Source::Local);
    }
}

/// Neither says where it comes from, and the server may well know something.
#[tokio::test]
async fn an_outage_is_neither_an_empty_list_nor_no_evidence() {
    let (server, directory) = (InMemoryGovernance::new(), Directory::new());
    let key = |text: &str| MemoryKey::new(text).expect("legal");
    let past = Integration::new(key("i"), key("a"), key("b"), IntegrationPath::Hub)
        .with_status(IntegrationStatus::Connected);
    server.add_datapoints(&[past.into()], &[]).await.expect("an earlier process adds it");
    let memory = open(&server, directory.policy(1000)).await;
    server.fail_with(ErrorKind::Unavailable);
    let errors = [
        memory.search_integrations(&SearchQuery::new("hub")).await.err(),
        memory.suggest_integration_path(&key("a"), &key("b")).await.err(),
    ];
    for error in errors {
        assert_eq!(error.expect("it could not be found out").kind(), ErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn what_waited_is_delivered_in_its_order_and_once() {
    let (server, directory) = (InMemoryGovernance::new(), Directory::new());
    let memory = open(&server, directory.policy(1000)).await;
    server.fail_with(ErrorKind::Timeout);
    for description in ["first", "second", "third"] {
        memory.add_datapoints(&[domain("a", description)], &[]).await.expect("it waits");
    }
    assert_eq!(memory.waiting(), 3);
    server.fail_with(None);
    let delivery = memory.deliver().await.expect("the server is back");
    assert_eq!((delivery.delivered, delivery.refused, memory.waiting()), (3, 0, 0));
    assert_eq!(found(&server, "a").await, [(domain("a", "third"), Source::Local)]);
    assert_eq!(memory.deliver().await.expect("nothing waits"), Delivery::default());
}

#[tokio::test]
async fn what_is_added_later_comes_after_what_waited() {
    let (server, directory) = (InMemoryGovernance::new(), Directory::new());
    let memory = open(&server, directory.policy(1000)).await;
    server.fail_with(ErrorKind::Unavailable);
    memory.add_datapoints(&[domain("a", "older")], &[]).await.expect("it waits");
    server.fail_with(None);
    memory.add_datapoints(&[domain("a", "newer")], &[]).await.expect("the server is back");
    assert_eq!(found(&server, "a").await, [(domain("a", "newer"), Source::Local)]);
    assert_eq!(memory.waiting(), 0);
}

/// Nobody has to add something first, and the answer is the server's.
#[tokio::test]
async fn what_waited_is_found_once_the_server_is_back() {
    let (server, directory) = (InMemoryGovernance::new(), Directory::new());
    let memory = open(&server, directory.policy(1000)).await;
    server.add_datapoints(&[domain("b", "cards")], &[]).await.expect("somebody else adds it");
    server.fail_with(ErrorKind::Unavailable);
    let key = |text: &str| MemoryKey::new(text).expect("legal");
    let past = Integration::new(key("i"), key("a"), key("b"), IntegrationPath::Hub)
        .with_status(IntegrationStatus::Connected);
    memory.add_datapoints(&[domain("a", "cards"), past.into()], &[]).await.expect("it waits");
    server.fail_with(None);
    assert_eq!(memory.health().await.status, HealthStatus::Degraded);
    assert_eq!(found(&memory, "cards").await.len(), 2);
    assert_eq!(memory.waiting(), 0);
    assert_eq!(memory.health().await.status, HealthStatus::Healthy);
    let suggestion = memory.suggest_integration_path(&key("a"), &key("b")).await;
    assert!(suggestion.expect("it is answered").is_some());
}

#[tokio::test]
async fn what_waited_survives_the_process() {
    let (server, directory) = (InMemoryGovernance::new(), Directory::new());
    server.fail_with(ErrorKind::Unavailable);
    let memory = open(&server, directory.policy(1000)).await;
    memory.add_datapoints(&[domain("a", "cards")], &[]).await.expect("it waits");
    drop(memory);
    let memory = open(&server, directory.policy(1000)).await;
    assert_eq!(memory.waiting(), 1);
    assert_eq!(found(&memory, "cards").await, [(domain("a", "cards"), Source::Local)]);
    server.fail_with(None);
    memory.deliver().await.expect("the server is back");
    assert_eq!(found(&server, "cards").await.len(), 1);
}

/// A process that dies between the delivery and forgetting it delivers once more.
#[tokio::test]
async fn a_batch_that_arrives_twice_is_one() {
    let (server, directory) = (InMemoryGovernance::new(), Directory::new());
    server.fail_with(ErrorKind::Unavailable);
    let memory = open(&server, directory.policy(1000)).await;
    memory.add_datapoints(&[domain("a", "cards")], &[]).await.expect("it waits");
    let files = std::fs::read_dir(&directory.0).expect("the directory");
    let mut files = files.map(|file| file.expect("a file").path());
    let file = files.find(|file| file.extension().is_some_and(|end| end == "json"));
    let file = file.expect("a batch");
    let content = std::fs::read(&file).expect("it can be read");
    server.fail_with(None);
    memory.deliver().await.expect("the server is back");
    std::fs::write(&file, content).expect("it can be written");
    drop(memory);
    let memory = open(&server, directory.policy(1000)).await;
    memory.deliver().await.expect("once more");
    assert_eq!(found(&server, "cards").await.len(), 1);
}

/// Their files would have the same names, and one would be lost.
#[tokio::test]
async fn a_directory_is_for_one_queue_at_a_time() {
    let (server, directory) = (InMemoryGovernance::new(), Directory::new());
    server.fail_with(ErrorKind::Unavailable);
    let memory = open(&server, directory.policy(1000)).await;
    let again = Fallback::open(server.clone(), LocalMemory::new(), directory.policy(1000)).await;
    let error = again.expect_err("it is taken");
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error:#}");
    assert!(error.hint_text().contains("directory"), "{error:#}");
    memory.add_datapoints(&[domain("a", "cards")], &[]).await.expect("it waits");
    drop(memory);
    assert_eq!(open(&server, directory.policy(1000)).await.waiting(), 1);
}

/// It would take no room of the bound, and so there could be any number of files.
#[tokio::test]
async fn nothing_added_leaves_nothing_on_disk() {
    let (server, directory) = (InMemoryGovernance::new(), Directory::new());
    server.fail_with(ErrorKind::Unavailable);
    let memory = open(&server, directory.policy(1)).await;
    let files = || std::fs::read_dir(&directory.0).expect("the directory").count();
    let before = files();
    for _ in 0..10 {
        memory.add_datapoints(&[], &[]).await.expect("there is nothing to do");
    }
    assert_eq!(files(), before);
}

#[tokio::test]
async fn what_somebody_took_away_is_not_called_delivered() {
    let (server, directory) = (InMemoryGovernance::new(), Directory::new());
    server.fail_with(ErrorKind::Unavailable);
    let memory = open(&server, directory.policy(1000)).await;
    for name in ["a", "b"] {
        memory.add_datapoints(&[domain(name, "cards")], &[]).await.expect("it waits");
    }
    std::fs::remove_file(directory.0.join(format!("{:020}.json", 1))).expect("it is there");
    server.fail_with(None);
    let delivery = memory.deliver().await.expect("the server is back");
    assert_eq!((delivery.delivered, memory.waiting()), (1, 0));
    assert_eq!(found(&server, "cards").await, [(domain("b", "cards"), Source::Local)]);
}

/// The writers behind one who has waited for it do not each wait for it too.
#[tokio::test]
async fn a_server_that_hangs_is_waited_for_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("it is bound"));
    let limit = Duration::from_millis(500);
    let config = CogneeConfig::new(address, Auth::None)
        .with_http(HttpConfig::new().with_timeout(limit))
        .with_write_timeout(limit);
    let server = Cognee::new(config).expect("the settings are sound");
    let directory = Directory::new();
    let memory = Fallback::open(server, LocalMemory::new(), directory.policy(1000)).await;
    let memory = memory.expect("it can be opened");
    let points: Vec<_> = (0..40).map(|i| domain(&format!("domain{i}"), "cards")).collect();
    let start = Instant::now();
    let added = join_all(points.chunks(1).map(|one| memory.add_datapoints(one, &[]))).await;
    // One after another, they would take forty times as long.
    assert!(start.elapsed() < limit * 20, "{:?}", start.elapsed());
    assert!(added.iter().all(Result::is_ok), "{added:?}");
    assert_eq!(memory.waiting(), 40);
}

/// Nobody could read it again, and everything behind it would wait for ever.
#[tokio::test]
async fn what_cannot_be_read_again_does_not_wait() {
    let (server, directory) = (InMemoryGovernance::new(), Directory::new());
    server.fail_with(ErrorKind::Unavailable);
    let memory = open(&server, directory.policy(1000)).await;
    let deep = (0..200).fold(serde_json::Value::from(1), |inner, _| vec![inner].into());
    let kind = DataPointKind::custom("Runbook").expect("legal");
    let custom = Custom::new(kind, MemoryKey::new("deep").expect("legal"));
    let added = memory.add_datapoints(&[custom.with_property("deep", deep).into()], &[]).await;
    assert_eq!(added.expect_err("it is too deep").kind(), ErrorKind::InvalidArgument);
    memory.add_datapoints(&[domain("a", "cards")], &[]).await.expect("it waits");
    server.fail_with(None);
    assert_eq!(memory.deliver().await.expect("the server is back").delivered, 1);
}

#[tokio::test]
async fn a_full_queue_refuses_and_loses_nothing() {
    let (server, directory) = (InMemoryGovernance::new(), Directory::new());
    server.fail_with(ErrorKind::Unavailable);
    let memory = open(&server, directory.policy(1)).await;
    memory.add_datapoints(&[domain("a", "x")], &[]).await.expect("it waits");
    let error = memory.add_datapoints(&[domain("b", "x")], &[]).await.expect_err("no room");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(memory.waiting(), 1);
}

#[tokio::test]
async fn a_batch_that_is_refused_is_set_aside_and_told() {
    let (server, directory) = (InMemoryGovernance::new(), Directory::new());
    server.fail_with(ErrorKind::Unavailable);
    let memory = open(&server, directory.policy(1000)).await;
    memory.add_datapoints(&[domain("a", "x")], &[]).await.expect("it waits");
    server.fail_with(ErrorKind::InvalidArgument);
    assert_eq!(memory.deliver().await.expect("it is over").refused, 1);
    assert_eq!(memory.waiting(), 0);
    server.fail_with(None);
    let Health { status, reason, .. } = memory.health().await;
    assert_eq!(status, HealthStatus::Degraded, "{reason}");
}

/// Whoever delivers may go away at any moment: what is refused is told all the same.
#[tokio::test]
async fn a_delivery_that_is_dropped_forgets_no_refusal() {
    for polls in 0..12 {
        let (server, directory) = (InMemoryGovernance::new(), Directory::new());
        server.fail_with(ErrorKind::Unavailable);
        let memory = open(&server, directory.policy(1000)).await;
        memory.add_datapoints(&[domain("a", "x")], &[]).await.expect("it waits");
        server.fail_with(ErrorKind::InvalidArgument);
        let mut delivery = Box::pin(memory.deliver());
        for _ in 0..polls {
            if (&mut delivery).now_or_never().is_some() {
                break;
            }
            // Time for the work on files.
            tokio::task::spawn_blocking(|| ()).await.expect("it ends");
        }
        drop(delivery);
        memory.deliver().await.expect("it is over");
        server.fail_with(None);
        assert_eq!(memory.waiting(), 0);
        assert_eq!(memory.health().await.status, HealthStatus::Degraded, "after {polls} polls");
    }
}

#[tokio::test]
async fn a_denial_is_an_answer_and_queues_nothing() {
    let (server, directory) = (InMemoryGovernance::new(), Directory::new());
    let memory = Arc::new(open(&server, directory.policy(1000)).await);
    server.fail_with(ErrorKind::PermissionDenied);
    let error = memory.add_datapoints(&[domain("a", "x")], &[]).await.expect_err("denied");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(memory.waiting(), 0);
}
