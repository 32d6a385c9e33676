//! What happens while a graph is made, and what becomes of it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use pipe_core::Result;

/// What became of the texts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CognifyReport {
    /// No text was ever added, so there was nothing to do: data points are a graph already.
    NothingToDo,
    /// The graph is made.
    #[non_exhaustive]
    Completed {
        /// The server's id of the run.
        run: String,
        /// How long we waited, from the call on.
        took: Duration,
        /// What the models took in and gave, as the server counted.
        tokens: Tokens,
    },
}

/// Tokens of models; `None` where the server did not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tokens {
    /// What the language model was given.
    pub input: Option<u64>,
    /// What the language model answered.
    pub output: Option<u64>,
    /// What the embedding model was given.
    pub embedding: Option<u64>,
}

/// Something that happens while a graph is made. The last one is `Finished`, unless the stream ends
/// with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CognifyEvent {
    /// An earlier run has not ended, as far as the server says. It has one run of a dataset at a
    /// time: ours begins afterwards, and includes what was added in between.
    #[non_exhaustive]
    Waiting {
        /// The server's id of the earlier run.
        run: String,
    },
    /// Our run has begun.
    #[non_exhaustive]
    Started {
        /// The server's id of the run.
        run: String,
    },
    /// The server has come further. One that is busy may not say so before it has ended, and may say
    /// so of our run before it says that it has begun.
    Progress(CognifyProgress),
    /// It is over.
    Finished(CognifyReport),
}

/// How far the server is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CognifyProgress {
    /// How many texts are done.
    pub completed: u64,
    /// How many there are.
    pub total: u64,
    /// What the server does with some of them at the moment, in its own words, such as
    /// `extract_graph_and_summarize`.
    pub stage: Option<String>,
}

/// What happens while a graph is made, as it happens.
///
/// The server is asked while somebody waits for the next event, and never else: whoever drops this
/// leaves nothing behind in this process.
#[must_use = "nothing happens unless somebody waits for the next event"]
pub struct CognifyStream(pub(super) Pin<Box<dyn Stream<Item = Result<CognifyEvent>> + Send>>);

impl CognifyStream {
    /// The next event; `None` when it is over.
    pub async fn next(&mut self) -> Option<Result<CognifyEvent>> {
        std::future::poll_fn(|cx| self.0.as_mut().poll_next(cx)).await
    }
}

impl Stream for CognifyStream {
    type Item = Result<CognifyEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for CognifyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CognifyStream")
    }
}
