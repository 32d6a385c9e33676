//! Values that are replaced while they are in use.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A value whose predecessors stay valid for a while, so that nobody who uses one of them is
/// turned away while it is replaced (REQ 004-85.3).
///
/// ```
/// use std::time::Duration;
///
/// use pipe_core::{Rotating, SecretValue};
///
/// let webhook = Rotating::new(SecretValue::from("old key"));
/// webhook.rotate("new key".into(), Duration::from_secs(3600));
/// let presented = SecretValue::from("old key");
/// assert!(webhook.accepts(|key| *key == presented));
/// assert_eq!(*webhook.current(), SecretValue::from("new key"));
/// ```
///
/// Clones share the value. When its overlap is over, a predecessor is dropped as soon as anybody
/// touches this again. There are at most [`MAX_PREDECESSORS`](Self::MAX_PREDECESSORS): one more
/// rotation ends the validity of the oldest early.
pub struct Rotating<T>(Arc<Mutex<Values<T>>>);

struct Values<T> {
    current: Arc<T>,
    /// The newest first, each with its end.
    previous: VecDeque<(Arc<T>, Instant)>,
}

impl<T> Rotating<T> {
    /// How many predecessors are valid at the same time.
    pub const MAX_PREDECESSORS: usize = 4;

    /// A value without a predecessor.
    pub fn new(value: T) -> Self {
        let values = Values { current: Arc::new(value), previous: VecDeque::new() };
        Self(Arc::new(Mutex::new(values)))
    }

    /// Replaces the value, which stays valid for this long, at most a year. With no overlap at all
    /// it ends now: after a leak.
    ///
    /// The ends of earlier predecessors stay as they are.
    pub fn rotate(&self, value: T, overlap: Duration) {
        let value = Arc::new(value);
        let now = Instant::now();
        let over = self.touch(|values| {
            let replaced = std::mem::replace(&mut values.current, value);
            values.previous.push_front((replaced, now + overlap.min(YEAR)));
            values.take_over(now)
        });
        drop(over);
    }

    /// Ends the validity of all predecessors now.
    pub fn end_overlap(&self) {
        let ended = self.touch(|values| std::mem::take(&mut values.previous));
        drop(ended);
    }

    /// The value to use for what is new.
    #[must_use]
    pub fn current(&self) -> Arc<T> {
        self.touch(|values| Arc::clone(&values.current))
    }

    /// All that are valid now, the current one first.
    #[must_use]
    pub fn valid(&self) -> Vec<Arc<T>> {
        self.touch(|values| {
            let previous = values.previous.iter().map(|(value, _)| Arc::clone(value));
            std::iter::once(Arc::clone(&values.current)).chain(previous).collect()
        })
    }

    /// Whether one of the valid values passes the check, the current one being asked first.
    pub fn accepts(&self, check: impl FnMut(&T) -> bool) -> bool {
        // The check runs outside of the lock: it may be slow, or touch this again.
        self.valid().iter().map(AsRef::as_ref).any(check)
    }

    /// Does something with what is valid now, and lets go of the rest outside of the lock.
    fn touch<R>(&self, act: impl FnOnce(&mut Values<T>) -> R) -> R {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = values.take_over(Instant::now());
        let result = act(&mut values);
        drop(values);
        drop(over);
        result
    }
}

impl<T> Values<T> {
    fn take_over(&mut self, now: Instant) -> Vec<Arc<T>> {
        let mut over = Vec::new();
        let mut kept = VecDeque::with_capacity(self.previous.len());
        for (value, ends) in self.previous.drain(..) {
            if now < ends && kept.len() < Rotating::<T>::MAX_PREDECESSORS {
                kept.push_back((value, ends));
            } else {
                over.push(value);
            }
        }
        self.previous = kept;
        over
    }
}

const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);

impl<T> Clone for Rotating<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// How many values there are, and nothing of them.
impl<T> fmt::Debug for Rotating<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let previous = self.touch(|values| values.previous.len());
        f.debug_struct("Rotating").field("previous", &previous).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn valid(values: &Rotating<u32>) -> Vec<u32> {
        values.valid().iter().map(|value| **value).collect()
    }

    /// REQ 004-85.3
    #[tokio::test(start_paused = true)]
    async fn the_previous_value_is_valid_until_its_overlap_is_over() {
        let key = Rotating::new(1);
        key.rotate(2, HOUR);
        tokio::time::advance(HOUR - Duration::from_millis(1)).await;
        assert_eq!((*key.current(), valid(&key)), (2, vec![2, 1]));
        assert!(key.accepts(|key| *key == 1) && key.accepts(|key| *key == 2));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(valid(&key), [2]);
        assert!(!key.accepts(|key| *key == 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_rotation_prolongs_nothing() {
        let key = Rotating::new(1);
        key.rotate(2, HOUR);
        key.rotate(3, 3 * HOUR);
        tokio::time::advance(HOUR).await;
        assert_eq!(valid(&key), [3, 2]);
    }

    #[test]
    fn without_an_overlap_the_previous_value_ends_now() {
        let key = Rotating::new(Arc::new(1));
        let old = key.current();
        key.rotate(Arc::new(2), Duration::ZERO);
        assert_eq!(Arc::strong_count(&old), 1, "nobody else holds the old value");
        key.rotate(Arc::new(3), HOUR);
        key.end_overlap();
        assert_eq!(key.valid().len(), 1);
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let key = Rotating::new(0);
        (1..=10).for_each(|value| key.rotate(value, Duration::MAX));
        assert_eq!(valid(&key), [10, 9, 8, 7, 6]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_that_is_over_is_dropped_at_the_next_touch() {
        let key = Rotating::new(1);
        let old = key.current();
        key.rotate(2, HOUR);
        tokio::time::advance(HOUR).await;
        assert_eq!(Arc::strong_count(&old), 2);
        let _ = format!("{key:?}");
        assert_eq!(Arc::strong_count(&old), 1);
    }

    #[test]
    fn debug_shows_no_value() {
        let key = Rotating::new("do-not-print");
        key.rotate("do-not-print", HOUR);
        assert_eq!(format!("{key:?}"), "Rotating { previous: 1, .. }");
    }

    #[test]
    fn a_check_may_touch_the_value() {
        let key = Rotating::new(1);
        assert!(key.accepts(|_| *key.current() == 1));
    }

    /// REQ 004-85.3
    #[test]
    fn no_check_fails_while_the_value_is_rotated() {
        for _ in 0..50 {
            let key = Rotating::new(0);
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        while !done.load(Ordering::Acquire) {
                            let current = *key.current();
                            assert!(key.accepts(|key| *key == 0), "signed before all rotations");
                            assert!(key.accepts(|key| *key == current), "signed just now");
                        }
                    });
                }
                for next in 1..=Rotating::<usize>::MAX_PREDECESSORS {
                    std::thread::yield_now();
                    key.rotate(next, HOUR);
                }
                done.store(true, Ordering::Release);
            });
        }
    }
}
