//! What is kept of a login and of a session. It is sealed before it is stored.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipe_core::identity::{
    BearerToken, Group, Principal, PrincipalId, PrincipalKind, ReturnTo, Role, SessionRecord,
    SessionTag, TenantId, UserProfile, UserSession, UserToken,
};
use pipe_core::{Namespace, Result, SecretValue, SecurityContext};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::SessionTimes;
use super::sealed::Seal;

/// A login that has begun.
#[derive(Serialize, Deserialize)]
pub(super) struct LoginRecord {
    pub(super) nonce: Hidden,
    /// Of PKCE.
    pub(super) verifier: Hidden,
    pub(super) return_to: String,
    pub(super) max_age: Option<u64>,
    /// In seconds since 1970.
    pub(super) expires_at: u64,
}

impl LoginRecord {
    /// Where the person wanted to go.
    pub(super) fn return_to(&self) -> ReturnTo {
        ReturnTo::parse(&self.return_to).unwrap_or_default()
    }
}

/// A session. Its times are seconds since 1970.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) person: Person,
    pub(super) tokens: Tokens,
    /// The hashes by which it is found when it has to end.
    pub(super) tags: Vec<[u8; 32]>,
    pub(super) began_at: u64,
    pub(super) used_at: u64,
    /// Until when somebody is asking for other tokens, if anybody is: then it is taken for lost.
    pub(super) renewing_until: Option<u64>,
    /// How often in a row they could not be had.
    pub(super) failures: u32,
    /// Not before then are they asked for again.
    pub(super) retry_at: u64,
}

/// Who it is.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Person {
    pub(super) issuer: String,
    pub(super) subject: String,
    /// The session at the provider (`sid`).
    pub(super) sid: Option<String>,
    /// That of the login, which a renewal may repeat.
    pub(super) nonce: Option<Hidden>,
    pub(super) kind: PrincipalKind,
    pub(super) id: PrincipalId,
    pub(super) tenant: Option<TenantId>,
    pub(super) namespaces: BTreeSet<Namespace>,
    pub(super) roles: BTreeSet<Role>,
    /// As the provider names them.
    pub(super) groups: BTreeSet<String>,
    /// Those that mean something in Kubernetes.
    pub(super) cluster_groups: BTreeSet<Group>,
    /// Whether a resolver has to say which groups they are in.
    pub(super) groups_elsewhere: bool,
    pub(super) token_id: Option<String>,
    pub(super) authenticated_at: u64,
    pub(super) assurance: Option<String>,
    pub(super) name: Option<String>,
    pub(super) username: Option<String>,
    pub(super) email: Option<String>,
    pub(super) email_verified: bool,
}

/// What the provider gave us.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Tokens {
    pub(super) access: Hidden,
    pub(super) scopes: BTreeSet<String>,
    pub(super) obtained_at: u64,
    pub(super) expires_at: u64,
    pub(super) refresh: Option<Hidden>,
    /// To be shown to the provider again, as a hint, when the person logs out.
    pub(super) id: Hidden,
}

/// A token is not handed out in the last moments of its life; of a short life, a tenth.
const EXPIRY_LEEWAY: u64 = 10;

impl Tokens {
    /// Whether the access token can be handed out.
    pub(super) fn are_usable(&self, now: u64) -> bool {
        let life = self.expires_at.saturating_sub(self.obtained_at);
        now < self.expires_at.saturating_sub(EXPIRY_LEEWAY.min(life / 10))
    }

    /// Whether it is time for others: four fifths of their life are over.
    pub(super) fn are_due(&self, now: u64) -> bool {
        let life = self.expires_at.saturating_sub(self.obtained_at);
        now >= self.obtained_at.saturating_add(life.saturating_mul(4) / 5)
    }

    pub(super) fn to_user_token(&self) -> UserToken {
        let token = BearerToken::new(self.access.0.clone());
        UserToken::new(token, time(self.expires_at), self.scopes.clone())
    }
}

