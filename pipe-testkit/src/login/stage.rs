//! An issuer with people, and a plugin that logs them in.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::LocalBoxFuture;
use pipe_core::Result;
use pipe_core::identity::{
    BearerToken, LoggedIn, LoginRequest, MemorySessions, SessionId, SessionStore, UserLogin,
    UserSession, UserToken,
};

use super::trust::client;
use super::userinfo;
use super::{Attempt, LoginFeatures, LoginTrust};
use crate::issuer::{Person, TestIssuer};
use crate::time;

type Guard = Box<dyn Any>;
type Made = Option<(Arc<dyn UserLogin>, Guard)>;
type Factory = Box<dyn Fn(LoginTrust) -> LocalBoxFuture<'static, Made>>;

/// An issuer with people, and a plugin that logs them in.
pub struct LoginStage {
    /// The plugin.
    pub plugin: Arc<dyn UserLogin>,
    /// The issuer where people log in, with the clock that it shares with the plugin.
    pub issuer: TestIssuer,
    /// What the plugin offers.
    pub features: LoginFeatures,
    sessions: Arc<dyn SessionStore>,
    factory: Factory,
    guards: Mutex<Vec<Guard>>,
}

/// How long access tokens live. Much shorter than a session that is not used.
pub(crate) const TOKEN_LIFE: Duration = Duration::from_secs(300);
/// After this, a plugin tries again what failed.
pub(crate) const PAUSE: Duration = Duration::from_secs(61);

impl LoginStage {
    /// A new issuer and a plugin that logs people in there, unless something is absent.
    pub async fn set<P, G, F>(
        factory: impl Fn(LoginTrust) -> F + 'static,
        features: LoginFeatures,
    ) -> Option<Self>
    where
        P: UserLogin + 'static,
        G: 'static,
        F: Future<Output = Option<(P, G)>> + 'static,
    {
        let factory: Factory = Box::new(move |trust| {
            let made = factory(trust);
            Box::pin(async move {
                let (plugin, guard) = made.await?;
                Some((Arc::new(plugin) as Arc<dyn UserLogin>, Box::new(guard) as Guard))
            })
        });
        let issuer = TestIssuer::start().await;
        issuer.add_client(client());
        issuer.set_access_token_lifetime(TOKEN_LIFE);
        // So that requests can be looked at; a case of its own is about pushed ones.
        issuer.set_discovery("pushed_authorization_request_endpoint", ());
        let sessions: Arc<dyn SessionStore> = Arc::new(MemorySessions::new());
        let trust = LoginTrust::new(&issuer, Arc::clone(&sessions));
        let (plugin, guard) = factory(trust).await?;
        let guards = Mutex::new(vec![guard]);
        Some(Self { plugin, issuer, features, sessions, factory, guards })
    }

    /// How the plugin was made.
    #[must_use]
    pub fn trust(&self) -> LoginTrust {
        LoginTrust::new(&self.issuer, Arc::clone(&self.sessions))
    }

    /// A further plugin, which knows nothing of the issuer yet.
    pub async fn another(&self) -> Arc<dyn UserLogin> {
        self.another_with(|_| {}).await
    }

    /// A further plugin with other settings.
    ///
    /// # Panics
    /// When it cannot be made: the issuer's state must not matter for that.
    pub async fn another_with(&self, change: impl FnOnce(&mut LoginTrust)) -> Arc<dyn UserLogin> {
        let mut trust = self.trust();
        change(&mut trust);
        let made = (self.factory)(trust).await;
        let (plugin, guard) = made.expect("a further plugin is made as the first was");
        self.guards.lock().unwrap_or_else(PoisonError::into_inner).push(guard);
        plugin
    }

    /// The same stage, with another plugin on it.
    #[must_use]
    pub fn with_plugin(self, plugin: Arc<dyn UserLogin>) -> Self {
        Self { plugin, ..self }
    }

    /// A login of this person in a new browser, up to its callback.
    pub async fn begin(&self, person: &Person) -> Attempt {
        self.begin_as(&LoginRequest::new(), person).await
    }

