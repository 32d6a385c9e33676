//! A memory on a Cognee server.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pipe_core::memory::{
    AddReport, DataPoint, DataPointId, GovernanceMemory, Hit, MemoryKey, PathSuggestion, Relation,
    SearchQuery, Source, Suggester, check_batch,
};
use pipe_core::{Error, ErrorKind, Health, Plugin, Result};
use serde_json::Value;

use crate::api::{Api, Call, Reply, unexpected};
use crate::archive::Batch;
use crate::config::CogneeConfig;
use crate::error::Fault;
use crate::multipart::Form;

/// A memory on a Cognee server, in a dataset of its own. Clones are the same plugin.
#[derive(Clone)]
pub struct Cognee {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) dataset: String,
    pub(crate) api: Api,
    pub(crate) cognify_timeout: Duration,
    pub(crate) poll_interval: Duration,
    /// The id of the dataset, once it is known.
    pub(crate) id: Mutex<Option<String>>,
    /// One writer at a time: what a relation leads to is read and sent again, and must not have
    /// changed in between.
    writing: tokio::sync::Mutex<()>,
    /// How long a writer waits for those before it: `write_timeout`.
    patience: Duration,
}

/// How many data points go into one archive, those that relations need included.
const BATCH: usize = 1_000;
/// How many relations go into one archive. Each takes half as long as a data point, and `write_timeout`
/// is for both.
const BATCH_RELATIONS: usize = 3_000;
/// A health check takes no longer.
const HEALTH: Duration = Duration::from_secs(5);

