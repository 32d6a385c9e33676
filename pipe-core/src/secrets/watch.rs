//! Following a secret.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::Secret;
use crate::Result;

/// A state of a watched secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretEvent {
    /// The secret exists and holds this.
    Present(Secret),
    /// Nothing is stored there.
    Absent,
}

/// The states of a watched secret: the current one first, then each later one.
///
/// States in between may be skipped when the reader is slow; the last one never is. An error item
/// says that the watch had a fault; it goes on unless the stream ends.
#[must_use = "a stream does nothing unless polled"]
pub struct SecretStream(Pin<Box<dyn Stream<Item = Result<SecretEvent>> + Send>>);

impl SecretStream {
    /// Wraps a backend's stream.
    pub fn new(stream: impl Stream<Item = Result<SecretEvent>> + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }

    /// The next state; `None` when the watch is over.
    pub async fn next(&mut self) -> Option<Result<SecretEvent>> {
        std::future::poll_fn(|cx| self.0.as_mut().poll_next(cx)).await
    }
}

impl Stream for SecretStream {
    type Item = Result<SecretEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl fmt::Debug for SecretStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretStream")
    }
}
