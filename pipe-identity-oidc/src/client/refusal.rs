//! What a provider means that does not give what was asked for. Of its answer, only the code that
//! OAuth registers is read; its description and all other text stay out of our errors.

use std::time::SystemTime;

use pipe_core::{Error, ErrorKind};
use pipe_http::{HttpResponse, retry_after, status_kind};
use serde::Deserialize;

/// The registered error codes (RFC 6749 5.2, RFC 8693, RFC 8707, RFC 9449, RFC 7009), and those of OpenID
/// Connect Core 3.1.2.6 that Entra ID says at the token endpoint as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    AccessDenied,
    DpopRequired,
    InteractionRequired,
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    ServerError,
    TemporarilyUnavailable,
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedTokenType,
}

impl Refusal {
    const ALL: [(&'static str, Self); 16] = [
        ("access_denied", Self::AccessDenied),
        ("consent_required", Self::InteractionRequired),
        ("interaction_required", Self::InteractionRequired),
        ("login_required", Self::InteractionRequired),
        ("invalid_client", Self::InvalidClient),
        ("invalid_dpop_proof", Self::DpopRequired),
        ("invalid_grant", Self::InvalidGrant),
        ("invalid_request", Self::InvalidRequest),
        ("invalid_scope", Self::InvalidScope),
        ("invalid_target", Self::InvalidTarget),
        ("server_error", Self::ServerError),
        ("temporarily_unavailable", Self::TemporarilyUnavailable),
        ("unauthorized_client", Self::UnauthorizedClient),
        ("unsupported_grant_type", Self::UnsupportedGrantType),
        ("unsupported_token_type", Self::UnsupportedTokenType),
        ("use_dpop_nonce", Self::DpopRequired),
    ];

    /// The registered code in an answer's body, when there is one.
    pub(crate) fn of(response: &HttpResponse) -> Option<(&'static str, Self)> {
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow)]
            error: std::borrow::Cow<'a, str>,
        }
        let body: Body<'_> = serde_json::from_slice(&response.body).ok()?;
        Self::ALL.into_iter().find(|(code, _)| *code == body.error)
    }

    /// What it means for us, and what to change.
    fn meaning(self) -> (ErrorKind, &'static str, &'static str) {
        use ErrorKind::*;
        match self {
            Self::AccessDenied => (
                PermissionDenied,
                "the provider denies the access that was asked for",
                "grant it to the client `client.id`, or ask for less",
            ),
            Self::DpopRequired => (
                Unsupported,
                "the provider wants a DPoP proof, which is not made here",
                "turn DPoP-bound tokens off for the client `client.id`, or use tls_client_auth",
            ),
            Self::InteractionRequired => (
                PermissionDenied,
                "the provider has to ask the person something",
                "let the person log in again, or exempt the client `client.id` from the policy that asks",
            ),
            Self::InvalidClient => (
                Unauthenticated,
                "the provider does not accept us as this client",
                "check `client.id`, the secret, key or certificate in `client.authentication`, and \
                 that the client is registered for this method; compare the clocks",
            ),
            Self::InvalidGrant => (
                Unauthenticated,
                "the provider does not accept what the grant presents",
                "check audience, issuer and expiry of `client.jwt_bearer.assertion` or \
                 `client.token_exchange.subject_token`; with client credentials, turn DPoP-bound \
                 tokens off for the client",
            ),
            Self::InvalidRequest => (
                InvalidArgument,
                "the provider does not understand the request",
                "check `client.authentication.method`, `client.audience_parameter` and the \
                 audience of the request",
            ),
            Self::InvalidScope => (
                PermissionDenied,
                "the provider does not grant the scopes that were asked for",
                "grant them to the client `client.id`, or ask for less",
            ),
            Self::InvalidTarget => (
                InvalidArgument,
                "the provider does not know the audience that was asked for",
                "register it with the provider, or set `client.audience_parameter` to what the \
                 provider expects",
            ),
            Self::ServerError => {
                (Unavailable, "the provider failed", "try again; if it lasts, read its log")
            }
            Self::TemporarilyUnavailable => {
                (Unavailable, "the provider cannot serve now", "try again later")
            }
            Self::UnauthorizedClient => (
                PermissionDenied,
                "the client may not use this grant",
                "allow the grant for the client `client.id`, or use another `AuthMethod`",
            ),
            Self::UnsupportedGrantType => (
                Unsupported,
                "the provider does not offer this grant",
                "enable it there, or use another `AuthMethod`",
            ),
            Self::UnsupportedTokenType => (
                Unsupported,
                "the provider does not look into tokens of this kind",
                "check them locally",
            ),
        }
    }
}

