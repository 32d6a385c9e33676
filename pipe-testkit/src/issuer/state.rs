//! What the provider knows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::discovery::discovery;
use super::logins::Logins;
use super::{Fault, SigningAlgorithm, SigningKey, TestClock};

/// The provider behind the server.
pub(super) struct Provider {
    pub(super) clock: TestClock,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) url: String,
    /// Those that sign.
    pub(super) keys: Vec<SigningKey>,
    /// Those that will sign.
    pub(super) next: Vec<SigningKey>,
    /// Those that signed.
    pub(super) old: Vec<SigningKey>,
    /// Further entries of the key set.
    pub(super) published: Vec<Value>,
    /// Members of the discovery document that differ.
    pub(super) metadata: Map<String, Value>,
    /// What requests for a path meet, and how many of them: `None` is all.
    pub(super) faults: BTreeMap<String, (Fault, Option<usize>)>,
    /// Requests whose answer is held, by their path. They are answered when this is dropped.
    pub(super) held: Vec<(String, oneshot::Sender<()>)>,
    pub(super) requests: Vec<String>,
    /// The active opaque tokens, and what introspection tells about them.
    pub(super) opaque: BTreeMap<String, Map<String, Value>>,
    pub(super) registered: Vec<(String, SigningKey)>,
    /// The assertions that were used.
    pub(super) used: BTreeSet<String>,
    /// Further resources for which JWTs are given.
    pub(super) resources: BTreeSet<String>,
    pub(super) logins: Logins,
    generation: u32,
}

impl Provider {
    pub(super) fn new(clock: TestClock) -> Self {
        let mut state = State {
            url: String::new(),
            keys: Vec::new(),
            next: Vec::new(),
            old: Vec::new(),
            published: Vec::new(),
            metadata: Map::new(),
            faults: BTreeMap::new(),
            held: Vec::new(),
            requests: Vec::new(),
            opaque: BTreeMap::new(),
            registered: Vec::new(),
            used: BTreeSet::new(),
            resources: BTreeSet::new(),
            logins: Logins::default(),
            generation: 0,
        };
        state.keys = state.new_keys();
        Self { clock, state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn new_keys(&mut self) -> Vec<SigningKey> {
        self.generation += 1;
        let named = |algorithm: SigningAlgorithm| {
            SigningKey::generate(algorithm, format!("g{}-{}", self.generation, algorithm.name()))
        };
        SigningAlgorithm::ALL.into_iter().map(named).collect()
    }

    pub(super) fn jwks(&self) -> Value {
        let keys = self.keys.iter().chain(&self.next).chain(&self.old).map(SigningKey::jwk);
        let entries: Vec<_> = keys.chain(self.published.iter().cloned()).collect();
        json!({"keys": entries})
    }

    pub(super) fn discovery(&self) -> Value {
        let mut document = discovery(&self.url);
        for (member, value) in &self.metadata {
            document[member] = value.clone();
        }
        if let Value::Object(members) = &mut document {
            members.retain(|_, value| !value.is_null());
        }
        document
    }

    /// What a request for this path meets.
    pub(super) fn next_fault(&mut self, path: &str) -> Option<Fault> {
        let path = if self.faults.contains_key(path) { path } else { "*" };
        let (fault, left) = self.faults.get_mut(path)?;
        let fault = fault.clone();
        if let Some(left) = left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.faults.remove(path);
            }
        }
        Some(fault)
    }

    /// The key with which it signs now.
    pub(super) fn key(&self, algorithm: SigningAlgorithm) -> SigningKey {
        let mut current = self.keys.iter();
        current.find(|key| key.algorithm() == algorithm).expect("one for each").clone()
    }

    /// Hands out an opaque token of 43 characters.
    pub(super) fn opaque(
        &mut self,
        now: u64,
        audience: &str,
        scope: &str,
        client: &str,
        more: &Map<String, Value>,
    ) -> String {
        let mut claims = Map::from_iter([
            ("active".to_owned(), true.into()),
            ("iss".to_owned(), self.url.as_str().into()),
            ("iat".to_owned(), now.into()),
            ("exp".to_owned(), (now + self.logins.access_token_lifetime).into()),
            ("aud".to_owned(), audience.into()),
            ("client_id".to_owned(), client.into()),
            ("scope".to_owned(), scope.into()),
            ("token_type".to_owned(), "Bearer".into()),
        ]);
        claims.extend(more.clone());
        claims.retain(|_, value| !value.is_null());
        let token = random();
        self.opaque.insert(token.clone(), claims);
        token
    }
}

/// 32 random bytes in 43 characters.
pub(super) fn random() -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    URL_SAFE_NO_PAD.encode(bytes)
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider")
    }
}
