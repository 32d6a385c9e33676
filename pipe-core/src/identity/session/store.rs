//! What a store of sessions promises.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::hex::hex;
use crate::{Error, ErrorKind, Result, SecretValue};

/// Under what a record is kept: what it is for, and a hash of what leads to it. It tells nobody how
/// to get in, and may stand in logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SessionKey {
    /// A login that has begun.
    Login([u8; 32]),
    /// A session.
    Session([u8; 32]),
    /// Something that may be used once, and was.
    Used([u8; 32]),
}

/// `session/0123…`
impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, digest) = match self {
            Self::Login(digest) => ("login", digest),
            Self::Session(digest) => ("session", digest),
            Self::Used(digest) => ("used", digest),
        };
        write!(f, "{kind}/{}", hex(digest))
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({self})")
    }
}

/// What several records have in common, hashed: the person, or the session at the provider.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionTag(pub(super) [u8; 32]);

impl SessionTag {
    /// The tag with this hash.
    #[must_use]
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl fmt::Display for SessionTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for SessionTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionTag({self})")
    }
}

/// A record to be kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionRecord {
    /// What is kept, at most [`LONGEST`](Self::LONGEST) bytes: opaque to the store.
    pub data: SecretValue,
    /// How long it is kept from now: not at all when this is zero, and
    /// [`LONGEST_TTL`](Self::LONGEST_TTL) when it is more.
    pub ttl: Duration,
    /// By what it is found besides its key, at most [`MOST_TAGS`](Self::MOST_TAGS).
    pub tags: Vec<SessionTag>,
}

impl SessionRecord {
    /// How much one record may hold, in bytes.
    pub const LONGEST: usize = 64 << 10;
    /// How many tags one record may have.
    pub const MOST_TAGS: usize = 4;
    /// How long a record is kept at most: ten years.
    pub const LONGEST_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

    /// A record without tags.
    pub fn new(data: impl Into<SecretValue>, ttl: Duration) -> Self {
        Self { data: data.into(), ttl, tags: Vec::new() }
    }

    /// A tag; may be repeated.
    #[must_use]
    pub fn with_tag(mut self, tag: SessionTag) -> Self {
        self.tags.push(tag);
        self
    }

    /// What every store does before it keeps a record.
    ///
    /// # Errors
    /// `InvalidArgument` for one that is too long or has too many tags.
    pub fn check(&self) -> Result<()> {
        let (what, size, limit) = match (self.data.len(), self.tags.len()) {
            (length, _) if length > Self::LONGEST => ("data", length, Self::LONGEST),
            (_, tags) if tags > Self::MOST_TAGS => ("tags", tags, Self::MOST_TAGS),
            _ => return Ok(()),
        };
        let message = format!("a session's record has too much: {what}");
        Err(Error::new(ErrorKind::InvalidArgument, message)
            .with("size", size)
            .with("limit", limit)
            .hint("keep less in a session: large tokens are better asked for again"))
    }
}

/// A record as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredSession {
    /// What is kept.
    pub data: SecretValue,
    /// Differs from that of every other state of this record.
    pub version: u64,
}

impl StoredSession {
    /// This state of a record.
    #[must_use]
    pub fn new(data: SecretValue, version: u64) -> Self {
        Self { data, version }
    }
}

/// Keeps sessions, logins that have begun, and what may be used once (REQ 002-10).
///
/// Records are sealed by whoever stores them: a store can neither read nor forge them.
///
/// # What callers may rely on
/// - Of all who [`insert`](Self::insert) under one key at once, one succeeds; of all who
///   [`take`](Self::take) it at once, one gets it.
/// - [`replace`](Self::replace) never overwrites what the caller has not seen, and never brings
///   back what is gone.
/// - A record whose time is over is gone for every method.
/// - What cannot be found out is an error, never `None`.
///
/// # What implementors keep
/// - The store is bounded. When it is full, sessions and marks of what was used are not given up for
///   new ones: `insert` is `RateLimited`, and stores nothing. Logins that have begun make way for
///   newer ones, the oldest first, where the store can tell which they are.
/// - A record that is too long or has too many tags is `InvalidArgument`
///   ([`SessionRecord::check`]), whether or not anybody could be asked.
/// - Nothing of a record appears in any error, log line or `Debug` output.
/// - `pipe_testkit::session_store_compliance!` passes.
#[async_trait]
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Keeps the record; `false` when there is one under this key.
    ///
    /// # Errors
    /// `RateLimited` when the store is full; `Unavailable`, `Timeout` when it cannot be reached.
    async fn insert(&self, key: &SessionKey, record: SessionRecord) -> Result<bool>;

    /// The record, if there is one.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout` when it cannot be found out.
    async fn get(&self, key: &SessionKey) -> Result<Option<StoredSession>>;

    /// Keeps the record in place of the one with this version, tags and time included; `false` when
    /// that is not the current one, or there is none.
    ///
    /// # Errors
    /// As for [`insert`](Self::insert).
    async fn replace(&self, key: &SessionKey, version: u64, record: SessionRecord) -> Result<bool>;

    /// Removes the record, and returns it.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    async fn take(&self, key: &SessionKey) -> Result<Option<StoredSession>>;

    /// Removes all records with this tag, and says how many there were.
    ///
    /// # Errors
    /// As for [`get`](Self::get); some may be removed then.
    async fn remove_tagged(&self, tag: &SessionTag) -> Result<u64>;
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<S: SessionStore + ?Sized> SessionStore for $pointer {
            async fn insert(&self, key: &SessionKey, record: SessionRecord) -> Result<bool> {
                (**self).insert(key, record).await
            }
            async fn get(&self, key: &SessionKey) -> Result<Option<StoredSession>> {
                (**self).get(key).await
            }
            async fn replace(
                &self,
                key: &SessionKey,
                version: u64,
                record: SessionRecord,
            ) -> Result<bool> {
                (**self).replace(key, version, record).await
            }
            async fn take(&self, key: &SessionKey) -> Result<Option<StoredSession>> {
                (**self).take(key).await
            }
            async fn remove_tagged(&self, tag: &SessionTag) -> Result<u64> {
                (**self).remove_tagged(tag).await
            }
        }
    )*};
}
forward!(Arc<S>, Box<S>);
