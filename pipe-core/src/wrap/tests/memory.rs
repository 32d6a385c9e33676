//! What goes around a memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::memory::{MemoryKey, SearchQuery};
use crate::wrap::scripted::{Scripted, failure};
use crate::wrap::{Call, Observed, Observer, Receipt, Retry, Timeout};
use crate::{ErrorKind, GovernanceMemory};

#[derive(Clone, Debug, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Observer for Notes {
    fn finished(&self, call: &Call<'_>) -> Receipt {
        let subject = call.subject.map_or_else(|| "-".to_owned(), |subject| subject.to_string());
        self.0.lock().unwrap().push(format!(
            "{} {subject} {}",
            call.operation,
            call.outcome.name()
        ));
        Receipt::done()
    }
}

fn key(text: &str) -> MemoryKey {
    MemoryKey::new(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_operation_is_bounded() {
    let hanging = Scripted::new(|_| std::future::pending());
    let memory = Timeout::new(hanging, Duration::from_secs(5));
    let errors = [
        memory.add_datapoints(&[], &[]).await.unwrap_err(),
        memory.search_integrations(&SearchQuery::new("x")).await.unwrap_err(),
        memory.suggest_integration_path(&key("a"), &key("b")).await.unwrap_err(),
    ];
    let operations = errors.each_ref().map(|error| (error.kind(), error.operation()));
    let expected = ["add_datapoints", "search_integrations", "suggest_integration_path"];
    assert_eq!(operations, expected.map(|operation| (ErrorKind::Timeout, operation)));
}

/// Adding again is safe: what is known by its id is there once.
#[tokio::test(start_paused = true)]
async fn every_operation_is_repeated_after_an_outage() {
    for operation in 0..3 {
        let scripted = Scripted::new(|number| async move {
            if number == 1 { failure(ErrorKind::Unavailable) } else { Ok(None) }
        });
        let memory = Retry::new(scripted.clone());
        match operation {
            0 => memory.add_datapoints(&[], &[]).await.map(drop).unwrap(),
            1 => memory.search_integrations(&SearchQuery::new("x")).await.map(drop).unwrap(),
            _ => memory.suggest_integration_path(&key("a"), &key("b")).await.map(drop).unwrap(),
        }
        assert_eq!(scripted.calls(), 2);
    }
}

#[tokio::test]
async fn every_operation_is_on_record_and_no_text_is() {
    let notes = Notes::default();
    let memory = Observed::new(Scripted::new(|_| async { Ok(None) }), notes.clone());
    memory.add_datapoints(&[], &[]).await.unwrap();
    memory.search_integrations(&SearchQuery::new("what somebody looks for")).await.unwrap();
    memory.suggest_integration_path(&key("payments"), &key("ledger")).await.unwrap();
    let expected = [
        "add_datapoints - success",
        "search_integrations - success",
        "suggest_integration_path payments -> ledger absent",
    ];
    assert_eq!(*notes.0.lock().unwrap(), expected);
}
