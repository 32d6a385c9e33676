//! What the server's refusals mean, and what to change: one table, measured.
//!
//! The server has four forms of refusals, and says some faults of the caller with 500. Its texts
//! decide which row applies, and go no further: they can repeat what was sent.

use pipe_core::{Error, ErrorKind};
use pipe_http::HttpResponse;
use serde_json::Value;

/// What was asked for, because the same answer means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A login.
    Login,
    /// Anything else.
    Work,
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    BadCredential,
    LoginRefused,
    Denied,
    /// There is no dataset of this name.
    DatasetMissing,
    /// There is a dataset, and nothing in it that could be found.
    NoData,
    RouteMissing,
    Exists,
    /// The server does not take uploads.
    NoUploads,
    BudgetSpent,
    /// A language model or an embedding model does not work.
    ModelFails,
    /// A text took another's place, and no graph could be made of it.
    NotRebuilt,
    /// There is no document of this id.
    DocumentMissing,
    Invalid,
    RateLimited,
    Redirected,
    /// Not in Cognee's form.
    Foreign,
    /// None of the known refusals; the status decides.
    Other,
}

impl Fault {
    /// What an answer that is no success means.
    pub(crate) fn of(answer: &HttpResponse, asked: Asked) -> Self {
        if (300..400).contains(&answer.status) {
            return Self::Redirected;
        }
        let Some(Refusal { name, text }) = Refusal::of(&answer.body) else {
            return Self::Foreign;
        };
        let says = |part: &str| text.contains(part);
        match (answer.status, &*name) {
            (429, _) => Self::RateLimited,
            // A wrong password and a body in the wrong form are told in the same words.
            (400, _) if asked == Asked::Login => Self::LoginRefused,
            (401, "UnauthorizedDataAccessError") => Self::Denied,
            (401, _) => Self::BadCredential,
            (402, _) => Self::BudgetSpent,
            (403, _) => Self::Denied,
            (404, "DatasetNotFoundError") => Self::DatasetMissing,
            (404, "NoDataError") => Self::NoData,
            (404, "UpdateTargetNotFoundError" | "DataNotFoundError") => Self::DocumentMissing,
            (404, _) if text == "Not Found" => Self::RouteMissing,
            (409, _) => Self::Exists,
            (415, "IngestionError") if says("Local files are not accepted") => Self::NoUploads,
            (400 | 413 | 415 | 422, _) => Self::Invalid,
            (500, REBUILD) => Self::NotRebuilt,
            (500, _) if says("litellm") || says("mbedding") => Self::ModelFails,
            _ => Self::Other,
        }
    }

    /// What to tell the caller: kind, message and what to change.
    fn say(self) -> (ErrorKind, &'static str, &'static str) {
        use ErrorKind as K;
        match self {
            Self::BadCredential => (
                K::Unauthenticated,
                "the server does not take the credential",
                "check `auth`: an API key goes with the method `api_key`, and is no bearer token",
            ),
            Self::LoginRefused => (
                K::Unauthenticated,
                "the user name or the password is not right",
                "check `auth.username` and `auth.password`",
            ),
            Self::Denied => (
                K::PermissionDenied,
                "we may not do this to the dataset, or it is not there any more",
                "share the dataset with this user, for reading and for writing",
            ),
            Self::DatasetMissing => (
                K::NotFound,
                "the dataset does not exist",
                "check `dataset`, and that the user's current tenant is the one that owns it",
            ),
            Self::NoData => (K::NotFound, "the dataset is empty", "add data points first"),
            Self::RouteMissing => (
                K::ConfigInvalid,
                "the server does not have this API",
                "set `address` to the root of a Cognee server of version 1.6 or later",
            ),
            Self::Exists => (
                K::Conflict,
                "something else is stored under this name",
                "choose another name, or update what is there",
            ),
            Self::NoUploads => (
                K::ConfigInvalid,
                "the server refuses uploads",
                "set ACCEPT_LOCAL_FILE_PATH=True on the server: with local storage it applies to uploads too",
            ),
            Self::BudgetSpent => (
                K::PermissionDenied,
                "the token budget is exhausted",
                "raise the budget on the server",
            ),
            Self::ModelFails => (
                K::Unavailable,
                "a model that the server needs does not work",
                "check the server's settings LLM_* and EMBEDDING_*, and its log",
            ),
            Self::NotRebuilt => (
                K::Unexpected,
                "the text is stored, and the server could not make a graph of it",
                "check the server's settings LLM_* and EMBEDDING_*, then make the graph again",
            ),
            Self::DocumentMissing => {
                (K::NotFound, "no text is stored under this key", "add it as a new document")
            }
            Self::Invalid => (
                K::InvalidArgument,
                "the server does not accept the request",
                "check that the server's version is 1.6 or later",
            ),
            Self::RateLimited => (K::RateLimited, "too many requests", "ask less often"),
            Self::Redirected => (
                K::Unexpected,
                "the server points to another one, and redirects are not followed",
                "set `address` to the final address",
            ),
            Self::Foreign => (
                K::Unexpected,
                "something other than Cognee answered",
                "check `address`, and what stands in front of the server",
            ),
            Self::Other => {
                (K::Unexpected, "the server could not answer", "look into the server's log")
            }
        }
    }

