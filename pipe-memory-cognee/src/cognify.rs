//! The graph that the server makes of the texts, with its language model.

mod event;

use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_util::stream;
use pipe_core::memory::DataPointId;
use pipe_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};
use tokio::time::Instant;

pub use self::event::{CognifyEvent, CognifyProgress, CognifyReport, CognifyStream, Tokens};
use crate::Cognee;
use crate::api::{Call, Patience, unexpected};
use crate::plugin::Inner;

impl Cognee {
    /// Makes a graph of the texts, with the server's language model, and waits until it is made.
    /// Texts of which one was made already are left alone.
    ///
    /// The server goes on when somebody stops waiting, or the deadline passes. Calling again waits for
    /// that run, and then for one of its own, which takes no time where nothing is left to do.
    ///
    /// # Errors
    /// `Timeout` when it is not made within `cognify_timeout`. When the run failed, an error with its
    /// id, `run`, the server's class of the fault, `error_class`, and the last `stage` that was seen:
    /// `RateLimited`, `Timeout` or `Unavailable` where the class says that another attempt may help,
    /// and `Unexpected` otherwise.
    pub async fn cognify_governance_data(&self) -> Result<CognifyReport> {
        let mut events = self.cognify_events();
        while let Some(event) = events.next().await {
            if let CognifyEvent::Finished(report) = event? {
                return Ok(report);
            }
        }
        Err(unexpected("the run has no end").at(&self.inner.name, OPERATION))
    }

    /// As [`cognify_governance_data`](Self::cognify_governance_data), with all that happens. Nothing
    /// begins before the first event is waited for, and `cognify_timeout` counts from then on. An
    /// error is the last item.
    pub fn cognify_events(&self) -> CognifyStream {
        let making = Making {
            inner: Arc::clone(&self.inner),
            begun: None,
            seen: CognifyProgress::default(),
            stage: Stage::Beginning,
            asked: false,
        };
        CognifyStream(Box::pin(stream::try_unfold(making, Making::next)))
    }
}

const OPERATION: &str = "cognify_governance_data";

/// A run on its way.
struct Making {
    inner: Arc<Inner>,
    begun: Option<Instant>,
    /// The last progress that was seen.
    seen: CognifyProgress,
    stage: Stage,
    /// Whether the server was asked about our run, and is left alone for a while.
    asked: bool,
}

enum Stage {
    Beginning,
    /// The server answers when it has begun our run.
    Starting {
        dataset: String,
        answer: BoxFuture<'static, Result<Value>>,
    },
    Running {
        dataset: String,
        run: String,
    },
    Over,
}

impl Making {
    async fn next(mut self) -> Result<Option<(CognifyEvent, Self)>> {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let limit = self.inner.cognify_timeout;
        let left = limit.saturating_sub(begun.elapsed());
        let event = match tokio::time::timeout(left, self.step(begun)).await {
            Ok(event) => event,
            Err(_) => Err(self.out_of_time()),
        };
        let event = event.map_err(|error| error.at(&self.inner.name, OPERATION))?;
        Ok(event.map(|event| (event, self)))
    }

    async fn step(&mut self, begun: Instant) -> Result<Option<CognifyEvent>> {
        if let Stage::Beginning = self.stage
            && let Some(event) = self.begin().await?
        {
            return Ok(Some(event));
        }
        if let Stage::Starting { .. } = self.stage {
            return self.start().await.map(Some);
        }
        let Stage::Running { dataset, run } = &self.stage else { return Ok(None) };
        let (dataset, run) = (dataset.clone(), run.clone());
        loop {
            if self.asked {
                tokio::time::sleep(self.inner.poll_interval).await;
            }
            self.asked = true;
            let rows = lenient(self.inner.runs(&dataset).await)?;
            match rows.as_deref().and_then(|rows| end_of(rows, &run)) {
                Some(End::Completed(tokens)) => {
                    self.stage = Stage::Over;
                    let report = CognifyReport::Completed { run, took: begun.elapsed(), tokens };
                    return Ok(Some(CognifyEvent::Finished(report)));
                }
                Some(End::Failed(class)) => {
                    return Err(failed(&run, class.as_deref(), self.seen.stage.as_deref()));
                }
                None => {}
            }
            if let Some(event) = self.progress(&dataset).await? {
                return Ok(Some(event));
            }
        }
    }

    /// Asks for a run, and tells of an earlier one that has not ended.
    async fn begin(&mut self) -> Result<Option<CognifyEvent>> {
        let Some(dataset) = self.inner.find_dataset(&self.inner.texts()).await? else {
            self.stage = Stage::Over;
            return Ok(Some(CognifyEvent::Finished(CognifyReport::NothingToDo)));
        };
        let earlier = going_on(&self.inner.runs(&dataset).await?);
        let inner = Arc::clone(&self.inner);
        let body = json!({"dataset_ids": [dataset], "run_in_background": true});
        // The server answers once no other run of the dataset goes on. A run that was cut off when
        // the server died looks as if it went on, and does not hold it up.
        let answer = Box::pin(async move {
            let call = Call::post(&["api", "v1", "cognify"], &body);
            inner.api.send(&call.with_patience(Patience::Cognify)).await?.json()
        });
        self.stage = Stage::Starting { dataset, answer };
        Ok(earlier.map(|run| CognifyEvent::Waiting { run }))
    }

