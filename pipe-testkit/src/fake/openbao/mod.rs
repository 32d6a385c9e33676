//! An OpenBao server that a test holds in its hand.

mod answers;
mod fault;
mod fields;
mod kv;
mod login;
mod policy;
mod request;
mod routes;
mod state;
mod store;
pub(super) mod time;
mod token;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use self::login::{AppRole, KubernetesRole, RoleTokens};
use self::routes::Shared;
use self::state::{InjectedFault, Namespace, State};
use self::store::Secret;
use self::token::Token;
use super::http::Server;
use super::token_review::random_id;

pub use self::fault::Fault;
pub use self::state::RequestRecord;

/// An OpenBao 2.7.2 on plain HTTP: tokens, policies, AppRole and Kubernetes logins, namespaces and
/// KV v2, with the answers of the real one.
///
/// What a test sets up is meant for one namespace: the root's on the handle that [`start`] gives,
/// another's on the one that [`create_namespace`] gives. All handles are of the same server, which
/// ends with the last of them. Each namespace has a KV v2 mount `secret`; the mounts `approle` and
/// `kubernetes` come with their first role.
///
/// [`start`]: Self::start
/// [`create_namespace`]: Self::create_namespace
#[derive(Clone)]
pub struct OpenBao {
    shared: Arc<Shared>,
    server: Arc<Mutex<Option<Server>>>,
    port: u16,
    namespace: String,
}

