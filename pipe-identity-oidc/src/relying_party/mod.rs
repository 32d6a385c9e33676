//! Logging people in with an OpenID provider: the authorization code flow, sessions, and how they end.

mod begin;
mod build;
mod callback;
mod config;
mod device;
mod finish;
mod id_token;
mod logout;
mod record;
mod renew;
mod sealed;
mod sessions;
mod tokens;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join;
use pipe_core::identity::{
    BearerToken, Group, LoggedIn, LoggedOut, LoginCallback, LoginRequest, LoginStart, RoleResolver,
    SessionId, SessionStore, UserLogin, UserSession, UserToken,
};
use pipe_core::rbac::KubernetesUser;
use pipe_core::{
    Clock, Error, ErrorKind, Health, LoginFault, Plugin, Result, SecurityContext, TokenFault,
};

pub use self::config::{
    LoginClient, PushedRequests, RelyingPartyConfig, SessionTimes, UserInfoUse,
};
pub use self::device::DeviceLogin;
use self::id_token::IdTokens;
use self::logout::LogoutTokens;
use self::record::{Session, seconds};
use self::renew::{Flights, MOST_TRIES, ends_the_session};
use self::sealed::{Seal, Use};
pub use self::sessions::{MemorySessionsConfig, SessionsConfig};
use self::tokens::Client;
use crate::{Preset, ProviderStatus};

/// Logs people in with an OpenID provider (REQ 002-24 to 002-32). Clones share everything.
///
/// The browser goes to the provider with a request that only it can finish: `state`, `nonce` and
/// PKCE's verifier are kept in the [`SessionStore`], under a name that is made of the browser's
/// own id and of `state`. It comes back with a code, which is exchanged for tokens; the ID token
/// among them is checked completely, and a session begins. What is kept of a session is encrypted
/// with a key that is made of its id: who reads the store reads nothing.
///
/// A session's tokens are renewed when four fifths of their life are over, by one request however
/// many ask and however many processes share the store. While the provider is down, the session
/// goes on; when it refuses, the session ends.
#[derive(Clone)]
pub struct RelyingParty(Arc<Inner>);

pub(crate) struct Inner {
    name: String,
    client: Client,
    redirect_uri: Option<String>,
    post_logout_redirect_uri: Option<String>,
    /// With `openid`.
    scopes: BTreeSet<String>,
    max_age: Option<Duration>,
    assurance: BTreeSet<String>,
    user_info: UserInfoUse,
    pushed_requests: PushedRequests,
    login_time: Duration,
    times: SessionTimes,
    preset: Preset,
    tenants: Vec<String>,
    id_tokens: IdTokens,
    logout_tokens: LogoutTokens,
    store: Arc<dyn SessionStore>,
    roles: Option<Arc<dyn RoleResolver>>,
    clock: Clock,
    flights: Flights,
    /// How long renewing a session may take: learning the endpoints, asking, and the keys.
    patience: Duration,
}

impl RelyingParty {
    /// A login with these settings. It reads the files that they name, and talks to nobody yet.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming all settings that are wrong.
    pub fn new(config: RelyingPartyConfig) -> Result<Self> {
        let name = config.name.clone();
        let inner = config.build().map_err(|error| error.at(&name, "new"))?;
        Ok(Self(Arc::new(inner)))
    }

    /// How the provider's keys are. Asks nobody.
    #[must_use]
    pub fn status(&self) -> ProviderStatus {
        self.0.client.endpoints.provider().status()
    }

    /// Who this person is in a Kubernetes cluster, by the grants of the provider's groups: for
    /// `Impersonate-User` and `Impersonate-Group` (REQ 002-49). The context is that of their session.
    ///
    /// # Errors
    /// `TokenRejected` when the context has expired or was made by another issuer, and as for
    /// [`GroupRights::kubernetes_user`](pipe_core::rbac::GroupRights::kubernetes_user).
    pub fn kubernetes_user(&self, person: &SecurityContext) -> Result<KubernetesUser> {
        let refused = |fault| Err(crate::error::refused(fault, &person.issuer));
        let user = if !self.0.id_tokens.policy().issuer().may_be(&person.issuer) {
            refused(TokenFault::WrongIssuer)
        } else if person.is_expired_at(self.0.clock.now()) {
            refused(TokenFault::Expired)
        } else {
            self.0.id_tokens.mapper.rights().kubernetes_user(person)
        };
        user.map_err(|error| self.locate(error, "kubernetes_user"))
    }

    fn locate(&self, error: Error, operation: &'static str) -> Error {
        error.at(&self.0.name, operation)
    }
}

impl Inner {
    /// What leads to a record of ours. Another provider, and another client, has others: what began
    /// with the one is nothing to the other, and its tokens are sent to nobody else.
    fn seal(&self, usage: Use, secrets: &[&str]) -> Result<Seal> {
        let whose = [self.id_tokens.issuer(), &self.client.id];
        Seal::of(usage, &[&whose, secrets].concat())
    }

    /// The session with this seal, as long as its times are not over, and its version.
    async fn load(&self, seal: &Seal) -> Result<Option<(Session, u64)>> {
        let Some(stored) = self.store.get(&seal.key).await? else { return Ok(None) };
        let Some(session) = seal.open::<Session>(&stored.data) else { return Ok(None) };
        let (_, idle_until) = session.ends(&self.times);
        // The store counts by its own clock, and this is ours.
        if seconds(self.clock.now()) >= idle_until {
            self.store.take(&seal.key).await?;
            return Ok(None);
        }
        Ok(Some((session, stored.version)))
    }

