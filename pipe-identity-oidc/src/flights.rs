//! One question for all who ask at once about the same token.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipe_core::Result;
use tokio::sync::OnceCell;

use crate::cache::Digest;

type Flight<T> = Arc<OnceCell<Result<T>>>;

/// The questions that are under way. What was found out is not kept here: it is for those who waited.
pub(crate) struct Flights<T>(Mutex<HashMap<Digest, Flight<T>>>);

impl<T: Clone> Flights<T> {
    /// What `find_out` gives, asked by the first of those who ask at once. When that one goes away, the next
    /// takes over.
    pub(crate) async fn share(
        &self,
        digest: Digest,
        find_out: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let flight = Arc::clone(self.lock().entry(digest).or_default());
        let waiting = Waiting { flights: self, digest, flight };
        waiting.flight.get_or_init(|| find_out).await.clone()
    }
}

impl<T> Flights<T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Flight<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of those who wait. A question ends for all when it is answered, and when the last of them is gone.
struct Waiting<'a, T> {
    flights: &'a Flights<T>,
    digest: Digest,
    flight: Flight<T>,
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        let is_ours = flights.get(&self.digest).is_some_and(|one| Arc::ptr_eq(one, &self.flight));
        // The map's own and ours are the last two.
        let is_last = Arc::strong_count(&self.flight) <= 2;
        if is_ours && (self.flight.initialized() || is_last) {
            flights.remove(&self.digest);
        }
    }
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> fmt::Debug for Flights<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("under_way", &self.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;
    use pipe_core::{Error, ErrorKind};
    use tokio::sync::Notify;

    #[tokio::test]
    async fn all_who_ask_at_once_share_an_answer_and_later_ones_do_not() {
        let (flights, asked) = (Flights::default(), AtomicU32::new(0));
        let digest = Digest::of(b"token");
        let ask = || {
            flights.share(digest, async {
                tokio::task::yield_now().await;
                Ok(asked.fetch_add(1, Ordering::SeqCst))
            })
        };
        for round in 0..3 {
            let answers = join_all((0..100).map(|_| ask())).await;
            assert!(answers.into_iter().all(|answer| answer.unwrap() == round));
        }
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn a_failure_is_shared_and_not_kept() {
        let (flights, asked) = (Flights::<u32>::default(), AtomicU32::new(0));
        let digest = Digest::of(b"token");
        let ask = || {
            flights.share(digest, async {
                asked.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Err(Error::new(ErrorKind::Unavailable, "down"))
            })
        };
        assert!(join_all((0..10).map(|_| ask())).await.iter().all(Result::is_err));
        assert!(ask().await.is_err());
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn the_next_takes_over_from_one_that_goes_away() {
        let flights = Flights::default();
        let digest = Digest::of(b"token");
        let never = Notify::new();
        let first = flights.share(digest, async {
            never.notified().await;
            Ok(1)
        });
        let second = flights.share(digest, async { Ok(2) });
        tokio::pin!(second);
        {
            tokio::pin!(first);
            tokio::select! {
                biased;
                _ = &mut first => panic!("nobody answers it"),
                _ = &mut second => panic!("the first one asks"),
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(second.await.unwrap(), 2);
        assert!(flights.lock().is_empty());
    }
}
