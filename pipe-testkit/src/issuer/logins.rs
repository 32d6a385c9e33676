//! What the provider knows of people, and what it gave out for them.

use std::collections::{BTreeMap, BTreeSet};

use super::device::Device;
use super::logout::Pending;
use super::pushed::Pushed;
use super::state::{State, random};
use super::{Client, LIFETIME, Person, Spoil};

/// How long a code can be used, in seconds.
pub(super) const CODE_LIFETIME: u64 = 60;

pub(super) struct Logins {
    pub(super) clients: BTreeMap<String, Client>,
    pub(super) people: BTreeMap<String, Person>,
    /// The sessions of browsers, by cookie.
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) grants: BTreeMap<String, Grant>,
    pub(super) pushed: BTreeMap<String, Pushed>,
    /// By device code.
    pub(super) devices: BTreeMap<String, Device>,
    pub(super) device_interval: Option<u64>,
    /// By what protects their form.
    pub(super) logouts: BTreeMap<String, Pending>,
    pub(super) codes: BTreeMap<String, Code>,
    pub(super) refresh_tokens: BTreeMap<String, RefreshToken>,
    /// The opaque ones, which introspection knows too.
    pub(super) access_tokens: BTreeMap<String, AccessToken>,
    pub(super) access_token_lifetime: u64,
    pub(super) refresh_token_lifetime: u64,
    pub(super) rotates: bool,
    pub(super) includes_at_hash: bool,
    /// The lies that wait to be told.
    pub(super) spoils: Vec<Spoil>,
}

/// Somebody is logged in in a browser.
pub(super) struct Session {
    pub(super) subject: String,
    pub(super) auth_time: u64,
    /// By client.
    pub(super) authorizations: BTreeMap<String, Authorization>,
}

#[derive(Clone)]
pub(super) struct Authorization {
    pub(super) sid: String,
    pub(super) grant: String,
}

/// What a person has allowed a client, and what came of it.
pub(super) struct Grant {
    pub(super) client: String,
    pub(super) subject: String,
    pub(super) sid: Option<String>,
    pub(super) scopes: BTreeSet<String>,
    pub(super) is_revoked: bool,
    pub(super) outlives_session: bool,
    pub(super) refreshes: usize,
    pub(super) reuses: usize,
}

/// What tokens are made from.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) client: String,
    pub(super) grant: String,
    pub(super) subject: String,
    pub(super) scopes: Vec<String>,
    pub(super) resources: Vec<String>,
    pub(super) nonce: Option<String>,
    pub(super) auth_time: Option<u64>,
    pub(super) acr: Option<String>,
    pub(super) sid: Option<String>,
}

pub(super) struct Code {
    pub(super) source: Source,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) expires: u64,
    pub(super) is_consumed: bool,
}

pub(super) struct RefreshToken {
    pub(super) source: Source,
    pub(super) made: u64,
    pub(super) expires: u64,
    pub(super) is_consumed: bool,
}

pub(super) struct AccessToken {
    pub(super) grant: String,
    pub(super) client: String,
    pub(super) subject: String,
    pub(super) scopes: Vec<String>,
    pub(super) has_audience: bool,
    pub(super) expires: u64,
}

impl Default for Logins {
    fn default() -> Self {
        Self {
            clients: BTreeMap::new(),
            people: BTreeMap::new(),
            sessions: BTreeMap::new(),
            grants: BTreeMap::new(),
            pushed: BTreeMap::new(),
            devices: BTreeMap::new(),
            device_interval: None,
            logouts: BTreeMap::new(),
            codes: BTreeMap::new(),
            refresh_tokens: BTreeMap::new(),
            access_tokens: BTreeMap::new(),
            access_token_lifetime: LIFETIME.as_secs(),
            refresh_token_lifetime: 24 * 3600,
            rotates: true,
            includes_at_hash: false,
            spoils: Vec::new(),
        }
    }
}

impl Logins {
    /// A new grant, with its id.
    pub(super) fn grant(&mut self, client: &str, subject: &str, sid: Option<String>) -> String {
        let id = random();
        let grant = Grant {
            client: client.to_owned(),
            subject: subject.to_owned(),
            sid,
            scopes: BTreeSet::new(),
            is_revoked: false,
            outlives_session: false,
            refreshes: 0,
            reuses: 0,
        };
        self.grants.insert(id.clone(), grant);
        id
    }

    /// The grant, when it still holds and is this client's.
    pub(super) fn holds(&self, grant: &str, client: &str) -> bool {
        self.grants.get(grant).is_some_and(|it| !it.is_revoked && it.client == client)
    }

    /// Another browser session of this person.
    pub(super) fn session(&mut self, person: &Person, now: u64) -> String {
        let id = random();
        let session = Session {
            subject: person.subject.clone(),
            auth_time: person.auth_time.unwrap_or(now),
            authorizations: BTreeMap::new(),
        };
        self.sessions.insert(id.clone(), session);
        id
    }

    /// The session's part for this client. A grant that was revoked is followed by another.
    pub(super) fn authorization(&mut self, session: &str, client: &str) -> Option<Authorization> {
        let known = self.sessions.get(session)?.authorizations.get(client).cloned();
        if let Some(known) = &known
            && self.holds(&known.grant, client)
        {
            return Some(known.clone());
        }
        let sid = known.map_or_else(random, |it| it.sid);
        let subject = self.sessions.get(session)?.subject.clone();
        let grant = self.grant(client, &subject, Some(sid.clone()));
        let authorization = Authorization { sid, grant };
        let session = self.sessions.get_mut(session)?;
        session.authorizations.insert(client.to_owned(), authorization.clone());
        Some(authorization)
    }
}

impl State {
    /// Everything that came of the grant is void, except for JWTs.
    pub(super) fn revoke_grant(&mut self, grant: &str) {
        if let Some(grant) = self.logins.grants.get_mut(grant) {
            grant.is_revoked = true;
        }
        let (logins, opaque) = (&mut self.logins, &mut self.opaque);
        logins.access_tokens.retain(|token, it| {
            let stays = it.grant != grant;
            if !stays {
                opaque.remove(token);
            }
            stays
        });
    }
}
