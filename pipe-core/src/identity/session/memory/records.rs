//! The records of one kind.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::tags::Tags;
use crate::SecretValue;
use crate::identity::{SessionKey, SessionTag, StoredSession};

/// How many records that are over a call clears away.
const CLEARED: usize = 32;

/// Below this capacity a table keeps its memory.
const SMALL: usize = 64;

/// One record as it is kept.
pub(super) struct Entry {
    pub(super) data: SecretValue,
    pub(super) version: u64,
    pub(super) ends: Instant,
    pub(super) tags: Box<[SessionTag]>,
}

impl Entry {
    fn stored(&self) -> StoredSession {
        StoredSession::new(self.data.clone(), self.version)
    }
}

/// What happens to a new record when there is no room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenFull {
    Refuse,
    OldestMakesWay,
}

pub(super) struct Records {
    /// Who makes way is known only where all are under one lock.
    shards: Box<[Mutex<Shard>]>,
    pub(super) count: AtomicUsize,
    pub(super) max: usize,
    when_full: WhenFull,
}

#[derive(Default)]
struct Shard {
    entries: HashMap<SessionKey, Entry>,
    by_end: BTreeSet<(Instant, SessionKey)>,
    /// Only where the oldest makes way.
    by_age: BTreeMap<u64, SessionKey>,
}

impl Records {
    pub(super) fn new(max: usize, when_full: WhenFull) -> Self {
        let shards = match when_full {
            WhenFull::Refuse => 16,
            WhenFull::OldestMakesWay => 1,
        };
        let shards = (0..shards).map(|_| Mutex::default()).collect();
        Self { shards, count: AtomicUsize::new(0), max, when_full }
    }

    pub(super) fn place<'a>(&'a self, key: SessionKey, tags: &'a Tags) -> Place<'a> {
        Place { records: self, tags, key }
    }

    /// Room for one more, counted in advance.
    fn reserve(&self) -> bool {
        let more = |count| (count < self.max).then_some(count + 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn clear_everywhere(&self, tags: &Tags, now: Instant) {
        for shard in &self.shards {
            self.clear(&mut lock(shard), tags, now);
        }
    }

    /// Clears away some of what is over.
    fn clear(&self, shard: &mut Shard, tags: &Tags, now: Instant) {
        for _ in 0..CLEARED {
            match shard.by_end.first() {
                Some(&(ends, key)) if ends <= now => drop(self.remove(shard, tags, &key)),
                _ => return,
            }
        }
    }

    fn remove(&self, shard: &mut Shard, tags: &Tags, key: &SessionKey) -> Option<Entry> {
        let entry = shard.entries.remove(key)?;
        shard.unlist(key, &entry);
        tags.remove(&entry.tags, key);
        self.count.fetch_sub(1, Ordering::Relaxed);
        if let Some(capacity) = shrink(shard.entries.len(), shard.entries.capacity()) {
            shard.entries.shrink_to(capacity);
        }
        Some(entry)
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).entries.capacity()).sum()
    }

    #[cfg(test)]
    pub(super) fn listed(&self) -> usize {
        let listed = |shard| {
            let shard = lock(shard);
            shard.by_end.len() + shard.by_age.len()
        };
        self.shards.iter().map(listed).sum()
    }

    fn put(&self, shard: &mut Shard, tags: &Tags, key: SessionKey, entry: Entry) {
        shard.by_end.insert((entry.ends, key));
        if self.when_full == WhenFull::OldestMakesWay {
            shard.by_age.insert(entry.version, key);
        }
        tags.add(&entry.tags, key);
        shard.entries.insert(key, entry);
    }
}

/// How many there are, and may be.
impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.count.load(Ordering::Relaxed), self.max)
    }
}

impl Shard {
    fn unlist(&mut self, key: &SessionKey, entry: &Entry) {
        self.by_end.remove(&(entry.ends, *key));
        self.by_age.remove(&entry.version);
    }

    fn live(&self, key: &SessionKey, now: Instant) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.ends > now)
    }
}

/// Where a record is, or would be.
pub(super) struct Place<'a> {
    records: &'a Records,
    tags: &'a Tags,
    key: SessionKey,
}

impl Place<'_> {
    /// `None` when there is no room.
    pub(super) fn insert(&self, entry: Entry, now: Instant) -> Option<bool> {
        let Self { records, tags, key } = self;
        let mut cleared = false;
        loop {
            let mut shard = self.lock(now);
            if shard.live(key, now).is_some() {
                return Some(false);
            }
            // It may be there still, and over.
            records.remove(&mut shard, tags, key);
            if entry.ends <= now {
                return Some(true);
            }
            if records.when_full == WhenFull::OldestMakesWay {
                while records.count.load(Ordering::Relaxed) >= records.max {
                    let (_, oldest) = shard.by_age.first_key_value()?;
                    let oldest = *oldest;
                    records.remove(&mut shard, tags, &oldest);
                }
            }
            if records.reserve() {
                records.put(&mut shard, tags, *key, entry);
                return Some(true);
            }
            drop(shard);
            if cleared {
                return None;
            }
            // What is over takes no room from what is new, wherever it is.
            records.clear_everywhere(tags, now);
            cleared = true;
        }
    }

    pub(super) fn get(&self, now: Instant) -> Option<StoredSession> {
        self.lock(now).live(&self.key, now).map(Entry::stored)
    }

    pub(super) fn replace(&self, version: u64, entry: Entry, now: Instant) -> bool {
        let Self { records, tags, key } = self;
        let mut shard = self.lock(now);
        if shard.live(key, now).is_none_or(|current| current.version != version) {
            return false;
        }
        if entry.ends <= now {
            records.remove(&mut shard, tags, key);
            return true;
        }
        if let Some(old) = shard.entries.remove(key) {
            shard.unlist(key, &old);
            tags.remove(&old.tags, key);
        }
        records.put(&mut shard, tags, *key, entry);
        true
    }

    pub(super) fn take(&self, now: Instant) -> Option<StoredSession> {
        let mut shard = self.lock(now);
        let entry = self.records.remove(&mut shard, self.tags, &self.key)?;
        (entry.ends > now).then(|| entry.stored())
    }

    pub(super) fn remove_if_tagged(&self, tag: &SessionTag, now: Instant) -> bool {
        let mut shard = self.lock(now);
        let is_tagged = shard.live(&self.key, now).is_some_and(|entry| entry.tags.contains(tag));
        is_tagged && self.records.remove(&mut shard, self.tags, &self.key).is_some()
    }

    /// The part of the records where this one is, with some of what is over cleared away.
    fn lock(&self, now: Instant) -> MutexGuard<'_, Shard> {
        let (SessionKey::Login(digest) | SessionKey::Session(digest) | SessionKey::Used(digest)) =
            self.key;
        let shard = usize::from(digest[0]) % self.records.shards.len();
        let mut shard = lock(&self.records.shards[shard]);
        self.records.clear(&mut shard, self.tags, now);
        shard
    }
}

/// To what a table may shrink, when most of it is empty.
pub(super) fn shrink(len: usize, capacity: usize) -> Option<usize> {
    (capacity > SMALL && len < capacity / 4).then_some(len * 2)
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
