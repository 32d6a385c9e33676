//! What the server holds, and the history that watches read.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::access::{Rule, User};
use super::fault::Injected;
use super::object::Object;

/// How many events a watch can be behind before it is told to list again.
const HISTORY: usize = 10_000;
/// A server has written much before the first Secret of ours, and does not remember it.
const WRITTEN_BEFORE: u64 = 800;
/// How many lists can be read on, page by page, at the state of their first page.
const SNAPSHOTS: usize = 64;

/// What the handle and the connections share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Counts changes, so that watches wake up.
    pub(super) changes: watch::Sender<u64>,
    /// What all watches are told to do.
    pub(super) orders: watch::Sender<Order>,
}

/// Counts what watches are told: how often to break off, to expire and to send a bookmark.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Order {
    pub(super) break_off: u64,
    pub(super) expire: u64,
    pub(super) bookmark: u64,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) namespaces: BTreeMap<String, Namespace>,
    pub(super) objects: BTreeMap<(String, String), Arc<Object>>,
    pub(super) revision: u64,
    /// What is older than this is forgotten.
    pub(super) compacted: u64,
    pub(super) history: VecDeque<Event>,
    pub(super) snapshots: VecDeque<(u64, Vec<Arc<Object>>)>,
    pub(super) users: HashMap<String, User>,
    pub(super) rules: Vec<Rule>,
    pub(super) accounts: BTreeSet<(String, String)>,
    pub(super) admin_token: String,
    pub(super) ahead: Duration,
    pub(super) faults: Vec<Injected>,
    pub(super) log: Vec<String>,
    pub(super) impersonated: Option<String>,
    pub(super) open_watches: usize,
}

#[derive(Debug, Default)]
pub(super) struct Namespace {
    pub(super) terminating: bool,
    /// How many Secrets there may be.
    pub(super) quota: Option<usize>,
}

/// A change that watches are told.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) revision: u64,
    pub(super) kind: &'static str,
    pub(super) object: Arc<Object>,
}

impl Shared {
    pub(super) fn new(admin_token: String) -> Self {
        let state = State {
            namespaces: BTreeMap::from([("default".to_owned(), Namespace::default())]),
            objects: BTreeMap::new(),
            revision: WRITTEN_BEFORE,
            compacted: WRITTEN_BEFORE,
            history: VecDeque::new(),
            snapshots: VecDeque::new(),
            users: HashMap::new(),
            rules: Vec::new(),
            accounts: BTreeSet::from([("default".to_owned(), "default".to_owned())]),
            admin_token,
            ahead: Duration::ZERO,
            faults: Vec::new(),
            log: Vec::new(),
            impersonated: None,
            open_watches: 0,
        };
        Self {
            state: Mutex::new(state),
            changes: watch::Sender::new(0),
            orders: watch::Sender::new(Order::default()),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn now(&self) -> SystemTime {
        SystemTime::now() + self.ahead
    }

    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.objects.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Stores an object under the next revision.
    pub(super) fn put(&mut self, mut object: Object) -> Arc<Object> {
        self.revision += 1;
        object.revision = self.revision;
        let object = Arc::new(object);
        let key = (object.namespace.clone(), object.name.clone());
        let before = self.objects.insert(key, Arc::clone(&object));
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.record(kind, &object);
        object
    }

    /// Takes an object away; its last state is what watches are told.
    pub(super) fn remove(&mut self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(object) = self.objects.remove(&key) {
            self.revision += 1;
            let gone = Object { revision: self.revision, ..Object::clone(&object) };
            self.record("DELETED", &Arc::new(gone));
        }
    }

    fn record(&mut self, kind: &'static str, object: &Arc<Object>) {
        let event = Event { revision: self.revision, kind, object: Arc::clone(object) };
        self.history.push_back(event);
        if self.history.len() > HISTORY
            && let Some(oldest) = self.history.pop_front()
        {
            self.compacted = oldest.revision;
        }
    }

    /// Forgets what was before now, as etcd does every five minutes.
    pub(super) fn compact(&mut self) {
        self.compacted = self.revision;
        self.history.clear();
        self.snapshots.clear();
    }

    pub(super) fn keep_snapshot(&mut self, objects: &[Arc<Object>]) {
        if self.snapshots.iter().all(|(revision, _)| *revision != self.revision) {
            self.snapshots.push_back((self.revision, objects.to_vec()));
        }
        if self.snapshots.len() > SNAPSHOTS {
            self.snapshots.pop_front();
        }
    }
}
