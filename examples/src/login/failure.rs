//! What people and operators see of an error: people a constant page, operators the kind and what to do.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pipe_core::{Error, ErrorKind, LoginFault};
use serde_json::json;

use super::pages;

/// An error that is answered with a page.
pub(super) struct Page(pub(super) Error);

impl From<Error> for Page {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        log(&self.0);
        with_delay(&self.0, pages::message(status(&self.0), self.0.public_message()))
    }
}

/// An error that is answered with JSON.
pub(super) struct Json(pub(super) Error);

impl From<Error> for Json {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        log(&self.0);
        let body = json!({ "error": self.0.public_message() });
        with_delay(&self.0, pages::json(status(&self.0), &body))
    }
}

/// With nothing of the request: the errors of the family have nothing of it in them.
pub(super) fn log(error: &Error) {
    let (kind, hint) = (error.kind().name(), error.hint_text());
    match status(error).is_server_error() {
        true => tracing::error!(kind, hint, "{error}"),
        false => tracing::warn!(kind, hint, "{error}"),
    }
}

fn status(error: &Error) -> StatusCode {
    match error.kind() {
        ErrorKind::LoginRefused(LoginFault::SessionRevoked | LoginFault::InteractionRequired) => {
            StatusCode::UNAUTHORIZED
        }
        ErrorKind::LoginRefused(LoginFault::AccessDenied) | ErrorKind::PermissionDenied => {
            StatusCode::FORBIDDEN
        }
        ErrorKind::LoginRefused(_) | ErrorKind::TokenRejected(_) | ErrorKind::InvalidArgument => {
            StatusCode::BAD_REQUEST
        }
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::RateLimited | ErrorKind::Timeout | ErrorKind::Unavailable => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn with_delay(error: &Error, mut answer: Response) -> Response {
    if let Some(delay) = error.retry_after() {
        let seconds = HeaderValue::from(delay.as_secs().max(1));
        answer.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    answer
}
