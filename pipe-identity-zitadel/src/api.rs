//! Zitadel's services of version 2, as Connect speaks JSON.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use pipe_core::identity::Credential;
use pipe_core::{Error, ErrorKind, Result};
use pipe_http::{HttpClient, HttpResponse, bearer};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::ZitadelScopes;
use crate::plugin::Inner;

/// The server, for calls with our own credentials.
#[derive(Debug)]
pub(crate) struct Api {
    http: HttpClient,
}

impl Api {
    pub(crate) fn new(http: HttpClient) -> Self {
        Self { http }
    }
}

impl Inner {
    /// Calls a method of a service, such as `zitadel.user.v2.UserService` and `GetUserByID`.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        service: &'static str,
        method: &'static str,
        request: &Value,
    ) -> Result<T> {
        let scopes = ZitadelScopes::new().with_zitadel();
        let credentials = self.credentials(&scopes).await?;
        let Credential::Bearer(token) = &credentials.credential else {
            return Err(Error::new(ErrorKind::Unexpected, "our credentials are no token"));
        };
        let mut call = self.api.http.request(Method::POST, [service, method])?;
        let headers = call.headers_mut();
        headers.insert(AUTHORIZATION, bearer(token.expose())?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        call.set_body(Zeroizing::new(request.to_string().into_bytes()));
        let answer = call.send().await?;
        if answer.error_kind().is_some() {
            return Err(refusal(&answer).with("call", method));
        }
        serde_json::from_slice(&answer.body).map_err(|_| {
            Error::new(ErrorKind::Unexpected, "the answer has not the form of Zitadel's")
                .with("call", method)
                .hint("check `issuer`, and the version of the server")
        })
    }
}

/// What a refusal means. Its text is in the caller's language and may repeat what was sent: only its id
/// (`QUERY-Dfbg2`) or slug (`user.already_exists`) is told.
pub(crate) fn refusal(answer: &HttpResponse) -> Error {
    let said = Refusal::of(&answer.body);
    let kind = match said.as_ref().and_then(|said| said.kind()) {
        Some(kind) => kind,
        None => answer.error_kind().unwrap_or(ErrorKind::Unexpected),
    };
    let (message, hint) = match kind {
        ErrorKind::Unauthenticated => (
            "Zitadel does not take our token",
            "check `service`; its user must be active, and the project of Zitadel itself in the token's audience",
        ),
        ErrorKind::PermissionDenied => (
            "the service user may not do this",
            "make it a manager of the organisation or the project, with a role that includes this",
        ),
        ErrorKind::NotFound => ("there is no such object", "check the ids"),
        ErrorKind::Conflict => ("there is such an object already", "use the one that is there"),
        ErrorKind::InvalidArgument => {
            ("Zitadel does not accept the request", "check the ids and names")
        }
        ErrorKind::RateLimited => {
            ("a quota of the instance is used up", "ask less often, or raise the quota")
        }
        _ => ("Zitadel could not answer", "look into the server's log"),
    };
    let error = answer.error(message);
    let delay = error.retry_after();
    let mut error = Error::new(kind, message).with("status", answer.status).hint(hint);
    if let Some(delay) = delay {
        error = error.retry_in(delay);
    }
    match said.and_then(|said| said.id()) {
        Some(id) => error.with("id", id),
        None => error,
    }
}

/// A refusal in either form: with a code of gRPC as a number, or with its name.
#[derive(Deserialize)]
struct Refusal {
    code: Value,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<Value>,
}

impl Refusal {
    fn of(body: &[u8]) -> Option<Self> {
        const LONGEST: usize = 64 << 10;
        serde_json::from_slice(body.get(..LONGEST.min(body.len()))?).ok()
    }

