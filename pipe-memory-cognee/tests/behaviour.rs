//! What the client does beyond the contract, on a fake server.

use pipe_core::memory::{DataPoint, Domain, GovernanceMemory, MemoryKey, Relation, SearchQuery};
use pipe_core::{ErrorKind, SecretSource};
use pipe_memory_cognee::{Auth, Cognee, CogneeConfig, CognifyReport, Document};
use pipe_testkit::fake::{self, CogneeFault};

fn memory(server: &fake::Cognee, auth: Auth) -> Cognee {
    Cognee::new(CogneeConfig::new(server.address(), auth)).expect("the settings are sound")
}

async fn with_key() -> (Cognee, fake::Cognee) {
    let server = fake::Cognee::start().await;
    let key = SecretSource::Value(server.create_api_key().as_str().into());
    (memory(&server, Auth::api_key(key)), server)
}

fn domain(i: usize) -> DataPoint {
    let key = MemoryKey::new(format!("domain{i}")).expect("legal");
    Domain::new(key).with_description("cards").into()
}

/// A thousand in each archive; a relation takes its ends along.
#[tokio::test]
async fn a_large_call_is_several_archives() {
    let (memory, server) = with_key().await;
    let points: Vec<_> = (0..2500).map(domain).collect();
    let relation =
        |i: usize| Relation::new(points[i].id(), "feeds", points[2499 - i].id()).expect("legal");
    let relations: Vec<_> = (0..1000).map(relation).collect();
    let report = memory.add_datapoints(&points, &relations).await.expect("the import");
    assert_eq!((report.data_points, report.relations), (2500, 1000));
    assert_eq!(server.graph_size("governance"), (2501, 3500));
    let imports = server.requests();
    let imports = imports.iter().filter(|request| request.ends_with("/remember"));
    assert_eq!(imports.count(), 3);
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

fn document(key: &str, text: &str) -> Document {
    Document::new(MemoryKey::new(key).expect("legal"), text)
}

async fn impatient(server: &fake::Cognee) -> Cognee {
    let key = SecretSource::Value(server.create_api_key().as_str().into());
    let config = CogneeConfig::new(server.address(), Auth::api_key(key));
    let config = config.with_poll_interval(std::time::Duration::from_millis(1));
    Cognee::new(config).expect("the settings are sound")
}

#[tokio::test]
async fn texts_become_a_graph_in_the_background() {
    let server = fake::Cognee::start().await;
    let memory = impatient(&server).await;
    let nothing = memory.cognify_governance_data().await.expect("there is nothing to do");
    assert_eq!(nothing, CognifyReport::NothingToDo);
    let minutes =
        [document("minutes/1", "The hub was chosen."), document("minutes/2", "/etc/passwd")];
    memory.add_documents(&minutes).await.expect("they are stored");
    memory.add_documents(&minutes).await.expect("they are stored already");
    let done = memory.cognify_governance_data().await.expect("the graph is made");
    assert!(matches!(done, CognifyReport::Completed { .. }), "{done:?}");
    // Texts do not get between the data points.
    assert_eq!(server.graph_size("governance"), (0, 0));
}

#[tokio::test]
async fn another_text_under_the_same_key_is_a_conflict() {
    let (memory, _server) = with_key().await;
    memory.add_documents(&[document("a", "one")]).await.expect("it is stored");
    let error = memory.add_documents(&[document("a", "two")]).await.expect_err("it differs");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let error = memory.add_documents(&[document("b", " ")]).await.expect_err("it is empty");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn a_run_that_fails_says_by_what_class_of_fault() {
    let server = fake::Cognee::start().await;
    let memory = impatient(&server).await;
    memory.add_documents(&[document("a", "one")]).await.expect("it is stored");
    server.break_model();
    let error = memory.cognify_governance_data().await.expect_err("the model refuses");
    assert_eq!(error.context("error_class"), Some("AuthenticationError"), "{error:#}");
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
