//! A governance memory in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use pipe_core::memory::{
    AddReport, DataPoint, DataPointId, GovernanceMemory, Hit, MemoryKey, PathSuggestion, Relation,
    SearchQuery, Source, Suggester, check_batch,
};
use pipe_core::{Error, ErrorKind, Health, Plugin, Result};

/// A [`GovernanceMemory`] that compares words. Clones are the same memory.
///
/// ```
/// use pipe_core::memory::{Domain, GovernanceMemory, MemoryKey, SearchQuery};
/// use pipe_testkit::reference::InMemoryGovernance;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let memory = InMemoryGovernance::new();
/// memory.add_datapoints(&[Domain::new(MemoryKey::new("payments")?).into()], &[]).await?;
/// assert_eq!(memory.search_integrations(&SearchQuery::new("payments")).await?.len(), 1);
/// # Ok::<(), pipe_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct InMemoryGovernance {
    name: Arc<str>,
    points: Arc<Mutex<BTreeMap<DataPointId, DataPoint>>>,
    failing: Arc<Mutex<Option<ErrorKind>>>,
}

impl InMemoryGovernance {
    /// An empty memory.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "`new` reads better where a memory is made")]
    pub fn new() -> Self {
        Self { name: "in-memory".into(), points: Arc::default(), failing: Arc::default() }
    }

    /// Under another instance name.
    #[must_use]
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Makes every call fail with this kind, until `None` heals it: for tests of code that uses a
    /// memory.
    pub fn fail_with(&self, kind: impl Into<Option<ErrorKind>>) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = kind.into();
    }

    fn points(
        &self,
        operation: &'static str,
    ) -> Result<MutexGuard<'_, BTreeMap<DataPointId, DataPoint>>> {
        match *self.failing.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(kind) => Err(Error::new(kind, "a test asked for this").at(&self.name, operation)),
            None => Ok(self.points.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

impl fmt::Debug for InMemoryGovernance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemoryGovernance").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Plugin for InMemoryGovernance {
    fn name(&self) -> &str {
        &self.name
    }

    async fn health(&self) -> Health {
        self.points("health").map_or_else(|error| Health::from(&error), |_| Health::healthy())
    }
}

#[async_trait]
impl GovernanceMemory for InMemoryGovernance {
    async fn add_datapoints(
        &self,
        points: &[DataPoint],
        relations: &[Relation],
    ) -> Result<AddReport> {
        const OPERATION: &str = "add_datapoints";
        check_batch(points, relations).map_err(|error| error.at(&self.name, OPERATION))?;
        let mut known = self.points(OPERATION)?;
        known.extend(points.iter().map(|point| (point.id(), point.clone())));
        let added: BTreeSet<_> = points.iter().map(DataPoint::id).collect();
        // Nothing reads them; that they would be kept is all there is to say.
        let exists = |relation: &&Relation| {
            known.contains_key(&relation.from) && known.contains_key(&relation.to)
        };
        let relations: BTreeSet<_> = relations.iter().collect();
        let (kept, skipped): (Vec<_>, Vec<_>) = relations.into_iter().partition(exists);
        Ok(AddReport::new(Source::Local)
            .with_data_points(added.len())
            .with_relations(kept.len(), skipped.len()))
    }

    async fn search_integrations(&self, query: &SearchQuery) -> Result<Vec<Hit>> {
        const OPERATION: &str = "search_integrations";
        query.check().map_err(|error| error.at(&self.name, OPERATION))?;
        let known = self.points(OPERATION)?;
        let wanted = words(&query.text);
        let mut hits: Vec<_> = known
            .values()
            .filter(|point| query.admits(point))
            .map(|point| {
                let found = words(&point.text());
                let common = wanted.intersection(&found).count() as f64;
                let all = wanted.union(&found).count() as f64;
                Hit::new(point.clone(), common / all.max(1.0), Source::Local)
            })
            .filter(|hit| hit.similarity > 0.0)
            .collect();
        hits.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        hits.truncate(query.limit);
        Ok(hits)
    }

    async fn suggest_integration_path(
        &self,
        source: &MemoryKey,
        target: &MemoryKey,
    ) -> Result<Option<PathSuggestion>> {
        let known = self.points("suggest_integration_path")?;
        let mut suggester = Suggester::new(source.clone(), target.clone());
        known.values().for_each(|point| suggester.consider(point));
        Ok(suggester.suggest(Source::Local))
    }
}

fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}
