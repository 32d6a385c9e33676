//! Sessions in the memory of the process.

mod records;
mod tags;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use self::records::{Entry, Place, Records, WhenFull};
use self::tags::Tags;
use super::{SessionKey, SessionRecord, SessionStore, SessionTag, StoredSession};
use crate::{Error, ErrorKind, Result};

/// A [`SessionStore`] in the memory of the process: for one process, whose people log in again when
/// it restarts. To share it, put it in an `Arc`.
///
/// A record takes about 350 bytes, 300 more for each tag, and its data. At most
/// [`LONGEST`](SessionRecord::LONGEST) bytes of that are data, commonly 1 to 4 KiB, so with the
/// default bounds
///
/// | | at most | commonly | at the very worst |
/// |---|---|---|---|
/// | sessions | 100,000 | 0.5 GB | 6.7 GB |
/// | logins that have begun | 10,000 | 20 MB | 0.7 GB |
/// | marks of what was used | 100,000 | 35 MB | 6.7 GB |
///
/// Each kind has room of its own: however many logins begin, no session ends for them. When it is
/// full, a new session or mark is refused as `RateLimited`, and the oldest login makes way for a
/// new one. To forget a mark would let what was used be used again, so marks make no way either.
///
/// Time is that of [`tokio::time::Instant`]. There is no task in the background: what is over is
/// gone at once for every caller, and its memory is given back bit by bit by the calls that follow.
///
/// ```
/// use std::time::Duration;
///
/// use pipe_core::identity::{MemorySessions, SessionKey, SessionRecord, SessionStore};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let sessions = MemorySessions::new().with_max_sessions(1_000);
/// let key = SessionKey::Session([7; 32]);
/// assert!(sessions.insert(&key, SessionRecord::new("sealed", Duration::from_secs(60))).await?);
/// assert!(sessions.take(&key).await?.is_some());
/// assert!(sessions.take(&key).await?.is_none());
/// # Ok::<(), pipe_core::Error>(()) }).unwrap();
/// ```
pub struct MemorySessions {
    sessions: Records,
    logins: Records,
    used: Records,
    tags: Tags,
    versions: AtomicU64,
}

impl MemorySessions {
    /// An empty store with the default bounds.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sessions: Records::new(100_000, WhenFull::Refuse),
            logins: Records::new(10_000, WhenFull::OldestMakesWay),
            used: Records::new(100_000, WhenFull::Refuse),
            tags: Tags::default(),
            versions: AtomicU64::new(1),
        }
    }

    /// How many sessions there may be, 100,000 unless set.
    #[must_use]
    pub fn with_max_sessions(mut self, max: usize) -> Self {
        self.sessions.max = max;
        self
    }

    /// How many logins that have begun there may be, 10,000 unless set. One that is being finished
    /// may count twice.
    #[must_use]
    pub fn with_max_logins(mut self, max: usize) -> Self {
        self.logins.max = max;
        self
    }

    /// How many marks of what was used there may be, 100,000 unless set.
    #[must_use]
    pub fn with_max_used(mut self, max: usize) -> Self {
        self.used.max = max;
        self
    }

    fn place(&self, key: &SessionKey) -> Place<'_> {
        let records = match key {
            SessionKey::Login(_) => &self.logins,
            SessionKey::Session(_) => &self.sessions,
            SessionKey::Used(_) => &self.used,
        };
        records.place(*key, &self.tags)
    }

    fn entry(&self, record: SessionRecord, now: Instant) -> Entry {
        let SessionRecord { data, ttl, mut tags } = record;
        tags.sort_unstable();
        tags.dedup();
        Entry {
            data,
            version: self.versions.fetch_add(1, Ordering::Relaxed),
            ends: now + ttl.min(SessionRecord::LONGEST_TTL),
            tags: tags.into(),
        }
    }
}

impl Default for MemorySessions {
    fn default() -> Self {
        Self::new()
    }
}

/// How many records there are, and may be.
impl fmt::Debug for MemorySessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySessions")
            .field("sessions", &self.sessions)
            .field("logins", &self.logins)
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for MemorySessions {
    async fn insert(&self, key: &SessionKey, record: SessionRecord) -> Result<bool> {
        record.check().map_err(|error| error.at(NAME, "insert"))?;
        let now = Instant::now();
        let inserted = self.place(key).insert(self.entry(record, now), now);
        inserted.ok_or_else(|| full(key))
    }

    async fn get(&self, key: &SessionKey) -> Result<Option<StoredSession>> {
        Ok(self.place(key).get(Instant::now()))
    }

    async fn replace(&self, key: &SessionKey, version: u64, record: SessionRecord) -> Result<bool> {
        record.check().map_err(|error| error.at(NAME, "replace"))?;
        let now = Instant::now();
        Ok(self.place(key).replace(version, self.entry(record, now), now))
    }

    async fn take(&self, key: &SessionKey) -> Result<Option<StoredSession>> {
        Ok(self.place(key).take(Instant::now()))
    }

    async fn remove_tagged(&self, tag: &SessionTag) -> Result<u64> {
        let now = Instant::now();
        let tagged = self.tags.keys(tag);
        let removed = tagged.iter().filter(|key| self.place(key).remove_if_tagged(tag, now));
        Ok(removed.count() as u64)
    }
}

const NAME: &str = "memory-sessions";

/// How soon it may be worth while to try again: some session will have ended.
const SOON: Duration = Duration::from_secs(5);

fn full(key: &SessionKey) -> Error {
    let (what, setting) = match key {
        SessionKey::Login(_) => ("logins", "max_logins"),
        SessionKey::Session(_) => ("sessions", "max_sessions"),
        SessionKey::Used(_) => ("marks of what was used", "max_used"),
    };
    Error::new(ErrorKind::RateLimited, format!("the store is full of {what}"))
        .at(NAME, "insert")
        .hint(format!("raise {setting}, or keep records for a shorter time"))
        .retry_in(SOON)
}
