//! A memory in the process.

mod snapshot;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bm25::{Embedder, EmbedderBuilder, Scorer};
use pipe_core::memory::{
    AddReport, DataPoint, DataPointId, GovernanceMemory, Hit, MemoryKey, PathSuggestion, Relation,
    SearchQuery, Source, Suggester, check_batch,
};
use pipe_core::{Error, ErrorKind, Health, Plugin, Result};

pub(crate) use self::snapshot::{Snapshot, UNFINISHED};
use self::words::Words;

/// A memory in the process, with full-text search by BM25 and no model. Clones are the same memory.
///
/// It knows what was added through it, and forgets when the process ends unless it is
/// [saved](Self::save). Its answers say [`Source::Local`].
///
/// ```
/// use pipe_core::memory::{Domain, GovernanceMemory, MemoryKey, SearchQuery};
/// use pipe_memory_cognee::LocalMemory;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> pipe_core::Result<()> {
/// let memory = LocalMemory::new();
/// let payments = Domain::new(MemoryKey::new("payments")?).with_description("card settlement");
/// memory.add_datapoints(&[payments.into()], &[]).await?;
/// let hits = memory.search_integrations(&SearchQuery::new("settlement of cards")).await?;
/// assert_eq!(hits.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct LocalMemory {
    name: Arc<str>,
    capacity: usize,
    known: Arc<Mutex<Known>>,
}

/// How many data points there may be unless it is said otherwise.
const CAPACITY: usize = 100_000;
/// Relations for each data point that there may be.
const RELATIONS_EACH: usize = 10;
/// The similarity of what has no word in common with a text.
const UNLIKE: f64 = 1e-6;
/// BM25 normalises by the length of a text. A text twice as long as this counts a little less.
const USUAL_WORDS: f32 = 24.0;

struct Known {
    points: BTreeMap<DataPointId, DataPoint>,
    relations: BTreeSet<Relation>,
    index: Index,
}

struct Index {
    embedder: Embedder<u64, Words>,
    scorer: Scorer<DataPointId, u64>,
    /// How many texts were replaced: the scorer keeps an entry for every word that it ever had.
    replaced: usize,
}

impl LocalMemory {
    /// An empty memory of 100,000 data points at most.
    #[must_use]
    pub fn new() -> Self {
        Self {
            name: "local-memory".into(),
            capacity: CAPACITY,
            known: Arc::new(Mutex::new(Known::new())),
        }
    }

    /// The instance's name in errors, audit and metrics.
    #[must_use]
    pub fn with_name(self, name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// How many data points there may be, and ten times as many relations.
    #[must_use]
    pub fn with_capacity(self, capacity: usize) -> Self {
        Self { capacity, ..self }
    }

    /// How many data points there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known().points.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known().points.is_empty()
    }

    /// Writes all that is known to a file. The file is replaced as a whole or not at all, by however
    /// many at once. A crash may leave a file beside it whose name ends in `.unfinished`.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be written.
    pub async fn save(&self, path: impl Into<PathBuf>) -> Result<()> {
        let snapshot = self.known().snapshot();
        let path = path.into();
        blocking(move || snapshot.write(&path)).await.map_err(|error| error.at(&self.name, "save"))
    }

    /// Adds what a file holds that [`save`](Self::save) has written. A file that is not there holds
    /// nothing.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be read; `Unexpected` when it was not written by `save`;
    /// `InvalidArgument` when the memory is too small for it.
    pub async fn load(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref().to_owned();
        let load = async {
            let Some(snapshot) = blocking(move || Snapshot::read(&path)).await? else {
                return Ok(());
            };
            self.add(snapshot.points, &snapshot.relations).map(drop)
        };
        load.await.map_err(|error: Error| error.at(&self.name, "load"))
    }

    /// All or nothing.
    fn add(&self, points: Vec<DataPoint>, relations: &[Relation]) -> Result<AddReport> {
        let points: BTreeMap<_, _> = points.into_iter().map(|point| (point.id(), point)).collect();
        let relations: BTreeSet<_> = relations.iter().collect();
        let mut known = self.known();
        let is_new = |id: &&DataPointId| !known.points.contains_key(id);
        let grown = known.points.len() + points.keys().filter(is_new).count();
        let exists = |id: &DataPointId| points.contains_key(id) || known.points.contains_key(id);
        let (kept, skipped): (Vec<&Relation>, Vec<_>) = relations
            .into_iter()
            .partition(|relation| exists(&relation.from) && exists(&relation.to));
        let is_new = |relation: &&&Relation| !known.relations.contains(**relation);
        let related = known.relations.len() + kept.iter().filter(is_new).count();
        if grown > self.capacity || related > self.capacity.saturating_mul(RELATIONS_EACH) {
            return Err(Error::new(ErrorKind::InvalidArgument, "the memory is full")
                .with("capacity", self.capacity)
                .hint("raise the capacity of the local memory"));
        }
        let report = AddReport::new(Source::Local)
            .with_data_points(points.len())
            .with_relations(kept.len(), skipped.len());
        known.relations.extend(kept.into_iter().cloned());
        for (id, point) in points {
            known.put(id, point);
        }
        Ok(report)
    }

