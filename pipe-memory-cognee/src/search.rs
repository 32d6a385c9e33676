//! A search, by the server's embeddings; and by words among what these do not reach.

use std::collections::BTreeSet;

use pipe_core::Result;
use pipe_core::memory::{DataPoint, DataPointId, Hit, SearchQuery, Source};
use serde_json::json;

use crate::api::unexpected;
use crate::context;
use crate::dataset::{Ask, FOUND, does_not_fit, too_large};
use crate::local::rank;
use crate::plugin::Inner;

/// How many edges are asked for, and how many when relations take up too many of them. The server
/// compares no more than the hundred nearest texts of a kind, however many are asked for.
const NARROW: usize = 100;
const WIDE: usize = 1_000;
/// How many where those of long texts do not fit into `http.max_body`, one after another.
const NARROWER: [usize; 5] = [25, 12, 6, 3, 1];

/// What the server finds near.
struct Near {
    /// How similar each is.
    found: Vec<(DataPoint, f64)>,
    /// Whether the server would have told of more edges, had it been asked for them.
    has_more: bool,
}

impl Inner {
    pub(crate) async fn search(&self, query: &SearchQuery) -> Result<Vec<Hit>> {
        query.check()?;
        let is_filtered =
            !query.kinds.is_empty() || query.domain.is_some() || query.outcome.is_some();
        let (mut near, mut fits) = (self.near(query, NARROW).await, true);
        for width in NARROWER {
            if !near.as_ref().is_err_and(does_not_fit) {
                break;
            }
            (near, fits) = (self.near(query, width).await, false);
        }
        let near = near.map_err(|error| too_large(error, FOUND))?;
        let Some(near) = near else { return Ok(Vec::new()) };
        let hits = admitted(query, &near.found);
        if hits.len() == query.limit || !(is_filtered || near.has_more) {
            return Ok(hits);
        }
        if fits && !is_filtered {
            match self.near(query, WIDE).await {
                Err(error) if does_not_fit(&error) => {}
                wider => return Ok(wider?.map_or(hits, |near| admitted(query, &near.found))),
            }
        }
        self.beyond(query, &near.found, hits).await
    }

    /// What the server finds near; `None` when it has nothing.
    async fn near(&self, query: &SearchQuery, width: usize) -> Result<Option<Near>> {
        let body = |dataset: &str| {
            json!({
                "query": query.text,
                // No language model: only the context that it would be given, as objects.
                "search_type": "GRAPH_COMPLETION",
                "only_context": true,
                "verbose": true,
                "dataset_ids": [dataset],
                "top_k": width,
                "session_id": fresh_session(),
            })
        };
        let answer = self.ask(|dataset| Ask::Search(body(dataset))).await?;
        let Some(answer) = answer else { return Ok(None) };
        let context = context::read(&answer)
            .ok_or_else(|| unexpected("the search answers in an unknown form"))?;
        Ok(Some(Near { found: context.found, has_more: context.edges >= width }))
    }

    /// Fills up the hits with what the filters admit and the server has not compared or told of: all
    /// of it is further away, and is put in an order by its words.
    async fn beyond(
        &self,
        query: &SearchQuery,
        near: &[(DataPoint, f64)],
        mut hits: Vec<Hit>,
    ) -> Result<Vec<Hit>> {
        let seen: BTreeSet<DataPointId> = hits.iter().map(|hit| hit.point.id()).collect();
        let rest = self.known().await?.into_iter();
        let rest = rest.filter(|point| query.admits(point) && !seen.contains(&point.id()));
        let furthest = near.iter().map(|(_, similarity)| *similarity).fold(1.0, f64::min);
        let room = query.limit - hits.len();
        let ranked = rank(&query.text, rest.collect()).into_iter().take(room);
        hits.extend(
            ranked.map(|(point, by_words)| Hit::new(point, by_words * furthest, Source::Cognee)),
        );
        Ok(hits)
    }
}

/// Earlier questions are no part of this one: the server remembers what was asked in a session.
pub(crate) fn fresh_session() -> String {
    format!("pipe-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))
}

fn admitted(query: &SearchQuery, near: &[(DataPoint, f64)]) -> Vec<Hit> {
    let admitted = near.iter().filter(|(point, _)| query.admits(point)).take(query.limit);
    let hit = |(point, similarity): &(DataPoint, f64)| {
        Hit::new(point.clone(), *similarity, Source::Cognee)
    };
    admitted.map(hit).collect()
}