    /// The error that an answer amounts to.
    pub(crate) fn error(self, answer: &HttpResponse) -> Error {
        let (kind, message, hint) = self.say();
        // Where the table knows no better, the status does; of somebody else's, only an outage.
        let kind = match (self, answer.error_kind()) {
            (Self::Other, Some(by_status)) => by_status,
            (Self::Foreign, Some(by_status)) if by_status.is_retryable() => by_status,
            _ => kind,
        };
        let error = Error::new(kind, message).with("status", answer.status).hint(hint);
        match answer.error("").retry_after() {
            Some(wait) => error.retry_in(wait),
            None => error,
        }
    }
}

/// The error that an answer amounts to.
pub(crate) fn refusal(answer: &HttpResponse, asked: Asked) -> Error {
    Fault::of(answer, asked).error(answer)
}

/// A success that is not in the form that the protocol promises.
pub(crate) fn malformed(answer: &HttpResponse) -> Error {
    Error::new(ErrorKind::Unexpected, "the server's answer has not the form of Cognee's")
        .with("status", answer.status)
        .hint("check `address`, what stands in front of the server, and the server's version")
}

/// Not one of the server's names: it gives none to the failure of an update.
const REBUILD: &str = "pipe.rebuild";

/// What the server says of a request that it does not carry out.
struct Refusal {
    /// `DatasetNotFoundError`, say; empty where none is named.
    name: String,
    text: String,
}

