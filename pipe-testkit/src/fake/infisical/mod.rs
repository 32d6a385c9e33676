//! An Infisical server, as far as machine identities, secrets and folders go.
//!
//! Answers and traps are those of real self-hosted servers, measured: an old one, one of June 2025,
//! and, from its sources, a current one.

mod auth;
mod fault;
mod reply;
mod routes;
mod secrets;
mod state;
mod store;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::fault::InfisicalFault;
use self::fault::Injected;
use self::routes::Front;
use self::state::State;
pub use self::state::{InfisicalIdentity, InfisicalRelease, InfisicalRights};
use super::http::Server;
use super::token_review::random_id;

/// An Infisical server on plain HTTP: universal auth, Kubernetes, OIDC and JWT auth, secrets with
/// versions, folders, imports, references, tags and metadata. Clones are the same server.
///
/// It has one project with the environments `dev`, `staging` and `prod`.
#[derive(Clone)]
pub struct Infisical {
    state: Arc<Mutex<State>>,
    server: Arc<Mutex<Option<Server>>>,
    port: u16,
}

impl Infisical {
    /// Starts one of this release on a free port of 127.0.0.1; it ends when its last handle is
    /// dropped.
    pub async fn start(release: InfisicalRelease) -> Self {
        let state = Arc::new(Mutex::new(State::new(release)));
        let server = Server::start(0, Arc::new(Front(Arc::clone(&state)))).await;
        let port = server.address().port();
        Self { state, server: Arc::new(Mutex::new(Some(server))), port }
    }

    /// `http://127.0.0.1:…`
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The id of the project.
    #[must_use]
    pub fn project(&self) -> String {
        self.state().project.clone()
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
        let server = Server::start(self.port, Arc::new(Front(Arc::clone(&self.state)))).await;
        *self.slot() = Some(server);
    }

    /// Adds an environment.
    pub fn create_environment(&self, slug: &str) {
        self.state().environments.entry(slug.to_owned()).or_default();
    }

    /// Adds a machine identity with universal auth. Returns its client id and client secret.
    pub fn create_identity(&self, identity: InfisicalIdentity) -> (String, String) {
        let (id, secret) = (random_id(), random_id().replace('-', "").repeat(2));
        self.state().add_identity(&id, &secret, identity);
        (id, secret)
    }

    /// Adds a machine identity that this JWT proves, by Kubernetes, OIDC or JWT auth. Returns its id.
    pub fn create_jwt_identity(&self, jwt: &str, identity: InfisicalIdentity) -> String {
        let id = random_id();
        self.state().add_identity(&id, jwt, identity);
        id
    }

    /// A token of an identity, as an administrator makes one for it.
    ///
    /// # Panics
    /// When there is no such identity.
    #[must_use]
    pub fn create_token(&self, identity: &str) -> String {
        self.state().issue(identity).expect("the identity is there").0
    }

    /// Changes what an identity may do.
    pub fn set_rights(&self, identity: &str, rights: InfisicalRights) {
        self.state().identity(identity).settings.rights = rights;
    }

    /// Changes the client secret or JWT of an identity.
    pub fn set_credential(&self, identity: &str, credential: &str) {
        credential.clone_into(&mut self.state().identity(identity).credential);
    }

    /// Revokes all tokens.
    pub fn revoke_tokens(&self) {
        self.state().tokens.clear();
    }

    /// From now on every write waits for an approval, and stores nothing.
    pub fn require_approval(&self) {
        self.state().approval = true;
    }

    /// The next so many creations do not see one another, as happens to concurrent ones.
    pub fn let_creations_race(&self, count: usize) {
        self.state().racing = count;
    }

    /// Stores a value as somebody else would.
    pub fn write(&self, environment: &str, path: &str, key: &str, value: &str) {
        self.state().write(environment, path, key, value);
    }

    /// Deletes a value as somebody else would.
    pub fn delete(&self, environment: &str, path: &str, key: &str) {
        self.state().delete(environment, path, key);
    }

    /// Tags a secret.
    pub fn tag(&self, environment: &str, path: &str, key: &str, tag: &str) {
        self.state().tag(environment, path, key, tag);
    }

    /// Imports all secrets of another folder into one; the last import wins.
    pub fn import(&self, environment: &str, path: &str, from: (&str, &str)) {
        self.state().import(environment, path, from);
    }

    /// The stored value, and how many rows have its key.
    #[must_use]
    pub fn read(&self, environment: &str, path: &str, key: &str) -> Option<(String, usize)> {
        self.state().read(environment, path, key)
    }

    /// How many requests had this in their line, `GET /api/v4/…?…`.
    #[must_use]
    pub fn hits(&self, part: &str) -> usize {
        self.state().log.iter().filter(|line| line.contains(part)).count()
    }

    /// How many bytes of bodies were sent.
    #[must_use]
    pub fn bytes_sent(&self) -> usize {
        self.state().bytes_sent
    }

    /// Moves the server's clock.
    pub fn advance(&self, by: Duration) {
        self.state().ahead += by;
    }

    /// The next `count` requests whose line has `part` in it (empty is any) meet this fault.
    pub fn inject(&self, fault: InfisicalFault, part: &str, count: usize) {
        let injected = Injected { fault, part: part.to_owned(), left: count };
        self.state().faults.push(injected);
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address and nothing else.
impl fmt::Debug for Infisical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Infisical").field("address", &self.address()).finish_non_exhaustive()
    }
}
