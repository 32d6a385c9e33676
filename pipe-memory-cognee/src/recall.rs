//! What the texts say: their pieces, and on demand an answer of the server's language model.

use pipe_core::Result;
use pipe_core::memory::{DataPointId, MemoryKey, SearchQuery, Source};
use serde_json::{Value, json};

use crate::Cognee;
use crate::api::{Call, Patience, Reply, unexpected};
use crate::dataset::{PIECES, too_large};
use crate::documents::key_of;
use crate::error::Fault;
use crate::plugin::Inner;
use crate::search::fresh_session;

/// A piece of a text that resembles a query.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TextHit {
    /// The piece.
    pub text: String,
    /// How much it resembles the query, between 0 and 1, and to be compared within one answer only;
    /// `None` when the server does not say.
    pub similarity: Option<f64>,
    /// Where it stands.
    pub provenance: Provenance,
    /// Where it was found.
    pub source: Source,
}

/// Where a piece of a text stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provenance {
    /// The key of the [`Document`](crate::Document).
    pub document: MemoryKey,
    /// The name of the dataset of texts.
    pub dataset: String,
    /// The server's id of the piece.
    pub chunk: DataPointId,
    /// Which piece of the document it is, from 0 on.
    pub index: u64,
}

/// What a language model answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextAnswer {
    /// The answer.
    pub text: String,
    /// The server's ids of the pieces of text that the model was given, as far as the server says:
    /// [`Provenance::chunk`].
    pub chunks: Vec<DataPointId>,
    /// Where it was given.
    pub source: Source,
}

/// How many pieces are asked for where those of other datasets take up too many.
const WIDE: usize = 1_000;

impl Cognee {
    /// The pieces of texts that resemble a query most, the closest first; `limit` at most. No
    /// language model is asked, and earlier queries do not matter.
    ///
    /// Found are texts that [`add_documents`](Self::add_documents) has stored and of which
    /// [`cognify_governance_data`](Self::cognify_governance_data) has made a graph. Nothing found is
    /// an empty list.
    ///
    /// # Errors
    /// `InvalidArgument` for a query of blanks or more than 8 KiB, and a limit of nothing or more
    /// than 100; otherwise only when it could not be found out.
    pub async fn search_documents(&self, query: &str, limit: usize) -> Result<Vec<TextHit>> {
        let found = self.inner.search_documents(query, limit).await;
        found.map_err(|error| error.at(&self.inner.name, "search_documents"))
    }

    /// What the server's language model makes of the texts that resemble the question most. This
    /// asks the language model, and is the only search that does. Earlier questions do not matter.
    ///
    /// `None` when there is no text to answer from. A server without access control answers from
    /// the texts of all its datasets.
    ///
    /// # Errors
    /// As [`search_documents`](Self::search_documents); `Unavailable` when the model fails. It may
    /// take as long as `write_timeout`.
    pub async fn answer_with_language_model(&self, question: &str) -> Result<Option<TextAnswer>> {
        let answer = self.inner.answer(question).await;
        answer.map_err(|error| error.at(&self.inner.name, "answer_with_language_model"))
    }
}

impl Inner {
    async fn search_documents(&self, query: &str, limit: usize) -> Result<Vec<TextHit>> {
        SearchQuery::new(query).with_limit(limit).check()?;
        let texts = self.texts();
        let mut width = limit;
        loop {
            let answer = self.recall(query, "CHUNKS", width, Patience::Read).await?;
            let Some(answer) = answer else { return Ok(Vec::new()) };
            let rows = rows(&answer).ok_or_else(unknown)?;
            let mut hits = Vec::new();
            for row in &rows {
                hits.extend(hit(row, &texts).ok_or_else(unknown)?);
            }
            // A server without access control gives those of other datasets too.
            if hits.len() >= limit || rows.len() < width || width == WIDE {
                hits.truncate(limit);
                return Ok(hits);
            }
            width = WIDE;
        }
    }

    async fn answer(&self, question: &str) -> Result<Option<TextAnswer>> {
        let query = SearchQuery::new(question);
        query.check()?;
        let answer = self.recall(question, "RAG_COMPLETION", query.limit, Patience::Write).await?;
        let Some(answer) = answer else { return Ok(None) };
        let rows = rows(&answer).ok_or_else(unknown)?;
        let Some(row) = rows.first() else { return Ok(None) };
        let text = row.as_str().or_else(|| row["text"].as_str()).ok_or_else(unknown)?;
        let evidence = row["metadata"]["evidence"].as_array().map(Vec::as_slice);
        let chunk = |row: &Value| DataPointId::parse(row["chunk_id"].as_str()?);
        let chunks = evidence.unwrap_or_default().iter().filter_map(chunk).collect();
        Ok(Some(TextAnswer { text: text.to_owned(), chunks, source: Source::Cognee }))
    }

    /// Asks about the texts; `None` when there are none, or no graph of them.
    async fn recall(
        &self,
        query: &str,
        search_type: &str,
        width: usize,
        patience: Patience,
    ) -> Result<Option<Value>> {
        let Some(dataset) = self.find_dataset(&self.texts()).await? else { return Ok(None) };
        let body = json!({
            "query": query,
            "search_type": search_type,
            "dataset_ids": [dataset],
            "top_k": width,
            // Neither earlier questions nor what was answered to them.
            "scope": "graph",
            "session_id": fresh_session(),
            // Which pieces an answer was made from.
            "include_references": true,
        });
        let call = Call::post(&["api", "v1", "recall"], &body).with_patience(patience);
        match self.api.send(&call).await.map_err(|error| too_large(error, PIECES))? {
            Reply::Json(answer) => Ok(Some(answer)),
            Reply::Refused(Fault::NoData, _) => Ok(None),
            Reply::Refused(_, error) => Err(error),
        }
    }
}

/// The rows of an answer: `recall` gives them as they are, and so does a search without access
/// control; with it, those of each dataset are in an object of its own.
fn rows(answer: &Value) -> Option<Vec<&Value>> {
    let mut rows = Vec::new();
    for item in answer.as_array()? {
        match item.get("search_result") {
            Some(inner) => rows.extend(self::rows(inner)?),
            None => rows.push(item),
        }
    }
    Some(rows)
}

/// The hit that a row is; none in it when it is a text of somebody else. `None` when it is no row.
fn hit(row: &Value, texts: &str) -> Option<Option<TextHit>> {
    // `recall` keeps the piece as the vector store has it beside its own form.
    let piece = row.get("raw").unwrap_or(row);
    let text = row["text"].as_str()?;
    let Some(document) = key_of(piece["document_name"].as_str()?, texts) else { return Some(None) };
    let provenance = Provenance {
        document,
        dataset: texts.to_owned(),
        chunk: DataPointId::parse(piece["id"].as_str()?)?,
        index: piece["chunk_index"].as_u64()?,
    };
    // The score is a distance.
    let similarity = row["score"].as_f64().map(|distance| (1.0 - distance).clamp(0.0, 1.0));
    Some(Some(TextHit { text: text.to_owned(), similarity, provenance, source: Source::Cognee }))
}

fn unknown() -> pipe_core::Error {
    unexpected("the search of texts answers in an unknown form")
}

#[cfg(test)]
mod tests;
