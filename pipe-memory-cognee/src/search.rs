//! A search, by the server's embeddings; and by words among what these do not reach.

use std::collections::BTreeSet;

use pipe_core::Result;
use pipe_core::memory::{DataPoint, DataPointId, Hit, SearchQuery, Source};
use serde_json::json;

use crate::api::unexpected;
use crate::context;
use crate::dataset::{Ask, FOUND, too_large};
use crate::local::rank;
use crate::plugin::Inner;

/// How many edges are asked for, and how many when relations take up too many of them. The server
/// compares no more than the hundred nearest texts of a kind, however many are asked for.
const NARROW: usize = 100;
const WIDE: usize = 1_000;

impl Inner {
    pub(crate) async fn search(&self, query: &SearchQuery) -> Result<Vec<Hit>> {
        query.check()?;
        let is_filtered =
            !query.kinds.is_empty() || query.domain.is_some() || query.outcome.is_some();
        let Some((near, edges)) = self.near(query, NARROW).await? else { return Ok(Vec::new()) };
        let hits = admitted(query, &near);
        if hits.len() == query.limit {
            return Ok(hits);
        }
        if is_filtered {
            return self.beyond(query, &near, hits).await;
        }
        if edges < NARROW {
            return Ok(hits);
        }
        let near = self.near(query, WIDE).await?;
        Ok(near.map_or(hits, |(near, _)| admitted(query, &near)))
    }

    /// What the server finds near, and how many edges its answer had; `None` when it has nothing.
    async fn near(
        &self,
        query: &SearchQuery,
        width: usize,
    ) -> Result<Option<(Vec<(DataPoint, f64)>, usize)>> {
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
        let answer = self.ask(|dataset| Ask::Search(body(dataset))).await;
        let answer = answer.map_err(|error| too_large(error, FOUND))?;
        let Some(answer) = answer else { return Ok(None) };
        let context = context::read(&answer)
            .ok_or_else(|| unexpected("the search answers in an unknown form"))?;
        Ok(Some((context.found, context.edges)))
    }

    /// Fills up the hits with what the filters admit and the server has not compared: all of it is
    /// further away, and is put in an order by its words.
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
