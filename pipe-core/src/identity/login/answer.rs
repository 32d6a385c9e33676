//! What comes of a login.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use super::super::{BearerToken, BrowserId, SessionId};
use super::ReturnTo;
use crate::SecurityContext;

/// A login that has begun.
#[derive(Clone)]
#[non_exhaustive]
pub struct LoginStart {
    /// The URL that the browser is to go to.
    pub location: String,
    /// What the browser has to keep until it is back, as a cookie: `Secure`, `HttpOnly`,
    /// `SameSite=Lax`, best with the prefix `__Host-`. It may keep it for its next login.
    pub browser: BrowserId,
    /// How long the person has.
    pub expires_in: Duration,
}

impl LoginStart {
    /// A login at this URL, from this browser.
    pub fn new(location: impl Into<String>, browser: BrowserId, expires_in: Duration) -> Self {
        Self { location: location.into(), browser, expires_in }
    }
}

/// Without the query, in which the login's own secrets are.
impl fmt::Debug for LoginStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = self.location.split('?').next().unwrap_or_default();
        f.debug_struct("LoginStart")
            .field("location", &endpoint)
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// A person who logged in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoggedIn {
    /// The new session, for a cookie that is `Secure`, `HttpOnly` and `SameSite=Lax`, best with the
    /// prefix `__Host-` and without an end: the session has its own.
    pub id: SessionId,
    /// What is known about it.
    pub session: UserSession,
    /// Where the person wanted to go.
    pub return_to: ReturnTo,
}

impl LoggedIn {
    /// This session, after which the person goes to `/`.
    #[must_use]
    pub fn new(id: SessionId, session: UserSession) -> Self {
        Self { id, session, return_to: ReturnTo::default() }
    }

    /// Where the person wanted to go.
    #[must_use]
    pub fn with_return_to(self, return_to: ReturnTo) -> Self {
        Self { return_to, ..self }
    }
}

/// A session of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserSession {
    /// Who it is and what they may do, as the provider said last.
    pub context: SecurityContext,
    /// What a page shows about them. Nothing is decided by it.
    pub profile: UserProfile,
    /// Their groups, as the provider names them.
    pub groups: BTreeSet<String>,
    /// How they proved who they are (`acr`), in the provider's words.
    pub assurance: Option<String>,
    /// When it ends unless it is used before.
    pub idle_until: SystemTime,
    /// When it ends in any case.
    pub ends_at: SystemTime,
}

impl UserSession {
    /// A session of whom this context is about, which is not extended.
    #[must_use]
    pub fn new(context: SecurityContext) -> Self {
        let ends_at = context.expires_at;
        Self {
            context,
            profile: UserProfile::default(),
            groups: BTreeSet::new(),
            assurance: None,
            idle_until: ends_at,
            ends_at,
        }
    }
}

/// What a page shows about a person (REQ 002-28). It is personal, and stays out of `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserProfile {
    /// The full name.
    pub name: Option<String>,
    /// The name that they go by (`preferred_username`). It is not unique, and may change.
    pub username: Option<String>,
    /// The email address. It may belong to somebody else tomorrow.
    pub email: Option<String>,
    /// Whether the provider made sure that the address is theirs.
    pub email_verified: bool,
}

impl fmt::Debug for UserProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserProfile")
            .field("name", &self.name.is_some())
            .field("username", &self.username.is_some())
            .field("email", &self.email.is_some())
            .field("email_verified", &self.email_verified)
            .finish()
    }
}

/// A token that speaks for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserToken {
    /// The token.
    pub token: BearerToken,
    /// When it stops working.
    pub expires_at: SystemTime,
    /// What was granted.
    pub scopes: BTreeSet<String>,
}

impl UserToken {
    /// A token with its end.
    #[must_use]
    pub fn new(token: BearerToken, expires_at: SystemTime, scopes: BTreeSet<String>) -> Self {
        Self { token, expires_at, scopes }
    }
}

/// A session that was ended.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct LoggedOut {
    /// The URL that the browser is to go to, so that the session ends at the provider too; `None`
    /// where the provider does not offer this, or there was no session.
    pub location: Option<String>,
}

impl LoggedOut {
    /// Ended here alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The URL that the browser is to go to.
    #[must_use]
    pub fn with_location(self, location: impl Into<String>) -> Self {
        Self { location: Some(location.into()) }
    }
}

/// Without the query, in which the person's ID token may be.
impl fmt::Debug for LoggedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = self.location.as_deref().map(|location| location.split('?').next());
        f.debug_struct("LoggedOut").field("location", &location.flatten()).finish()
    }
}
