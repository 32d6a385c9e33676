//! A memory that goes on, as far as it was said, while its server is away.

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pipe_core::memory::{
    AddReport, DataPoint, GovernanceMemory, Hit, MemoryKey, PathSuggestion, Relation, SearchQuery,
    Source, check_batch,
};
use pipe_core::{Error, ErrorKind, Health, Plugin, Result};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use crate::LocalMemory;
use crate::queue::Queue;

/// What happens to questions while the server is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reads {
    /// They fail.
    Fail,
    /// The memory in the process answers, which knows what was added through it. The answers say so.
    /// Where it knows nothing, the question fails: an outage is not an empty list.
    AnswerLocally,
}

/// What happens to what is added while the server is away.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Writes {
    /// It is refused.
    Fail,
    /// It waits on disk, and is delivered before anything else is added, and before the server's
    /// answers are given.
    Queue {
        /// Where it waits. For one memory of one process at a time, which holds a lock in it.
        directory: PathBuf,
        /// How many data points and relations may wait. More are refused.
        limit: usize,
    },
}

/// What may be done while the server is away. There is no default: somebody has to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FallbackPolicy {
    /// What happens to questions.
    pub reads: Reads,
    /// What happens to what is added.
    pub writes: Writes,
}

impl FallbackPolicy {
    /// This is to happen to questions, and that to what is added.
    #[must_use]
    pub fn new(reads: Reads, writes: Writes) -> Self {
        Self { reads, writes }
    }
}

/// What became of what waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// How many batches were delivered.
    pub delivered: usize,
    /// How many batches the server refused for what is in them. Their files end in `.refused` now.
    pub refused: usize,
}

/// A memory on a server with one in the process beside it.
///
/// What is added goes to both. Only an outage (`Unavailable`, `Timeout`, `RateLimited`) leads to the
/// policy: a denial is an answer, and so is "nothing".
///
/// What waits is delivered in its order, and before anything that is added later, so an older state
/// never replaces a newer one. A batch may reach the server twice, when this process dies between
/// the delivery and forgetting it; its ids make it one.
#[derive(Debug)]
pub struct Fallback<P> {
    server: P,
    local: LocalMemory,
    reads: Reads,
    queue: Option<Arc<Queue>>,
    /// One writer at a time, so that the order holds.
    writing: Arc<Mutex<()>>,
    /// When a writer last found the server away.
    away: std::sync::Mutex<Option<Instant>>,
}

/// How long a writer waits for those before it.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

impl<P: GovernanceMemory> Fallback<P> {
    /// Puts both together. What waits on disk since earlier is known to the memory in the process
    /// at once, and delivered with the next addition or question, or by [`deliver`](Self::deliver).
    ///
    /// # Errors
    /// `Unavailable` when the queue's directory cannot be used; `ConfigInvalid` when another memory
    /// uses it, in this process or another; `Unexpected` when there is something
    /// in it that no queue has written.
    pub async fn open(server: P, local: LocalMemory, policy: FallbackPolicy) -> Result<Self> {
        let FallbackPolicy { reads, writes } = policy;
        let queue = match writes {
            Writes::Fail => None,
            Writes::Queue { directory, limit } => {
                let opened = Queue::open(directory, limit).await;
                let (queue, waiting) = opened.map_err(|error| error.at(server.name(), "open"))?;
                for (points, relations) in waiting {
                    mirror(&local, &points, &relations).await;
                }
                Some(Arc::new(queue))
            }
        };
        let (writing, away) = Default::default();
        Ok(Self { server, local, reads, queue, writing, away })
    }