    /// As [`begin`](Self::begin), with this request.
    ///
    /// # Panics
    /// When the plugin begins no login.
    pub async fn begin_as(&self, request: &LoginRequest, person: &Person) -> Attempt {
        let start = match self.plugin.begin_login(request).await {
            Ok(start) => start,
            Err(error) => panic!("no login begins: {error:#}"),
        };
        let callback = self.issuer.authorize(&start.location, person);
        Attempt::new(start, &callback)
    }

    /// What the plugin makes of the callback.
    ///
    /// # Errors
    /// As the plugin says.
    pub async fn finish(&self, attempt: &Attempt) -> Result<LoggedIn> {
        self.plugin.finish_login(&attempt.callback()).await
    }

    /// The login ends well.
    ///
    /// # Panics
    /// When it does not.
    pub async fn finished(&self, attempt: &Attempt) -> LoggedIn {
        match self.finish(attempt).await {
            Ok(logged_in) => logged_in,
            Err(error) => panic!("a good login was refused: {error:#}"),
        }
    }

    /// A whole login of this person, in a new browser.
    pub async fn log_in(&self, person: &Person) -> LoggedIn {
        let attempt = self.begin(person).await;
        self.finished(&attempt).await
    }

    /// As [`log_in`](Self::log_in), in the provider's session of this name.
    pub async fn log_in_within(&self, sid: &str, person: &Person) -> LoggedIn {
        let attempt = self.begin(person).await;
        let sid = sid.to_owned();
        self.issuer.spoil_id_token(move |token| token.claim("sid", sid.as_str()));
        self.finished(&attempt).await
    }

    /// Somebody can log in: what is refused otherwise is not refused because everything is.
    pub async fn good(&self) {
        drop(self.log_in(&Person::new("somebody")).await);
    }

    /// The session, which is there.
    ///
    /// # Panics
    /// When it is not.
    pub async fn session(&self, id: &SessionId) -> UserSession {
        match self.plugin.session(id).await {
            Ok(Some(session)) => session,
            other => panic!("expected a session, got {other:?}"),
        }
    }

    /// The token, which is there.
    ///
    /// # Panics
    /// When it is not.
    pub async fn token(&self, id: &SessionId) -> UserToken {
        match self.plugin.access_token(id).await {
            Ok(Some(token)) => token,
            other => panic!("expected a token, got {other:?}"),
        }
    }

    /// There is no such session, for all who ask.
    ///
    /// # Panics
    /// When there is.
    pub async fn ended(&self, id: &SessionId, why: &str) {
        let session = self.plugin.session(id).await;
        assert!(matches!(session, Ok(None)), "{why}: expected no session, got {session:?}");
        let token = self.plugin.access_token(id).await;
        assert!(matches!(token, Ok(None)), "{why}: expected no token, got {token:?}");
    }

    /// Whom the provider gave this token for, as it says itself.
    ///
    /// # Panics
    /// When it says that it gave no such token.
    pub async fn subject_of(&self, token: &UserToken) -> String {
        let text = token.token.expose_str().unwrap_or_default();
        let subject = userinfo::subject(&self.issuer.url(), text).await;
        subject.unwrap_or_else(|| panic!("the provider does not take the token"))
    }

    /// What the plugin says about a logout token.
    ///
    /// # Errors
    /// As the plugin says.
    pub async fn told(&self, logout_token: &str) -> Result<u64> {
        self.plugin.back_channel_logout(&BearerToken::new(logout_token)).await
    }

    /// The time of day.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.issuer.clock().seconds())
    }

    /// Time passes, for the clock and for all that is measured.
    pub async fn wait(&self, by: Duration) {
        self.issuer.clock().forward(by);
        if self.features.tokio_time {
            time::skip(by).await;
        }
    }

    /// Time passes for what is measured, and not for the clock.
    pub async fn skip(&self, by: Duration) {
        match self.features.tokio_time {
            true => time::skip(by).await,
            false => tokio::time::sleep(by).await,
        }
    }

    /// What a future gives, while the time that is measured passes quickly: whoever waits for a
    /// deadline gets there.
    ///
    /// # Panics
    /// When two minutes pass without an end.
    pub async fn in_time<T>(&self, future: impl Future<Output = T>) -> T {
        if self.features.tokio_time { time::hurried(future).await } else { future.await }
    }
}

impl fmt::Debug for LoginStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginStage")
            .field("issuer", &self.issuer)
            .field("features", &self.features)
            .finish_non_exhaustive()
    }
}
