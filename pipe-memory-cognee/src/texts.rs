//! Free text, of which the server makes a graph with a language model, in a dataset of its own.

use std::time::Duration;

use pipe_core::memory::{DataPointId, DataPointKind, MemoryKey};
use pipe_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Cognee;
use crate::api::{Call, unexpected};
use crate::multipart::Form;

/// A text that the memory may learn from, such as the minutes of a review.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Document {
    /// What it is known by.
    pub key: MemoryKey,
    /// The text.
    pub text: String,
}

impl Document {
    /// A text that is known by this key.
    pub fn new(key: MemoryKey, text: impl Into<String>) -> Self {
        Self { key, text: text.into() }
    }
}

/// What became of the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CognifyReport {
    /// No text was ever added, so there was nothing to do: data points are a graph already.
    NothingToDo,
    /// The graph is made.
    #[non_exhaustive]
    Completed {
        /// How long it took.
        took: Duration,
    },
}

/// The most texts of one call, and the most bytes of all of them.
const MAX_DOCUMENTS: usize = 1_000;
const MAX_BYTES: usize = 16 << 20;

impl Cognee {
    /// Stores texts in a dataset of their own (`governance-texts`) beside that of the data points. No language model is
    /// asked. The same text under the same key is stored once.
    ///
    /// # Errors
    /// `InvalidArgument` for more than a thousand texts, 16 MiB, or a text of blanks; `Conflict` when
    /// another text is stored under one of the keys. Texts before that one may have been stored.
    pub async fn add_documents(&self, documents: &[Document]) -> Result<()> {
        let added = self.inner.add_documents(documents).await;
        added.map_err(|error| error.at(&self.inner.name, "add_documents"))
    }

    /// Makes a graph of the texts, with the server's language model, and waits until it is made.
    /// Texts of which one was made already are left alone. Whoever stops waiting does not stop the
    /// server, and may call again.
    ///
    /// # Errors
    /// `Timeout` when it is not made within `cognify_timeout`; `Unexpected` with the server's class of
    /// the fault, `error_class`, when the run failed.
    pub async fn cognify_governance_data(&self) -> Result<CognifyReport> {
        let made = self.inner.cognify().await;
        made.map_err(|error| error.at(&self.inner.name, "cognify_governance_data"))
    }
}

impl crate::plugin::Inner {
    fn texts(&self) -> String {
        format!("{}-texts", self.dataset)
    }

    async fn add_documents(&self, documents: &[Document]) -> Result<()> {
        let bytes: usize = documents.iter().map(|document| document.text.len()).sum();
        if documents.len() > MAX_DOCUMENTS || bytes > MAX_BYTES {
            return Err(Error::new(ErrorKind::InvalidArgument, "too many texts in one call")
                .with("documents", documents.len())
                .with("bytes", bytes)
                .hint("add a thousand texts and 16 MiB at once, at most"));
        }
        if documents.iter().any(|document| document.text.trim().is_empty()) {
            return Err(Error::new(ErrorKind::InvalidArgument, "a text is empty"));
        }
        if documents.is_empty() {
            return Ok(());
        }
        let kind = DataPointKind::custom("Document")?;
        let mut form = Form::new()?.field("datasetName", &self.texts());
        for document in documents {
            // Always a file: of text in a field, the server would read its own files and fetch URLs.
            // The name without its end is what the server knows it by.
            let name = format!("{}.txt", DataPointId::of(&kind, &document.key));
            form = form.file("data", &name, document.text.as_bytes());
        }
        let (content_type, body) = form.finish()?;
        let call = Call::upload(&["api", "v1", "add"], content_type, body);
        let answer = self.api.send(&call).await?.json()?;
        match answer["status"].as_str() {
            Some("PipelineRunCompleted" | "PipelineRunAlreadyCompleted") => Ok(()),
            _ => Err(unexpected("the server did not store all texts")),
        }
    }

    async fn cognify(&self) -> Result<CognifyReport> {
        let begun = Instant::now();
        let Some(dataset) = self.find_dataset(&self.texts()).await? else {
            return Ok(CognifyReport::NothingToDo);
        };
        let body = json!({"dataset_ids": [dataset], "run_in_background": true});
        let started = self.api.send(&Call::post(&["api", "v1", "cognify"], &body)).await?.json()?;
        let run = started[&dataset]["pipeline_run_id"].as_str();
        let run = run.ok_or_else(|| unexpected("the run has no id"))?;
        let done = tokio::time::timeout(self.cognify_timeout, self.wait_for(&dataset, run)).await;
        done.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout, "the graph is not made within `cognify_timeout`")
                .hint("ask again later, or raise `cognify_timeout`; the server goes on"))
        })?;
        Ok(CognifyReport::Completed { took: begun.elapsed() })
    }

    /// Waits for the end of a run. A server that is busy with it may leave a question unanswered.
    async fn wait_for(&self, dataset: &str, run: &str) -> Result<()> {
        let query = format!("dataset_id={dataset}&pipeline_name=cognify_pipeline&limit=50");
        let path = ["api", "v1", "activity", "pipeline-runs"];
        let call = Call::get(&path).with_query(&query);
        loop {
            let rows = match self.api.send(&call).await.and_then(|reply| reply.json()) {
                Err(error) if error.is_retryable() => Value::Null,
                rows => rows?,
            };
            let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
            // The newest comes first.
            let row = rows.iter().find(|row| row["pipeline_run_id"] == *run);
            match row.and_then(|row| Some((row, row["status"].as_str()?))) {
                Some((_, "DATASET_PROCESSING_COMPLETED")) => return Ok(()),
                Some((row, "DATASET_PROCESSING_ERRORED")) => return Err(failed(row)),
                _ => tokio::time::sleep(self.poll_interval).await,
            }
        }
    }
}

/// The name of a class is told when it is one by its form: anything else could be a text.
fn failed(row: &Value) -> Error {
    let is_name = |name: &&str| {
        name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let error = Error::new(ErrorKind::Unexpected, "the server could not make a graph of the texts")
        .hint("check the server's settings LLM_* and EMBEDDING_*, and its log");
    match row["error_class"].as_str().filter(is_name) {
        Some(class) => error.with("error_class", class),
        None => error,
    }
}
