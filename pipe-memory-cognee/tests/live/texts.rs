//! Texts, of which the server makes a graph with the stub of a language model.

use pipe_core::ErrorKind;
use pipe_core::memory::MemoryKey;
use pipe_memory_cognee::{CognifyReport, Document};

use crate::server;

#[tokio::test]
async fn texts_become_a_graph_and_are_stored_once() {
    let Some(server) = server::shared().await else { return };
    let memory = server.memory_in("pipe-live-minutes");
    let nothing = memory.cognify_governance_data().await.expect("there is nothing to do");
    assert_eq!(nothing, CognifyReport::NothingToDo);
    let document = |key: &str, text: &str| Document::new(MemoryKey::new(key).expect("legal"), text);
    let minutes = [
        document("minutes/1", "Payments and Ledger were integrated by the Hub."),
        document("minutes/2", "/etc/passwd"),
    ];
    memory.add_documents(&minutes).await.expect("they are stored");
    memory.add_documents(&minutes).await.expect("they are stored already");
    let other = memory.add_documents(&[document("minutes/1", "something else")]).await;
    assert_eq!(other.expect_err("it differs").kind(), ErrorKind::Conflict);
    let done = memory.cognify_governance_data().await.expect("the graph is made");
    assert!(matches!(done, CognifyReport::Completed { .. }), "{done:?}");
    let (nodes, _) = server.graph_size("pipe-live-minutes-texts").await;
    assert!(nodes > 2, "{nodes} nodes");
}
