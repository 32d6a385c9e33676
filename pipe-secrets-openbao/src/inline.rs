//! Logging in with each request: no token is made, none is stored at the server, and none has to
//! be renewed or given back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pipe_core::{Error, ErrorKind, Result};
use rustify::endpoint::Endpoint;
use tokio::time::Instant;

use crate::login::ServerLogin;
use crate::transport::{Answer, Headers, Transport};

/// After a refused login, callers get the same refusal for this long, unless it asks for more.
const COOLDOWN: Duration = Duration::from_secs(1);

/// The login that goes with each request.
pub(crate) struct Inline {
    login: ServerLogin,
    patience: Duration,
    /// Whether a login has worked. Until then requests go one by one, so that a wrong one is not
    /// sent by all at once.
    proven: AtomicBool,
    first: tokio::sync::Mutex<()>,
    /// Until when everybody gets this refusal.
    failed: Mutex<Option<(Instant, Error)>>,
}

impl Inline {
    /// Logins for which others wait no longer than for a request.
    pub(crate) fn new(login: ServerLogin, patience: Duration) -> Self {
        let (first, failed) = (tokio::sync::Mutex::default(), Mutex::default());
        Self { login, patience, proven: AtomicBool::new(false), first, failed }
    }

    /// Sends a request with its login. A login that is refused is an error, anything else an
    /// answer.
    pub(crate) async fn send<E: Endpoint>(
        &self,
        transport: &Transport,
        headers: Headers,
        request: impl Fn() -> E,
    ) -> Result<Answer> {
        let _first = match self.proven.load(Ordering::Relaxed) {
            true => None,
            false => {
                let turn = tokio::time::timeout(self.patience, self.first.lock()).await;
                Some(turn.map_err(|_| {
                    Error::new(ErrorKind::Timeout, "the first login takes too long")
                        .hint("check the server's load, or raise `http.timeout`")
                })?)
            }
        };
        if let Some((until, error)) = &*self.failed()
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        let (login, refused) = self.login.inline().await?;
        let answer = transport.send(request(), &headers.with_login_of(&login)).await?;
        if !answer.is_of_login() {
            // A sealed server, say, answers before it looks at the login.
            if matches!(answer.0.status, 200..=299 | 403 | 404) {
                self.proven.store(true, Ordering::Relaxed);
            }
            return Ok(answer);
        }
        let error = self.login.refused(&answer, refused);
        self.proven.store(false, Ordering::Relaxed);
        let until =
            Instant::now() + error.retry_after().map_or(COOLDOWN, |after| after.max(COOLDOWN));
        *self.failed() = Some((until, error.clone()));
        Err(error)
    }

    /// The headers of a request, with its login.
    pub(crate) async fn headers(&self, headers: Headers) -> Result<Headers> {
        let (login, _) = self.login.inline().await?;
        Ok(headers.with_login_of(&login))
    }

    fn failed(&self) -> MutexGuard<'_, Option<(Instant, Error)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
