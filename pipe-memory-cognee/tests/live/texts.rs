//! Texts, of which the server makes a graph with the stub of a language model.

use pipe_core::ErrorKind;
use pipe_core::memory::{Domain, GovernanceMemory as _, MemoryKey, SearchQuery};
use pipe_memory_cognee::{Cognee, CognifyEvent, CognifyReport, CognifyStream, Document, Replaced};

use crate::server::{self, Posture, Server};

fn key(text: &str) -> MemoryKey {
    MemoryKey::new(text).expect("legal")
}

fn document(key: &str, text: &str) -> Document {
    Document::new(self::key(key), text)
}

#[tokio::test]
async fn texts_become_a_graph_and_are_stored_once() {
    let Some(server) = server::shared().await else { return };
    let memory = server.memory_in("pipe-live-minutes");
    let nothing = memory.cognify_governance_data().await.expect("there is nothing to do");
    assert_eq!(nothing, CognifyReport::NothingToDo);
    assert_eq!(memory.search_documents("hub", 3).await.expect("nothing is there"), []);
    let minutes = [
        document("minutes/1", "Payments and Ledger were integrated by the Hub."),
        document("minutes/2", "/etc/passwd"),
    ];
    memory.add_documents(&minutes).await.expect("they are stored");
    memory.add_documents(&minutes).await.expect("they are stored already");
    assert_eq!(memory.search_documents("hub", 3).await.expect("no graph is there"), []);
    let other = memory.add_documents(&[document("minutes/1", "something else")]).await;
    assert_eq!(other.expect_err("it differs").kind(), ErrorKind::Conflict);
    let done = memory.cognify_governance_data().await.expect("the graph is made");
    assert!(matches!(done, CognifyReport::Completed { .. }), "{done:?}");
    let (nodes, _) = server.graph_size("pipe-live-minutes-texts").await;
    assert!(nodes > 2, "{nodes} nodes");
}

/// A dataset of four texts, and one that takes the model seconds.
async fn with_a_slow_text(server: &Server, dataset: &str) -> Cognee {
    let memory = server.memory_in(dataset);
    let mut minutes: Vec<_> =
        (0..4).map(|i| document(&format!("{i}"), &format!("Payments {i} by the Hub."))).collect();
    minutes.push(document("slow", "Claims stubdawdles by the Mesh."));
    memory.add_documents(&minutes).await.expect("they are stored");
    memory
}

async fn rest_of(mut events: CognifyStream) -> Vec<CognifyEvent> {
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        seen.push(event.expect("all goes well"));
    }
    seen
}

/// The id of the run that begins. A server that is busy may tell of its progress before.
pub(crate) async fn begun(events: &mut CognifyStream) -> String {
    loop {
        match events.next().await.expect("it begins").expect("all goes well") {
            CognifyEvent::Started { run, .. } => return run,
            CognifyEvent::Progress(_) => {}
            event => panic!("{event:?}"),
        }
    }
}

/// A server that is busy with a run may answer nobody until it has ended, so that there may be no
/// progress to be seen; and it may tell of progress before it says that the run has begun.
#[tokio::test]
async fn all_that_a_run_tells_is_true_of_it() {
    let Some(server) = server::shared().await else { return };
    let memory = with_a_slow_text(server, "pipe-live-progress").await;
    let seen = rest_of(memory.cognify_events()).await;
    let (started, others): (Vec<_>, Vec<_>) =
        seen.iter().partition(|event| matches!(event, CognifyEvent::Started { .. }));
    let [CognifyEvent::Started { run, .. }] = *started else { panic!("{seen:?}") };
    let [progress @ .., last] = &*others else { panic!("{seen:?}") };
    for event in progress {
        let CognifyEvent::Progress(progress) = event else { panic!("{seen:?}") };
        assert!(progress.total == 5 && progress.completed <= progress.total, "{seen:?}");
    }
    let is_end = matches!(
        last,
        CognifyEvent::Finished(CognifyReport::Completed { run: ended, .. }) if ended == run
    );
    assert!(is_end, "{seen:?}");
    assert_eq!(memory.search_documents("claims mesh", 9).await.expect("the search").len(), 5);
}

/// One that nobody listens to goes on, and the next call waits for it.
#[tokio::test]
async fn a_run_goes_on_without_its_listener() {
    let Some(server) = server::shared().await else { return };
    let memory = with_a_slow_text(server, "pipe-live-unheard").await;
    let mut events = memory.cognify_events();
    let first = begun(&mut events).await;
    drop(events);
    let seen = rest_of(memory.cognify_events()).await;
    // A server that was busy with it until its end has nothing to wait for any more.
    let waited = seen.iter().find_map(|event| match event {
        CognifyEvent::Waiting { run, .. } => Some(run),
        _ => None,
    });
    assert!(waited.is_none_or(|run| *run == first), "{seen:?}");
    let is_another =
        |event: &CognifyEvent| matches!(event, CognifyEvent::Started { run, .. } if *run != first);
    assert!(seen.iter().any(is_another), "{seen:?}");
    let last = seen.last().expect("an event");
    assert!(matches!(last, CognifyEvent::Finished(CognifyReport::Completed { .. })), "{seen:?}");
    assert_eq!(memory.search_documents("claims mesh", 9).await.expect("the search").len(), 5);
}

