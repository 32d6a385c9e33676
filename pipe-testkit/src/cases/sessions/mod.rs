//! The behaviours of a [`SessionStore`].
//!
//! Each case uses keys and tags that no other case and no other run uses, so that many may share a
//! store.

#[macro_use]
mod list;
mod expiring;
mod faults;
mod keeping;
mod limits;
mod replacing;
mod small;
mod tags;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pipe_core::identity::{SessionKey, SessionRecord, SessionStore, SessionTag, StoredSession};
use sha2::{Digest as _, Sha256};

use crate::cases::expect_kind;

pub use self::expiring::*;
pub use self::faults::*;
pub use self::keeping::*;
pub use self::limits::*;
pub use self::replacing::*;
pub use self::small::*;
pub use self::tags::*;

/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(600);

/// How many do the same thing at once.
const MANY: u32 = 32;

/// Digests that nobody used before: 4 bytes of the run, 4 of the place, 8 of the case, 4 of a number.
struct Place {
    digest: [u8; 32],
}

impl Place {
    fn new(case: &str) -> Self {
        static RUN: OnceLock<u32> = OnceLock::new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let run = RUN.get_or_init(|| getrandom::u32().expect("the system has random numbers"));
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&run.to_le_bytes());
        digest[4..8].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        digest[8..16].copy_from_slice(&Sha256::digest(case)[..8]);
        Self { digest }
    }

    fn digest(&self, n: u32) -> [u8; 32] {
        let mut digest = self.digest;
        digest[16..20].copy_from_slice(&n.to_le_bytes());
        digest
    }

    fn session(&self, n: u32) -> SessionKey {
        SessionKey::Session(self.digest(n))
    }

    fn login(&self, n: u32) -> SessionKey {
        SessionKey::Login(self.digest(n))
    }

    fn used(&self, n: u32) -> SessionKey {
        SessionKey::Used(self.digest(n))
    }

    fn tag(&self, n: u32) -> SessionTag {
        SessionTag::new(self.digest(n))
    }
}

fn record(data: &str) -> SessionRecord {
    SessionRecord::new(data, LONG)
}

async fn insert(store: &dyn SessionStore, key: &SessionKey, record: SessionRecord) -> bool {
    store.insert(key, record).await.unwrap_or_else(|error| panic!("insert failed: {error:#}"))
}

/// Inserts what is not there yet.
async fn keep(store: &dyn SessionStore, key: &SessionKey, record: SessionRecord) {
    assert!(insert(store, key, record).await, "insert found something under {key}");
}

async fn get(store: &dyn SessionStore, key: &SessionKey) -> Option<StoredSession> {
    store.get(key).await.unwrap_or_else(|error| panic!("get failed: {error:#}"))
}

/// The record that is there.
#[track_caller]
fn there(found: Option<StoredSession>) -> StoredSession {
    found.expect("a record is not there")
}

/// The data of the record that is there.
async fn data(store: &dyn SessionStore, key: &SessionKey) -> Vec<u8> {
    there(get(store, key).await).data.expose().to_vec()
}

async fn version(store: &dyn SessionStore, key: &SessionKey) -> u64 {
    there(get(store, key).await).version
}

async fn replace(
    store: &dyn SessionStore,
    key: &SessionKey,
    version: u64,
    record: SessionRecord,
) -> bool {
    let replaced = store.replace(key, version, record).await;
    replaced.unwrap_or_else(|error| panic!("replace failed: {error:#}"))
}

async fn take(store: &dyn SessionStore, key: &SessionKey) -> Option<StoredSession> {
    store.take(key).await.unwrap_or_else(|error| panic!("take failed: {error:#}"))
}

async fn remove_tagged(store: &dyn SessionStore, tag: &SessionTag) -> u64 {
    let removed = store.remove_tagged(tag).await;
    removed.unwrap_or_else(|error| panic!("remove_tagged failed: {error:#}"))
}

/// How many of the tasks came to `true`.
async fn how_many(tasks: impl IntoIterator<Item = tokio::task::JoinHandle<bool>>) -> u32 {
    let mut count = 0;
    for task in tasks {
        count += u32::from(task.await.expect("a call does not panic"));
    }
    count
}