    fn kind(&self) -> Option<ErrorKind> {
        let code = match &self.code {
            Value::Number(number) => number.as_u64()?,
            Value::String(name) => match name.as_str() {
                "invalid_argument" => 3,
                "not_found" => 5,
                "already_exists" => 6,
                "permission_denied" => 7,
                "resource_exhausted" => 8,
                "failed_precondition" => 9,
                "unimplemented" => 12,
                "unavailable" => 14,
                "unauthenticated" => 16,
                _ => return None,
            },
            _ => return None,
        };
        Some(match code {
            3 | 9 => ErrorKind::InvalidArgument,
            5 => ErrorKind::NotFound,
            6 => ErrorKind::Conflict,
            7 => ErrorKind::PermissionDenied,
            8 => ErrorKind::RateLimited,
            12 => ErrorKind::Unsupported,
            14 => ErrorKind::Unavailable,
            16 => ErrorKind::Unauthenticated,
            _ => return None,
        })
    }

    /// What stands in parentheses at the end of the text, or the slug of a newer error.
    fn id(&self) -> Option<String> {
        let slug = self.details.iter().find_map(|detail| {
            let debug = detail.get("debug").unwrap_or(detail);
            debug.get("slug")?.as_str()
        });
        let in_text = || {
            let (_, rest) = self.message.rsplit_once('(')?;
            rest.strip_suffix(')')
        };
        let slug = slug.filter(|slug| is_slug(slug));
        slug.or_else(|| in_text().filter(|id| is_id(id))).map(str::to_owned)
    }
}

/// A word in capitals and five characters or so. Nothing longer, which could be a token.
fn is_id(id: &str) -> bool {
    id.split_once('-').is_some_and(|(service, rest)| {
        (2..=12).contains(&service.len())
            && service.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
            && (4..=6).contains(&rest.len())
            && rest.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

/// Words in small letters, with a dot between them.
fn is_slug(slug: &str) -> bool {
    slug.len() <= 64
        && slug.contains('.')
        && slug.split('.').all(|word| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    #[test]
    fn both_forms_of_refusals_are_read() {
        let rows = [
            (
                404,
                r#"{"code":5,"message":"User grant not found (QUERY-wIPkA)","details":[]}"#,
                ErrorKind::NotFound,
                Some("QUERY-wIPkA"),
            ),
            (
                401,
                r#"{"code":16,"message":"auth header missing"}"#,
                ErrorKind::Unauthenticated,
                None,
            ),
            (
                401,
                r#"{"code":"unauthenticated","message":"Errors.Token.Invalid (AUTH-7fs1e)"}"#,
                ErrorKind::Unauthenticated,
                Some("AUTH-7fs1e"),
            ),
            (
                409,
                r#"{"code":"already_exists","message":"canary","details":[{"type":"zitadel.error.v2.ErrorDetail","debug":{"slug":"user.already_exists"}}]}"#,
                ErrorKind::Conflict,
                Some("user.already_exists"),
            ),
            (
                409,
                r#"{"code":"already_exists","message":"canary","details":[{"slug":"user.already_exists","message":"canary"}]}"#,
                ErrorKind::Conflict,
                Some("user.already_exists"),
            ),
            (
                403,
                r#"{"code":7,"message":"canary (AUTH-AWfge)"}"#,
                ErrorKind::PermissionDenied,
                Some("AUTH-AWfge"),
            ),
            (
                400,
                r#"{"code":9,"message":"canary (a canary that is no id)"}"#,
                ErrorKind::InvalidArgument,
                None,
            ),
            (
                429,
                r#"{"code":"resource_exhausted","message":"canary"}"#,
                ErrorKind::RateLimited,
                None,
            ),
            (503, r#"{"code":14,"message":"canary"}"#, ErrorKind::Unavailable, None),
            (502, "<html>canary</html>", ErrorKind::Unavailable, None),
            (500, "", ErrorKind::Unexpected, None),
        ];
        for (status, body, kind, id) in rows {
            let error = refusal(&HttpResponse::new(status, HeaderMap::new(), body));
            assert_eq!(error.kind(), kind, "{body}");
            assert_eq!(error.context("id"), id, "{body}");
            assert!(!format!("{error:?} {error:#}").contains("canary"), "{error:#}");
            assert!(!error.hint_text().is_empty());
        }
    }
}
