//! An OpenID provider in the process, for tests of plugins that trust one.
//!
//! A [`TestIssuer`] answers discovery, key set, token, introspection and revocation requests as
//! oidc-provider 9.13 does, logs people in without a browser ([`Person`], [`Client`], [`Browser`]), rotates
//! its keys, breaks on request, counts what it is asked, and mints what a real provider never would
//! ([`TokenBuilder`]). Its time is a [`TestClock`].

mod answers;
mod authentication;
mod authorization;
mod backchannel;
mod browser;
mod client;
mod clock;
mod device;
mod discovery;
mod fault;
mod forge;
mod grants;
mod introspection;
mod issue;
mod key;
mod login;
mod logins;
mod logout;
mod parameters;
mod people;
mod person;
mod pushed;
pub(crate) mod requests;
mod routes;
mod spoil;
mod state;
mod token;
mod userinfo;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

pub use self::backchannel::LogoutNotice;
pub use self::browser::Browser;
pub use self::client::Client;
pub use self::clock::TestClock;
pub use self::fault::Fault;
pub use self::forge::{P256_ORDER, der, twin};
pub use self::key::{SigningAlgorithm, SigningKey};
pub use self::person::Person;
pub use self::spoil::{Edit, Spoil};
use self::state::{Provider, random};
pub use self::token::TokenBuilder;
use crate::fake::http::Server;

/// Whom the tokens of a [`TestIssuer`] are meant for. As a `resource` it gives JWTs.
pub const AUDIENCE: &str = "https://api.pipe.local";
/// The `resource` for which opaque tokens are given.
pub const OPAQUE_AUDIENCE: &str = "https://api.pipe.local/opaque";
/// The subject of [`TestIssuer::token`].
pub const SUBJECT: &str = "service-account:floe-job-runner";
/// A client that may use the grant `client_credentials`, with `client_secret_basic` or `_post`.
pub const CLIENT_ID: &str = "svc-basic";
/// The secret of [`CLIENT_ID`]. It has characters that RFC 6749 2.3.1 wants encoded.
pub const CLIENT_SECRET: &str = "basic-secret:0123456789%ab+cdef/0123456789";
/// A client that may introspect and revoke, and nothing else.
pub const RESOURCE_SERVER_ID: &str = "rs";
/// The secret of [`RESOURCE_SERVER_ID`].
pub const RESOURCE_SERVER_SECRET: &str = "rs-secret-0123456789abcdef0123456789012";

/// What happens to the keys that signed before a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OldKeys {
    /// They stay published.
    Kept,
    /// They are gone at once.
    Dropped,
}

/// An OpenID provider on a port of 127.0.0.1, at plain HTTP. It ends when it is dropped.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use pipe_testkit::issuer::{Fault, OldKeys, TestIssuer};
///
/// let issuer = TestIssuer::start().await;
/// let before = issuer.token().sign();
/// issuer.rotate(OldKeys::Kept);
/// issuer.fail("/jwks", Fault::Html500);
/// assert_eq!(issuer.hits("/jwks"), 0);
/// # drop(before);
/// # });
/// ```
pub struct TestIssuer {
    server: Server,
    provider: Arc<Provider>,
}

impl TestIssuer {
    /// Starts one, with a key for each [`SigningAlgorithm`] and a clock of its own.
    pub async fn start() -> Self {
        let clock = TestClock::new();
        // The port is known only once the server runs, and the provider has to know its own address.
        let provider = Arc::new(Provider::new(clock));
        let server = Server::start(0, Arc::clone(&provider)).await;
        provider.lock().url = format!("http://{}", server.address());
        Self { server, provider }
    }

