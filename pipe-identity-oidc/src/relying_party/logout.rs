//! Ending sessions: here, at the provider, and when the provider says so (OpenID Connect
//! RP-Initiated Logout, Back-Channel Logout, RFC 7009).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipe_core::identity::{
    BearerToken, LoggedOut, SessionId, SessionRecord, SessionTag, StoredSession,
};
use pipe_core::{Error, ErrorKind, Result, TokenFault};
use serde_json::Value;
use url::Url;

use super::Inner;
use super::record::{Session, seconds};
use super::renew::{MOST_TRIES, contended};
use super::sealed::{Use, tag, used};
use crate::error::refused;
use crate::jwt::{Claims, Jwt, TokenPolicy};
use crate::keys::KeySource;

/// What a logout token says that it is about.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

impl Inner {
    /// Ends the session, also when whoever wanted that goes away: a browser that is closed may take its
    /// request with it, and leave a refresh token that is good.
    pub(super) async fn end_session(self: &Arc<Self>, id: &SessionId) -> Result<LoggedOut> {
        let (inner, id) = (Arc::clone(self), id.clone());
        let ending = tokio::spawn(async move { inner.end_and_revoke(&id).await });
        ending.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Unavailable, "the logout ended with its runtime"))
        })
    }

    async fn end_and_revoke(&self, id: &SessionId) -> Result<LoggedOut> {
        let seal = self.seal(Use::Session, &[id.expose()])?;
        let Some(stored) = self.store.take(&seal.key).await? else { return Ok(LoggedOut::new()) };
        let Some(session) = seal.open::<Session>(&stored.data) else { return Ok(LoggedOut::new()) };
        // From here on the person is logged out; what follows is courtesy towards the provider.
        self.give_back(session.tokens.refresh.as_ref().map(|refresh| refresh.0.clone())).await;
        match self.end_session_url(&session).await {
            Ok(Some(location)) => Ok(LoggedOut::new().with_location(location)),
            Ok(None) => Ok(LoggedOut::new()),
            Err(error) => {
                tracing::warn!(plugin = self.name, %error, "the provider's logout page is not known");
                Ok(LoggedOut::new())
            }
        }
    }

    async fn end_session_url(&self, session: &Session) -> Result<Option<String>> {
        let metadata = self.client.endpoints.provider().metadata().await?;
        let endpoint = metadata.end_session_endpoint.as_deref();
        let Some(mut url) = endpoint.and_then(|endpoint| Url::parse(endpoint).ok()) else {
            return Ok(None);
        };
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("id_token_hint", session.tokens.id.text());
            query.append_pair("client_id", &self.client.id);
            if let Some(uri) = &self.post_logout_redirect_uri {
                query.append_pair("post_logout_redirect_uri", uri);
            }
        }
        Ok(Some(url.into()))
    }

    pub(super) async fn end_sessions(&self, token: &BearerToken) -> Result<u64> {
        let logout = self.logout_tokens.verify(token, self.clock.now()).await?;
        let once = used("logout", &[&logout.issuer, &self.client.id, &logout.token_id]);
        if self.store.get(&once).await?.is_some() {
            return Err(self.logout_tokens.refused(TokenFault::Replayed));
        }
        // What other clients have in the same store goes on.
        let (issuer, client) = (logout.issuer.as_str(), self.client.id.as_str());
        let about = match (&logout.sid, &logout.subject) {
            (Some(sid), None) => vec![tag("sid", &[issuer, client, sid])],
            // Of a session whose ID token had no `sid`, nobody knows that it is another one.
            (Some(sid), Some(subject)) => {
                let without_sid = tag("subject without sid", &[issuer, client, subject]);
                vec![tag("sid", &[issuer, client, sid]), without_sid]
            }
            (None, Some(subject)) => vec![tag("subject", &[issuer, client, subject])],
            (None, None) => return Err(self.logout_tokens.refused(TokenFault::MissingClaim)),
        };
        let mut ended = 0;
        for tag in &about {
            // First, so that a login under way sees the one or the other. A store that takes no mark
            // keeps no session from its end.
            let marked = self.mark_ended(tag).await;
            ended += self.store.remove_tagged(tag).await?;
            marked?;
        }
        // Only now, so that a logout which failed half-way is done again when it is sent again.
        let lasts = logout.expires_at.saturating_sub(seconds(self.clock.now()));
        let ttl = Duration::from_secs(lasts.max(1)) + self.logout_tokens.policies[0].leeway();
        self.store.insert(&once, SessionRecord::new("", ttl)).await?;
        Ok(ended)
    }
}

