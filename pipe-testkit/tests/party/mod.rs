//! A right relying party, in everything but one defect, which is called after the case that has to
//! find it. It is short, and not fast.

mod begin;
mod callback;
mod finish;
mod groups;
mod http;
mod id_token;
mod jwt;
mod logout;
mod logout_token;
mod renew;
mod state;
mod tokens;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use pipe_core::identity::{
    BearerToken, LoggedIn, LoggedOut, LoginCallback, LoginRequest, LoginStart, SessionId,
    UserLogin, UserSession, UserToken,
};
use pipe_core::{Error, ErrorKind, Health, LoginFault, Plugin, Result, TokenFault};
use pipe_testkit::LoginTrust;
use serde_json::Value;
use tokio::sync::Mutex;

pub(crate) use self::state::Shared;

pub(crate) const LEEWAY: u64 = 30;

/// The name of the case that has to fail, or any other name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defect(pub(crate) &'static str);

impl Defect {
    pub(crate) fn is(self, case: &str) -> bool {
        self.0 == case
    }

    /// A check, which is left out when it is the defect.
    pub(crate) fn check(self, case: &str, is_right: bool, fault: TokenFault) -> Result<()> {
        if is_right || self.is(case) { Ok(()) } else { Err(rejected(fault)) }
    }
}

pub(crate) fn rejected(fault: TokenFault) -> Error {
    Error::new(ErrorKind::TokenRejected(fault), "the token is refused")
}

pub(crate) fn refused(fault: LoginFault) -> Error {
    Error::new(ErrorKind::LoginRefused(fault), "the person is not logged in")
}

pub(crate) fn outage(message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}

#[derive(Clone)]
pub(crate) struct Party(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) trust: LoginTrust,
    pub(crate) defect: Defect,
    pub(crate) shared: Arc<Shared>,
    /// The discovery document.
    pub(crate) metadata: Mutex<Option<Value>>,
    /// The key set.
    pub(crate) keys: Mutex<Option<Value>>,
    /// For a defect: what should be one for each session.
    pub(crate) own_turn: Mutex<()>,
    /// For defects: how many logins are finished, and tokens asked for, just now.
    pub(crate) finishing: AtomicUsize,
    pub(crate) asking: AtomicUsize,
}

impl Party {
    pub(crate) fn new(trust: LoginTrust, defect: &'static str, shared: Arc<Shared>) -> Self {
        Self(Arc::new(Inner {
            trust,
            defect: Defect(defect),
            shared,
            metadata: Mutex::default(),
            keys: Mutex::default(),
            own_turn: Mutex::default(),
            finishing: AtomicUsize::new(0),
            asking: AtomicUsize::new(0),
        }))
    }
}

impl Inner {
    pub(crate) fn now(&self) -> u64 {
        self.trust.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    /// What the provider says of itself.
    pub(crate) async fn metadata(&self) -> Result<Value> {
        let mut known = self.metadata.lock().await;
        if let Some(metadata) = &*known {
            return Ok(metadata.clone());
        }
        let url = format!("{}/.well-known/openid-configuration", self.trust.issuer);
        let document = http::get(&url).await?;
        if document["issuer"].as_str() != Some(&self.trust.issuer) {
            return Err(outage("another issuer's document"));
        }
        *known = Some(document.clone());
        Ok(document)
    }

    pub(crate) async fn endpoint(&self, name: &str) -> Result<Option<String>> {
        Ok(self.metadata().await?.get(name).and_then(Value::as_str).map(str::to_owned))
    }
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Party")
    }
}

/// Counts while it is there.
pub(crate) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    pub(crate) fn new(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Plugin for Party {
    fn name(&self) -> &str {
        "party"
    }

    async fn health(&self) -> Health {
        Health::healthy()
    }
}

#[async_trait]
impl UserLogin for Party {
    async fn begin_login(&self, request: &LoginRequest) -> Result<LoginStart> {
        self.0.begin(request).await
    }

    async fn finish_login(&self, callback: &LoginCallback) -> Result<LoggedIn> {
        self.0.finish(callback).await
    }

    async fn session(&self, id: &SessionId) -> Result<Option<UserSession>> {
        self.0.look(id).await
    }

    async fn access_token(&self, id: &SessionId) -> Result<Option<UserToken>> {
        self.0.token(id).await
    }

    async fn log_out(&self, id: &SessionId) -> Result<LoggedOut> {
        self.0.log_out(id).await
    }

    async fn back_channel_logout(&self, logout_token: &BearerToken) -> Result<u64> {
        self.0.back_channel_logout(logout_token).await
    }
}
