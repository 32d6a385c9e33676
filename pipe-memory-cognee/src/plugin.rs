//! A memory on a Cognee server.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pipe_core::memory::{
    AddReport, DataPoint, DataPointId, GovernanceMemory, Hit, MemoryKey, PathSuggestion, Relation,
    SearchQuery, Source, Suggester, check_batch,
};
use pipe_core::{Health, Plugin, Result};
use serde_json::{Value, json};

use crate::api::{Api, Call, Reply, unexpected};
use crate::archive::{Batch, WHOLE, data_point, is_ours};
use crate::config::CogneeConfig;
use crate::context;
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
    id: Mutex<Option<String>>,
    /// One writer at a time: what a relation leads to is read and sent again, and must not have
    /// changed in between.
    writing: tokio::sync::Mutex<()>,
}

/// How many data points go into one archive.
const BATCH: usize = 1_000;
/// How many edges are asked for, and how many when a filter leaves too few.
const NARROW: usize = 100;
const WIDE: usize = 1_000;
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
        let _turn = self.writing.lock().await;
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
            let place =
                ids.binary_search(&relation.from).or_else(|_| ids.binary_search(&relation.to));
            let place = place.map_or(0, |place| place / BATCH);
            if batches.is_empty() {
                batches.push(Batch::default());
            }
            let batch = &mut batches[place];
            batch.points.extend([(relation.from, from), (relation.to, to)]);
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
        let (content_type, body) = Form::new()?
            .field("content_type", "cogx-archive")
            .field("import_mode", "preserve")
            .field("datasetName", &self.dataset)
            .file("data", "batch.tar", &batch.archive()?)
            .finish()?;
        let call = Call::upload(&["api", "v1", "remember"], content_type, body);
        let answer = self.api.send(&call).await?.json()?;
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

    async fn search(&self, query: &SearchQuery) -> Result<Vec<Hit>> {
        query.check()?;
        let body = |width: usize, dataset: &str| {
            json!({
                "query": query.text,
                // No language model: only the context that it would be given, as objects.
                "search_type": "GRAPH_COMPLETION",
                "only_context": true,
                "verbose": true,
                "dataset_ids": [dataset],
                "top_k": width,
                // Earlier questions are no part of this one.
                "session_id": format!("pipe-{:016x}", fastrand::u64(..)),
            })
        };
        let mut width = NARROW;
        loop {
            let answer = self.ask(|dataset| Ask::Search(body(width, dataset))).await?;
            let Some(answer) = answer else { return Ok(Vec::new()) };
            let context = context::read(&answer)
                .ok_or_else(|| unexpected("the search answers in an unknown form"))?;
            let hits = context.found.into_iter().filter(|(point, _)| query.admits(point));
            let hits: Vec<_> = hits
                .take(query.limit)
                .map(|(point, similarity)| Hit::new(point, similarity, Source::Cognee))
                .collect();
            if hits.len() == query.limit || context.edges < width || width == WIDE {
                return Ok(hits);
            }
            width = WIDE;
        }
    }

    /// All data points of ours.
    async fn known(&self) -> Result<Vec<DataPoint>> {
        let Some(graph) = self.ask(|_| Ask::Graph).await? else { return Ok(Vec::new()) };
        let nodes = graph["nodes"].as_array();
        let nodes = nodes.ok_or_else(|| unexpected("the graph comes in an unknown form"))?;
        let ours = nodes.iter().filter(|node| node["type"].as_str().is_some_and(is_ours));
        Ok(ours.filter_map(|node| data_point(node["properties"][WHOLE].as_str()?)).collect())
    }

    /// Asks about the dataset; `None` when there is none yet, or nothing in it.
    async fn ask(&self, what: impl Fn(&str) -> Ask) -> Result<Option<Value>> {
        let Some((mut id, was_known)) = self.dataset_id().await? else { return Ok(None) };
        let mut may_be_stale = was_known;
        loop {
            let answer = match what(&id) {
                Ask::Search(body) => {
                    self.api.send(&Call::post(&["api", "v1", "search"], &body)).await?
                }
                Ask::Graph => {
                    self.api.send(&Call::get(&["api", "v1", "datasets", &id, "graph"])).await?
                }
            };
            match answer {
                Reply::Json(answer) => return Ok(Some(answer)),
                Reply::Refused(Fault::NoData, _) => return Ok(None),
                // Somebody may have deleted it, and made another of the same name.
                Reply::Refused(Fault::Denied | Fault::DatasetMissing, error) if may_be_stale => {
                    may_be_stale = false;
                    match self.look_up().await? {
                        None => return Ok(None),
                        Some(now) if now == id => return Err(error),
                        Some(now) => id = now,
                    }
                }
                Reply::Refused(_, error) => return Err(error),
            }
        }
    }

    /// The id of the dataset, and whether it was known before.
    async fn dataset_id(&self) -> Result<Option<(String, bool)>> {
        let known = self.id.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(id) => Ok(Some((id, true))),
            None => Ok(self.look_up().await?.map(|id| (id, false))),
        }
    }

    async fn look_up(&self) -> Result<Option<String>> {
        let id = self.find_dataset(&self.dataset).await?;
        self.id.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&id);
        Ok(id)
    }

    /// The id of the dataset of this name.
    pub(crate) async fn find_dataset(&self, name: &str) -> Result<Option<String>> {
        let datasets = self.api.send(&Call::get(&["api", "v1", "datasets"])).await?.json()?;
        let datasets = datasets.as_array();
        let datasets =
            datasets.ok_or_else(|| unexpected("the datasets come in an unknown form"))?;
        let found = datasets.iter().find(|dataset| dataset["name"] == *name);
        let id = found.and_then(|dataset| dataset["id"].as_str());
        Ok(id.filter(|id| DataPointId::parse(id).is_some()).map(str::to_owned))
    }
}

/// A question about the dataset.
enum Ask {
    Search(Value),
    Graph,
}
