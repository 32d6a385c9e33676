//! What is answered to those who do not come in: a status, a challenge, and nothing else.

use std::fmt::Write as _;
use std::time::Duration;

use http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use pipe_core::{Error, ErrorKind, TraceContext};

use crate::layer::Settings;

/// Why a request does not come in.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It has no credentials of a kind that we understand.
    NoCredentials,
    /// They were refused, do not suffice, or could not be checked.
    Because(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Because(error)
    }
}

impl Refusal {
    /// The status, and the error code of the challenge (RFC 6750 3.1). Whatever could not be found
    /// out is no fault of the caller's.
    fn status(&self) -> (StatusCode, Option<&'static str>) {
        let Self::Because(error) = self else { return (StatusCode::UNAUTHORIZED, None) };
        match error.kind() {
            ErrorKind::TokenRejected(_) => (StatusCode::UNAUTHORIZED, Some("invalid_token")),
            ErrorKind::PermissionDenied => (StatusCode::FORBIDDEN, Some("insufficient_scope")),
            _ => (StatusCode::SERVICE_UNAVAILABLE, None),
        }
    }

    /// The answer. It depends on the status alone, never on why (REQ 004-74.5).
    pub(crate) fn answer<R: Default>(&self, settings: &Settings) -> Response<R> {
        let (status, code) = self.status();
        self.log(status);
        let mut response = Response::new(R::default());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            if let Some(delay) = self.retry_after() {
                headers.insert(RETRY_AFTER, whole_seconds(delay).into());
            }
            return response;
        }
        headers.append(WWW_AUTHENTICATE, challenge("Bearer", code, settings));
        if settings.origin.is_some() {
            headers.append(WWW_AUTHENTICATE, challenge("DPoP", code, settings));
        }
        response
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NoCredentials => None,
            Self::Because(error) => error.retry_after(),
        }
    }

    /// Anybody on the network can cause a 401, and must not fill a log with it. Behind the others
    /// is a known caller, or a fault of our own.
    fn log(&self, status: StatusCode) {
        let trace_id = TraceContext::current().map(|trace| trace.trace_id());
        let status = status.as_u16();
        match self {
            Self::NoCredentials => {
                tracing::debug!(status, trace_id, "a request came without credentials");
            }
            Self::Because(error) if status == 401 => {
                tracing::debug!(status, trace_id, %error, "a request was refused");
            }
            Self::Because(error) => {
                tracing::warn!(status, trace_id, %error, "a request was refused");
            }
        }
    }
}

fn challenge(scheme: &str, code: Option<&str>, settings: &Settings) -> HeaderValue {
    let mut text = scheme.to_owned();
    let mut separator = ' ';
    let mut parameter = |name: &str, value: &str| {
        let _ = write!(text, "{separator}{name}=\"{value}\"");
        separator = ',';
    };
    if let Some(realm) = &settings.realm {
        parameter("realm", realm);
    }
    if let Some(code) = code {
        parameter("error", code);
    }
    if code == Some("insufficient_scope") && !settings.scopes.is_empty() {
        let scopes: Vec<_> = settings.scopes.iter().map(String::as_str).collect();
        parameter("scope", &scopes.join(" "));
    }
    HeaderValue::try_from(text).expect("realm and scopes are printable, the layer checked them")
}

/// Rounded up, and never zero: that would be an invitation to ask again at once.
fn whole_seconds(delay: Duration) -> u64 {
    let seconds = delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0));
    seconds.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_whole_seconds_and_at_least_one() {
        for (delay, seconds) in [
            (Duration::ZERO, 1),
            (Duration::from_millis(1), 1),
            (Duration::from_secs(1), 1),
            (Duration::from_millis(1_001), 2),
            (Duration::MAX, u64::MAX),
        ] {
            assert_eq!(whole_seconds(delay), seconds, "{delay:?}");
        }
    }
}