impl OpenBao {
    /// Starts one on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared::new());
        let server = Server::start(0, Arc::clone(&shared)).await;
        Self {
            shared,
            port: server.address().port(),
            server: Arc::new(Mutex::new(Some(server))),
            namespace: String::new(),
        }
    }

    /// `http://127.0.0.1:…`
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The token that may do everything, everywhere.
    #[must_use]
    pub fn root_token(&self) -> String {
        self.state(|state| state.root_token.clone())
    }

    /// Closes the port and every connection. What is stored is kept; tokens go on aging.
    pub async fn stop(&self) {
        let server = self.server_slot().take();
        if let Some(mut server) = server {
            server.stop().await;
        }
    }

    /// Listens again, on the same port.
    pub async fn start_again(&self) {
        self.stop().await;
        let server = Server::start(self.port, Arc::clone(&self.shared)).await;
        *self.server_slot() = Some(server);
    }

    /// Adds a namespace below this handle's (`team1`, `team1/child`), and its parents.
    #[must_use]
    pub fn create_namespace(&self, name: &str) -> Self {
        let mut namespace = self.namespace.clone();
        for part in name.split('/').filter(|part| !part.is_empty()) {
            namespace = format!("{namespace}{part}/");
            self.state(|state| state.add_namespace(&namespace));
        }
        Self { namespace, ..self.clone() }
    }

    /// Adds or replaces a policy: path patterns (exact, final `*`, `+` for a segment) and what they
    /// allow. Everything else is denied.
    ///
    /// # Panics
    /// When a capability is none.
    pub fn put_policy(&self, name: &str, rules: &[(&str, &[&str])]) {
        let policy = policy::policy(&self.namespace, rules);
        self.space(|space| space.policies.insert(name.to_owned(), policy));
    }

    /// A token with these policies and `default`. Without a lifetime it gets the system's 32 days.
    #[must_use]
    pub fn create_token(
        &self,
        policies: &[&str],
        ttl: Option<Duration>,
        renewable: bool,
    ) -> String {
        self.state(|state| {
            let ttl = ttl.unwrap_or(token::SYSTEM_MAX_TTL);
            let mut token = Token::new(state, &self.namespace, policies, ttl);
            token.renewable = renewable;
            let id = token.id.clone();
            state.tokens.insert(id.clone(), token);
            id
        })
    }

    /// Adds an AppRole and returns its role id and a secret id.
    ///
    /// A lifetime of zero is the system's; `secret_id_num_uses` of 0 is as often as one likes.
    #[must_use]
    pub fn create_approle(
        &self,
        name: &str,
        policies: &[&str],
        token_ttl: Duration,
        token_max_ttl: Duration,
        secret_id_num_uses: u32,
    ) -> (String, String) {
        let role = AppRole {
            role_id: random_id(),
            secret_id: random_id(),
            uses_left: Some(secret_id_num_uses).filter(|uses| *uses > 0),
            tokens: RoleTokens::new(policies, token_ttl, token_max_ttl),
        };
        let ids = (role.role_id.clone(), role.secret_id.clone());
        self.space(|space| space.approles.get_or_insert_default().insert(name.to_owned(), role));
        ids
    }

    /// Adds a role for service accounts; their tokens are those of
    /// [`service_account_jwt`](super::service_account_jwt). Names may end in `*`.
    pub fn create_kubernetes_role(
        &self,
        name: &str,
        audience: Option<&str>,
        bound_service_account_names: &[&str],
        bound_namespaces: &[&str],
        policies: &[&str],
        token_ttl: Duration,
    ) {
        let owned = |names: &[&str]| names.iter().copied().map(str::to_owned).collect();
        let role = KubernetesRole {
            audience: audience.map(str::to_owned),
            names: owned(bound_service_account_names),
            namespaces: owned(bound_namespaces),
            tokens: RoleTokens::new(policies, token_ttl, Duration::ZERO),
        };
        self.space(|space| {
            space.kubernetes_roles.get_or_insert_default().insert(name.to_owned(), role)
        });
    }

    /// Stores a secret as somebody else would, and returns its version.
    pub fn write(&self, path: &str, data: Value) -> u64 {
        let now = self.state(|state| state.now());
        self.space(|space| {
            let secret = space.store.secrets.entry(path.to_owned());
            secret.or_insert_with(|| Secret::new(now)).write(data, now)
        })
    }

    /// Revokes a token.
    pub fn revoke(&self, token: &str) {
        self.state(|state| state.tokens.remove(token));
    }

    /// Revokes every token but the root token.
    pub fn revoke_all(&self) {
        self.state(|state| state.tokens.retain(|id, _| *id == state.root_token));
    }

    /// How many tokens are good, the root token apart.
    #[must_use]
    pub fn live_tokens(&self) -> usize {
        self.state(|state| {
            let live = state.tokens.keys().filter(|id| state.live_token(id).is_some());
            live.count() - 1
        })
    }

    /// How many logins succeeded.
    #[must_use]
    pub fn logins(&self) -> usize {
        self.state(|state| state.logins)
    }

    /// How many renewals succeeded.
    #[must_use]
    pub fn renewals(&self) -> usize {
        self.state(|state| state.renewals)
    }

    /// How many requests came, whatever became of them.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.state(|state| state.log.len())
    }

    /// How many requests came for paths that begin with this (`secret/data/`).
    #[must_use]
    pub fn hits(&self, path_prefix: &str) -> usize {
        self.state(|state| {
            let log = state.log.iter();
            log.filter(|record| record.path.starts_with(path_prefix)).count()
        })
    }

    /// Every request that came, in order.
    #[must_use]
    pub fn request_log(&self) -> Vec<RequestRecord> {
        self.state(|state| state.log.clone())
    }

    /// The header `X-Vault-Namespace` of the last request.
    #[must_use]
    pub fn last_namespace_header(&self) -> Option<String> {
        self.state(|state| state.log.last()?.namespace.clone())
    }

    /// Seals the server: from now on it answers 503.
    pub fn seal(&self) {
        self.state(|state| state.sealed = true);
    }

    /// Unseals the server.
    pub fn unseal(&self) {
        self.state(|state| state.sealed = false);
    }

    /// Whether `sys/health` calls this server a standby (429). It serves all the same, as standbys
    /// do by forwarding.
    pub fn set_standby(&self, standby: bool) {
        self.state(|state| state.standby = standby);
    }

    /// Moves the server's clock: tokens expire, versions with a date are deleted.
    pub fn advance(&self, by: Duration) {
        self.state(|state| state.ahead += by);
    }

    /// As if every policy had this `pagination_limit`: a listing without a limit of its own ends
    /// there without a sign, one with a higher limit is denied. 0 ends this.
    pub fn set_page_limit(&self, limit: u32) {
        self.state(|state| state.page_limit = Some(limit.into()).filter(|limit| *limit > 0));
    }

    /// The next `count` requests whose path begins with `path_prefix` (`auth/token/`; empty is any)
    /// meet this fault. Of several that fit, the one injected first comes first.
    pub fn inject(&self, fault: Fault, path_prefix: &str, count: usize) {
        self.state(|state| {
            state.faults.push(InjectedFault {
                fault,
                path_prefix: path_prefix.to_owned(),
                left: count,
            });
        });
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.state(|state| state.faults.clear());
    }

    fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.shared.state())
    }

    fn space<T>(&self, with: impl FnOnce(&mut Namespace) -> T) -> T {
        self.state(|state| {
            let space = state.namespaces.get_mut(&self.namespace);
            with(space.expect("a handle's namespace is never removed"))
        })
    }

    fn server_slot(&self) -> std::sync::MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address and nothing else.
impl fmt::Debug for OpenBao {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenBao").field("address", &self.address()).finish_non_exhaustive()
    }
}
