//! A server that is killed in the middle of an import.

use std::time::Duration;

use pipe_core::memory::{DataPoint, Domain, GovernanceMemory, MemoryKey};
use pipe_memory_cognee::{CognifyEvent, CognifyReport, Document};

use crate::server::{Posture, Server};
use crate::texts::begun;

/// What was being imported is added again, and all of it is there once.
#[tokio::test]
async fn nothing_is_doubled_or_lost_when_the_server_dies_in_an_import() {
    let Some(mut server) = Server::start(Posture::AccessControl).await else { return };
    let memory = server.memory_in("crash");
    let domain = |i: usize| {
        let key = MemoryKey::new(format!("domain{i}")).expect("legal");
        DataPoint::from(Domain::new(key).with_description(format!("about{i}")))
    };
    let first: Vec<_> = (0..10).map(domain).collect();
    memory.add_datapoints(&first, &[]).await.expect("the first import");
    let points: Vec<_> = (0..600).map(domain).collect();
    // At different stages of the import: the test holds whatever the moment is.
    for wait in [300, 1200] {
        let importing = tokio::spawn({
            let (memory, points) = (memory.clone(), points.clone());
            async move { memory.add_datapoints(&points, &[]).await }
        });
        tokio::time::sleep(Duration::from_millis(wait)).await;
        server.kill();
        let died = importing.await.expect("the task ends");
        if let Err(error) = died {
            assert!(error.is_retryable(), "{error:#}");
        }
        server.restart().await;
    }
    let report = memory.add_datapoints(&points, &[]).await.expect("the import");
    assert_eq!(report.data_points, 600);
    assert_eq!(server.graph_size("crash").await, (601, 600));
}

/// The server goes on saying for an hour that the run goes on.
#[tokio::test]
async fn a_run_that_died_with_the_server_does_not_hold_up_the_next() {
    let Some(mut server) = Server::start(Posture::AccessControl).await else { return };
    let memory = server.memory_in("crash-run");
    let document = |i: usize| {
        let key = MemoryKey::new(format!("minutes/{i}")).expect("legal");
        Document::new(key, format!("Claims {i} stubdawdles by the Mesh."))
    };
    let documents: Vec<_> = (0..3).map(document).collect();
    memory.add_documents(&documents).await.expect("they are stored");
    let mut events = memory.cognify_events();
    let died = begun(&mut events).await;
    server.kill();
    server.restart().await;
    drop(events);
    let mut events = memory.cognify_events();
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        seen.push(event.expect("all goes well"));
    }
    // One that was slow to say that the run had begun may have ended it by then.
    let is_another =
        |event: &CognifyEvent| matches!(event, CognifyEvent::Waiting { run, .. } if *run != died);
    assert!(!seen.iter().any(is_another), "{seen:?}");
    let last = seen.last().expect("an event");
    assert!(matches!(last, CognifyEvent::Finished(CognifyReport::Completed { .. })), "{seen:?}");
    assert_eq!(memory.search_documents("claims", 9).await.expect("the search").len(), 3);
}
