//! The time of day that a test and a plugin share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipe_core::Clock;

/// A clock that stands still until it is moved. Clones show the same time.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<Mutex<SystemTime>>);

impl TestClock {
    /// A clock that shows the current second of the system's clock, and stays there.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a new clock shows another time each time")]
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self(Arc::new(Mutex::new(UNIX_EPOCH + Duration::from_secs(now))))
    }

    /// The time that it shows.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time that it shows, in seconds since 1970.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    /// Sets it forward.
    pub fn forward(&self, by: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }

    /// Sets it back.
    pub fn back(&self, by: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) -= by;
    }

    /// The same clock for a plugin.
    #[must_use]
    pub fn shared(&self) -> Clock {
        let clock = self.clone();
        Clock::new(move || clock.now())
    }
}
