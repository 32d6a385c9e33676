//! A login between its beginning and its end.

use pipe_core::identity::{LoginCallback, LoginStart, SessionId};

use crate::issuer::requests::decoded;

/// A login that has begun, and the answer with which the provider sent the browser back.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// What the plugin said when it began.
    pub start: LoginStart,
    /// The query with which the browser came back, as text.
    pub query: String,
}

impl Attempt {
    /// Led from the start to this callback.
    #[must_use]
    pub fn new(start: LoginStart, callback: &str) -> Self {
        let query = callback.split_once('?').map_or("", |(_, query)| query).to_owned();
        Self { start, query }
    }

    /// A parameter of the request.
    #[must_use]
    pub fn asked(&self, name: &str) -> Option<String> {
        parameter(self.start.location.split_once('?').map_or("", |(_, query)| query), name)
    }

    /// A parameter of the answer.
    #[must_use]
    pub fn answered(&self, name: &str) -> Option<String> {
        parameter(&self.query, name)
    }

    /// With another value of this parameter in the answer.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let without = self.without(name);
        without.and(name, value)
    }

    /// With this parameter in the answer besides all others.
    #[must_use]
    pub fn and(&self, name: &str, value: &str) -> Self {
        let value: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        Self { query: format!("{}&{name}={value}", self.query), ..self.clone() }
    }

    /// Without this parameter in the answer.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let fields = self.query.split('&').filter(|field| field.split('=').next() != Some(name));
        Self { query: fields.collect::<Vec<_>>().join("&"), ..self.clone() }
    }

    /// With an error in the place of the code.
    #[must_use]
    pub fn refused(&self, error: &str, description: &str) -> Self {
        self.without("code").and("error", error).and("error_description", description)
    }

    /// What the application hands to the plugin.
    #[must_use]
    pub fn callback(&self) -> LoginCallback {
        self.callback_of_nobody().with_browser(self.start.browser.clone())
    }

    /// The same from a browser that had a session.
    #[must_use]
    pub fn callback_with(&self, session: &SessionId) -> LoginCallback {
        self.callback().with_session(session.clone())
    }

    /// The same from a browser without a cookie.
    #[must_use]
    pub fn callback_of_nobody(&self) -> LoginCallback {
        LoginCallback::new(self.query.as_str())
    }
}

/// A parameter of a query.
pub(crate) fn parameter(query: &str, name: &str) -> Option<String> {
    let mut fields = query.split('&').filter_map(|field| field.split_once('='));
    fields.find(|(it, _)| decoded(it) == name).map(|(_, value)| decoded(value))
}