    /// Waits until our run has begun, and tells how far an earlier one is.
    async fn start(&mut self) -> Result<CognifyEvent> {
        loop {
            let Stage::Starting { dataset, answer } = &mut self.stage else {
                return Err(unexpected("the run was started twice"));
            };
            let dataset = dataset.clone();
            let started = tokio::time::timeout(self.inner.poll_interval, answer).await;
            if let Ok(started) = started {
                let started = started?;
                let run = started[&dataset]["pipeline_run_id"].as_str();
                let run = run.filter(|run| DataPointId::parse(run).is_some());
                let run = run.ok_or_else(|| unexpected("the run has no id"))?.to_owned();
                self.stage = Stage::Running { dataset, run: run.clone() };
                self.seen = CognifyProgress::default();
                return Ok(CognifyEvent::Started { run });
            }
            if let Some(event) = self.progress(&dataset).await? {
                return Ok(event);
            }
        }
    }

    /// How far the server is, where that is news.
    async fn progress(&mut self, dataset: &str) -> Result<Option<CognifyEvent>> {
        let path = ["api", "v1", "datasets", "status", "progress"];
        let query = format!("dataset={dataset}");
        let answer = self.inner.api.send(&Call::get(&path).with_query(&query)).await;
        let answer = lenient(answer.and_then(|reply| reply.json()))?.unwrap_or_default();
        let Some(now) = progress_of(&answer[dataset]["progress"]) else { return Ok(None) };
        if now == self.seen {
            return Ok(None);
        }
        self.seen = now.clone();
        Ok(Some(CognifyEvent::Progress(now)))
    }

    fn out_of_time(&self) -> Error {
        let error =
            Error::new(ErrorKind::Timeout, "the graph is not made within `cognify_timeout`")
                .hint("ask again later, or raise `cognify_timeout`; the server goes on");
        match &self.stage {
            Stage::Running { run, .. } => error.with("run", run),
            _ => error,
        }
    }
}

impl Inner {
    /// The runs for texts of a dataset, the newest first.
    async fn runs(&self, dataset: &str) -> Result<Vec<Value>> {
        let query = format!("dataset_id={dataset}&pipeline_name=cognify_pipeline&limit=50");
        let path = ["api", "v1", "activity", "pipeline-runs"];
        match self.api.send(&Call::get(&path).with_query(&query)).await?.json()? {
            Value::Array(rows) => Ok(rows),
            _ => Err(unexpected("the runs come in an unknown form")),
        }
    }
}

/// A server that is busy with a run may leave a question unanswered: it is asked again.
fn lenient<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Err(error) if error.is_retryable() => Ok(None),
        answer => answer.map(Some),
    }
}

#[derive(Debug, PartialEq)]
enum End {
    Completed(Tokens),
    Failed(Option<String>),
}

/// How a run ended, if it has. A run has a row for each state that it was in.
fn end_of(rows: &[Value], run: &str) -> Option<End> {
    let mut ours = rows.iter().filter(|row| row["pipeline_run_id"] == *run);
    ours.find_map(|row| match row["status"].as_str()? {
        "DATASET_PROCESSING_COMPLETED" => Some(End::Completed(Tokens {
            input: row["tokens_in"].as_u64(),
            output: row["tokens_out"].as_u64(),
            embedding: row["embedding_tokens"].as_u64(),
        })),
        "DATASET_PROCESSING_ERRORED" => Some(End::Failed(word(&row["error_class"]))),
        _ => None,
    })
}

/// The newest run, where it has not ended.
fn going_on(rows: &[Value]) -> Option<String> {
    let run = rows.first()?["pipeline_run_id"].as_str()?;
    let is_open = end_of(rows, run).is_none() && DataPointId::parse(run).is_some();
    is_open.then(|| run.to_owned())
}

fn progress_of(progress: &Value) -> Option<CognifyProgress> {
    Some(CognifyProgress {
        completed: progress["completed_items"].as_u64()?,
        total: progress["total_items"].as_u64()?,
        stage: word(&progress["current_stage"]),
    })
}

/// The name of a class or a stage is told when it is one by its form: anything else could be a text.
fn word(value: &Value) -> Option<String> {
    let is_word = |word: &&str| {
        word.len() <= 64 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    value.as_str().filter(is_word).map(str::to_owned)
}

fn failed(run: &str, class: Option<&str>, stage: Option<&str>) -> Error {
    let kind = match class {
        Some("RateLimitError") => ErrorKind::RateLimited,
        Some("Timeout" | "APITimeoutError" | "TimeoutError") => ErrorKind::Timeout,
        Some(
            "APIConnectionError" | "ServiceUnavailableError" | "InternalServerError"
            // The server was restarted in the middle of it.
            | "AbandonedPipelineRunError",
        ) => ErrorKind::Unavailable,
        _ => ErrorKind::Unexpected,
    };
    let error = Error::new(kind, "the server could not make a graph of the texts")
        .with("run", run)
        .hint("check the server's settings LLM_* and EMBEDDING_*, and its log");
    let error = class.into_iter().fold(error, |error, class| error.with("error_class", class));
    stage.into_iter().fold(error, |error, stage| error.with("stage", stage))
}

#[cfg(test)]
mod tests;
