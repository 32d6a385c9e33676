//! The section of memories.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pipe_core::memory::SearchQuery;
use pipe_core::wrap::{Call, Observer, Receipt};
use pipe_core::{ErrorKind, HealthStatus};
use pipe_registry::{Format, Registry};
use pipe_testkit::reference::InMemoryGovernance;
use serde_json::json;

use crate::{Settings, faults, load, registry};

#[test]
fn a_document_names_a_memory() {
    let plugins = load(
        r#"
        [memory]
        kind = "cognee"
        settings = { address = "https://cognee.example", dataset = "eu", auth = { method = "api_key", key = { env = "KEY" } } }
        decorators = { timeout = "5m", retry = { attempts = 2 } }
        "#,
    )
    .unwrap();
    assert_eq!(plugins.memory("default").unwrap().name(), "cognee");
    assert_eq!(plugins.all_memory().len(), 1);
    let error = plugins.memory("eu").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.hint_text().contains("default"), "{error:#}");
    assert_eq!(load("[memory]").unwrap().all_memory().len(), 0);
}

#[test]
fn what_is_wrong_with_a_memory_is_told_with_its_place() {
    let unknown = "memory.kind: is unknown; the known kinds are `cognee`";
    assert_eq!(faults("memory.kind = 'any'"), [unknown]);
    assert_eq!(faults("memory.main.kind = 'any'").len(), 1);
    let expected = faults(
        "[memory.main]\nkind = 'cognee'\nsettings = { address = 'ftp://x', auth = { method = 'none' } }",
    );
    assert!(expected[0].starts_with("memory.main.settings.address: "), "{expected:?}");
}

/// What was added is found by the next search, whoever added it.
#[test]
fn a_memory_is_not_cached() {
    let settings = "settings = { address = 'https://x.example', auth = { method = 'none' } }";
    let document = format!("memory = {{ kind = 'cognee', {settings}, decorators.cache = {{}} }}");
    let expected =
        "memory.decorators: has an unknown setting; the known ones are `timeout`, `retry`";
    assert_eq!(faults(&document), [expected]);
    let schema = registry().schema();
    let decorators = &schema["$defs"]["UncachedDecorators"]["properties"];
    assert!(decorators["cache"].is_null() && decorators["retry"].is_object(), "{decorators}");
    assert_eq!(schema["$defs"]["memory"]["properties"]["kind"]["enum"], json!(["cognee"]));
}

#[derive(Clone, Debug, Default)]
struct Calls(Arc<AtomicUsize>);

impl Observer for Calls {
    fn finished(&self, _: &Call<'_>) -> Receipt {
        self.0.fetch_add(1, Ordering::Relaxed);
        Receipt::done()
    }
}

#[tokio::test]
async fn a_memory_is_decorated_observed_and_asked_for_its_health() {
    let (memory, calls) = (InMemoryGovernance::new(), Calls::default());
    let made = memory.clone();
    let plugins = Registry::new()
        .with_memory_kind::<Settings, _, _>("in-memory", move |_| Ok(made.clone()))
        .with_observer(calls.clone())
        .load(
            "memory = { kind = 'in-memory', decorators.retry = { attempts = 2, base = '1ms' } }",
            Format::Toml,
        )
        .expect("the document is sound");
    let decorated = plugins.memory("default").unwrap();
    memory.fail_with(ErrorKind::Unavailable);
    let error = decorated.search_integrations(&SearchQuery::new("x")).await.unwrap_err();
    assert_eq!(error.context("attempts"), Some("2"));
    assert_eq!(calls.0.load(Ordering::Relaxed), 1);
    let health = plugins.health().await;
    assert_eq!(health.plugins["memory.default"].status, HealthStatus::Unhealthy);
    plugins.close().await.unwrap();
}
