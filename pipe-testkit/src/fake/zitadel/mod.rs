//! A Zitadel, as far as machine users, tokens, introspection and authorizations go.
//!
//! Answers are those of Zitadel 4 as its sources and the OpenID library that it embeds give them,
//! with their traps: an assertion from more than a second ahead is refused, scopes that are not known
//! or not held are dropped in silence, opaque tokens are JWEs, and an API client that fails to prove
//! who it is gets a 400.

mod api;
mod oauth;
mod state;
mod tokens;

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use self::state::{Grant, Provider, User, random};
use super::http::Server;
use crate::issuer::{Fault, SigningAlgorithm, SigningKey, TestClock};

/// A Zitadel on a port of 127.0.0.1, at plain HTTP. It ends when it is dropped.
///
/// It has an organisation with a project, and an API client of that project.
pub struct Zitadel {
    server: Server,
    provider: Arc<Provider>,
}

/// A machine user with everything by which it can prove who it is.
#[derive(Clone)]
#[non_exhaustive]
pub struct ZitadelMachine {
    /// The id of the user.
    pub id: String,
    /// Its name, which is its client id.
    pub username: String,
    /// A key file, as the console gives it out.
    pub key_file: String,
    /// Its client secret.
    pub client_secret: String,
    /// A personal access token.
    pub token: String,
}

impl Zitadel {
    /// Starts one, with a signing key of RSA and a clock of its own.
    pub async fn start() -> Self {
        let provider = Arc::new(Provider::new(TestClock::new()));
        let server = Server::start(0, Arc::clone(&provider)).await;
        provider.lock().url = format!("http://{}", server.address());
        Self { server, provider }
    }

    /// The issuer's identifier, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.provider.lock().url.clone()
    }

    /// The time by which it mints and judges.
    #[must_use]
    pub fn clock(&self) -> &TestClock {
        &self.provider.clock
    }

    /// The id of the project.
    #[must_use]
    pub fn project(&self) -> String {
        state::PROJECT.to_owned()
    }

    /// The id of the organisation that owns the project and the machine users.
    #[must_use]
    pub fn organization(&self) -> String {
        state::ORGANIZATION.to_owned()
    }

    /// The client id and the secret of the API client. The secret has characters that have to be
    /// encoded.
    #[must_use]
    pub fn api_client(&self) -> (String, String) {
        (state::API_CLIENT.to_owned(), state::API_SECRET.to_owned())
    }

    /// The key file of the API client.
    #[must_use]
    pub fn api_key_file(&self) -> String {
        let key = self.provider.lock().new_client_key();
        json!({
            "type": "application",
            "keyId": key.kid(),
            "key": key.rsa_private_pem(),
            "appId": "app-1",
            "clientId": state::API_CLIENT,
        })
        .to_string()
    }

    /// Adds a machine user. Its tokens are opaque.
    pub fn create_machine(&self, username: &str) -> ZitadelMachine {
        self.provider.lock().create_machine(username)
    }

    /// From now on the tokens of a user are JWTs, or opaque again.
    pub fn set_jwt_tokens(&self, user: &str, jwt: bool) {
        self.user(user, |user| user.jwt = jwt);
    }

    /// Gives a user metadata.
    pub fn set_metadata(&self, user: &str, key: &str, value: &[u8]) {
        self.user(user, |user| user.metadata.insert(key.to_owned(), value.to_vec()));
    }

    /// Adds a claim to the tokens of a user, as an action does.
    pub fn set_claim(&self, user: &str, name: &str, value: impl Into<Value>) {
        let value = value.into();
        self.user(user, |user| user.claims.insert(name.to_owned(), value));
    }

    /// Lets a user administer the instance.
    pub fn make_manager(&self, user: &str) {
        self.user(user, |user| user.manager = true);
    }

    /// Moves a user to another organisation.
    pub fn move_user(&self, user: &str, organization: &str) {
        self.user(user, |user| organization.clone_into(&mut user.organization));
    }

    /// Grants roles of a project to a user in an organisation. Returns the id of the authorization.
    pub fn grant(&self, user: &str, project: &str, organization: &str, roles: &[&str]) -> String {
        let grant = Grant::new(user, project, organization, roles);
        let id = grant.id.clone();
        self.provider.lock().grants.push(grant);
        id
    }

    /// Deactivates an authorization.
    pub fn deactivate(&self, authorization: &str) {
        let mut state = self.provider.lock();
        for grant in state.grants.iter_mut().filter(|grant| grant.id == authorization) {
            grant.active = false;
        }
    }

    /// A token of a user with these scopes, as if it had asked for one.
    #[must_use]
    pub fn token(&self, user: &str, scopes: &[&str]) -> String {
        let now = self.clock().seconds();
        let scopes: Vec<_> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self.provider.lock().issue(now, user, &scopes).0
    }

    /// The claims of such a token, signed with this key.
    #[must_use]
    pub fn token_signed_by(&self, user: &str, scopes: &[&str], key: &SigningKey) -> String {
        let now = self.clock().seconds();
        let scopes: Vec<_> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let mut state = self.provider.lock();
        let claims = state.claims(now, user, &scopes, &random());
        crate::issuer::TokenBuilder::new(key, "JWT", claims).sign()
    }

    /// A token is not good any more.
    pub fn revoke(&self, token: &str) {
        self.provider.lock().revoked.insert(token.to_owned());
    }

    /// Signs with a new key of another kind from now on; the old ones stay published.
    pub fn rotate(&self, algorithm: SigningAlgorithm) -> SigningKey {
        let mut state = self.provider.lock();
        let kid = format!("key-{}", state.keys.len() + 1);
        let key = SigningKey::generate(algorithm, kid);
        state.keys.push(key.clone());
        key
    }

    /// Publishes this entry of the key set too, whatever it is.
    pub fn publish(&self, entry: Value) {
        self.provider.lock().published.push(entry);
    }

    /// From now on, requests for this path meet the fault; `*` stands for all paths without one of
    /// their own.
    pub fn fail(&self, path: &str, fault: Fault) {
        self.provider.lock().faults.insert(path.to_owned(), fault);
    }

    /// All requests are answered again.
    pub fn heal(&self) {
        self.provider.lock().faults.clear();
    }

    /// How many requests for a path arrived.
    #[must_use]
    pub fn hits(&self, path: &str) -> usize {
        self.provider.lock().requests.iter().filter(|one| one.starts_with(path)).count()
    }

    /// Closes the port and every connection.
    pub async fn stop(&mut self) {
        self.server.stop().await;
    }

    fn user<T>(&self, id: &str, change: impl FnOnce(&mut User) -> T) {
        if let Some(user) = self.provider.lock().users.get_mut(id) {
            change(user);
        }
    }
}

/// The address and nothing else.
impl fmt::Debug for Zitadel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zitadel").field("url", &self.url()).finish_non_exhaustive()
    }
}

/// Who it is, and nothing by which it proves that.
impl fmt::Debug for ZitadelMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZitadelMachine").field("id", &self.id).finish_non_exhaustive()
    }
}
