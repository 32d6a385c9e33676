//! What the instance holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use super::ZitadelMachine;
use crate::fake::token_review::random_id;
use crate::issuer::{Fault, SigningAlgorithm, SigningKey, TestClock};

pub(super) const PROJECT: &str = "223281986649719041";
pub(super) const ORGANIZATION: &str = "223281939119866113";
pub(super) const DOMAIN: &str = "acme.zitadel.local";
pub(super) const API_CLIENT: &str = "223282121314795521@bots";
pub(super) const API_SECRET: &str = "api:secret/with+signs%and=more";

/// The instance behind the server.
pub(super) struct Provider {
    pub(super) clock: TestClock,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) url: String,
    /// All that are published; the last one signs.
    pub(super) keys: Vec<SigningKey>,
    /// Further entries of the key set.
    pub(super) published: Vec<Value>,
    pub(super) users: BTreeMap<String, User>,
    pub(super) grants: Vec<Grant>,
    /// The keys of the API client.
    pub(super) client_keys: Vec<SigningKey>,
    /// Whose a token is, and with which scopes.
    pub(super) opaque: BTreeMap<String, Opaque>,
    pub(super) revoked: BTreeSet<String>,
    pub(super) roles: BTreeSet<(String, String)>,
    pub(super) faults: BTreeMap<String, Fault>,
    pub(super) requests: Vec<String>,
}

#[derive(Clone)]
pub(super) struct Opaque {
    pub(super) user: String,
    pub(super) scopes: Vec<String>,
    pub(super) issued: u64,
    pub(super) expires: u64,
    pub(super) id: String,
    /// A personal access token: meant for everybody.
    pub(super) personal: bool,
}

#[derive(Clone, Default)]
pub(super) struct User {
    pub(super) username: String,
    pub(super) organization: String,
    pub(super) jwt: bool,
    pub(super) manager: bool,
    pub(super) secret: String,
    pub(super) keys: Vec<SigningKey>,
    pub(super) metadata: BTreeMap<String, Vec<u8>>,
    pub(super) claims: Map<String, Value>,
}

pub(super) struct Grant {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) project: String,
    pub(super) organization: String,
    pub(super) roles: Vec<String>,
    pub(super) active: bool,
}

impl Grant {
    pub(super) fn new(user: &str, project: &str, organization: &str, roles: &[&str]) -> Self {
        Self {
            id: random(),
            user: user.to_owned(),
            project: project.to_owned(),
            organization: organization.to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            active: true,
        }
    }
}

impl Provider {
    pub(super) fn new(clock: TestClock) -> Self {
        let state = State {
            url: String::new(),
            keys: vec![SigningKey::generate(SigningAlgorithm::Rs256, "key-1")],
            published: Vec::new(),
            users: BTreeMap::new(),
            grants: Vec::new(),
            client_keys: Vec::new(),
            opaque: BTreeMap::new(),
            revoked: BTreeSet::new(),
            roles: BTreeSet::new(),
            faults: BTreeMap::new(),
            requests: Vec::new(),
        };
        Self { clock, state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn create_machine(&mut self, username: &str) -> ZitadelMachine {
        let id = random();
        let secret = format!("secret:{}+/%", random_id());
        let user = User {
            username: username.to_owned(),
            organization: ORGANIZATION.to_owned(),
            secret: secret.clone(),
            ..User::default()
        };
        self.users.insert(id.clone(), user);
        let key_file = self.add_key(&id).unwrap_or_default();
        let token = format!("pat_{}", random_id().replace('-', ""));
        let personal = Opaque {
            user: id.clone(),
            scopes: Vec::new(),
            issued: 1_700_000_000,
            // The end of the year 9999: never.
            expires: 253_402_300_799,
            id: random(),
            personal: true,
        };
        self.opaque.insert(token.clone(), personal);
        let username = username.to_owned();
        ZitadelMachine { id, username, key_file, client_secret: secret, token }
    }

    /// A new key of a user, as the file that is given out once.
    pub(super) fn add_key(&mut self, id: &str) -> Option<String> {
        let user = self.users.get_mut(id)?;
        let key = SigningKey::generate(SigningAlgorithm::Rs256, random());
        let file = json!({
            "type": "serviceaccount",
            "keyId": key.kid(),
            "key": key.rsa_private_pem(),
            "expirationDate": "9999-12-31T23:59:59Z",
            "userId": id,
        });
        user.keys.push(key);
        Some(file.to_string())
    }

    pub(super) fn new_client_key(&mut self) -> SigningKey {
        let key = SigningKey::generate(SigningAlgorithm::Rs256, random());
        self.client_keys.push(key.clone());
        key
    }

    pub(super) fn jwks(&self) -> Value {
        let entries = self.keys.iter().map(SigningKey::jwk).chain(self.published.iter().cloned());
        json!({"keys": entries.collect::<Vec<_>>()})
    }

    pub(super) fn discovery(&self) -> Value {
        let url = &self.url;
        json!({
            "issuer": url,
            "authorization_endpoint": format!("{url}/oauth/v2/authorize"),
            "token_endpoint": format!("{url}/oauth/v2/token"),
            "introspection_endpoint": format!("{url}/oauth/v2/introspect"),
            "userinfo_endpoint": format!("{url}/oidc/v1/userinfo"),
            "revocation_endpoint": format!("{url}/oauth/v2/revoke"),
            "end_session_endpoint": format!("{url}/oidc/v1/end_session"),
            "device_authorization_endpoint": format!("{url}/oauth/v2/device_authorization"),
            "jwks_uri": format!("{url}/oauth/v2/keys"),
            "id_token_signing_alg_values_supported":
                ["EdDSA", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"],
            "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
            "response_types_supported": ["code", "id_token", "id_token token"],
            "subject_types_supported": ["public"],
            "grant_types_supported":
                ["authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
        })
    }
}

/// An id as Zitadel makes them: eighteen digits.
pub(super) fn random() -> String {
    let digits =
        random_id().bytes().map(u64::from).fold(7_u64, |sum, byte| sum.wrapping_mul(131) + byte);
    format!("{:018}", digits % 1_000_000_000_000_000_000)
}
