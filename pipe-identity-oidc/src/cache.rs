//! Tokens that were checked a moment ago.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use pipe_core::identity::BearerToken;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use tokio::time::Instant;

/// Remembers what was found out about tokens, by a digest of each: no token is kept.
///
/// What was verified belongs to a generation of its issuer's keys, and ends with it: a token of a
/// key that was removed is checked again, and refused. What the issuer itself said belongs to none.
/// A cache belongs to one plugin with its one set of policies, and never answers for another.
pub(crate) struct TokenCache<V> {
    kept: Cache<Digest, Kept<V>, UnitWeighter, ByDigest>,
    size: usize,
    /// How often everything was forgotten.
    clearings: AtomicU64,
}

/// A digest of a token, and of the issuer that is asked about it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest([u8; 32]);

/// Half of it: what a cryptographic hash has made of the token is spread well enough.
impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut half = [0; 16];
        half.copy_from_slice(&self.0[..16]);
        state.write_u128(u128::from_ne_bytes(half));
    }
}

/// Makes places in the cache out of digests, by a multiplication with numbers that nobody outside
/// knows: whoever can choose tokens must not be able to crowd one place with them.
#[derive(Clone, Copy)]
struct ByDigest(u64, u64);

impl ByDigest {
    fn new() -> Self {
        let random = || RandomState::new().hash_one(());
        Self(random(), random())
    }
}

impl BuildHasher for ByDigest {
    type Hasher = Place;

    fn build_hasher(&self) -> Place {
        Place { keys: *self, place: 0 }
    }
}

struct Place {
    keys: ByDigest,
    place: u64,
}

impl Hasher for Place {
    fn finish(&self) -> u64 {
        self.place
    }

    #[allow(clippy::cast_possible_truncation, reason = "a half at a time")]
    fn write_u128(&mut self, half: u128) {
        let ByDigest(one, other) = self.keys;
        let product = u128::from(half as u64 ^ one ^ self.place)
            .wrapping_mul(u128::from((half >> 64) as u64 ^ other));
        self.place = product as u64 ^ (product >> 64) as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u128(u128::from(*byte));
        }
    }
}

impl Digest {
    pub(crate) fn of(token: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, token).as_ref());
        Self(bytes)
    }
}

struct Kept<V> {
    value: Arc<V>,
    generation: Option<u64>,
    until: Instant,
}

impl<V> Clone for Kept<V> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), ..*self }
    }
}

impl<V> TokenCache<V> {
    /// Remembers so many tokens; none when `size` is 0.
    pub(crate) fn new(size: usize) -> Self {
        let kept = Cache::with(
            size,
            size as u64,
            UnitWeighter,
            ByDigest::new(),
            DefaultLifecycle::default(),
        );
        Self { kept, size, clearings: AtomicU64::new(0) }
    }

    /// The name of a token here; `None` when none is remembered, and so none needs a name.
    pub(crate) fn name(&self, token: &BearerToken) -> Option<Digest> {
        (self.size > 0).then(|| Digest::of(token.expose()))
    }

    /// What is known, and the generation that it belongs to.
    pub(crate) fn get(&self, digest: &Digest) -> Option<(Arc<V>, Option<u64>)> {
        self.get_at(digest, Instant::now())
    }

    pub(crate) fn get_at(&self, digest: &Digest, now: Instant) -> Option<(Arc<V>, Option<u64>)> {
        let kept = self.kept.get(digest)?;
        if now < kept.until {
            return Some((kept.value, kept.generation));
        }
        self.kept.remove(digest);
        None
    }

    /// Remembers this for so long; not at all for no time.
    pub(crate) fn insert(
        &self,
        digest: Digest,
        value: Arc<V>,
        generation: Option<u64>,
        ttl: Duration,
    ) {
        if self.size > 0 && !ttl.is_zero() {
            let until = Instant::now() + ttl;
            self.kept.insert(digest, Kept { value, generation, until });
        }
    }

    /// To be read before something is found out that may be out of date when it is remembered.
    pub(crate) fn clearings(&self) -> u64 {
        self.clearings.load(Ordering::SeqCst)
    }

    /// Remembers what was found out [since](Self::clearings), unless everything was forgotten
    /// meanwhile: a token that is revoked then is not to come back.
    pub(crate) fn insert_since(
        &self,
        clearings: u64,
        digest: Digest,
        value: Arc<V>,
        generation: Option<u64>,
        ttl: Duration,
    ) {
        self.insert(digest, value, generation, ttl);
        // Afterwards: whoever forgets counts first.
        if self.clearings() != clearings {
            self.kept.remove(&digest);
        }
    }

    pub(crate) fn clear(&self) {
        self.clearings.fetch_add(1, Ordering::SeqCst);
        self.kept.clear();
    }
}

impl<V> fmt::Debug for TokenCache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("size", &self.size).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_has_an_end() {
        let cache = TokenCache::new(10);
        let digest = Digest::of(b"token");
        cache.insert(digest, Arc::new("bot"), Some(7), TTL);
        assert_eq!(cache.get(&digest), Some((Arc::new("bot"), Some(7))));
        assert_eq!(cache.get(&Digest::of(b"tokem")), None);
        tokio::time::advance(TTL).await;
        assert_eq!(cache.get(&digest), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_of_no_size_or_no_time_remembers_nothing() {
        let digest = Digest::of(b"token");
        for (size, ttl) in [(0, TTL), (10, Duration::ZERO)] {
            let cache = TokenCache::new(size);
            cache.insert(digest, Arc::new("bot"), None, ttl);
            assert_eq!(cache.get(&digest), None);
        }
    }

    /// H6
    #[tokio::test]
    async fn what_was_found_out_before_all_was_forgotten_is_not_remembered() {
        let cache = TokenCache::new(10);
        let digest = Digest::of(b"token");
        let before = cache.clearings();
        cache.insert_since(before, digest, Arc::new("bot"), None, TTL);
        assert!(cache.get(&digest).is_some());
        cache.clear();
        cache.insert_since(before, digest, Arc::new("bot"), None, TTL);
        assert_eq!(cache.get(&digest), None);
    }

    #[test]
    fn a_cache_does_not_grow_beyond_its_size() {
        let cache = TokenCache::new(100);
        for i in 0..10_000_u32 {
            cache.insert(Digest::of(&i.to_be_bytes()), Arc::new(i), None, TTL);
        }
        assert!(cache.kept.len() <= 100);
    }
}
