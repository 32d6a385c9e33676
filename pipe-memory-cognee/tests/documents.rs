//! Texts, their graph, and what they say, on a fake server.

use std::collections::BTreeSet;
use std::time::Duration;

use pipe_core::memory::{Domain, GovernanceMemory as _, MemoryKey, SearchQuery, Source};
use pipe_core::{ErrorKind, SecretSource};
use pipe_http::HttpConfig;
use pipe_memory_cognee::{
    Auth, Cognee, CogneeConfig, CognifyEvent, CognifyReport, Document, Replaced,
};
use pipe_testkit::fake;

fn key(text: &str) -> MemoryKey {
    MemoryKey::new(text).expect("legal")
}

fn document(key: &str, text: &str) -> Document {
    Document::new(self::key(key), text)
}

fn memory_in(server: &fake::Cognee, auth: Auth, dataset: &str) -> Cognee {
    let config = CogneeConfig::new(server.address(), auth)
        .with_dataset(dataset)
        .with_poll_interval(Duration::from_millis(1));
    Cognee::new(config).expect("the settings are sound")
}

async fn with_key() -> (Cognee, fake::Cognee) {
    let server = fake::Cognee::start().await;
    let key = SecretSource::Value(server.create_api_key().as_str().into());
    (memory_in(&server, Auth::api_key(key), "governance"), server)
}

/// Two texts with a graph.
async fn with_minutes() -> (Cognee, fake::Cognee) {
    let (memory, server) = with_key().await;
    let minutes = [
        document("minutes/1", "payments chose the hub"),
        document("minutes/2", "claims chose the mesh with underwriting"),
    ];
    memory.add_documents(&minutes).await.expect("they are stored");
    memory.cognify_governance_data().await.expect("the graph is made");
    (memory, server)
}

async fn events(memory: &Cognee) -> Vec<String> {
    let mut events = memory.cognify_events();
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        seen.push(match event.expect("all goes well") {
            CognifyEvent::Waiting { .. } => "waiting".to_owned(),
            CognifyEvent::Started { .. } => "started".to_owned(),
            CognifyEvent::Progress(progress) => {
                format!("{}/{} {:?}", progress.completed, progress.total, progress.stage)
            }
            CognifyEvent::Finished(CognifyReport::Completed { .. }) => "completed".to_owned(),
            CognifyEvent::Finished(CognifyReport::NothingToDo) => "nothing to do".to_owned(),
            other => panic!("{other:?}"),
        });
    }
    seen
}

#[tokio::test]
async fn texts_become_a_graph_in_the_background() {
    let (memory, server) = with_key().await;
    let nothing = memory.cognify_governance_data().await.expect("there is nothing to do");
    assert_eq!(nothing, CognifyReport::NothingToDo);
    let minutes =
        [document("minutes/1", "The hub was chosen."), document("minutes/2", "/etc/passwd")];
    memory.add_documents(&minutes).await.expect("they are stored");
    memory.add_documents(&minutes).await.expect("they are stored already");
    assert_eq!(server.chat_calls(), 0);
    let done = memory.cognify_governance_data().await.expect("the graph is made");
    let CognifyReport::Completed { run, tokens, .. } = done else { panic!("{done:?}") };
    assert_eq!((run.len(), tokens.input), (36, Some(4)));
    // Texts do not get between the data points.
    assert_eq!(server.graph_size("governance"), (0, 0));
}