/// When sessions were ended by a tag, for logins that had their tokens by then and no session yet.
impl Inner {
    /// The mark is changed, and never taken away: whoever fails here undoes none of another.
    async fn mark_ended(&self, tag: &SessionTag) -> Result<()> {
        let mark = used("ended", &[&tag.to_string()]);
        let now = nanoseconds(self.clock.now());
        for _ in 0..MOST_TRIES {
            let there = self.store.get(&mark).await?;
            // The later one counts, by whichever clock.
            let at = there.as_ref().and_then(ended_at).map_or(now, |before| before.max(now));
            let record = SessionRecord::new(&at.to_be_bytes()[..], self.patience);
            let is_kept = match there {
                Some(there) => self.store.replace(&mark, there.version, record).await?,
                None => self.store.insert(&mark, record).await?,
            };
            if is_kept {
                return Ok(());
            }
        }
        Err(contended())
    }

    pub(super) async fn ended_since(&self, tag: &SessionTag, then: SystemTime) -> Result<bool> {
        let mark = self.store.get(&used("ended", &[&tag.to_string()])).await?;
        Ok(mark.as_ref().and_then(ended_at).is_some_and(|at| at > nanoseconds(then)))
    }
}

fn ended_at(mark: &StoredSession) -> Option<u128> {
    mark.data.expose().try_into().ok().map(u128::from_be_bytes)
}

fn nanoseconds(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

/// Reads the logout tokens of one provider (OpenID Connect Back-Channel Logout 2.6).
#[derive(Debug)]
pub(super) struct LogoutTokens {
    pub(super) issuer: String,
    pub(super) client: String,
    /// One for each type that they may have.
    pub(super) policies: Vec<TokenPolicy>,
    pub(super) keys: Arc<KeySource>,
}

struct Logout {
    issuer: String,
    sid: Option<String>,
    subject: Option<String>,
    token_id: String,
    expires_at: u64,
}

impl LogoutTokens {
    async fn verify(&self, token: &BearerToken, now: SystemTime) -> Result<Logout> {
        let about = |fault| self.refused(fault);
        let jwt = Jwt::parse(token.expose(), self.policies[0].limits()).map_err(about)?;
        let mut checked = Err(TokenFault::WrongType);
        for policy in &self.policies {
            (checked, _) = self.keys.verify(policy, &jwt, &[&self.client], now).await?;
            if !matches!(checked, Err(TokenFault::WrongType)) {
                break;
            }
        }
        let claims = checked.map_err(about)?;
        self.read(&claims).map_err(about)
    }

    fn read(&self, claims: &Claims) -> Result<Logout, TokenFault> {
        let members = claims.members();
        let events = members.get("events").ok_or(TokenFault::WrongType)?;
        if !events.get(EVENT).is_some_and(Value::is_object) {
            return Err(TokenFault::WrongType);
        }
        // An ID token that is presented as a logout token has one.
        if members.contains_key("nonce") {
            return Err(TokenFault::WrongType);
        }
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(TokenFault::Malformed),
        };
        let (sid, subject) = (text("sid")?, text("sub")?);
        if sid.is_none() && subject.is_none() {
            return Err(TokenFault::MissingClaim);
        }
        Ok(Logout {
            issuer: claims.issuer().to_owned(),
            sid,
            subject,
            token_id: text("jti")?.ok_or(TokenFault::MissingClaim)?,
            expires_at: claims.expires_at(),
        })
    }

    fn refused(&self, fault: TokenFault) -> Error {
        let error = refused(fault, &self.issuer).with("token", "logout_token");
        match fault {
            TokenFault::WrongAudience => error
                .hint("check that the provider's back-channel logout for `client.id` leads here"),
            TokenFault::WrongType | TokenFault::MissingClaim => error.hint(
                "let the provider send logout tokens of OpenID Connect Back-Channel Logout 1.0",
            ),
            _ => error,
        }
    }
}