/// The error that an answer other than success amounts to.
pub(crate) fn refused(response: &HttpResponse) -> Error {
    let status = response.status;
    let (kind, message, hint, code) = match Refusal::of(response) {
        // Whatever the body says: the answer to these is to wait.
        _ if status == 429 => (
            ErrorKind::RateLimited,
            "the provider gets too many requests",
            "ask for fewer different credentials, or raise the limit on the provider",
            None,
        ),
        Some((code, refusal)) => {
            let (kind, message, hint) = refusal.meaning();
            (kind, message, hint, Some(code))
        }
        None => {
            let (kind, message, hint) = by_status(status);
            (kind, message, hint, None)
        }
    };
    let mut error = Error::new(kind, message).with("status", status).hint(hint);
    if let Some(code) = code {
        error = error.with("oauth_error", code);
    }
    match retry_after(&response.headers, SystemTime::now()) {
        Some(delay) if kind.is_retryable() => error.retry_in(delay),
        _ => error,
    }
}

/// What a status alone means at an endpoint of OAuth.
fn by_status(status: u16) -> (ErrorKind, &'static str, &'static str) {
    const ADDRESS: &str = "check `client.token_endpoint`, or the provider's discovery document";
    match status {
        401 => Refusal::InvalidClient.meaning(),
        403 => Refusal::AccessDenied.meaning(),
        404 | 405 | 410 => {
            (ErrorKind::ConfigInvalid, "there is no such endpoint at this address", ADDRESS)
        }
        // What answers so without a code of OAuth is a gateway in front of it, or another server.
        400..=499 if status != 408 => {
            (ErrorKind::Unexpected, "the endpoint refuses without a reason", ADDRESS)
        }
        // `Unexpected` elsewhere, but here a 500 comes and goes with the provider's restarts.
        500..=599 if status != 504 && status != 501 => {
            (ErrorKind::Unavailable, "the provider cannot serve now", "try again later")
        }
        300..=399 => (
            ErrorKind::Unexpected,
            "the endpoint answers with a redirect, which is not followed",
            "set `client.token_endpoint` to the final address",
        ),
        _ => (
            status_kind(status).unwrap_or(ErrorKind::Unexpected),
            "the endpoint does not answer as one of OAuth does",
            ADDRESS,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    use http::HeaderMap;

    fn response(status: u16, body: &str) -> HttpResponse {
        HttpResponse::new(status, HeaderMap::new(), body)
    }

    fn json(code: &str) -> String {
        serde_json::json!({ "error": code, "error_description": "hunter2", "error_uri": "hunter2" })
            .to_string()
    }

    /// G9
    #[test]
    fn each_refusal_has_its_meaning() {
        use ErrorKind::*;
        for (status, code, kind) in [
            (400, "access_denied", PermissionDenied),
            (400, "consent_required", PermissionDenied),
            (400, "interaction_required", PermissionDenied),
            (400, "login_required", PermissionDenied),
            (400, "invalid_dpop_proof", Unsupported),
            (400, "use_dpop_nonce", Unsupported),
            (401, "invalid_client", Unauthenticated),
            (400, "invalid_client", Unauthenticated),
            (400, "invalid_grant", Unauthenticated),
            (400, "invalid_request", InvalidArgument),
            (400, "invalid_scope", PermissionDenied),
            (400, "invalid_target", InvalidArgument),
            (400, "unauthorized_client", PermissionDenied),
            (403, "unauthorized_client", PermissionDenied),
            (400, "unsupported_grant_type", Unsupported),
            (400, "unsupported_token_type", Unsupported),
            (500, "server_error", Unavailable),
            (400, "temporarily_unavailable", Unavailable),
            (503, "temporarily_unavailable", Unavailable),
            (429, "temporarily_unavailable", RateLimited),
            (429, "slow_down", RateLimited),
        ] {
            let error = refused(&response(status, &json(code)));
            assert_eq!(error.kind(), kind, "{status} {code}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    /// G9
    #[test]
    fn each_status_without_a_code_has_its_meaning() {
        use ErrorKind::*;
        for body in ["", "<html>hunter2</html>", &json("hunter2"), r#"{"error":["hunter2"]}"#, "[]"]
        {
            for (status, kind) in [
                (204, Unexpected),
                (302, Unexpected),
                (307, Unexpected),
                (400, Unexpected),
                (401, Unauthenticated),
                (403, PermissionDenied),
                (404, ConfigInvalid),
                (405, ConfigInvalid),
                (408, Timeout),
                (413, Unexpected),
                (429, RateLimited),
                (500, Unavailable),
                (501, Unsupported),
                (502, Unavailable),
                (503, Unavailable),
                (504, Timeout),
            ] {
                let error = refused(&response(status, body));
                assert_eq!(error.kind(), kind, "{status} {body}: {error}");
                assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            }
        }
    }

    #[test]
    fn the_registered_code_is_told_and_the_setting_to_change() {
        let error = refused(&response(401, &json("invalid_client")));
        assert_eq!(error.context("oauth_error"), Some("invalid_client"));
        assert!(error.hint_text().contains("client.id"), "{error}");
    }

    #[test]
    fn the_providers_wait_is_passed_on() {
        let mut busy = response(429, "");
        busy.headers.insert("retry-after", http::HeaderValue::from_static("7"));
        assert_eq!(refused(&busy).retry_after(), Some(Duration::from_secs(7)));
    }
}
