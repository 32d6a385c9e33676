//! Writers of one secret, one after the other.

use std::fmt;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use crate::{Error, ErrorKind, Result};

/// How many writers can be at work at once: two secrets rarely share a turn.
const TURNS: usize = 64;

/// Lets the writers of one secret in this process take turns.
///
/// For backends where one writer would make stale what another has read, or where two that create
/// the same thing at once leave two of it. Writers in other processes are met by the backend's own
/// means. Its size is fixed; different secrets may share a turn, which costs them time only.
///
/// ```
/// # use std::time::Duration;
/// # use pipe_core::secrets::WriterTurns;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> pipe_core::Result<()> {
/// let turns = WriterTurns::new(Duration::from_secs(10));
/// let turn = turns.take(&("default", "db")).await?;
/// // … read, change and write …
/// drop(turn);
/// # Ok(())
/// # }
/// ```
pub struct WriterTurns {
    turns: [Mutex<()>; TURNS],
    patience: Duration,
}

/// The turn of one writer, until it is dropped.
#[must_use = "the turn ends when it is dropped"]
#[derive(Debug)]
pub struct WriterTurn<'a> {
    _turn: MutexGuard<'a, ()>,
}

impl WriterTurns {
    /// Turns for which a writer waits this long at most: the backend's timeout.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self { turns: std::array::from_fn(|_| Mutex::new(())), patience }
    }

    /// Waits for the turn of whoever writes this secret.
    ///
    /// # Errors
    /// `Timeout` when the others take too long. Nothing was written then.
    pub async fn take(&self, secret: &impl Hash) -> Result<WriterTurn<'_>> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(secret);
        let turn = self.turns[usize::try_from(hash % TURNS as u64).unwrap_or(0)].lock();
        let turn = tokio::time::timeout(self.patience, turn).await;
        turn.map(|turn| WriterTurn { _turn: turn }).map_err(|_| {
            Error::new(ErrorKind::Timeout, "other writers of the secret take too long")
                .hint("write less often, or raise `http.timeout`")
        })
    }
}

impl fmt::Debug for WriterTurns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterTurns").field("patience", &self.patience).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_writer_waits_for_the_one_before_and_not_for_ever() {
        let turns = WriterTurns::new(Duration::from_secs(1));
        let first = turns.take(&"db").await.unwrap();
        let error = turns.take(&"db").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.to_string().contains("other writers"), "{error}");
        drop(first);
        assert!(turns.take(&"db").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn writers_of_other_secrets_go_on() {
        let turns = WriterTurns::new(Duration::ZERO);
        let _first = turns.take(&0).await.unwrap();
        let mut free = 0;
        for other in 1..100 {
            free += usize::from(turns.take(&other).await.is_ok());
        }
        assert!(free > 90, "{free}");
    }
}
