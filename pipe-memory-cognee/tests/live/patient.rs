//! A memory whose health is asked for again while its server is busy.

use std::time::Duration;

use async_trait::async_trait;
use pipe_core::memory::{
    AddReport, DataPoint, GovernanceMemory, Hit, MemoryKey, PathSuggestion, Relation, SearchQuery,
};
use pipe_core::{Health, Plugin, Result};
use pipe_memory_cognee::Cognee;

/// A health check waits for some seconds, for which a server may have other tests to answer.
#[derive(Debug)]
pub(crate) struct Patient(pub(crate) Cognee);

/// How often it is asked, and how long it is left alone in between.
const TIMES: usize = 100;
const PAUSE: Duration = Duration::from_secs(1);

#[async_trait]
impl Plugin for Patient {
    fn name(&self) -> &str {
        self.0.name()
    }

    async fn health(&self) -> Health {
        for _ in 1..TIMES {
            let health = self.0.health().await;
            if health.is_serving() {
                return health;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.0.health().await
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}

#[async_trait]
impl GovernanceMemory for Patient {
    async fn add_datapoints(
        &self,
        points: &[DataPoint],
        relations: &[Relation],
    ) -> Result<AddReport> {
        self.0.add_datapoints(points, relations).await
    }

    async fn search_integrations(&self, query: &SearchQuery) -> Result<Vec<Hit>> {
        self.0.search_integrations(query).await
    }

    async fn suggest_integration_path(
        &self,
        source: &MemoryKey,
        target: &MemoryKey,
    ) -> Result<Option<PathSuggestion>> {
        self.0.suggest_integration_path(source, target).await
    }
}