    /// How many data points and relations wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.len())
    }

    /// Delivers what waits, in its order.
    ///
    /// # Errors
    /// Those of the server, and what has not been delivered goes on waiting.
    pub async fn deliver(&self) -> Result<Delivery> {
        let Some(queue) = &self.queue else { return Ok(Delivery::default()) };
        let located = |error: Error| error.at(self.server.name(), "deliver");
        let (_turn, is_away) = self.turn().await.map_err(located)?;
        match is_away {
            true => Err(located(away())),
            false => self.noting_outages(self.deliver_in_turn(queue).await),
        }
    }

    /// The turn of a writer, and whether one before it has found the server away meanwhile: who has
    /// waited for that long does not wait once more for a server that hangs.
    async fn turn(&self) -> Result<(OwnedMutexGuard<()>, bool)> {
        let since = Instant::now();
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.writing).lock_owned()).await;
        let turn = turn.map_err(|_| {
            Error::new(ErrorKind::Timeout, "other writers take too long")
                .hint("add less often, or lower the timeouts of the memory on the server")
        })?;
        let away = *self.away.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((turn, away.is_some_and(|at| at >= since)))
    }

    fn noting_outages<T>(&self, answer: Result<T>) -> Result<T> {
        if answer.as_ref().err().is_some_and(is_outage) {
            *self.away.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        answer
    }

    async fn deliver_in_turn(&self, queue: &Arc<Queue>) -> Result<Delivery> {
        let mut delivery = Delivery::default();
        while let Some((points, relations)) = queue.front().await? {
            match self.server.add_datapoints(&points, &relations).await {
                Ok(_) => {
                    queue.pop().await?;
                    delivery.delivered += 1;
                }
                // It would be refused for ever, and everything behind it would wait for ever.
                Err(error) if error.kind() == ErrorKind::InvalidArgument => {
                    tracing::warn!(memory = self.server.name(), "a queued batch is refused");
                    queue.put_aside().await?;
                    delivery.refused += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(delivery)
    }

    /// Asks the server. Once it answers, what waits is delivered, and it is asked again: what was
    /// added before is part of every answer.
    async fn ask<T, F: Future<Output = Result<T>>>(&self, question: impl Fn() -> F) -> Result<T> {
        let something_waits = self.waiting() > 0;
        let answer = question().await?;
        if !something_waits {
            return Ok(answer);
        }
        match self.deliver().await {
            Ok(_) => question().await,
            Err(error) if is_outage(&error) => Err(error),
            // It goes on waiting, which its health tells, and holds up no answer.
            Err(_) => Ok(answer),
        }
    }

    fn answers_locally(&self, error: &Error) -> bool {
        self.reads == Reads::AnswerLocally && is_outage(error)
    }
}

#[async_trait]
impl<P: GovernanceMemory> Plugin for Fallback<P> {
    fn name(&self) -> &str {
        self.server.name()
    }

    async fn health(&self) -> Health {
        let health = self.server.health().await;
        if !health.is_serving() && self.reads == Reads::AnswerLocally {
            return Health::degraded(
                format!("answers come from this process: {}", health.reason),
                health.hint,
            );
        }
        let set_aside = self.queue.as_ref().map_or(0, |queue| queue.set_aside());
        if health.is_serving() && set_aside > 0 {
            return Health::degraded(
                format!("the server refused {set_aside} batches that had waited"),
                "look at the files that end in .refused in the queue's directory",
            );
        }
        if health.is_serving() && self.waiting() > 0 {
            return Health::degraded(
                format!("{} data points and relations wait to be delivered", self.waiting()),
                "call `deliver`: its error says what holds them up",
            );
        }
        health
    }

    async fn close(&self) -> Result<()> {
        self.server.close().await
    }
}

#[async_trait]
impl<P: GovernanceMemory> GovernanceMemory for Fallback<P> {
    async fn add_datapoints(
        &self,
        points: &[DataPoint],
        relations: &[Relation],
    ) -> Result<AddReport> {
        let located = |error: Error| error.at(self.server.name(), "add_datapoints");
        check_batch(points, relations).map_err(located)?;
        let Some(queue) = &self.queue else {
            let report = self.server.add_datapoints(points, relations).await?;
            mirror(&self.local, points, relations).await;
            return Ok(report);
        };
        let (turn, is_away) = self.turn().await.map_err(located)?;
        let added = match is_away {
            true => Err(away()),
            false => match self.deliver_in_turn(queue).await {
                Ok(_) => self.server.add_datapoints(points, relations).await,
                Err(error) => Err(error),
            },
        };
        let report = match self.noting_outages(added) {
            Err(error) if is_outage(&error) => {
                queue.push(points, relations, turn).await.map_err(located)?;
                tracing::info!(memory = self.server.name(), "the server is away: queued");
                AddReport::new(Source::Local).with_queued(points.len())
            }
            added => added?,
        };
        mirror(&self.local, points, relations).await;
        Ok(report)
    }

    async fn search_integrations(&self, query: &SearchQuery) -> Result<Vec<Hit>> {
        match self.ask(|| self.server.search_integrations(query)).await {
            Err(error) if self.answers_locally(&error) => {
                let hits = self.local.search_integrations(query).await?;
                // An empty list does not say that it is local.
                if hits.is_empty() { Err(error) } else { Ok(hits) }
            }
            answer => answer,
        }
    }

    async fn suggest_integration_path(
        &self,
        source: &MemoryKey,
        target: &MemoryKey,
    ) -> Result<Option<PathSuggestion>> {
        match self.ask(|| self.server.suggest_integration_path(source, target)).await {
            Err(error) if self.answers_locally(&error) => {
                let suggestion = self.local.suggest_integration_path(source, target).await?;
                suggestion.map_or(Err(error), |suggestion| Ok(Some(suggestion)))
            }
            answer => answer,
        }
    }
}

fn away() -> Error {
    Error::new(ErrorKind::Unavailable, "the server was away for the writer before")
        .hint("check that the server runs and is reachable")
}

/// Exhausted or not: whoever retried has found out that it lasts.
fn is_outage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::RateLimited)
}

/// What the server has need not fit into this process: then it knows less, and that is all.
async fn mirror(local: &LocalMemory, points: &[DataPoint], relations: &[Relation]) {
    if local.add_datapoints(points, relations).await.is_err() {
        tracing::warn!(memory = local.name(), "the memory in the process is full");
    }
}
