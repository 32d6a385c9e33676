//! A Kubernetes API server, as far as Secrets and tokens go.
//!
//! Answers are those of kube-apiserver 1.36, captured.

mod access;
mod fault;
mod listing;
mod object;
mod ownership;
mod patch;
mod request;
mod reviews;
mod routes;
mod secrets;
mod state;
mod status;
mod validate;
mod watching;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use self::access::Rule;
use self::access::User;
pub use self::fault::ApiFault;
use self::fault::Injected;
use self::object::{Content, Object};
use self::routes::Front;
use self::state::{Namespace, Order, Shared, State};
use super::http::Server;
use super::token_review::{API_SERVER_AUDIENCE, random_id, service_account_jwt};

/// A Kubernetes API server on plain HTTP: Secrets with server-side apply and watches, RBAC,
/// impersonation, access reviews, token reviews and token requests. Clones are the same server.
///
/// It has the namespace `default`, with the service account `default`.
#[derive(Clone)]
pub struct Kubernetes {
    shared: Arc<Shared>,
    server: Arc<Mutex<Option<Server>>>,
    port: u16,
}

impl Kubernetes {
    /// Starts one on a free port of 127.0.0.1; it ends when its last handle is dropped.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared::new(format!("admin-{}", random_id())));
        let server = Server::start(0, Arc::new(Front(Arc::clone(&shared)))).await;
        let port = server.address().port();
        Self { shared, server: Arc::new(Mutex::new(Some(server))), port }
    }

    /// `http://127.0.0.1:…`
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The token of a cluster administrator.
    #[must_use]
    pub fn admin_token(&self) -> String {
        self.state(|state| state.admin_token.clone())
    }

    /// Closes the port and every connection. What is stored is kept.
    pub async fn stop(&self) {
        let server = self.slot().take();
        if let Some(mut server) = server {
            server.stop().await;
        }
    }

    /// Listens again, on the same port.
    pub async fn start_again(&self) {
        self.stop().await;
        let server = Server::start(self.port, Arc::new(Front(Arc::clone(&self.shared)))).await;
        *self.slot() = Some(server);
    }

    /// Adds a namespace, with its service account `default`.
    pub fn create_namespace(&self, name: &str) {
        self.state(|state| state.namespaces.insert(name.to_owned(), Namespace::default()));
        self.create_service_account(name, "default");
    }

    /// From now on nothing can be created in the namespace.
    pub fn terminate_namespace(&self, name: &str) {
        self.namespace(name, |namespace| namespace.terminating = true);
    }

    /// From now on the namespace holds that many Secrets at most.
    pub fn set_quota(&self, namespace: &str, secrets: usize) {
        self.namespace(namespace, |namespace| namespace.quota = Some(secrets));
    }

    /// Adds a user, in these groups and in `system:authenticated`, who may do nothing yet. Returns a
    /// token.
    #[must_use]
    pub fn create_user(&self, name: &str, groups: &[&str]) -> String {
        let token = format!("token-{}", random_id());
        let groups = groups.iter().copied().chain(["system:authenticated"]);
        let groups = groups.map(str::to_owned).collect();
        let user = User { name: name.to_owned(), groups };
        self.state(|state| state.users.insert(token.clone(), user));
        token
    }

    /// Takes a token of [`create_user`](Self::create_user) away, as when it was rotated.
    pub fn revoke(&self, token: &str) {
        self.state(|state| state.users.remove(token));
    }

    /// Adds a service account, and returns a token for the API server, good for an hour.
    pub fn create_service_account(&self, namespace: &str, name: &str) -> String {
        let key = (namespace.to_owned(), name.to_owned());
        self.state(|state| state.accounts.insert(key));
        service_account_jwt(namespace, name, API_SERVER_AUDIENCE, Duration::from_secs(3600))
    }

    /// Grants something.
    pub fn grant(&self, rule: Rule) {
        self.state(|state| state.rules.push(rule));
    }

    /// Takes back whatever was granted to this user or group.
    pub fn revoke_grants(&self, subject: &str) {
        self.state(|state| state.rules.retain(|rule| rule.subject != subject));
    }

    /// Stores a Secret as somebody else would with a plain `PUT` or `POST`, as the field manager
    /// `manager`. Returns its resourceVersion.
    pub fn write(&self, namespace: &str, name: &str, data: &[(&str, &[u8])], manager: &str) -> u64 {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec())).collect();
        let revision = self.state(|state| {
            let now = state.now();
            let before = state.find(namespace, name).cloned();
            let live = before.as_ref().map(|before| before.content.clone()).unwrap_or_default();
            let content = Content { data, ..live.clone() }.complete();
            let managed = before.as_ref().map(|before| before.managed.clone()).unwrap_or_default();
            let managed = ownership::update(&live, &managed, &content, manager, now);
            let object = match before {
                Some(before) => Object { content, managed, ..Object::clone(&before) },
                None => Object {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    uid: random_id(),
                    revision: 0,
                    created: now,
                    deleted: None,
                    content,
                    managed,
                },
            };
            state.put(object).revision
        });
        self.shared.changes.send_modify(|count| *count += 1);
        revision
    }

    /// Deletes a Secret as somebody else would.
    pub fn delete(&self, namespace: &str, name: &str) {
        self.state(|state| state.remove(namespace, name));
        self.shared.changes.send_modify(|count| *count += 1);
    }

    /// The whole Secret as JSON, when it is there.
    #[must_use]
    pub fn read(&self, namespace: &str, name: &str) -> Option<serde_json::Value> {
        self.state(|state| state.find(namespace, name).map(|object| object.json(false)))
    }

    /// Forgets all states but the present one, as etcd does every five minutes: who watches or lists
    /// on from an older one is told `410 Expired`.
    pub fn compact(&self) {
        self.state(State::compact);
    }

    /// Breaks off every watch that is under way.
    pub fn break_off_watches(&self) {
        self.order(|order| order.break_off += 1);
    }

    /// Ends every watch that is under way with a 410 in its stream.
    pub fn expire_watches(&self) {
        self.order(|order| order.expire += 1);
    }

    /// Sends a bookmark to every watch that asked for them.
    pub fn send_bookmarks(&self) {
        self.order(|order| order.bookmark += 1);
    }

    /// How many watches are under way.
    #[must_use]
    pub fn open_watches(&self) -> usize {
        self.state(|state| state.open_watches)
    }

    /// How many requests came, whatever became of them.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.state(|state| state.log.len())
    }

    /// How many requests had this in their line, `GET /api/v1/…?…`.
    #[must_use]
    pub fn hits(&self, part: &str) -> usize {
        self.state(|state| state.log.iter().filter(|line| line.contains(part)).count())
    }

    /// On whose behalf the last request was made.
    #[must_use]
    pub fn last_impersonated(&self) -> Option<String> {
        self.state(|state| state.impersonated.clone())
    }

    /// Moves the server's clock, which times of objects come from.
    pub fn advance(&self, by: Duration) {
        self.state(|state| state.ahead += by);
    }

    /// The next `count` requests whose line has `part` in it (`GET /api/v1/…?…`; empty is any) meet
    /// this fault. Of several that fit, the one injected first comes first.
    pub fn inject(&self, fault: ApiFault, part: &str, count: usize) {
        let injected = Injected { fault, part: part.to_owned(), left: count };
        self.state(|state| state.faults.push(injected));
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.state(|state| state.faults.clear());
    }

    fn order(&self, change: impl FnOnce(&mut Order)) {
        self.shared.orders.send_modify(change);
    }

    fn namespace(&self, name: &str, change: impl FnOnce(&mut Namespace)) {
        self.state(|state| change(state.namespaces.entry(name.to_owned()).or_default()));
    }

    fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.shared.state())
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address and nothing else.
impl fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubernetes").field("address", &self.address()).finish_non_exhaustive()
    }
}
