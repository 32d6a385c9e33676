//! The keys of an issuer at one time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderValue;
use pipe_core::{Error, ErrorKind, Result};
use tokio::time::Instant;

use crate::jwt::KeySet;

/// Counts key sets in this process, so that no two have the same number, whoever's they are.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// What tells one version of a document from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// The tag of what a URL answered.
    Etag { url: String, etag: HeaderValue },
    /// When a file was written, and its length.
    File(std::time::SystemTime, u64),
}

/// How long a ring may serve.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    /// When it is time to look for another one.
    pub(super) due: Duration,
    /// Until when it is fresh, and until when it serves at all; `None` is for ever.
    pub(super) ends: Option<(Duration, Duration)>,
}

/// A key set, with what its users keep of it.
pub(crate) struct KeyRing {
    keys: Arc<KeySet>,
    generation: u64,
    digest: [u8; 32],
    pub(super) version: Option<Version>,
    fetched_at: Instant,
    life: Life,
}

impl KeyRing {
    /// # Errors
    /// As for [`KeySet::parse`], and when no key can be used: whoever answers that has an
    /// accident, and a set that is to end is bounded by the life of the one before.
    pub(super) fn parse(document: &[u8], version: Option<Version>, life: Life) -> Result<Self> {
        let keys = KeySet::parse(document)?;
        if keys.is_empty() {
            let error = Error::new(ErrorKind::Unexpected, "no key of the key set can be used")
                .with("skipped", keys.skipped().len())
                .hint("publish a key of a type that is supported, with `use` sig and 2048 bits or more if it is RSA");
            return Err(match keys.skipped().first() {
                Some(skipped) => error.with("reason", skipped.reason),
                None => error,
            });
        }
        let mut sum = [0; 32];
        sum.copy_from_slice(digest(&SHA256, document).as_ref());
        Ok(Self {
            keys: Arc::new(keys),
            generation: GENERATIONS.fetch_add(1, Ordering::Relaxed),
            digest: sum,
            version,
            fetched_at: Instant::now(),
            life,
        })
    }

    /// The same keys, confirmed just now.
    pub(super) fn renewed(&self, version: Option<Version>, life: Life) -> Self {
        Self {
            keys: Arc::clone(&self.keys),
            generation: self.generation,
            digest: self.digest,
            version,
            fetched_at: Instant::now(),
            life,
        }
    }

    /// Whether it comes from the same bytes.
    pub(super) fn is_same_document(&self, document: &[u8]) -> bool {
        digest(&SHA256, document).as_ref() == self.digest
    }

    /// The keys.
    pub(crate) fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// Changes when the keys do; no other ring of this process with other keys has it. Whoever
    /// remembers what these keys verified remembers it under this number.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// How long ago the provider said that these are its keys.
    pub(crate) fn age(&self) -> Duration {
        self.fetched_at.elapsed()
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.fetched_at) >= self.life.due
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.fetched_at);
        self.life.ends.is_none_or(|(fresh, _)| age < fresh)
    }

    pub(super) fn is_usable(&self, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.fetched_at);
        self.life.ends.is_none_or(|(_, stale)| age < stale)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("generation", &self.generation)
            .field("keys", &self.keys.len())
            .field("age", &self.age())
            .finish_non_exhaustive()
    }
}
