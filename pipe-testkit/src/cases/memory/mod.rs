//! The behaviours of a [`GovernanceMemory`].
//!
//! Each case uses keys and words that no other case and no other run uses, so that many may share a
//! memory. All keys begin with `pipe-testkit`.

#[macro_use]
mod list;
mod adding;
mod faults;
mod general;
mod searching;
mod suggesting;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use pipe_core::memory::{
    AddReport, DataPoint, GovernanceMemory, Hit, Integration, IntegrationPath, IntegrationStatus,
    MemoryKey, PathSuggestion, Relation, SearchQuery,
};

use crate::cases::expect_kind;

pub use self::adding::*;
pub use self::faults::*;
pub use self::general::*;
pub use self::searching::*;
pub use self::suggesting::*;

/// Words and domains that nobody used before.
struct Place {
    /// One word, which begins with what the case is about.
    word: String,
}

impl Place {
    fn new(label: &str) -> Self {
        static RUN: OnceLock<u32> = OnceLock::new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let run = RUN.get_or_init(|| getrandom::u32().expect("the system has random numbers"));
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { word: format!("{label}{run:08x}{count}") }
    }

    fn key(&self, name: &str) -> MemoryKey {
        MemoryKey::new(format!("pipe-testkit-{}-{name}", self.word))
            .expect("the suite's keys are legal")
    }

    /// The domain of this name.
    fn domain(&self, name: &str) -> MemoryKey {
        self.key(&format!("domain-{name}"))
    }

    /// An integration of the domains `a` and `b` through the hub, which works.
    fn integration(&self, name: &str) -> Integration {
        Integration::new(self.key(name), self.domain("a"), self.domain("b"), IntegrationPath::Hub)
            .with_status(IntegrationStatus::Connected)
            .with_description(format!("settlement of {}", self.word))
    }

    /// What was integrated on this path, as often as `good` says with success and `bad` without.
    fn past(&self, path: &IntegrationPath, good: usize, bad: usize) -> Vec<DataPoint> {
        let one = |i: usize| {
            let status =
                if i < good { IntegrationStatus::Connected } else { IntegrationStatus::Failed };
            let mut integration = self.integration(&format!("{path}-{i}")).with_status(status);
            integration.path = path.clone();
            integration.into()
        };
        (0..good + bad).map(one).collect()
    }

    /// What is here, and nothing else.
    fn query(&self) -> SearchQuery {
        SearchQuery::new(format!("settlement of {}", self.word))
            .with_domain(self.domain("a"))
            .with_limit(100)
    }

    async fn search(&self, memory: &dyn GovernanceMemory) -> Vec<Hit> {
        search(memory, &self.query()).await
    }

    async fn suggest(&self, memory: &dyn GovernanceMemory) -> Option<PathSuggestion> {
        let (a, b) = (self.domain("a"), self.domain("b"));
        match memory.suggest_integration_path(&a, &b).await {
            Ok(suggestion) => suggestion,
            Err(error) => panic!("suggest_integration_path failed: {error:#}"),
        }
    }
}

async fn add(memory: &dyn GovernanceMemory, points: &[DataPoint]) -> AddReport {
    add_related(memory, points, &[]).await
}

async fn add_related(
    memory: &dyn GovernanceMemory,
    points: &[DataPoint],
    relations: &[Relation],
) -> AddReport {
    match memory.add_datapoints(points, relations).await {
        Ok(report) => report,
        Err(error) => panic!("add_datapoints failed: {error:#}"),
    }
}

async fn search(memory: &dyn GovernanceMemory, query: &SearchQuery) -> Vec<Hit> {
    match memory.search_integrations(query).await {
        Ok(hits) => hits,
        Err(error) => panic!("search_integrations failed: {error:#}"),
    }
}

/// The data points of the hits, in the order of their keys.
fn points(hits: Vec<Hit>) -> Vec<DataPoint> {
    let mut points: Vec<_> = hits.into_iter().map(|hit| hit.point).collect();
    points.sort_by(|a, b| a.key().cmp(b.key()));
    points
}