#[tokio::test]
async fn all_that_happens_is_told_in_its_order() {
    let (memory, _server) = with_key().await;
    assert_eq!(events(&memory).await, ["nothing to do"]);
    memory.add_documents(&[document("a", "one"), document("b", "two")]).await.expect("stored");
    assert_eq!(events(&memory).await, ["started", r#"1/2 Some("a_stage")"#, "completed"]);
}

/// Whoever stops listening stops nothing on the server, and can come back.
#[tokio::test]
async fn a_run_that_nobody_listens_to_is_waited_for_by_the_next() {
    let (memory, server) = with_key().await;
    memory.add_documents(&[document("a", "one")]).await.expect("stored");
    let mut dropped = memory.cognify_events();
    let started = dropped.next().await.expect("an event").expect("it begins");
    let CognifyEvent::Started { run, .. } = started else { panic!("{started:?}") };
    drop(dropped);
    let asked = server.requests().len();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(server.requests().len(), asked, "somebody goes on asking");
    let mut events = memory.cognify_events();
    let waiting = events.next().await.expect("an event").expect("it waits");
    let CognifyEvent::Waiting { run: earlier, .. } = waiting else { panic!("{waiting:?}") };
    assert_eq!(earlier, run);
    let started = events.next().await.expect("an event").expect("it begins");
    let CognifyEvent::Started { run: own, .. } = started else { panic!("{started:?}") };
    assert_ne!(own, run);
}

/// A stream that nobody asks does nothing.
#[tokio::test]
async fn nothing_begins_before_somebody_waits() {
    let (memory, server) = with_key().await;
    let asked = server.requests().len();
    drop(memory.cognify_events());
    assert_eq!(server.requests().len(), asked);
}

#[tokio::test]
async fn a_run_that_fails_says_by_what_class_of_fault() {
    let (memory, server) = with_key().await;
    memory.add_documents(&[document("a", "one")]).await.expect("it is stored");
    server.break_model();
    let mut events = memory.cognify_events();
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event);
    }
    let error = last.expect("an item").expect_err("the model refuses");
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    assert_eq!(error.context("error_class"), Some("AuthenticationError"), "{error:#}");
    assert_eq!(error.context("stage"), Some("a_stage"), "{error:#}");
    assert_eq!(error.operation(), "cognify_governance_data");
    server.repair_model();
    memory.cognify_governance_data().await.expect("what is left is done");
    assert_eq!(memory.search_documents("one", 5).await.expect("the search").len(), 1);
}

/// The deadline is that of the call, however many events there are.
#[tokio::test]
async fn a_run_without_end_ends_at_the_deadline() {
    let (memory, server) = with_minutes().await;
    let auth = SecretSource::Value(server.create_api_key().as_str().into());
    let config = CogneeConfig::new(server.address(), Auth::api_key(auth))
        .with_poll_interval(Duration::from_secs(3600))
        .with_cognify_timeout(Duration::from_secs(1));
    let patient = Cognee::new(config).expect("the settings are sound");
    let error = patient.cognify_governance_data().await.expect_err("nobody asks in time");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:#}");
    assert_eq!(error.context("run").map(str::len), Some(36));
    assert!(error.hint_text().contains("cognify_timeout"));
    drop(memory);
}

