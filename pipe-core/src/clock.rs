//! The time of day, which tests set.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// The time of day: the system's, unless a test gives another one.
///
/// It answers what a calendar answers (has this token expired?). How long something takes is
/// measured with [`std::time::Instant`], which nobody sets back.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let noon = UNIX_EPOCH + Duration::from_secs(12 * 3600);
/// assert_eq!(pipe_core::Clock::new(move || noon).now(), noon);
/// ```
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// A clock that shows what the function says.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// What it shows now.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }
}

/// The system's clock.
impl Default for Clock {
    fn default() -> Self {
        Self::new(SystemTime::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
