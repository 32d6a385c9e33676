//! What the server holds: identities, tokens and environments.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use super::super::token_review::random_id;
use super::fault::Injected;
use super::reply::{Refusal, refuse};
use super::store::Environment;

/// Which server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InfisicalRelease {
    /// Of October 2024: v3 only; an expired token is a 401, and so is a request that is not valid.
    October2024,
    /// Of June 2025: v3 only; an expired token is a 403 `TokenError`.
    June2025,
    /// A current one: v4, and v3 beside it; a folder that is missing is a 404, and three wrong client secrets lock
    /// an identity.
    Current,
}

impl InfisicalRelease {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::October2024, Self::June2025, Self::Current];

    pub(super) fn is_old(self) -> bool {
        self == Self::October2024
    }
}

/// What a machine identity may do with secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InfisicalRights {
    /// Everything.
    All,
    /// Read, and not write.
    Read,
    /// See which secrets there are, and not their values.
    Describe,
    /// Nothing, in a project that it belongs to.
    None,
    /// It does not belong to the project.
    NotMember,
}

/// The settings of a machine identity.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InfisicalIdentity {
    /// What it may do.
    pub rights: InfisicalRights,
    /// How long its tokens live.
    pub token_ttl: Duration,
    /// For how many requests a token is good.
    pub token_uses: Option<u32>,
    /// How often its client secret can be used.
    pub secret_uses: Option<u32>,
}

impl InfisicalIdentity {
    /// One with these rights, and tokens for thirty days, as Infisical makes them.
    #[must_use]
    pub fn new(rights: InfisicalRights) -> Self {
        let token_ttl = Duration::from_secs(30 * 24 * 3600);
        Self { rights, token_ttl, token_uses: None, secret_uses: None }
    }

    /// Tokens that live that long.
    #[must_use]
    pub fn with_token_ttl(self, token_ttl: Duration) -> Self {
        Self { token_ttl, ..self }
    }

    /// Tokens for that many requests.
    #[must_use]
    pub fn with_token_uses(self, uses: u32) -> Self {
        Self { token_uses: Some(uses), ..self }
    }

    /// A client secret for that many logins.
    #[must_use]
    pub fn with_secret_uses(self, uses: u32) -> Self {
        Self { secret_uses: Some(uses), ..self }
    }
}

#[derive(Debug)]
pub(super) struct Identity {
    pub(super) settings: InfisicalIdentity,
    pub(super) credential: String,
    /// Wrong credentials in a row, and until when nobody may try again.
    pub(super) failures: u32,
    pub(super) locked_until: Option<SystemTime>,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) identity: String,
    pub(super) expires: SystemTime,
    pub(super) uses_left: Option<u32>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) release: InfisicalRelease,
    pub(super) project: String,
    pub(super) environments: BTreeMap<String, Environment>,
    pub(super) identities: HashMap<String, Identity>,
    pub(super) tokens: HashMap<String, Token>,
    pub(super) approval: bool,
    pub(super) racing: usize,
    pub(super) ahead: Duration,
    pub(super) faults: Vec<Injected>,
    pub(super) log: Vec<String>,
    pub(super) bytes_sent: usize,
}

impl State {
    pub(super) fn new(release: InfisicalRelease) -> Self {
        let environments = ["dev", "staging", "prod"];
        let environments = environments.map(|slug| (slug.to_owned(), Environment::default()));
        Self {
            release,
            project: random_id(),
            environments: environments.into(),
            identities: HashMap::new(),
            tokens: HashMap::new(),
            approval: false,
            racing: 0,
            ahead: Duration::ZERO,
            faults: Vec::new(),
            log: Vec::new(),
            bytes_sent: 0,
        }
    }

    pub(super) fn now(&self) -> SystemTime {
        SystemTime::now() + self.ahead
    }

    pub(super) fn add_identity(&mut self, id: &str, credential: &str, settings: InfisicalIdentity) {
        let credential = credential.to_owned();
        let identity = Identity { settings, credential, failures: 0, locked_until: None };
        self.identities.insert(id.to_owned(), identity);
    }

    pub(super) fn identity(&mut self, id: &str) -> &mut Identity {
        self.identities.get_mut(id).expect("a test asks for an identity that it made")
    }

    /// A new token of an identity, and its life.
    pub(super) fn issue(&mut self, identity: &str) -> Option<(String, Duration)> {
        let settings = self.identities.get(identity)?.settings.clone();
        let token = format!("eyJhbGciOiJIUzI1NiJ9.{}.{}", random_id(), random_id());
        let expires = self.now() + settings.token_ttl;
        let kept = Token { identity: identity.to_owned(), expires, uses_left: settings.token_uses };
        self.tokens.insert(token.clone(), kept);
        Some((token, settings.token_ttl))
    }

    /// Who sent a request, and what they may do.
    pub(super) fn authenticate(
        &mut self,
        header: Option<&str>,
    ) -> Result<InfisicalRights, Refusal> {
        let unauthorized = |text: &str| Err(refuse(401, "UnauthorizedError", text));
        let Some(token) = header.and_then(|header| header.strip_prefix("Bearer ")) else {
            return unauthorized("Token missing");
        };
        if token.split('.').count() != 3 {
            let text = "The provided access token is malformed. Please use a valid token.";
            return Err(refuse(403, "TokenError", text));
        }
        let (now, old) = (self.now(), self.release.is_old());
        let Some(known) = self.tokens.get_mut(token) else {
            return unauthorized("No identity access token found");
        };
        if now >= known.expires {
            if old {
                return unauthorized("Failed to renew MI access token due to TTL expiration");
            }
            let text = "Your token has expired. Please re-authenticate.";
            return Err(refuse(403, "TokenError", text));
        }
        match &mut known.uses_left {
            Some(0) => {
                let text = "Unable to renew because access token number of uses limit reached";
                return unauthorized(text);
            }
            Some(left) => *left -= 1,
            None => {}
        }
        let Some(identity) = self.identities.get(&known.identity) else {
            return unauthorized("No identity access token found");
        };
        Ok(identity.settings.rights)
    }
}
