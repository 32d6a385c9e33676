//! What is asked of a login.

use std::fmt;
use std::time::Duration;

use super::super::{BrowserId, SessionId};
use super::ReturnTo;
use crate::SecretValue;

/// Asks for a login to begin.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct LoginRequest {
    /// The browser, when it has an id from an earlier login. Several logins may be under way in one
    /// browser, one in each tab.
    pub browser: Option<BrowserId>,
    /// Where the person goes afterwards.
    pub return_to: ReturnTo,
    /// What the provider is to ask the person.
    pub prompt: Option<LoginPrompt>,
    /// How long ago the person may have proved who they are; the plugin's setting when absent.
    pub max_age: Option<Duration>,
    /// Who is expected to log in, as the provider knows them.
    pub login_hint: Option<String>,
}

impl LoginRequest {
    /// A login from a browser that is not known, after which the person goes to `/`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The browser, as its cookie says.
    #[must_use]
    pub fn with_browser(self, browser: BrowserId) -> Self {
        Self { browser: Some(browser), ..self }
    }

    /// Where the person goes afterwards.
    #[must_use]
    pub fn with_return_to(self, return_to: ReturnTo) -> Self {
        Self { return_to, ..self }
    }

    /// What the provider is to ask the person.
    #[must_use]
    pub fn with_prompt(self, prompt: LoginPrompt) -> Self {
        Self { prompt: Some(prompt), ..self }
    }

    /// How long ago the person may have proved who they are; zero asks them to do it now.
    #[must_use]
    pub fn with_max_age(self, max_age: Duration) -> Self {
        Self { max_age: Some(max_age), ..self }
    }

    /// Who is expected to log in, as the provider knows them.
    #[must_use]
    pub fn with_login_hint(self, login_hint: impl Into<String>) -> Self {
        Self { login_hint: Some(login_hint.into()), ..self }
    }
}

/// Without the hint, which commonly is an email address.
impl fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRequest")
            .field("browser", &self.browser)
            .field("return_to", &self.return_to)
            .field("prompt", &self.prompt)
            .field("max_age", &self.max_age)
            .field("login_hint", &self.login_hint.is_some())
            .finish()
    }
}

/// What the provider is to ask the person (OpenID Connect Core 3.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoginPrompt {
    /// Nothing: whoever is not logged in there is refused with `InteractionRequired`.
    None,
    /// To prove again who they are. A browser can leave this out of the request: whoever relies on it
    /// sets [`max_age`](LoginRequest::max_age) as well, which is checked in the answer.
    Login,
    /// To consent again.
    Consent,
    /// Which account they mean.
    SelectAccount,
}

/// What the browser brings back from the provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoginCallback {
    /// The query of the URL, or the form, as it arrived.
    pub query: SecretValue,
    /// The browser, as its cookie says.
    pub browser: Option<BrowserId>,
    /// The session that the browser had: it ends when the login succeeds.
    pub session: Option<SessionId>,
}

impl LoginCallback {
    /// The query of the URL (without `?`), or the form that was posted, as it arrived.
    pub fn new(query: impl Into<SecretValue>) -> Self {
        Self { query: query.into(), browser: None, session: None }
    }

    /// The browser, as its cookie says.
    #[must_use]
    pub fn with_browser(self, browser: BrowserId) -> Self {
        Self { browser: Some(browser), ..self }
    }

    /// The session that the browser had.
    #[must_use]
    pub fn with_session(self, session: SessionId) -> Self {
        Self { session: Some(session), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_who_is_expected() {
        let request = LoginRequest::new().with_login_hint("alice@do-not-print.test");
        assert!(!format!("{request:?}").contains("do-not-print"));
    }
}
