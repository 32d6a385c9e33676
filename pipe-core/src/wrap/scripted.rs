//! A plugin that does as a test says.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, stream};

use crate::identity::{
    BearerToken, BrowserId, ContextRequest, Credential, IdentityCapabilities, JwtRequest, LoggedIn,
    LoggedOut, LoginCallback, LoginRequest, LoginStart, Principal, PrincipalId, ServiceAuthRequest,
    ServiceCredentials, SessionId, SignedJwt, TokenExpectation, UserLogin, UserSession, UserToken,
};
use crate::memory::{
    AddReport, DataPoint, Hit, MemoryKey, PathSuggestion, Relation, SearchQuery, Source,
};
use crate::secrets::{
    Change, ListQuery, Secret, SecretEvent, SecretStream, SecretsCapabilities, WriteOutcome,
};
use crate::{
    Error, ErrorKind, GovernanceMemory, Health, IdentityPlugin, Plugin, Result, SecretData,
    SecretRef, SecretsPlugin, SecurityContext,
};

type Script = dyn Fn(usize) -> BoxFuture<'static, Result<Option<Secret>>> + Send + Sync;

/// Each call plays the script with its number, counted from 1. Clones share the count.
#[derive(Clone)]
pub(crate) struct Scripted {
    script: Arc<Script>,
    calls: Arc<AtomicUsize>,
    /// How long tokens and credentials live.
    pub(crate) lifetime: Duration,
}

impl Scripted {
    pub(crate) fn new<F>(script: impl Fn(usize) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Option<Secret>>> + Send + 'static,
    {
        let script = Arc::new(move |number| script(number).boxed());
        Self { script, calls: Arc::default(), lifetime: Duration::from_secs(3600) }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    async fn play(&self) -> Result<Option<Secret>> {
        (self.script)(self.calls.fetch_add(1, Ordering::Relaxed) + 1).await
    }

    async fn context(&self) -> Result<SecurityContext> {
        let found = self.play().await?;
        let value = found.as_ref().map_or_else(|| "nobody".to_owned(), text);
        let now = SystemTime::now();
        let principal = Principal::service(PrincipalId::new(value)?);
        Ok(SecurityContext::new(principal, "issuer", now, now + self.lifetime))
    }
}

pub(crate) fn value(text: impl fmt::Display) -> Result<Option<Secret>> {
    Ok(Some(Secret::new(SecretData::new().with("value", text.to_string()))))
}

pub(crate) fn text(secret: &Secret) -> String {
    secret.data.get("value").and_then(|value| value.expose_str()).unwrap_or_default().to_owned()
}

pub(crate) fn failure(kind: ErrorKind) -> Result<Option<Secret>> {
    Err(Error::new(kind, "told to fail"))
}

pub(crate) fn at(name: &str) -> SecretRef {
    SecretRef::new(name).unwrap()
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

#[async_trait]
impl Plugin for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    async fn health(&self) -> Health {
        match self.play().await {
            Ok(_) => Health::healthy(),
            Err(error) => Health::from(&error),
        }
    }

    async fn close(&self) -> Result<()> {
        self.play().await.map(drop)
    }
}

#[async_trait]
impl SecretsPlugin for Scripted {
    fn capabilities(&self) -> SecretsCapabilities {
        SecretsCapabilities::READ_ONLY.with_write().with_delete().with_list().with_watch()
    }

    async fn get_secret(&self, _: &SecretRef) -> Result<Option<Secret>> {
        self.play().await
    }

    async fn create_secret(&self, _: &SecretRef, _: SecretData) -> Result<WriteOutcome> {
        self.play().await.map(|_| WriteOutcome::new(Change::Created))
    }

    async fn delete_secret(&self, _: &SecretRef) -> Result<bool> {
        self.play().await.map(|found| found.is_some())
    }

    async fn list_secrets(&self, _: &ListQuery) -> Result<Vec<SecretRef>> {
        self.play().await.map(|_| Vec::new())
    }

    async fn watch_secret(&self, _: &SecretRef) -> Result<SecretStream> {
        let event = self.play().await?.map_or(SecretEvent::Absent, SecretEvent::Present);
        Ok(SecretStream::new(stream::iter([Ok(event)])))
    }
}

#[async_trait]
impl GovernanceMemory for Scripted {
    async fn add_datapoints(&self, points: &[DataPoint], _: &[Relation]) -> Result<AddReport> {
        self.play().await?;
        Ok(AddReport::new(Source::Local).with_data_points(points.len()))
    }

    async fn search_integrations(&self, _: &SearchQuery) -> Result<Vec<Hit>> {
        self.play().await?;
        Ok(Vec::new())
    }

    async fn suggest_integration_path(
        &self,
        _: &MemoryKey,
        _: &MemoryKey,
    ) -> Result<Option<PathSuggestion>> {
        self.play().await?;
        Ok(None)
    }
}

#[async_trait]
impl UserLogin for Scripted {
    async fn begin_login(&self, _: &LoginRequest) -> Result<LoginStart> {
        self.play().await?;
        Ok(LoginStart::new("https://idp.example", BrowserId::generate()?, self.lifetime))
    }

    async fn finish_login(&self, _: &LoginCallback) -> Result<LoggedIn> {
        let session = UserSession::new(self.context().await?);
        Ok(LoggedIn::new(SessionId::generate()?, session))
    }

    async fn session(&self, _: &SessionId) -> Result<Option<UserSession>> {
        self.context().await.map(|context| Some(UserSession::new(context)))
    }

    async fn access_token(&self, _: &SessionId) -> Result<Option<UserToken>> {
        self.play().await?;
        Ok(None)
    }

    async fn log_out(&self, _: &SessionId) -> Result<LoggedOut> {
        self.play().await?;
        Ok(LoggedOut::new())
    }

    async fn back_channel_logout(&self, _: &BearerToken) -> Result<u64> {
        self.play().await?;
        Ok(0)
    }
}

#[async_trait]
impl IdentityPlugin for Scripted {
    fn capabilities(&self) -> IdentityCapabilities {
        IdentityCapabilities::VERIFY_ONLY.with_authenticate().with_issue()
    }

    async fn authenticate_service(&self, _: &ServiceAuthRequest) -> Result<ServiceCredentials> {
        let found = self.play().await?;
        let token = BearerToken::new(found.as_ref().map(text).unwrap_or_default());
        let end = SystemTime::now() + self.lifetime;
        Ok(ServiceCredentials::new(Credential::Bearer(token), end))
    }

    async fn generate_jwt(&self, _: &JwtRequest) -> Result<SignedJwt> {
        self.play().await?;
        Ok(SignedJwt::new(BearerToken::new("token"), "id", SystemTime::now() + self.lifetime))
    }

    async fn validate_token(
        &self,
        _: &BearerToken,
        _: &TokenExpectation,
    ) -> Result<SecurityContext> {
        self.context().await
    }

    async fn get_security_context(&self, _: &ContextRequest) -> Result<SecurityContext> {
        self.context().await
    }
}