impl Cognee {
    /// A memory with these settings. Talks to nobody yet.
    ///
    /// # Errors
    /// `ConfigInvalid` that names every faulty setting.
    pub fn new(config: CogneeConfig) -> Result<Self> {
        let clients = config.check()?;
        let api = Api::new(clients, &config.auth, config.http.timeout);
        let inner = Inner {
            name: config.name,
            dataset: config.dataset,
            api,
            cognify_timeout: config.cognify_timeout,
            poll_interval: config.poll_interval,
            id: Mutex::new(None),
            writing: tokio::sync::Mutex::new(()),
            patience: config.write_timeout,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl fmt::Debug for Cognee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cognee")
            .field("name", &self.inner.name)
            .field("dataset", &self.inner.dataset)
            .field("api", &self.inner.api)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Plugin for Cognee {
    fn name(&self) -> &str {
        &self.inner.name
    }

    /// Asks the server, and logs in.
    async fn health(&self) -> Health {
        let asked = tokio::time::timeout(HEALTH, self.inner.look_up());
        match asked.await {
            Ok(Ok(_)) => Health::healthy(),
            Ok(Err(error)) => Health::from(&error),
            Err(_) => Health::unhealthy(
                format!("{} does not answer within 5 seconds", self.inner.api.http().address()),
                "check that the server runs and is reachable, and its load",
            ),
        }
    }

    async fn close(&self) -> Result<()> {
        self.inner.api.close().await.map_err(|error| error.at(&self.inner.name, "close"))
    }
}

#[async_trait]
impl GovernanceMemory for Cognee {
    async fn add_datapoints(
        &self,
        points: &[DataPoint],
        relations: &[Relation],
    ) -> Result<AddReport> {
        self.inner
            .add(points, relations)
            .await
            .map_err(|e| e.at(&self.inner.name, "add_datapoints"))
    }

    async fn search_integrations(&self, query: &SearchQuery) -> Result<Vec<Hit>> {
        let found = self.inner.search(query).await;
        found.map_err(|error| error.at(&self.inner.name, "search_integrations"))
    }

    async fn suggest_integration_path(
        &self,
        source: &MemoryKey,
        target: &MemoryKey,
    ) -> Result<Option<PathSuggestion>> {
        let known = self.inner.known().await;
        let known = known.map_err(|e| e.at(&self.inner.name, "suggest_integration_path"))?;
        let mut suggester = Suggester::new(source.clone(), target.clone());
        known.iter().for_each(|point| suggester.consider(point));
        Ok(suggester.suggest(Source::Cognee))
    }
}

impl Inner {
    async fn add(&self, points: &[DataPoint], relations: &[Relation]) -> Result<AddReport> {
        check_batch(points, relations)?;
        if points.is_empty() && relations.is_empty() {
            return Ok(AddReport::new(Source::Cognee));
        }
        let turn = tokio::time::timeout(self.patience, self.writing.lock()).await;
        let _turn = turn.map_err(|_| {
            Error::new(ErrorKind::Timeout, "other additions to the memory take too long")
                .with("setting", "write_timeout")
                .hint("add less often, or raise `write_timeout`")
        })?;
        // The later one of two with the same id counts.
        let points: BTreeMap<_, _> = points.iter().map(|point| (point.id(), point)).collect();
        let relations: BTreeSet<_> = relations.iter().collect();
        let ends = relations.iter().flat_map(|relation| [relation.from, relation.to]);
        let missing: BTreeSet<_> = ends.filter(|id| !points.contains_key(id)).collect();
        // The server takes a relation only together with both of its ends, whole.
        let known = match missing.is_empty() {
            true => Vec::new(),
            false => self.known().await?,
        };
        let known: BTreeMap<_, _> = known.iter().map(|point| (point.id(), point)).collect();
        let find = |id: &DataPointId| points.get(id).or_else(|| known.get(id)).copied();
        let ids: Vec<_> = points.keys().copied().collect();
        let mut batches: Vec<Batch<'_>> = Vec::new();
        for chunk in ids.chunks(BATCH) {
            let mut batch = Batch::default();
            batch.points.extend(chunk.iter().filter_map(|id| Some((*id, find(id)?))));
            batches.push(batch);
        }
        let mut stored = 0;
        for &relation in &relations {
            let (Some(from), Some(to)) = (find(&relation.from), find(&relation.to)) else {
                continue;
            };
            stored += 1;
            let ends = [(relation.from, from), (relation.to, to)];
            let has_room = |batch: &Batch<'_>| {
                let more = ends.iter().filter(|(id, _)| !batch.points.contains_key(id)).count();
                (more == 0 || batch.points.len() + more <= BATCH)
                    && batch.relations.len() < BATCH_RELATIONS
            };
            // With one of its ends, or with the relations before it: an import takes as long as it
            // has nodes, and there is a limit to that.
            let place = ends.iter().filter_map(|(id, _)| ids.binary_search(id).ok());
            let mut place = place.map(|place| place / BATCH).chain(batches.len().checked_sub(1));
            let place = place.find(|place| has_room(&batches[*place])).unwrap_or(batches.len());
            if place == batches.len() {
                batches.push(Batch::default());
            }
            let batch = &mut batches[place];
            batch.points.extend(ends);
            batch.relations.insert(relation);
        }
        for batch in &batches {
            self.import(batch).await?;
        }
        Ok(AddReport::new(Source::Cognee)
            .with_data_points(points.len())
            .with_relations(stored, relations.len() - stored))
    }

    /// Imports one archive, and checks what the server says about it.
    async fn import(&self, batch: &Batch<'_>) -> Result<()> {
        let archive = batch.archive()?;
        let answer = self.upload(&archive).await?;
        let report = &answer["items"][0];
        let count = |field: &str| report[field].as_u64().and_then(|n| usize::try_from(n).ok());
        let imported = count("graph_nodes").zip(count("graph_edges"));
        let is_whole = imported == Some(batch.size())
            && count("skipped_facts") == Some(0)
            && count("deduped_edges") == Some(0);
        if is_whole && answer["status"].as_str() == Some("completed") {
            return Ok(());
        }
        Err(unexpected("the server did not import all that it was sent")
            .with("nodes", batch.size().0)
            .with("edges", batch.size().1))
    }

    /// By its id where the dataset is there: by its name, a user who may only read it would make
    /// another one of that name.
    async fn upload(&self, archive: &[u8]) -> Result<Value> {
        let (mut id, was_known) = self.dataset_id().await?.unzip();
        let mut may_be_stale = was_known == Some(true);
        loop {
            let form =
                Form::new()?.field("content_type", "cogx-archive").field("import_mode", "preserve");
            let form = match &id {
                Some(id) => form.field("datasetId", id),
                None => form.field("datasetName", &self.dataset),
            };
            let (content_type, body) = form.file("data", "batch.tar", archive).finish()?;
            let call = Call::upload(&["api", "v1", "remember"], content_type, body);
            match self.api.send(&call).await? {
                Reply::Refused(Fault::Denied | Fault::DatasetMissing, error) if may_be_stale => {
                    may_be_stale = false;
                    let now = self.look_up().await?;
                    if now == id {
                        return Err(error);
                    }
                    id = now;
                }
                reply => return reply.json(),
            }
        }
    }
}
