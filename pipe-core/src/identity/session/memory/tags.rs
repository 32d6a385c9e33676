//! Which records have a tag.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::records::shrink;
use crate::identity::{SessionKey, SessionTag};

type Index = HashMap<SessionTag, HashSet<SessionKey>>;

/// Changed only by who holds the lock of the record that it is about, so that it says what the
/// records say. Its own locks are taken after that one, one at a time.
#[derive(Default)]
pub(super) struct Tags {
    shards: [Mutex<Index>; 16],
}

impl Tags {
    pub(super) fn add(&self, tags: &[SessionTag], key: SessionKey) {
        for tag in tags {
            self.shard(tag).entry(*tag).or_default().insert(key);
        }
    }

    pub(super) fn remove(&self, tags: &[SessionTag], key: &SessionKey) {
        for tag in tags {
            let mut index = self.shard(tag);
            let Some(keys) = index.get_mut(tag) else { continue };
            keys.remove(key);
            match keys.is_empty() {
                true => drop(index.remove(tag)),
                false => {
                    if let Some(capacity) = shrink(keys.len(), keys.capacity()) {
                        keys.shrink_to(capacity);
                    }
                }
            }
            if let Some(capacity) = shrink(index.len(), index.capacity()) {
                index.shrink_to(capacity);
            }
        }
    }

    /// The keys that have this tag now.
    pub(super) fn keys(&self, tag: &SessionTag) -> Vec<SessionKey> {
        self.shard(tag).get(tag).map(|keys| keys.iter().copied().collect()).unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    fn shard(&self, tag: &SessionTag) -> MutexGuard<'_, Index> {
        let shard = usize::from(tag.0[0]) % self.shards.len();
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
