//! Governance memory: what was integrated with what, who decided it, how it went, and what follows
//! from that for the next integration.

mod data_point;
mod governance;
mod id;
mod integration;
mod limits;
mod query;
mod relation;
mod report;
mod suggestion;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::data_point::{DataPoint, DataPointKind};
pub use self::governance::{
    ComplianceRecord, ComplianceStatus, Custom, Decision, Domain, DomainCapability,
    GovernancePolicy, HubRule, IntegrationPattern, ReviewDecision, ReviewRequest,
};
pub use self::id::{DataPointId, MemoryKey};
pub use self::integration::{Integration, IntegrationPath, IntegrationStatus, Outcome};
pub use self::limits::{MAX_DATA_POINT, MAX_DATA_POINTS, MAX_DEPTH, MAX_RELATIONS, check_batch};
pub use self::query::{Hit, MAX_HITS, MAX_QUERY, SearchQuery};
pub use self::relation::Relation;
pub use self::report::{AddReport, Source};
pub use self::suggestion::{
    Confidence, PathSuggestion, RankedPath, RefusedPath, Suggester, wilson_lower_bound,
};
use crate::{Plugin, Result};

/// A memory of integrations and of what was decided about them.
///
/// # What callers may rely on
/// - Adding is idempotent: a data point is known by its kind and key, so adding it twice is one,
///   and the later one replaces the earlier as a whole.
/// - After [`add_datapoints`](Self::add_datapoints) returned, a search through the same memory finds
///   what was added.
/// - A data point comes back as it was added, whatever its text says.
/// - Nothing found is an empty list, and no evidence is `None`. An outage is an error, and is never
///   turned into either.
/// - Every answer says where it comes from.
///
/// # What implementors keep
/// - What breaks the [limits](check_batch) is refused with `InvalidArgument` before any request.
/// - Searching and suggesting need no language model.
/// - [`suggest_integration_path`](Self::suggest_integration_path) uses [`Suggester`], so that the
///   same evidence leads to the same suggestion everywhere.
/// - One attempt per call, bounded by a deadline.
/// - `pipe_testkit::memory_compliance!` passes.
#[async_trait]
pub trait GovernanceMemory: Plugin {
    /// Stores data points and the relations between them, and says what became of them.
    ///
    /// A relation whose ends are not both known is skipped, and counted.
    ///
    /// # Errors
    /// `InvalidArgument` for what breaks the [limits](check_batch). After any other error, a part of
    /// the data may be stored: adding all of it again is safe.
    async fn add_datapoints(
        &self,
        points: &[DataPoint],
        relations: &[Relation],
    ) -> Result<AddReport>;

    /// What resembles the query most, the closest first.
    ///
    /// # Errors
    /// `InvalidArgument` for a query without text or a limit of nothing; otherwise only when it
    /// could not be found out.
    async fn search_integrations(&self, query: &SearchQuery) -> Result<Vec<Hit>>;

    /// How `source` is best integrated with `target`, as past integrations say; `None` when there
    /// is no evidence.
    ///
    /// # Errors
    /// Only when it could not be found out.
    async fn suggest_integration_path(
        &self,
        source: &MemoryKey,
        target: &MemoryKey,
    ) -> Result<Option<PathSuggestion>>;
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: GovernanceMemory + ?Sized> GovernanceMemory for $pointer {
            async fn add_datapoints(
                &self,
                points: &[DataPoint],
                relations: &[Relation],
            ) -> Result<AddReport> {
                (**self).add_datapoints(points, relations).await
            }
            async fn search_integrations(&self, query: &SearchQuery) -> Result<Vec<Hit>> {
                (**self).search_integrations(query).await
            }
            async fn suggest_integration_path(
                &self,
                source: &MemoryKey,
                target: &MemoryKey,
            ) -> Result<Option<PathSuggestion>> {
                (**self).suggest_integration_path(source, target).await
            }
        }
    )*};
}
forward!(Arc<P>, Box<P>);
