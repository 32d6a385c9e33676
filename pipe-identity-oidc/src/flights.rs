//! One question for all who ask at once about the same token.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipe_core::Result;
use tokio::sync::OnceCell;

use crate::cache::Digest;

/// The questions that are under way. What was found out is not kept here: it is for those who waited.
pub(crate) struct Flights<T>(Mutex<HashMap<Digest, Flight<T>>>);

struct Flight<T> {
    answer: Arc<OnceCell<Result<T>>>,
    /// How many hold it. Counted under the lock: the last of them takes it off the map.
    waiting: usize,
}

impl<T: Clone> Flights<T> {
    /// What `find_out` gives, asked by the first of those who ask at once. When that one goes away, the next
    /// takes over.
    pub(crate) async fn share(
        &self,
        digest: Digest,
        find_out: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let waiting = self.join(digest);
        waiting.answer.get_or_init(|| find_out).await.clone()
    }

    fn join(&self, digest: Digest) -> Waiting<'_, T> {
        let mut flights = self.lock();
        let flight =
            flights.entry(digest).or_insert_with(|| Flight { answer: Arc::default(), waiting: 0 });
        flight.waiting += 1;
        Waiting { flights: self, digest, answer: Arc::clone(&flight.answer) }
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
    answer: Arc<OnceCell<Result<T>>>,
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        // An answered one may be gone already, and a new one in its place.
        let Some(flight) = flights.get_mut(&self.digest) else { return };
        if !Arc::ptr_eq(&flight.answer, &self.answer) {
            return;
        }
        flight.waiting -= 1;
        if flight.waiting == 0 || self.answer.initialized() {
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

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_is_left_of_those_who_go_away_at_the_same_time() {
        let flights = Arc::new(Flights::<u32>::default());
        for round in 0..200_u32 {
            let digest = Digest::of(&round.to_le_bytes());
            let waiters: Vec<_> = (0..4)
                .map(|_| {
                    let flights = Arc::clone(&flights);
                    tokio::spawn(async move { flights.share(digest, std::future::pending()).await })
                })
                .collect();
            tokio::task::yield_now().await;
            waiters.iter().for_each(tokio::task::JoinHandle::abort);
            for waiter in waiters {
                assert!(waiter.await.unwrap_err().is_cancelled());
            }
            assert!(flights.lock().is_empty(), "round {round}");
        }
    }

    #[test]
    fn the_last_of_those_who_wait_takes_the_question_away() {
        let flights = Flights::<u32>::default();
        let digest = Digest::of(b"token");
        let (first, second) = (flights.join(digest), flights.join(digest));
        drop(first);
        assert_eq!(flights.lock().len(), 1);
        drop(second);
        assert!(flights.lock().is_empty());
    }
}