    async fn look(self: &Arc<Self>, id: &SessionId) -> Result<Option<UserSession>> {
        let seal = self.seal(Use::Session, &[id.expose()])?;
        let Some(mut session) = self.used(&seal).await? else { return Ok(None) };
        let now = seconds(self.clock.now());
        if self.is_to_be_renewed(&session, now) {
            let renewal = self.renewal(id, &seal);
            // While the tokens are good, nobody waits for others.
            if !session.tokens.are_usable(now) {
                let renewed = async { self.wait_for(renewal?).await };
                match renewed.await {
                    Ok(Some(renewed)) => session = Session::clone(&renewed),
                    Ok(None) => return Ok(None),
                    Err(error) if ends_the_session(&error) => return Err(error),
                    // What keeps us from asking says nothing about the person.
                    Err(_) => {}
                }
            }
        }
        self.view(&session).await.map(Some)
    }

    /// The session, which this extends.
    async fn used(&self, seal: &Seal) -> Result<Option<Session>> {
        // Not more often than twenty times in the time that it may be idle.
        let step = (self.times.idle.as_secs() / 20).max(1);
        let mut last = None;
        for _ in 0..MOST_TRIES {
            let Some((mut session, version)) = self.load(seal).await? else { return Ok(None) };
            let now = seconds(self.clock.now());
            if now < session.used_at.saturating_add(step) {
                return Ok(Some(session));
            }
            let before = std::mem::replace(&mut session.used_at, now);
            let record = session.sealed(seal, &self.times, now)?;
            match self.store.replace(&seal.key, version, record).await {
                Ok(true) => return Ok(Some(session)),
                // Somebody else counted a use, renews the session, or ended it.
                Ok(false) => last = Some(session),
                // It is there, in a store that takes nothing now: it goes on, and ends no later.
                Err(error) if error.kind().is_retryable() => {
                    tracing::debug!(plugin = self.name, %error, "a session is not extended");
                    session.used_at = before;
                    return Ok(Some(session));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(last)
    }

    fn is_to_be_renewed(&self, session: &Session, now: u64) -> bool {
        session.tokens.refresh.is_some() && session.tokens.are_due(now) && now >= session.retry_at
    }

    async fn token(self: &Arc<Self>, id: &SessionId) -> Result<Option<UserToken>> {
        let seal = self.seal(Use::Session, &[id.expose()])?;
        let Some(session) = self.used(&seal).await? else { return Ok(None) };
        let now = seconds(self.clock.now());
        if session.tokens.are_usable(now) {
            if self.is_to_be_renewed(&session, now) {
                drop(self.renewal(id, &seal)?);
            }
            return Ok(Some(session.tokens.to_user_token()));
        }
        if session.tokens.refresh.is_none() {
            let fault = ErrorKind::LoginRefused(LoginFault::InteractionRequired);
            return Err(Error::new(fault, "the token has expired, and cannot be renewed")
                .hint("add offline_access to `scopes`, or let the person log in again"));
        }
        let renewed = self.wait_for(self.renewal(id, &seal)?).await?;
        Ok(renewed.map(|session| session.tokens.to_user_token()))
    }

    /// As the application sees it, with what the resolver says.
    async fn view(&self, session: &Session) -> Result<UserSession> {
        let mut view = session.view(&self.times);
        let Some(resolver) = &self.roles else { return Ok(view) };
        if session.person.groups_elsewhere {
            let mapper = &self.id_tokens.mapper;
            let groups = mapper.resolve_groups(&mut view.context, &**resolver).await?;
            view.groups = groups.iter().map(Group::to_string).collect();
        }
        let roles = resolver.resolve(&view.context).await?;
        view.context = view.context.with_roles(roles);
        Ok(view)
    }
}

impl fmt::Debug for RelyingParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelyingParty")
            .field("name", &self.0.name)
            .field("client", &self.0.client.id)
            .field("store", &self.0.store)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Plugin for RelyingParty {
    fn name(&self) -> &str {
        &self.0.name
    }

    /// That of the provider and that of the store.
    async fn health(&self) -> Health {
        let provider = crate::health::of(self.0.client.endpoints.provider());
        let store = crate::health::of_store(&*self.0.store);
        crate::health::worst(<[Health; 2]>::from(join(provider, store).await))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl UserLogin for RelyingParty {
    async fn begin_login(&self, request: &LoginRequest) -> Result<LoginStart> {
        self.0.begin(request).await.map_err(|error| self.locate(error, "begin_login"))
    }

    async fn finish_login(&self, callback: &LoginCallback) -> Result<LoggedIn> {
        let finished = self.0.finish(callback).await;
        finished.map_err(|error| self.locate(error, "finish_login"))
    }

    async fn session(&self, id: &SessionId) -> Result<Option<UserSession>> {
        self.0.look(id).await.map_err(|error| self.locate(error, "session"))
    }

    async fn access_token(&self, id: &SessionId) -> Result<Option<UserToken>> {
        self.0.token(id).await.map_err(|error| self.locate(error, "access_token"))
    }

    async fn log_out(&self, id: &SessionId) -> Result<LoggedOut> {
        self.0.end_session(id).await.map_err(|error| self.locate(error, "log_out"))
    }

    async fn back_channel_logout(&self, logout_token: &BearerToken) -> Result<u64> {
        let ended = self.0.end_sessions(logout_token).await;
        ended.map_err(|error| self.locate(error, "back_channel_logout"))
    }
}