impl Refusal {
    /// `None` when the body has none of the forms that Cognee's refusals have:
    /// `{"detail": "text [Name]"}`, `{"error": "text", "detail": "text" or null}`,
    /// `{"detail": [{"msg": …}], "body": …}` and `{"error": "text"}`.
    fn of(body: &[u8]) -> Option<Self> {
        const LONGEST: usize = 256 << 10;
        let body = body.get(..LONGEST.min(body.len()))?;
        let body: Value = serde_json::from_slice(body).ok()?;
        // What an update came to, which is the body of a refusal too.
        if body["status"] == "failed" && body["error"].is_object() {
            return Some(Self { name: REBUILD.to_owned(), text: String::new() });
        }
        let (error, detail) = (body.get("error"), body.get("detail"));
        let text = match (error.and_then(Value::as_str), detail) {
            (Some(error), Some(Value::String(detail))) => format!("{error} {detail}"),
            (Some(error), _) => error.to_owned(),
            (None, Some(Value::String(detail))) => detail.clone(),
            (None, Some(Value::Array(_))) => String::new(),
            _ => return None,
        };
        let name = text.strip_suffix(']').and_then(|text| text.rsplit_once('['));
        let name = name.map(|(_, name)| name.to_owned()).unwrap_or_default();
        Some(Self { name, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use http::HeaderMap;

    fn fault(status: u16, body: &str, asked: Asked) -> Fault {
        Fault::of(&HttpResponse::new(status, HeaderMap::new(), body), asked)
    }

    /// Every row of the table, in the words of a real server.
    #[test]
    fn the_servers_words_are_understood() {
        let table = [
            (
                401,
                r#"{"detail":"Authentication required (auth posture: explicit)"}"#,
                Fault::BadCredential,
            ),
            (402, r#"{"error":"Token budget exhausted"}"#, Fault::BudgetSpent),
            (
                403,
                r#"{"detail":"Request owner does not have necessary permission: [read] for all datasets requested. [PermissionDeniedError]"}"#,
                Fault::Denied,
            ),
            (
                404,
                r#"{"detail":"Dataset(s) not found: 'nope'. … [DatasetNotFoundError]"}"#,
                Fault::DatasetMissing,
            ),
            (
                404,
                r#"{"detail":"No searchable memory in dataset 'governance' (id: …) [NoDataError]"}"#,
                Fault::NoData,
            ),
            (404, r#"{"detail":"Not Found"}"#, Fault::RouteMissing),
            (
                409,
                r#"{"error":"Document already exists; use the update endpoint","detail":"…"}"#,
                Fault::Exists,
            ),
            (
                415,
                r#"{"detail":"Local files are not accepted. [IngestionError]"}"#,
                Fault::NoUploads,
            ),
            (400, r#"{"error":"Invalid COGX archive."}"#, Fault::Invalid),
            (
                400,
                r#"{"detail":[{"type":"missing","loc":["body"],"msg":"…"}],"body":"{"}"#,
                Fault::Invalid,
            ),
            (
                422,
                r#"{"detail":"The query must be a non-empty string. [QueryValidationError]"}"#,
                Fault::Invalid,
            ),
            (
                401,
                r#"{"detail":"Dataset 9e5a not accessible. [UnauthorizedDataAccessError]"}"#,
                Fault::Denied,
            ),
            (
                404,
                r#"{"detail":"No document found to update: … [UpdateTargetNotFoundError]"}"#,
                Fault::DocumentMissing,
            ),
            (
                500,
                r#"{"status":"failed","data_id":"8a0a","error":{"error_class":"AuthenticationError","message":"…"}}"#,
                Fault::NotRebuilt,
            ),
            (429, r#"{"error":"slow down"}"#, Fault::RateLimited),
            (
                500,
                r#"{"error":"Internal server error","detail":"litellm.AuthenticationError: …"}"#,
                Fault::ModelFails,
            ),
            (500, r#"{"error":"Internal server error","detail":"'title'"}"#, Fault::Other),
            (503, "<html>", Fault::Foreign),
            (404, r#"{"message":"no such bucket"}"#, Fault::Foreign),
            (307, "", Fault::Redirected),
        ];
        for (status, body, expected) in table {
            assert_eq!(fault(status, body, Asked::Work), expected, "{status} {body}");
        }
        let refused = r#"{"detail":"LOGIN_BAD_CREDENTIALS"}"#;
        assert_eq!(fault(400, refused, Asked::Login), Fault::LoginRefused);
    }

    #[test]
    fn an_outage_of_what_stands_in_front_is_an_outage() {
        let answer = |status| HttpResponse::new(status, HeaderMap::new(), "<html>");
        assert_eq!(refusal(&answer(503), Asked::Work).kind(), ErrorKind::Unavailable);
        assert_eq!(refusal(&answer(504), Asked::Work).kind(), ErrorKind::Timeout);
        assert_eq!(refusal(&answer(404), Asked::Work).kind(), ErrorKind::Unexpected);
    }

    #[test]
    fn no_word_of_the_server_is_repeated() {
        let body = r#"{"error":"canary","detail":"canary [canary]"}"#;
        for status in [400, 401, 402, 403, 404, 409, 415, 422, 429, 500, 503] {
            let answer = HttpResponse::new(status, HeaderMap::new(), body);
            let error = format!("{:?}", refusal(&answer, Asked::Work));
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