    /// The issuer's identifier, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.provider.lock().url.clone()
    }

    /// Where its discovery document is.
    #[must_use]
    pub fn discovery_url(&self) -> String {
        format!("{}{DISCOVERY}", self.url())
    }

    /// The time by which it mints and judges.
    #[must_use]
    pub fn clock(&self) -> &TestClock {
        &self.provider.clock
    }

    /// Closes the port and every connection.
    pub async fn stop(&mut self) {
        self.server.stop().await;
    }

    /// Listens again, on the same port, with the same keys.
    pub async fn restart(&mut self) {
        let port = self.server.address().port();
        self.server = Server::start(port, Arc::clone(&self.provider)).await;
    }

    /// A good access token (RFC 9068): ES256, `typ` `at+jwt`, for [`AUDIENCE`], one hour, with the scope
    /// `secrets:read`, the roles `data_reader`, the namespace `sales` and the tenant `acme`.
    pub fn token(&self) -> TokenBuilder {
        let now = self.clock().seconds();
        let claims = json!({
            "iss": self.url(),
            "sub": SUBJECT,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + 3600,
            "jti": random(),
            "client_id": CLIENT_ID,
            "scope": "secrets:read",
            "roles": ["data_reader"],
            "namespace": "sales",
            "tenant": "acme",
        });
        TokenBuilder::new(&self.key(SigningAlgorithm::Es256), "at+jwt", members(claims))
    }

    /// The key with which it signs now.
    ///
    /// # Panics
    /// Never: there is a key for each algorithm.
    #[must_use]
    pub fn key(&self, algorithm: SigningAlgorithm) -> SigningKey {
        self.provider.lock().key(algorithm)
    }

    /// The key with which it will sign after the next rotation, once it is published.
    #[must_use]
    pub fn next_key(&self, algorithm: SigningAlgorithm) -> Option<SigningKey> {
        self.provider.lock().next.iter().find(|key| key.algorithm() == algorithm).cloned()
    }

    /// Signs with new keys from now on, or with those that [`publish_next`](Self::publish_next) made.
    pub fn rotate(&self, old: OldKeys) {
        let mut state = self.provider.lock();
        let next = std::mem::take(&mut state.next);
        let next = if next.is_empty() { state.new_keys() } else { next };
        let before = std::mem::replace(&mut state.keys, next);
        if old == OldKeys::Kept {
            state.old.extend(before);
        } else {
            state.old.clear();
        }
    }

    /// Publishes the keys of the next rotation, and goes on signing with the current ones.
    pub fn publish_next(&self) {
        let mut state = self.provider.lock();
        state.next = state.new_keys();
    }

    /// Publishes the old keys no longer.
    pub fn drop_old(&self) {
        self.provider.lock().old.clear();
    }

    /// Publishes this entry too, whatever it is.
    pub fn publish(&self, entry: Value) {
        self.provider.lock().published.push(entry);
    }

    /// The key set as it is published now.
    #[must_use]
    pub fn jwks(&self) -> Value {
        self.provider.lock().jwks()
    }

    /// The discovery document as it is published now.
    #[must_use]
    pub fn discovery(&self) -> Value {
        self.provider.lock().discovery()
    }

    /// Changes a member of the discovery document; `null` removes it.
    pub fn set_discovery(&self, member: &str, value: impl Into<Value>) {
        self.provider.lock().metadata.insert(member.to_owned(), value.into());
    }

    /// An opaque token that is active for an hour, about which introspection tells what `claims` says
    /// besides `active`, `iss`, `iat`, `exp`, `aud`, `client_id`, `scope` and `token_type`; `null` removes a
    /// member.
    #[must_use]
    pub fn opaque_token(&self, claims: Value) -> String {
        let mut state = self.provider.lock();
        state.opaque(self.clock().seconds(), AUDIENCE, "secrets:read", CLIENT_ID, &members(claims))
    }

    /// The opaque token is not active any more.
    pub fn revoke(&self, token: &str) {
        self.provider.lock().opaque.remove(token);
    }

    /// This key proves who this client is (`private_key_jwt`), and signs its assertions (`jwt-bearer`).
    pub fn register(&self, client: &str, key: &SigningKey) {
        self.provider.lock().registered.push((client.to_owned(), key.clone()));
    }

    /// As a `resource`, this gives JWTs too.
    pub fn offer(&self, resource: &str) {
        self.provider.lock().resources.insert(resource.to_owned());
    }
}

/// The path of the discovery document.
pub const DISCOVERY: &str = "/.well-known/openid-configuration";

/// What resources offer.
const SCOPES: [&str; 4] = ["secrets:read", "secrets:write", "identity:read", "read"];

/// How long the tokens live that the provider gives out.
const LIFETIME: Duration = Duration::from_secs(3600);

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuer").field("url", &self.url()).finish_non_exhaustive()
    }
}