    fn find(&self, query: &SearchQuery) -> Vec<Hit> {
        let known = self.known();
        let words = known.index.embedder.embed(&query.text);
        let mut found: Vec<_> = known
            .index
            .scorer
            .matches(&words)
            .into_iter()
            .filter_map(|scored| Some((scored.score, known.points.get(&scored.id)?)))
            .filter(|(score, point)| *score > 0.0 && query.admits(point))
            .collect();
        // Equal ones always come in the same order.
        found.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.id().cmp(&y.id())));
        let hit = |(score, point): (f32, &DataPoint)| {
            Hit::new(point.clone(), bounded(score), Source::Local)
        };
        found.into_iter().take(query.limit).map(hit).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for LocalMemory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LocalMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalMemory")
            .field("name", &self.name)
            .field("data_points", &self.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Plugin for LocalMemory {
    fn name(&self) -> &str {
        &self.name
    }

    async fn health(&self) -> Health {
        Health::healthy()
    }
}

#[async_trait]
impl GovernanceMemory for LocalMemory {
    async fn add_datapoints(
        &self,
        points: &[DataPoint],
        relations: &[Relation],
    ) -> Result<AddReport> {
        check_batch(points, relations)
            .and_then(|()| self.add(points.to_vec(), relations))
            .map_err(|error| error.at(&self.name, "add_datapoints"))
    }

    async fn search_integrations(&self, query: &SearchQuery) -> Result<Vec<Hit>> {
        query.check().map_err(|error| error.at(&self.name, "search_integrations"))?;
        Ok(self.find(query))
    }

    async fn suggest_integration_path(
        &self,
        source: &MemoryKey,
        target: &MemoryKey,
    ) -> Result<Option<PathSuggestion>> {
        let mut suggester = Suggester::new(source.clone(), target.clone());
        self.known().points.values().for_each(|point| suggester.consider(point));
        Ok(suggester.suggest(Source::Local))
    }
}

impl Known {
    fn new() -> Self {
        Self { points: BTreeMap::new(), relations: BTreeSet::new(), index: Index::new() }
    }

    fn put(&mut self, id: DataPointId, point: DataPoint) {
        self.index.put(&id, &point.text());
        if self.points.insert(id, point).is_some() {
            self.index.replaced += 1;
        }
        if self.index.replaced > self.points.len() {
            self.index = Index::new();
            for (id, point) in &self.points {
                self.index.put(id, &point.text());
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::new(
            self.points.values().cloned().collect(),
            self.relations.iter().cloned().collect(),
        )
    }
}

impl Index {
    fn new() -> Self {
        let embedder = EmbedderBuilder::with_avgdl(USUAL_WORDS).build();
        Self { embedder, scorer: Scorer::new(), replaced: 0 }
    }

    fn put(&mut self, id: &DataPointId, text: &str) {
        self.scorer.upsert(id, self.embedder.embed(text));
    }
}

/// A score has no upper bound, a similarity has.
fn bounded(score: f32) -> f64 {
    f64::from(score / (1.0 + score))
}

/// All of these, in the order of how much their words resemble the text, with a similarity of more
/// than 0 and less than 1. What has no word in common comes last.
pub(crate) fn rank(text: &str, points: Vec<DataPoint>) -> Vec<(DataPoint, f64)> {
    let mut index = Index::new();
    let points: BTreeMap<_, _> = points.into_iter().map(|point| (point.id(), point)).collect();
    points.iter().for_each(|(id, point)| index.put(id, &point.text()));
    let words = index.embedder.embed(text);
    let score = |id: &DataPointId| index.scorer.score(id, &words).filter(|score| *score > 0.0);
    let mut ranked: Vec<_> = points
        .into_iter()
        .map(|(id, point)| (point, score(&id).map_or(UNLIKE, |score| bounded(score).max(UNLIKE))))
        .collect();
    // Stable, so that equal ones stay in the order of their ids.
    ranked.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    ranked
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Unavailable, "the work on a file ended with its runtime"))
    })
}
