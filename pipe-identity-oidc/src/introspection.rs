//! Asking the issuer about a token (RFC 7662).

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use pipe_core::identity::BearerToken;
use pipe_core::{Clock, Error, ErrorKind, Result};
use pipe_http::HttpResponse;
use serde_json::{Map, Value};

use crate::cache::{Digest, TokenCache};
use crate::client::{Authenticator, Endpoint, FormRequest, Recipient, Refusal, refused};
use crate::config::{IntrospectedTokens, IntrospectionConfig};
use crate::jwt::json;

/// What the issuer says about a token.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is active, and this is known about it.
    Active(Map<String, Value>),
    /// It is not, for whatever reason.
    Inactive,
    /// Tokens of this kind are for the receiver to verify.
    NotAsked,
}

/// Asks, and remembers answers for a short while.
#[derive(Debug)]
pub(crate) struct Introspector {
    authenticator: Authenticator,
    tokens: IntrospectedTokens,
    active_ttl: Duration,
    inactive_ttl: Duration,
    /// "Not active" alone: what is active is remembered by whoever made a context of it.
    inactive: TokenCache<()>,
    pub(crate) accepts_missing_audience: bool,
    wants_token_endpoint: bool,
}

const MOST_INACTIVE: usize = 10_000;

impl Introspector {
    pub(crate) fn new(config: &IntrospectionConfig, clock: Clock) -> Self {
        Self {
            authenticator: Authenticator::new(&config.client_id, &config.authentication, clock),
            tokens: config.tokens,
            active_ttl: config.active_ttl,
            inactive_ttl: config.inactive_ttl,
            inactive: TokenCache::new(MOST_INACTIVE),
            accepts_missing_audience: config.accept_missing_audience,
            wants_token_endpoint: config.authentication.is_for_token_endpoint(),
        }
    }

    /// Whether JWTs are asked about too.
    pub(crate) fn asks_about_jwts(&self) -> bool {
        self.tokens == IntrospectedTokens::All
    }

    /// How long an active token may be taken without asking again.
    pub(crate) fn active_ttl(&self) -> Duration {
        self.active_ttl
    }

    /// Whether the proof of who we are is made out for the token endpoint.
    pub(crate) fn wants_token_endpoint(&self) -> bool {
        self.wants_token_endpoint
    }

    pub(crate) fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    /// Whether the issuer said a moment ago that this token is not active.
    pub(crate) fn is_known_inactive(&self, digest: &Digest) -> bool {
        self.inactive.get(digest).is_some()
    }

    /// What the issuer says now.
    ///
    /// # Errors
    /// `Unauthenticated` when it is us whom it refuses; `Unavailable`, `Timeout`, `RateLimited` when
    /// it cannot be asked; `Unexpected` for an answer that is none. Whatever is not an answer is
    /// never "inactive": an outage is no intruder.
    pub(crate) async fn ask(
        &self,
        token: &BearerToken,
        digest: Digest,
        endpoint: &Endpoint,
        recipient: Recipient<'_>,
    ) -> Result<Answer> {
        let mut form = FormRequest::new();
        form.add("token", token.expose());
        form.add("token_type_hint", "access_token");
        self.authenticator.authenticate(&mut form, recipient).await?;
        let answer = read(&form.send(endpoint).await?)?;
        if matches!(answer, Answer::Inactive) {
            self.inactive.insert(digest, Arc::new(()), 0, self.inactive_ttl);
        }
        Ok(answer)
    }

    pub(crate) fn clear(&self) {
        self.inactive.clear();
    }
}

fn read(response: &HttpResponse) -> Result<Answer> {
    if let Some((_, Refusal::UnsupportedTokenType)) = Refusal::of(response) {
        return Ok(Answer::NotAsked);
    }
    if response.status != StatusCode::OK.as_u16() {
        let error = refused(response);
        return Err(match error.kind() {
            // It has nothing to refuse but us: the token's own fault is `active: false`.
            ErrorKind::InvalidArgument
            | ErrorKind::PermissionDenied
            | ErrorKind::Unsupported
            | ErrorKind::Unauthenticated => {
                Error::new(ErrorKind::Unauthenticated, "the issuer does not let us introspect")
                    .with("status", response.status)
                    .hint(
                        "check `introspection.client_id` and `introspection.authentication`, and \
                         that the client may introspect tokens",
                    )
            }
            _ => error,
        });
    }
    let unexpected = || {
        Error::new(ErrorKind::Unexpected, "the endpoint does not answer like one of RFC 7662")
            .hint("check `introspection.endpoint`, or the provider's discovery document")
    };
    let mut members = json::parse_object(&response.body).ok_or_else(unexpected)?;
    match members.remove("active") {
        Some(Value::Bool(true)) => Ok(Answer::Active(members)),
        Some(Value::Bool(false)) => Ok(Answer::Inactive),
        _ => Err(unexpected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    fn answer(status: u16, body: &str) -> Result<Answer> {
        read(&HttpResponse::new(status, HeaderMap::new(), body))
    }

    #[test]
    fn active_and_inactive_are_answers_and_nothing_else_is() {
        assert!(matches!(answer(200, r#"{"active":true,"sub":"a"}"#), Ok(Answer::Active(_))));
        assert!(matches!(answer(200, r#"{"active":false}"#), Ok(Answer::Inactive)));
        for body in [
            "",
            "{}",
            "[]",
            "<html>login</html>",
            r#"{"active":"true"}"#,
            r#"{"active":1}"#,
            r#"{"active":null}"#,
            r#"{"active":false,"active":true}"#,
        ] {
            let error = answer(200, body).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unexpected, "{body}");
        }
        for status in [201, 204, 302] {
            assert!(answer(status, r#"{"active":true}"#).is_err(), "{status}");
        }
    }

    #[test]
    fn tokens_that_are_not_for_introspection_are_verified_here() {
        let body = r#"{"error":"unsupported_token_type","error_description":"hunter2"}"#;
        assert!(matches!(answer(400, body), Ok(Answer::NotAsked)));
    }

    #[test]
    fn a_refusal_is_ours_and_an_outage_is_nobodys() {
        for (status, body, kind) in [
            (401, r#"{"error":"invalid_client"}"#, ErrorKind::Unauthenticated),
            (400, r#"{"error":"invalid_request"}"#, ErrorKind::Unauthenticated),
            (403, "", ErrorKind::Unauthenticated),
            (429, "", ErrorKind::RateLimited),
            (500, "<html>hunter2</html>", ErrorKind::Unavailable),
            (503, "", ErrorKind::Unavailable),
        ] {
            let error = answer(status, body).unwrap_err();
            assert_eq!(error.kind(), kind, "{status}");
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }
}