/// On a server of its own: while a run fails, the server answers nobody, for half a minute at times.
#[tokio::test]
async fn a_run_that_fails_says_by_what_class_of_fault() {
    let Some(server) = Server::start(Posture::AccessControl).await else { return };
    let memory = server.memory_in("pipe-live-failing");
    memory.add_documents(&[document("a", "Fails stubrefuses.")]).await.expect("it is stored");
    let error = memory.cognify_governance_data().await.expect_err("the stub refuses");
    assert_eq!(error.context("error_class"), Some("AuthenticationError"), "{error:#}");
    assert!(!format!("{error:?}").contains("stub refuses"), "{error:?}");
    // There is no graph to change: the text is stored, and the model is asked.
    let error = memory.replace_document(&document("a", "Still stubrefuses.")).await;
    let error = error.expect_err("the stub refuses");
    assert!(!format!("{error:?}").contains("stub refuses"), "{error:?}");
    let replaced = memory.replace_document(&document("a", "Ledger by the Hub.")).await;
    assert_eq!(replaced.expect("the stub answers"), Replaced::Replaced);
    let hits = memory.search_documents("ledger", 3).await.expect("the search");
    assert_eq!(hits.len(), 1, "{hits:?}");
    assert_eq!(hits[0].text, "Ledger by the Hub.");
    // Now there is one, and it stays as it is.
    let error = memory.replace_document(&document("a", "Ledger stubrefuses.")).await;
    assert_eq!(error.expect_err("the stub refuses").kind(), ErrorKind::Unavailable);
    assert_eq!(memory.search_documents("ledger", 3).await.expect("the search"), hits);
}

async fn say_what_they_hold(memory: &Cognee) {
    let minutes = [
        document("minutes/1", "Payments chose the Hub for Ledger events."),
        document("minutes/2", "Claims approved the Mesh with Underwriting."),
    ];
    memory.add_documents(&minutes).await.expect("they are stored");
    memory.cognify_governance_data().await.expect("the graph is made");
    let hits = memory.search_documents("mesh with underwriting", 5).await.expect("the search");
    assert_eq!(hits.len(), 2, "{hits:?}");
    assert_eq!((&hits[0].text, &hits[0].provenance.document), (&minutes[1].text, &minutes[1].key));
    assert!(hits[0].similarity > Some(0.3) && hits[0].similarity > hits[1].similarity, "{hits:?}");
    assert_eq!(memory.search_documents("mesh", 1).await.expect("the search").len(), 1);
    let answer = memory.answer_with_language_model("who chose the mesh?").await.expect("an answer");
    let answer = answer.expect("there are texts");
    assert_eq!(answer.text, "an answer");
    assert!(answer.chunks.contains(&hits[0].provenance.chunk), "{answer:?}");
}

#[tokio::test]
async fn texts_are_searched_answered_from_and_replaced() {
    let Some(server) = server::shared().await else { return };
    let memory = server.memory_in("pipe-live-recall");
    say_what_they_hold(&memory).await;
    let text = async || {
        let hits = memory.search_documents("payments ledger events", 1).await.expect("the search");
        (hits[0].text.clone(), hits[0].provenance.document.clone())
    };
    let new = document("minutes/1", "Payments chose the Bus for Ledger events.");
    assert_eq!(memory.replace_document(&new).await.expect("it is replaced"), Replaced::Replaced);
    assert_eq!(text().await, (new.text.clone(), key("minutes/1")));
    assert_eq!(memory.replace_document(&new).await.expect("as it is"), Replaced::Unchanged);
    let unknown = memory.replace_document(&document("minutes/3", "new")).await;
    assert_eq!(unknown.expect_err("nothing is there").kind(), ErrorKind::NotFound);
}

/// Its searches answer in another shape, and it searches the texts of all datasets.
#[tokio::test]
async fn without_access_control_a_memory_finds_its_own_texts() {
    let Some(server) = Server::start(Posture::Open).await else { return };
    let other = server.memory_in("other");
    let many: Vec<_> =
        (0..8).map(|i| document(&format!("{i}"), "mesh with underwriting")).collect();
    other.add_documents(&many).await.expect("they are stored");
    other.cognify_governance_data().await.expect("the graph is made");
    say_what_they_hold(&server.memory_in("ours")).await;
}

/// By its name, the server would make another dataset of that name, and say that all went well.
#[tokio::test]
async fn what_is_shared_for_reading_is_read_and_not_written_to() {
    let Some(server) = server::shared().await else { return };
    let memory = server.memory_in("pipe-live-shared");
    let domain = |name: &str| Domain::new(key(name)).with_description("settlement of cards").into();
    memory.add_datapoints(&[domain("one")], &[]).await.expect("the import");
    say_what_they_hold(&memory).await;
    let reader = server.reader("pipe-live-shared").await;
    let found = async || {
        let hits = reader.search_integrations(&SearchQuery::new("cards")).await;
        let texts = reader.search_documents("mesh", 5).await.expect("the search");
        (hits.expect("the search").len(), texts.len())
    };
    assert_eq!(found().await, (1, 2));
    let errors = [
        reader.add_datapoints(&[domain("two")], &[]).await.err(),
        reader.add_documents(&[document("minutes/3", "Three.")]).await.err(),
        reader.replace_document(&document("minutes/1", "Other.")).await.err(),
        reader.cognify_governance_data().await.err(),
    ];
    for error in errors {
        let error = error.expect("it is not ours");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:#}");
    }
    assert_eq!(found().await, (1, 2));
}
