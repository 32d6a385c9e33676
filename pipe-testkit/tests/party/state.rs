//! What is remembered, by all instances together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard};

use pipe_core::identity::{Role, SessionId, UserSession};

/// What instances share.
#[derive(Default)]
pub(crate) struct Shared {
    memory: Mutex<Memory>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().expect("lock")
    }
}

#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) logins: Vec<Login>,
    pub(crate) sessions: BTreeMap<String, Arc<Slot>>,
    /// The sessions that codes led to.
    pub(crate) codes: BTreeMap<String, String>,
    /// The codes that are exchanged just now.
    pub(crate) exchanging: BTreeSet<String>,
    /// The ids of logout tokens that were used.
    pub(crate) used: BTreeSet<String>,
    /// For defects: all ids that there ever were, all roles by address, browsers, verifiers.
    pub(crate) known: BTreeSet<String>,
    pub(crate) by_email: BTreeMap<String, BTreeSet<Role>>,
    pub(crate) browsers: Vec<String>,
    pub(crate) verifiers: Vec<String>,
    pub(crate) newest: Option<Arc<Slot>>,
}

/// A login that has begun.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) browser: String,
    pub(crate) state: String,
    pub(crate) nonce: String,
    pub(crate) verifier: String,
    pub(crate) return_to: String,
    pub(crate) asked_age: Option<u64>,
    pub(crate) began_at: u64,
    /// For a defect: by which instance.
    pub(crate) instance: usize,
}

/// A session, of which one renewal is under way at a time.
pub(crate) struct Slot {
    pub(crate) id: SessionId,
    pub(crate) session: Mutex<Session>,
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// For defects: how many wait.
    pub(crate) waiting: AtomicUsize,
}

impl Slot {
    pub(crate) fn get(&self) -> MutexGuard<'_, Session> {
        self.session.lock().expect("lock")
    }
}

#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) browser: String,
    pub(crate) subject: String,
    pub(crate) sid: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) view: UserSession,
    pub(crate) access: String,
    pub(crate) refresh: Option<String>,
    pub(crate) id_token: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) obtained_at: u64,
    pub(crate) expires_at: u64,
    pub(crate) began_at: u64,
    pub(crate) used_at: u64,
    pub(crate) retry_at: u64,
    pub(crate) failures: u32,
    pub(crate) renewals: u32,
    /// For defects: what happened before.
    pub(crate) uses: u32,
    pub(crate) was_cut: bool,
    pub(crate) was_unavailable: bool,
    pub(crate) was_looked_at: bool,
    pub(crate) seen_expired_at: Option<u64>,
}
