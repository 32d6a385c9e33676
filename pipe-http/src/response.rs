//! What the server answered.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use http::HeaderMap;
use pipe_core::{Error, ErrorKind};
use zeroize::Zeroizing;

use crate::{retry_after, status_kind};

/// A whole answer. Its body is wiped on drop; `Debug` shows the status and the body's length.
#[non_exhaustive]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The headers, without trailers.
    pub headers: HeaderMap,
    /// The body, never longer than the configured `max_body`.
    pub body: Zeroizing<Vec<u8>>,
}

impl HttpResponse {
    /// An answer, for tests of what reads one.
    #[must_use]
    pub fn new(status: u16, headers: HeaderMap, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers, body: Zeroizing::new(body.into()) }
    }

    /// The kind of error the status stands for; `None` for success.
    #[must_use]
    pub fn error_kind(&self) -> Option<ErrorKind> {
        status_kind(self.status)
    }

    /// The error this answer amounts to: kind and number of the status, and when to ask again.
    ///
    /// Nothing of the body or the headers is in it. A status that says success is `Unexpected`
    /// here: who asks for an error did not get the answer that the protocol promises.
    pub fn error(&self, message: impl Into<Cow<'static, str>>) -> Error {
        let kind = self.error_kind().unwrap_or(ErrorKind::Unexpected);
        let mut error = Error::new(kind, message).with("status", self.status);
        if (300..400).contains(&self.status) {
            // `Location` is left out: it may carry a token, and an attacker may have chosen it.
            error = error.hint("redirects are not followed; set the final address");
        }
        match retry_after(&self.headers, SystemTime::now()) {
            Some(delay) => error.retry_in(delay),
            None => error,
        }
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .field("body_length", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    use http::header::{HeaderName, LOCATION, RETRY_AFTER};

    fn response(status: u16, header: Option<(HeaderName, &'static str)>) -> HttpResponse {
        let headers =
            header.into_iter().map(|(name, value)| (name, value.parse().unwrap())).collect();
        HttpResponse::new(status, headers, "canary")
    }

    #[test]
    fn an_error_carries_the_number_of_its_status_and_the_servers_wait() {
        let error = response(429, Some((RETRY_AFTER, "7"))).error("read refused");
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert_eq!(error.context("status"), Some("429"));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_redirect_says_what_to_set_and_not_where_it_leads() {
        let redirect = response(307, Some((LOCATION, "https://canary.example/?t=canary")));
        let error = format!("{:?}", redirect.error("read failed"));
        assert!(error.contains("set the final address"), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }

    #[test]
    fn a_success_that_breaks_the_protocol_is_unexpected() {
        let error = response(200, None).error("the answer is not JSON");
        assert_eq!(error.kind(), ErrorKind::Unexpected);
    }

    #[test]
    fn debug_shows_the_status_and_how_long_the_body_is() {
        let shown = format!("{:?}", response(200, Some((LOCATION, "canary"))));
        assert_eq!(shown, "HttpResponse { status: 200, body_length: 6, .. }");
    }
}