impl Person {
    /// Who they are, and what they may do until then.
    pub(super) fn context(&self, scopes: BTreeSet<String>, until: SystemTime) -> SecurityContext {
        let principal = match self.kind {
            PrincipalKind::Service => Principal::service(self.id.clone()),
            _ => Principal::user(self.id.clone()),
        };
        let authenticated_at = time(self.authenticated_at);
        let mut context = SecurityContext::new(principal, &self.issuer, authenticated_at, until);
        context.tenant = self.tenant.clone();
        context.namespaces = self.namespaces.clone();
        context.roles = self.roles.clone();
        context.groups = self.cluster_groups.clone();
        context.scopes = scopes;
        context.token_id = self.token_id.clone();
        context
    }
}

impl Person {
    /// OpenID Connect Core 12.2: the nonce of a renewal need not be there, and is that of the login.
    pub(super) fn repeats_nonce_of(&self, login: &Self) -> bool {
        let before = login.nonce.as_ref();
        self.nonce.as_ref().is_none_or(|now| before.is_some_and(|before| before.0 == now.0))
    }
}

impl Session {
    /// When it ends in any case, and when unless it is used before.
    pub(super) fn ends(&self, times: &SessionTimes) -> (u64, u64) {
        let ends_at = self.began_at.saturating_add(times.longest.as_secs());
        let idle_until = self.used_at.saturating_add(times.idle.as_secs()).min(ends_at);
        (ends_at, idle_until)
    }

    /// As the application sees it.
    pub(super) fn view(&self, times: &SessionTimes) -> UserSession {
        let (ends_at, idle_until) = self.ends(times);
        let context = self.person.context(self.tokens.scopes.clone(), time(idle_until));
        let person = &self.person;
        let mut profile = UserProfile::default();
        profile.name = person.name.clone();
        profile.username = person.username.clone();
        profile.email = person.email.clone();
        profile.email_verified = person.email_verified;
        let mut session = UserSession::new(context);
        session.profile = profile;
        session.groups = person.groups.clone();
        session.assurance = person.assurance.clone();
        session.idle_until = time(idle_until);
        session.ends_at = time(ends_at);
        session
    }

    /// For the store.
    pub(super) fn sealed(
        &self,
        seal: &Seal,
        times: &SessionTimes,
        now: u64,
    ) -> Result<SessionRecord> {
        let (_, idle_until) = self.ends(times);
        let ttl = Duration::from_secs(idle_until.saturating_sub(now));
        let tags = self.tags.iter().copied().map(SessionTag::new);
        Ok(tags.fold(SessionRecord::new(seal.close(self)?, ttl), SessionRecord::with_tag))
    }
}

/// A secret inside a record.
#[derive(Clone)]
pub(super) struct Hidden(pub(super) SecretValue);

impl Hidden {
    pub(super) fn text(&self) -> &str {
        self.0.expose_str().unwrap_or_default()
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Hidden;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Hidden, E> {
                Ok(Hidden(text.into()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What no calendar has is never reached, so the beginning of all time is the safe answer.
pub(super) fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(life: u64) -> Tokens {
        Tokens {
            access: Hidden("a".into()),
            scopes: BTreeSet::new(),
            obtained_at: 1_000,
            expires_at: 1_000 + life,
            refresh: None,
            id: Hidden("i".into()),
        }
    }

    #[test]
    fn tokens_are_due_when_four_fifths_of_their_life_are_over() {
        for (life, due) in [(2, 1), (4, 3), (5, 4), (600, 480), (3_600, 2_880)] {
            assert!(!tokens(life).are_due(1_000 + due - 1), "{life}");
            assert!(tokens(life).are_due(1_000 + due), "{life}");
        }
    }

    #[test]
    fn tokens_are_not_handed_out_in_the_last_moments_of_their_life() {
        for (life, usable) in [(5, 5), (50, 45), (3_600, 3_590)] {
            assert!(tokens(life).are_usable(1_000 + usable - 1), "{life}");
            assert!(!tokens(life).are_usable(1_000 + usable), "{life}");
        }
    }
}
