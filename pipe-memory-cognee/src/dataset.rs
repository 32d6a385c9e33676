//! The dataset that is the memory: its id, and questions about it.

use std::sync::PoisonError;

use pipe_core::memory::{DataPoint, DataPointId};
use pipe_core::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::api::{Call, Reply, unexpected};
use crate::archive::{WHOLE, data_point, is_ours};
use crate::error::Fault;
use crate::plugin::Inner;

/// A question about the dataset.
pub(crate) enum Ask {
    Search(Value),
    Graph,
}

impl Inner {
    /// All data points of ours.
    pub(crate) async fn known(&self) -> Result<Vec<DataPoint>> {
        let graph = self.ask(|_| Ask::Graph).await.map_err(|error| too_large(error, GRAPH))?;
        let Some(graph) = graph else { return Ok(Vec::new()) };
        let nodes = graph["nodes"].as_array();
        let nodes = nodes.ok_or_else(|| unexpected("the graph comes in an unknown form"))?;
        let ours = nodes.iter().filter(|node| node["type"].as_str().is_some_and(is_ours));
        Ok(ours.filter_map(|node| data_point(node["properties"][WHOLE].as_str()?)).collect())
    }

    /// Asks about the dataset; `None` when there is none yet, or nothing in it.
    pub(crate) async fn ask(&self, what: impl Fn(&str) -> Ask) -> Result<Option<Value>> {
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
    pub(crate) async fn dataset_id(&self) -> Result<Option<(String, bool)>> {
        let known = self.id.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(id) => Ok(Some((id, true))),
            None => Ok(self.look_up().await?.map(|id| (id, false))),
        }
    }

    pub(crate) async fn look_up(&self) -> Result<Option<String>> {
        let id = self.find_dataset(&self.dataset).await?;
        self.id.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&id);
        Ok(id)
    }

    /// The id of the dataset of this name: the user's own, or the one that somebody shares. The
    /// server shows only those that the user may read.
    pub(crate) async fn find_dataset(&self, name: &str) -> Result<Option<String>> {
        let datasets = self.api.send(&Call::get(&["api", "v1", "datasets"])).await?.json()?;
        let datasets = datasets.as_array();
        let datasets =
            datasets.ok_or_else(|| unexpected("the datasets come in an unknown form"))?;
        let found: Vec<_> = datasets.iter().filter(|dataset| dataset["name"] == *name).collect();
        let found = match &*found {
            [] => return Ok(None),
            [one] => one,
            // Anybody may share a dataset of this name, whose data points are not to be ours.
            several => self.own(several).await?,
        };
        let id = found["id"].as_str().filter(|id| DataPointId::parse(id).is_some());
        Ok(id.map(str::to_owned))
    }

    /// The one that belongs to the user.
    async fn own<'a>(&self, datasets: &[&'a Value]) -> Result<&'a Value> {
        let me = self.api.send(&Call::get(&["api", "v1", "users", "me"])).await?.json()?;
        let me = me["id"].as_str().ok_or_else(|| unexpected("the user has no id"))?;
        let own = datasets.iter().find(|dataset| dataset["ownerId"] == *me);
        own.copied().ok_or_else(|| {
            Error::new(
                ErrorKind::ConfigInvalid,
                "several datasets of this name are shared with the user, who has none",
            )
            .with("setting", "dataset")
            .hint("set `dataset` to a name that nobody else uses, or share one of them only")
        })
    }
}

/// What an answer is about that does not fit, and how much room is enough.
type TooLarge = (&'static str, &'static str);

/// The graph is read as a whole.
const GRAPH: TooLarge = (
    "the graph is larger than `http.max_body`",
    "raise `http.max_body`: two kilobytes for each data point are enough for most",
);

/// A data point that was found is in the answer several times.
pub(crate) const FOUND: TooLarge = (
    "what was found is larger than `http.max_body`",
    "raise `http.max_body`: a search needs room for the largest data point, ten times over",
);

/// Pieces of texts, and on a server without access control those of all datasets.
pub(crate) const PIECES: TooLarge = (
    "the pieces of texts that were found are larger than `http.max_body`",
    "raise `http.max_body`, or ask for fewer",
);

/// Whether an answer was larger than the bound.
pub(crate) fn does_not_fit(error: &Error) -> bool {
    error.context("max_body").is_some()
}

/// A bound that an answer does not fit into is a setting to change.
pub(crate) fn too_large(error: Error, (message, hint): TooLarge) -> Error {
    let Some(max_body) = error.context("max_body").map(str::to_owned) else { return error };
    Error::new(ErrorKind::ConfigInvalid, message)
        .with("setting", "http.max_body")
        .with("max_body", max_body)
        .hint(hint)
}
