//! Logging people in, on behalf of an application with a browser at its other end (REQ 002-24 to
//! 002-32).

mod answer;
mod request;
mod return_to;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::answer::{LoggedIn, LoggedOut, LoginStart, UserProfile, UserSession, UserToken};
pub use self::request::{LoginCallback, LoginPrompt, LoginRequest};
pub use self::return_to::ReturnTo;
use super::{BearerToken, SessionId};
use crate::{Plugin, Result};

/// Logs people in, and keeps their sessions.
///
/// # What callers may rely on
/// - A login is finished only by the browser that began it, once, and in its time.
/// - A browser keeps opaque ids and nothing else: no token, no claim. (A logout may lead it to the
///   provider with its ID token as a hint, as OpenID Connect has it.)
/// - A session ends when it is not used, when its time is over, when its person logs out here or at
///   the provider, and when the provider refuses to renew it. An outage of the provider ends none.
/// - Whatever cannot be checked is refused. Nothing falls back to "allow".
///
/// # What implementors keep
/// - What the other side sent appears in no error, log line or `Debug` output, and never comes back.
/// - For one session, one renewal is under way at a time, however many ask; a caller that goes away
///   does not lose what it obtained.
/// - `pipe_testkit::login_compliance!` passes.
#[async_trait]
pub trait UserLogin: Plugin {
    /// Begins a login: where the browser is to go, and what it has to keep meanwhile.
    ///
    /// # Errors
    /// `Unavailable` when the provider is not known yet; `InvalidArgument` for a request that no
    /// provider understands; `RateLimited` when no more logins can be kept.
    async fn begin_login(&self, request: &LoginRequest) -> Result<LoginStart>;

    /// Finishes a login with what the browser brings back. Call it for `GET` (or for a posted form)
    /// alone: whatever answers `HEAD` as well lets a link preview use the login up. Then redirect: a
    /// browser that loads the same URL again ends the session that it has just begun, as anybody does
    /// who found the URL elsewhere, because a code that comes twice was stolen (RFC 9700).
    ///
    /// # Errors
    /// - `LoginRefused` with the reason: the person may begin again.
    /// - `TokenRejected`: the provider's own token about the person is refused.
    /// - `Unavailable`, `Timeout`, `RateLimited`: the provider or the store cannot be asked.
    /// - `Unauthenticated`: the provider does not accept *us*.
    async fn finish_login(&self, callback: &LoginCallback) -> Result<LoggedIn>;

    /// The session, which this extends; `None` when there is none, or none any more.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout` when it cannot be found out; `LoginRefused(SessionRevoked)` once, when
    /// the provider ended it just now: to a browser that is the same as `None`.
    async fn session(&self, id: &SessionId) -> Result<Option<UserSession>>;

    /// A token that is valid now, to call others on behalf of the person; `None` when there is no
    /// such session.
    ///
    /// # Errors
    /// As for [`session`](Self::session); `Unavailable` when the token has expired and the provider
    /// cannot be asked for another; `LoginRefused(InteractionRequired)` when it has expired and the
    /// provider gave nothing to renew it with.
    async fn access_token(&self, id: &SessionId) -> Result<Option<UserToken>>;

    /// Ends the session here, and says where the browser is to go so that it ends at the provider.
    /// Succeeds when there is none.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout` when the store cannot be asked: the session may go on then.
    async fn log_out(&self, id: &SessionId) -> Result<LoggedOut>;

    /// Ends the sessions that the provider says have ended, and says how many there were.
    ///
    /// # Errors
    /// `TokenRejected` with the reason, `Unsupported` without a back channel, `Unavailable` when it
    /// cannot be found out.
    async fn back_channel_logout(&self, logout_token: &BearerToken) -> Result<u64>;
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: UserLogin + ?Sized> UserLogin for $pointer {
            async fn begin_login(&self, request: &LoginRequest) -> Result<LoginStart> {
                (**self).begin_login(request).await
            }
            async fn finish_login(&self, callback: &LoginCallback) -> Result<LoggedIn> {
                (**self).finish_login(callback).await
            }
            async fn session(&self, id: &SessionId) -> Result<Option<UserSession>> {
                (**self).session(id).await
            }
            async fn access_token(&self, id: &SessionId) -> Result<Option<UserToken>> {
                (**self).access_token(id).await
            }
            async fn log_out(&self, id: &SessionId) -> Result<LoggedOut> {
                (**self).log_out(id).await
            }
            async fn back_channel_logout(&self, logout_token: &BearerToken) -> Result<u64> {
                (**self).back_channel_logout(logout_token).await
            }
        }
    )*};
}
forward!(Arc<P>, Box<P>);