#[tokio::test]
async fn another_text_under_the_same_key_is_a_conflict() {
    let (memory, _server) = with_key().await;
    memory.add_documents(&[document("a", "one")]).await.expect("it is stored");
    let error = memory.add_documents(&[document("a", "two")]).await.expect_err("it differs");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    for odd in [document("b", " "), document(&"k".repeat(129), "one")] {
        let error = memory.add_documents(&[odd]).await.expect_err("it is not stored");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
    let longest = document(&"k".repeat(128), "one");
    memory.add_documents(&[longest]).await.expect("there is room for its key");
}

/// The server would store both under the one name.
#[tokio::test]
async fn two_texts_of_one_key_in_one_call_are_refused() {
    let (memory, server) = with_key().await;
    let error = memory.add_documents(&[document("a", "one"), document("a", "two")]).await;
    assert_eq!(error.expect_err("which one?").kind(), ErrorKind::InvalidArgument);
    assert!(!server.requests().iter().any(|request| request.ends_with("/add")));
    memory.add_documents(&[document("a", "one"), document("a", "one")]).await.expect("one text");
    memory.cognify_governance_data().await.expect("the graph is made");
    assert_eq!(memory.search_documents("one", 5).await.expect("the search").len(), 1);
}

#[tokio::test]
async fn texts_that_somebody_shares_for_reading_are_not_written_to() {
    let (memory, server) = with_minutes().await;
    server.make_read_only();
    let errors = [
        memory.add_documents(&[document("c", "three")]).await.err(),
        memory.replace_document(&document("minutes/1", "other")).await.err(),
        memory.cognify_governance_data().await.err(),
    ];
    for error in errors {
        let error = error.expect("it is not ours");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:#}");
    }
    assert_eq!(memory.search_documents("hub", 5).await.expect("the search").len(), 2);
}

#[tokio::test]
async fn pieces_of_texts_are_found_without_a_language_model() {
    let (memory, server) = with_minutes().await;
    let before = server.chat_calls();
    let hits = memory.search_documents("who chose the hub", 5).await.expect("the search");
    assert_eq!(hits.len(), 2);
    let (first, second) = (&hits[0], &hits[1]);
    assert_eq!(first.text, "payments chose the hub");
    assert_eq!(first.provenance.document, key("minutes/1"));
    assert_eq!(first.provenance.dataset, "governance-texts");
    assert_eq!((first.provenance.index, first.source), (0, Source::Cognee));
    assert!(first.similarity > second.similarity, "{hits:?}");
    assert_eq!(memory.search_documents("hub", 1).await.expect("the search").len(), 1);
    assert_eq!(server.chat_calls(), before);
}

#[tokio::test]
async fn what_asks_for_nothing_is_refused() {
    let (memory, server) = with_minutes().await;
    let asked = server.requests().len();
    let errors = [
        memory.search_documents(" ", 5).await.err(),
        memory.search_documents("x", 0).await.err(),
        memory.search_documents("x", 101).await.err(),
        memory.answer_with_language_model("").await.err(),
    ];
    for error in errors {
        let kind = error.expect("it asks for nothing").kind();
        assert_eq!(kind, ErrorKind::InvalidArgument);
    }
    assert_eq!(server.requests().len(), asked);
}

#[tokio::test]
async fn texts_without_a_graph_have_no_hits_and_no_answer() {
    let (memory, _server) = with_key().await;
    for _ in 0..2 {
        assert_eq!(memory.search_documents("hub", 5).await.expect("the search"), []);
        let answer = memory.answer_with_language_model("which?").await.expect("the question");
        assert_eq!(answer, None);
        memory.add_documents(&[document("a", "hub")]).await.expect("it is stored");
    }
}

#[tokio::test]
async fn an_answer_names_the_pieces_that_it_was_made_from() {
    let (memory, server) = with_minutes().await;
    let before = server.chat_calls();
    let hits = memory.search_documents("the hub", 5).await.expect("the search");
    let answer = memory.answer_with_language_model("who chose the hub?").await.expect("an answer");
    let answer = answer.expect("there are texts");
    assert_eq!((answer.text.as_str(), answer.chunks.len()), ("an answer", 2));
    assert!(answer.chunks.contains(&hits[0].provenance.chunk));
    assert_eq!(server.chat_calls(), before + 1);
    server.break_model();
    let error = memory.answer_with_language_model("who?").await.expect_err("the model refuses");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
}

/// The server remembers what was asked in a session, and in the one that is used when none is named.
#[tokio::test]
async fn every_search_is_in_a_session_of_its_own() {
    let (memory, server) = with_minutes().await;
    let domain = Domain::new(key("payments")).with_description("cards");
    memory.add_datapoints(&[domain.into()], &[]).await.expect("added");
    for _ in 0..2 {
        memory.search_documents("hub", 5).await.expect("the search");
        memory.answer_with_language_model("which?").await.expect("the question");
        memory.search_integrations(&SearchQuery::new("cards")).await.expect("the search");
    }
    let sessions = server.sessions();
    assert!(sessions.len() >= 6 && !sessions.iter().any(String::is_empty), "{sessions:?}");
    assert_eq!(sessions.iter().collect::<BTreeSet<_>>().len(), sessions.len());
}

/// Such a server searches the texts of all datasets.
#[tokio::test]
async fn without_access_control_only_the_memorys_own_texts_are_found() {
    let server = fake::Cognee::start_open().await;
    let (ours, others) =
        (memory_in(&server, Auth::None, "ours"), memory_in(&server, Auth::None, "others"));
    let many: Vec<_> = (0..30).map(|i| document(&format!("{i}"), "the hub")).collect();
    others.add_documents(&many).await.expect("stored");
    ours.add_documents(&[document("a", "the hub, of ours, and more")]).await.expect("stored");
    for memory in [&ours, &others] {
        memory.cognify_governance_data().await.expect("the graph is made");
    }
    let hits = ours.search_documents("the hub", 5).await.expect("the search");
    let texts: Vec<_> = hits.iter().map(|hit| hit.text.as_str()).collect();
    assert_eq!(texts, ["the hub, of ours, and more"]);
    assert_eq!(others.search_documents("the hub", 5).await.expect("the search").len(), 5);
}

/// As everything does that does not fit.
#[tokio::test]
async fn pieces_without_room_name_the_setting() {
    let (memory, server) = with_minutes().await;
    let long = document("minutes/3", &"mesh ".repeat(10_000));
    memory.add_documents(&[long]).await.expect("it is stored");
    memory.cognify_governance_data().await.expect("the graph is made");
    let auth = Auth::api_key(SecretSource::Value(server.create_api_key().as_str().into()));
    let config = CogneeConfig::new(server.address(), auth)
        .with_http(HttpConfig::new().with_max_body(20_000));
    let small = Cognee::new(config).expect("the settings are sound");
    let error = small.search_documents("mesh", 3).await.expect_err("there is no room for them");
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error:#}");
    assert_eq!(error.context("setting"), Some("http.max_body"), "{error:#}");
}

#[tokio::test]
async fn a_text_takes_the_place_of_another() {
    let (memory, _server) = with_minutes().await;
    let found = async || {
        let hits = memory.search_documents("payments chose the hub", 1).await.expect("the search");
        (hits[0].text.clone(), hits[0].provenance.document.clone())
    };
    let other = document("minutes/1", "payments chose the hub, and the mesh too");
    let replaced = memory.replace_document(&other).await.expect("it is replaced");
    assert_eq!(replaced, Replaced::Replaced);
    assert_eq!(found().await, (other.text.clone(), key("minutes/1")));
    let again = memory.replace_document(&other).await.expect("nothing changes");
    assert_eq!(again, Replaced::Unchanged);
    let unknown = memory.replace_document(&document("minutes/3", "new")).await;
    assert_eq!(unknown.expect_err("nothing is there").kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_text_of_which_there_is_a_graph_is_not_lost_when_the_model_fails() {
    let (memory, server) = with_minutes().await;
    server.break_model();
    let other = document("minutes/1", "payments chose the bus");
    let error = memory.replace_document(&other).await.expect_err("the model refuses");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
    let hits = memory.search_documents("payments chose", 1).await.expect("the search");
    assert_eq!(hits[0].text, "payments chose the hub");
    server.repair_model();
    memory.replace_document(&other).await.expect("it is replaced");
    let hits = memory.search_documents("payments chose", 1).await.expect("the search");
    assert_eq!(hits[0].text, "payments chose the bus");
}

/// It is stored first, and the graph is made of it afterwards.
#[tokio::test]
async fn a_text_without_a_graph_may_be_replaced_when_the_model_fails() {
    let (memory, server) = with_key().await;
    memory.add_documents(&[document("a", "payments chose the hub")]).await.expect("stored");
    server.break_model();
    let error = memory.replace_document(&document("a", "payments chose the bus")).await;
    assert_eq!(error.expect_err("the model refuses").kind(), ErrorKind::Unavailable);
    server.repair_model();
    memory.cognify_governance_data().await.expect("the graph is made");
    let hits = memory.search_documents("payments", 5).await.expect("the search");
    assert_eq!(hits.len(), 1);
    assert_eq!(
        (hits[0].text.as_str(), &hits[0].provenance.document),
        ("payments chose the bus", &key("a"))
    );
}

/// The server lists a page at a time.
#[tokio::test]
async fn a_text_is_replaced_among_thousands() {
    let (memory, server) = with_key().await;
    let many: Vec<_> = (0..1000).map(|i| document(&format!("{i}"), "text")).collect();
    memory.add_documents(&many).await.expect("stored");
    memory.add_documents(&[document("last", "text")]).await.expect("stored");
    let replaced = memory.replace_document(&document("last", "other")).await.expect("replaced");
    assert_eq!(replaced, Replaced::Replaced);
    let pages = server.requests().iter().filter(|request| request.ends_with("/data")).count();
    assert_eq!(pages, 2);
}
