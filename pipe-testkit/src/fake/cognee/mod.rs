//! A Cognee server, as far as a ready graph goes: logins, imports by archive, search without a
//! language model, and the graph; and texts, whose graph is only said to be made.
//!
//! Answers and traps are those of a real server of version 1.6.5, measured.

mod form;
mod graph;
mod routes;
mod texts;

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
    /// The id of the user, who is the only one with credentials.
    user: String,
    username: String,
    password: String,
    api_keys: Vec<String>,
    tokens: Vec<String>,
    datasets: Vec<Dataset>,
    /// Whether the server still knows the types that it was sent, as it does until it is restarted.
    knows_types: bool,
    fault: Option<(CogneeFault, usize)>,
    log: Vec<String>,
    /// How many nodes the largest import had.
    largest_import: usize,
    /// Background runs, the oldest first.
    runs: Vec<Run>,
    model_fails: bool,
    /// How often the language model was asked.
    chat_calls: usize,
    /// The sessions of searches, in their order.
    sessions: Vec<String>,
}

#[derive(Debug)]
struct Dataset {
    id: String,
    name: String,
    /// The id of the user whose it is.
    owner: String,
    /// Whether the user may do more than read it.
    writable: bool,
    graph: Graph,
    documents: Vec<Document>,
}

#[derive(Debug)]
struct Document {
    id: String,
    /// The name of its file without its end.
    stem: String,
    content: Vec<u8>,
    /// The id of its only piece, once a graph is made of it.
    chunk: Option<String>,
}

/// A run that makes a graph of texts. It ends when it is asked about for the second time.
#[derive(Debug)]
struct Run {
    id: String,
    dataset: String,
    asked: usize,
    /// Whether it succeeded, once it has ended.
    ended: Option<bool>,
}

impl Dataset {
    fn new(name: &str, owner: &str) -> Self {
        let (id, name, owner) = (random_id(), name.to_owned(), owner.to_owned());
        let (graph, documents) = Default::default();
        Self { id, name, owner, writable: true, graph, documents }
    }
}

impl Cognee {
    /// Starts a server that asks who is there, on a free port of 127.0.0.1; it ends when its last
    /// handle is dropped.
    pub async fn start() -> Self {
        Self::start_with(true).await
    }

    /// Starts a server without access control. Its searches answer in another shape, and all its
    /// datasets are one: what is in one of them is found in each.
    pub async fn start_open() -> Self {
        Self::start_with(false).await
    }

    async fn start_with(access_control: bool) -> Self {
        let state = Arc::new(Mutex::new(State {
            access_control,
            user: random_id(),
            username: "default_user@example.com".to_owned(),
            password: random_id(),
            api_keys: Vec::new(),
            tokens: Vec::new(),
            datasets: Vec::new(),
            knows_types: true,
            fault: None,
            log: Vec::new(),
            largest_import: 0,
            runs: Vec::new(),
            model_fails: false,
            chat_calls: 0,
            sessions: Vec::new(),
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

    /// Revokes all API keys, after which nobody may do anything with them.
    pub fn revoke_api_keys(&self) {
        self.state().api_keys.clear();
    }

    /// From now on the user may only read the datasets that there are, as if they were somebody
    /// else's who shares them so.
    pub fn make_read_only(&self) {
        self.state().datasets.iter_mut().for_each(|dataset| dataset.writable = false);
    }

    /// Somebody else makes an empty dataset of this name, and shares it with the user, for writing
    /// too. It comes before all others in the list of datasets, as one does that was shared before
    /// they were made.
    pub fn share_dataset(&self, name: &str) {
        self.state().datasets.insert(0, Dataset::new(name, &random_id()));
    }

    /// From now on the language model refuses the server.
    pub fn break_model(&self) {
        self.state().model_fails = true;
    }

    /// From now on the language model answers again.
    pub fn repair_model(&self) {
        self.state().model_fails = false;
    }

    /// How often the language model was asked.
    #[must_use]
    pub fn chat_calls(&self) -> usize {
        self.state().chat_calls
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
        self.state().datasets.retain(|dataset| dataset.name != name);
    }

    /// How many nodes and edges a dataset has.
    #[must_use]
    pub fn graph_size(&self, dataset: &str) -> (usize, usize) {
        let state = self.state();
        let found = state.datasets.iter().find(|found| found.name == dataset);
        found.map_or((0, 0), |dataset| dataset.graph.size())
    }

    /// How many nodes the largest import so far had. A real server takes five milliseconds for each.
    #[must_use]
    pub fn largest_import(&self) -> usize {
        self.state().largest_import
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

    /// The sessions of all searches so far. A real server remembers what was asked in one, also in the
    /// one that it uses when none is named, whose name is empty here.
    #[must_use]
    pub fn sessions(&self) -> Vec<String> {
        self.state().sessions.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
