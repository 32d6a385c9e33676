//! Who a request is from.

use axum::http::HeaderMap;
use pipe_core::identity::UserSession;
use pipe_core::{ErrorKind, LoginFault, Result};

use super::{Application, failure};

impl Application {
    /// The session that a request comes with, when there is one and it goes on.
    pub(super) async fn session(&self, headers: &HeaderMap) -> Result<Option<UserSession>> {
        let Some(id) = self.cookies.session_of(headers) else { return Ok(None) };
        match self.login.session(&id).await {
            // It ended just now, which is no fault of this request: the person may log in again.
            Err(error) if error.kind() == ErrorKind::LoginRefused(LoginFault::SessionRevoked) => {
                failure::log(&error);
                Ok(None)
            }
            session => session,
        }
    }
}
