//! A Cognee server, as far as a ready graph goes: logins, imports by archive, search without a
//! language model, and the graph; and texts, of which it makes none.
//!
//! Answers and traps are those of a real server of version 1.6.5, measured.

mod form;
mod graph;
mod routes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::graph::Graph;
use self::routes::Front;
use super::http::Server;
use super::token_review::random_id;

/// A Cognee server on plain HTTP. Clones are the same server.
#[derive(Clone, Debug)]
pub struct Cognee {
    state: Arc<Mutex<State>>,
    server: Arc<Mutex<Option<Server>>>,
    port: u16,
}

/// What goes wrong, for as many requests as a test says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CogneeFault {
    /// The answer has this status, and repeats all that was sent, in Cognee's form.
    EchoRequest(u16),
    /// The answer is a success, and of a form that no client knows.
    WrongShape200,
    /// The connection breaks.
    Reset,
}

#[derive(Debug)]
struct State {
    access_control: bool,
    username: String,
    password: String,
    api_keys: Vec<String>,
    tokens: Vec<String>,
    denied: bool,
    datasets: BTreeMap<String, Dataset>,
    /// Whether the server still knows the types that it was sent, as it does until it is restarted.
    knows_types: bool,
    fault: Option<(CogneeFault, usize)>,
    log: Vec<String>,
    /// The ids of background runs, and how often each was asked about.
    runs: Vec<(String, usize)>,
    model_fails: bool,
}

#[derive(Debug)]
struct Dataset {
    id: String,
    graph: Graph,
    /// Texts, by the names of their files without their ends.
    documents: BTreeMap<String, Vec<u8>>,
}

impl Cognee {
    /// Starts a server that asks who is there, on a free port of 127.0.0.1; it ends when its last
    /// handle is dropped.
    pub async fn start() -> Self {
        Self::start_with(true).await
    }

    /// Starts a server without access control. Its searches answer in another shape.
    pub async fn start_open() -> Self {
        Self::start_with(false).await
    }

    async fn start_with(access_control: bool) -> Self {
        let state = Arc::new(Mutex::new(State {
            access_control,
            username: "default_user@example.com".to_owned(),
            password: random_id(),
            api_keys: Vec::new(),
            tokens: Vec::new(),
            denied: false,
            datasets: BTreeMap::new(),
            knows_types: true,
            fault: None,
            log: Vec::new(),
            runs: Vec::new(),
            model_fails: false,
        }));
        let server = Server::start(0, Arc::new(Front(Arc::clone(&state)))).await;
        let port = server.address().port();
        Self { state, server: Arc::new(Mutex::new(Some(server))), port }
    }

    /// `http://127.0.0.1:…`
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The user name and the password of the login form.
    #[must_use]
    pub fn credentials(&self) -> (String, String) {
        let state = self.state();
        (state.username.clone(), state.password.clone())
    }

    /// A new API key.
    #[must_use]
    pub fn create_api_key(&self) -> String {
        let key = random_id().replace('-', "").repeat(2);
        self.state().api_keys.push(key.clone());
        key
    }

    /// Revokes all tokens of the login form.
    pub fn revoke_tokens(&self) {
        self.state().tokens.clear();
    }

    /// From now on nobody may do anything with any dataset.
    pub fn deny(&self) {
        self.state().denied = true;
    }

    /// From now on the language model refuses the server.
    pub fn break_model(&self) {
        self.state().model_fails = true;
    }

    /// Closes the port and every connection. What is stored is kept.
    pub async fn stop(&self) {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut server) = server {
            server.stop().await;
        }
    }

    /// Listens again, on the same port, as a server that was restarted.
    pub async fn start_again(&self) {
        self.stop().await;
        self.state().knows_types = false;
        let server = Server::start(self.port, Arc::new(Front(Arc::clone(&self.state)))).await;
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    /// Deletes a dataset, as somebody else may.
    pub fn delete_dataset(&self, name: &str) {
        self.state().datasets.remove(name);
    }

    /// How many nodes and edges a dataset has.
    #[must_use]
    pub fn graph_size(&self, dataset: &str) -> (usize, usize) {
        self.state().datasets.get(dataset).map_or((0, 0), |dataset| dataset.graph.size())
    }

    /// Something goes wrong with the next so many requests.
    pub fn inject(&self, fault: CogneeFault, times: usize) {
        self.state().fault = Some((fault, times));
    }

    /// The requests so far, by method and path.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.state().log.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
