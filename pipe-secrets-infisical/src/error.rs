//! What the server's refusals mean, and what to change: one table, measured.
//!
//! The server's texts decide which row applies, and go no further: they can repeat what was sent.

use std::time::{Duration, SystemTime};

use pipe_core::{Error, ErrorKind};
use pipe_http::HttpResponse;
use serde::Deserialize;

/// How long a lockout lasts unless it was configured otherwise.
const LOCKOUT: Duration = Duration::from_secs(300);
/// Three refused logins within a while lock an identity: the next comes later than that.
const AFTER_A_REFUSED_LOGIN: Duration = Duration::from_secs(60);

/// What was asked for, because the same answer means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A login.
    Login,
    /// Anything with a token.
    Work,
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The secret is not there; the place where it would be is.
    SecretMissing,
    /// The folder or the environment is not there.
    FolderMissing,
    ProjectMissing,
    /// The server does not have this API.
    RouteMissing,
    NotMember,
    Denied,
    /// We may see the secret, and not its value.
    Hidden,
    AddressRefused,
    /// The token is expired, used up, revoked or of somebody else.
    BadToken,
    Exists,
    ReferenceMissing,
    Invalid,
    LoginRefused,
    LoginUnknown,
    LoginLocked,
    LoginSecretSpent,
    LoginNotAllowed,
    LoginInvalid,
    RateLimited,
    Redirected,
    /// Not in Infisical's form.
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
        let Some(Refusal { error, message }) = Refusal::of(&answer.body) else {
            return Self::Foreign;
        };
        let says = |part: &str| message.contains(part);
        let is_invalid = error == "ValidationFailure";
        match (answer.status, asked) {
            (429, _) => Self::RateLimited,
            (404, _) if says("Route ") && says(" not found") => Self::RouteMissing,
            (401 | 400 | 422, Asked::Login) if is_invalid => Self::LoginInvalid,
            (401, Asked::Login) if says("temporarily locked") => Self::LoginLocked,
            (401, Asked::Login) if says("client secret") => Self::LoginSecretSpent,
            (404, Asked::Login) => Self::LoginUnknown,
            (401 | 403, Asked::Login)
                if says("not allowed") || error == "KubernetesTokenReviewError" =>
            {
                Self::LoginNotAllowed
            }
            (401, Asked::Login) => Self::LoginRefused,
            // Old servers say so what others say with 422.
            (400 | 401 | 422, Asked::Work) if is_invalid => Self::Invalid,
            (401, Asked::Work) => Self::BadToken,
            (403, Asked::Work) if error == "TokenError" => Self::BadToken,
            (403, _) if error == "ForbiddenReadSecretError" || says("readValue") => Self::Hidden,
            (403, _) if error.contains("not a member of the specified project") => Self::NotMember,
            (403, _) if error == "ForbiddenRequestError" => Self::AddressRefused,
            (403, _) => Self::Denied,
            (404, _) if says("Project with ") => Self::ProjectMissing,
            // Whatever is said about a secret, by its name, is about the secret.
            (404, _) if !message.starts_with("Secret") && is_about_place(&message) => {
                Self::FolderMissing
            }
            (404, _) => Self::SecretMissing,
            (400 | 409, _) if says("already exist") => Self::Exists,
            (400, _) if says("Referenced ") => Self::ReferenceMissing,
            (400 | 422, _) => Self::Invalid,
            _ => Self::Other,
        }
    }

    /// What to tell the caller: kind, message and what to change.
    fn say(self) -> (ErrorKind, &'static str, &'static str) {
        use ErrorKind as K;
        match self {
            Self::SecretMissing => {
                (K::NotFound, "the secret is not there", "check the name, the key and the version")
            }
            Self::FolderMissing => (
                K::NotFound,
                "the folder or the environment does not exist",
                "set `environment`, or the namespace of the secret, to the slug of an environment",
            ),
            Self::ProjectMissing => (
                K::NotFound,
                "the project does not exist",
                "set `project` to the project's id, which its settings show; a slug is none",
            ),
            Self::RouteMissing => (
                K::ConfigInvalid,
                "the server has neither the v4 nor the v3 API of secrets",
                "set `address` to the root of an Infisical server of 2024 or later, without `/api`",
            ),
            Self::NotMember => (
                K::PermissionDenied,
                "the machine identity does not belong to the project",
                "add the machine identity to the project, or correct `project`",
            ),
            Self::Denied => (
                K::PermissionDenied,
                "the machine identity may not do this there",
                "grant it in the project's access control: readValue, describeSecret, create, edit or delete on \
                 secrets of this environment and path",
            ),
            Self::Hidden => (
                K::PermissionDenied,
                "the machine identity may see the secret and not its value",
                "grant readValue on secrets of this environment and path",
            ),
            Self::AddressRefused => (
                K::PermissionDenied,
                "the server does not take the token from this address",
                "add the address to the machine identity's trusted IPs",
            ),
            Self::BadToken => (
                K::Unauthenticated,
                "the access token is not valid, or no longer",
                "set `auth` to a login, which gets a new token by itself, or to a token that is valid",
            ),
            Self::Exists => (
                K::Conflict,
                "somebody else stored it meanwhile",
                "read the current value, then decide whether to write again",
            ),
            Self::ReferenceMissing => (
                K::InvalidArgument,
                "the value refers to a secret that is not there",
                "store the secret that the value refers to first",
            ),
            Self::Invalid => (
                K::InvalidArgument,
                "the server does not accept the request",
                "check `project`, `environment` and the keys",
            ),
            Self::LoginRefused => (
                K::Unauthenticated,
                "the credentials are not valid",
                "check `auth`; three wrong logins lock a machine identity for minutes, so none is tried again at once",
            ),
            Self::LoginUnknown => (
                K::Unauthenticated,
                "the machine identity is not known, or has no such auth method",
                "check `auth.client_id` or `auth.identity_id`, and the identity's auth methods",
            ),
            Self::LoginLocked => (
                K::RateLimited,
                "the machine identity is locked after wrong logins",
                "correct `auth`, then wait, or clear the lockout in the identity's auth method",
            ),
            Self::LoginSecretSpent => (
                K::Unauthenticated,
                "the client secret has expired or is used up",
                "set `auth.client_secret` to a new client secret",
            ),
            Self::LoginNotAllowed => (
                K::Unauthenticated,
                "the machine identity does not accept this token",
                "check the identity's allowed namespaces, names, audiences and subjects, and that the token is valid",
            ),
            Self::LoginInvalid => (
                K::ConfigInvalid,
                "the server does not accept the credentials' form",
                "check `auth`: a client id and an identity id are UUIDs",
            ),
            Self::RateLimited => (
                K::RateLimited,
                "the server's rate limit is exceeded",
                "ask less often: keep values with the cache decorator, or raise `poll_interval`",
            ),
            Self::Redirected => (
                K::Unexpected,
                "the server points to another one, and redirects are not followed",
                "set `address` to the final address",
            ),
            Self::Foreign => (
                K::Unexpected,
                "something other than Infisical answered",
                "check `address`, and what stands in front of the server",
            ),
            Self::Other => {
                (K::Unexpected, "the server could not answer", "look into the server's log")
            }
        }
    }

    /// The error without an answer that says it.
    pub(crate) fn without_answer(self) -> Error {
        let (kind, message, hint) = self.say();
        Error::new(kind, message).hint(hint)
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
        let said = pipe_http::retry_after(&answer.headers, SystemTime::now());
        let wait = match self {
            Self::RateLimited => said.or_else(|| Refusal::of(&answer.body)?.wait()),
            Self::LoginLocked => Some(said.unwrap_or(LOCKOUT)),
            Self::LoginRefused | Self::LoginUnknown | Self::LoginSecretSpent => {
                Some(AFTER_A_REFUSED_LOGIN)
            }
            _ => said,
        };
        match wait {
            Some(wait) => error.retry_in(wait.max(Duration::from_secs(1))),
            None => error,
        }
    }
}

fn is_about_place(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("folder") || message.contains("environment")
}

/// The error that an answer amounts to.
pub(crate) fn refusal(answer: &HttpResponse, asked: Asked) -> Error {
    Fault::of(answer, asked).error(answer)
}

/// A success that is not in the form that the protocol promises.
pub(crate) fn malformed(answer: &HttpResponse) -> Error {
    Error::new(ErrorKind::Unexpected, "the server's answer has not the form of Infisical's")
        .with("status", answer.status)
        .hint("check `address`, what stands in front of the server, and the server's version")
}

/// A value that the server hides although we asked for it.
pub(crate) fn hidden() -> Error {
    Fault::Hidden.without_answer()
}

/// What the server says of a request that it does not carry out.
struct Refusal {
    /// A word, an operation's name or a sentence.
    error: String,
    message: String,
}

impl Refusal {
    /// `None` when the body has not the form that Infisical's refusals have.
    fn of(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Body {
            status_code: Option<serde::de::IgnoredAny>,
            error: Option<String>,
            message: Option<serde_json::Value>,
        }
        const LONGEST: usize = 256 << 10;
        let body = body.get(..LONGEST.min(body.len()))?;
        let Body { status_code, error, message } = serde_json::from_slice(body).ok()?;
        if status_code.is_none() && error.is_none() {
            return None;
        }
        let message = match message {
            Some(serde_json::Value::String(text)) => text,
            // Faults of single fields, whose texts tell nothing that `error` does not.
            _ => String::new(),
        };
        Some(Self { error: error.unwrap_or_default(), message })
    }

    /// How long to wait, from a text such as `Please try again in 42 seconds`.
    fn wait(&self) -> Option<Duration> {
        let (_, rest) = self.message.split_once("try again in ")?;
        let mut words = rest.split_whitespace();
        let number = words.next()?.parse::<u64>().ok()?.min(3600);
        let unit = match words.next()?.trim_end_matches(['s', '.']) {
            "second" => 1,
            "minute" => 60,
            "hour" => 3600,
            _ => return None,
        };
        Some(Duration::from_secs((number * unit).min(3600)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use http::HeaderMap;

    fn answer(status: u16, error: &str, message: &str) -> HttpResponse {
        let body = serde_json::json!({"statusCode": status, "error": error, "message": message});
        HttpResponse::new(status, HeaderMap::new(), body.to_string())
    }

    /// Every row of the measured matrix: status, `error`, `message`, and what it means.
    #[test]
    fn each_refusal_means_one_thing() {
        use Fault::*;
        let work = [
            (404, "NotFound", "Secret with name 'NOPE' not found", SecretMissing),
            (404, "NotFound", "Secret not found", SecretMissing),
            (404, "NotFound", "Environment not found", FolderMissing),
            (404, "NotFound", "Secret with name 'environment' not found", SecretMissing),
            (404, "NotFound", "Secret does not exist: folder in path /", SecretMissing),
            (
                404,
                "GetSecretByName",
                "Folder with path '/' in environment with slug 'nope' not found",
                FolderMissing,
            ),
            (
                404,
                "NotFound",
                "Folder with path '/a/b' in environment with slug 'dev' not found",
                FolderMissing,
            ),
            (
                404,
                "CreateFolder",
                "Environment with slug 'nope' in project not found",
                FolderMissing,
            ),
            (
                404,
                "NotFound",
                "Project with ID 'x' not found during bot lookup. Are you sure",
                ProjectMissing,
            ),
            (404, "Not Found", "Route GET:/api/v4/secrets not found", RouteMissing),
            (
                403,
                "Identity is not a member of the specified project with ID 'PID'",
                "You are not allowed to access this resource",
                NotMember,
            ),
            (403, "PermissionDenied", "You are not allowed to edit on secrets", Denied),
            (403, "PermissionDenied", "You are not allowed to readValue on secrets", Hidden),
            (
                403,
                "ForbiddenReadSecretError",
                "You do not have permission to view secret value",
                Hidden,
            ),
            (403, "ForbiddenRequestError", "Access not allowed from this IP", AddressRefused),
            (403, "TokenError", "Your token has expired. Please re-authenticate.", BadToken),
            (403, "TokenError", "The provided access token is malformed.", BadToken),
            (401, "UnauthorizedError", "Token missing", BadToken),
            (401, "UnauthorizedError", "No identity access token found", BadToken),
            (
                401,
                "UnauthorizedError",
                "Failed to renew MI access token due to TTL expiration",
                BadToken,
            ),
            (401, "ValidationFailure", "[]", Invalid),
            (422, "ValidationFailure", "[]", Invalid),
            (400, "BadRequest", "Missing environment", Invalid),
            (400, "BadRequest", "Secret already exist", Exists),
            (400, "BadRequest", "Secret already exist: B1", Exists),
            (409, "Conflict", "Secret already exists", Exists),
            (400, "BadRequest", "Referenced secret(s) not found: NOPE", ReferenceMissing),
            (
                429,
                "RateLimitExceeded",
                "Rate limit exceeded. Please try again in 1 minute",
                RateLimited,
            ),
            (500, "InternalServerError", "Something went wrong", Other),
        ];
        for (status, error, message, fault) in work {
            assert_eq!(Fault::of(&answer(status, error, message), Asked::Work), fault, "{message}");
        }
        let login = [
            (401, "UnauthorizedError", "Invalid credentials", LoginRefused),
            (404, "NotFound", "No identity with specified client ID was found", LoginUnknown),
            (404, "NotFound", "Kubernetes auth method not found for identity", LoginUnknown),
            (
                401,
                "UnauthorizedError",
                "This identity auth method is temporarily locked, please try again later",
                LoginLocked,
            ),
            (
                401,
                "UnauthorizedError",
                "Access denied due to expired client secret",
                LoginSecretSpent,
            ),
            (
                401,
                "UnauthorizedError",
                "Access denied due to client secret usage limit reached",
                LoginSecretSpent,
            ),
            (401, "KubernetesTokenReviewError", "invalid bearer token", LoginNotAllowed),
            (401, "UnauthorizedError", "Access denied: K8s audience not allowed.", LoginNotAllowed),
            (401, "ValidationFailure", "[]", LoginInvalid),
            (422, "ValidationFailure", "[]", LoginInvalid),
        ];
        for (status, error, message, fault) in login {
            assert_eq!(
                Fault::of(&answer(status, error, message), Asked::Login),
                fault,
                "{message}"
            );
        }
    }

    #[test]
    fn what_is_not_infisicals_says_nothing_about_secrets() {
        let page = HttpResponse::new(404, HeaderMap::new(), "<html>not found</html>");
        assert_eq!(Fault::of(&page, Asked::Work), Fault::Foreign);
        let outage = HttpResponse::new(502, HeaderMap::new(), "<html>bad gateway</html>");
        assert_eq!(refusal(&outage, Asked::Work).kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn a_wait_is_read_from_headers_and_words() {
        for (text, seconds) in [
            ("Rate limit exceeded. Please try again in 42 seconds", Some(42)),
            ("Rate limit exceeded. Please try again in 1 minute", Some(60)),
            ("Rate limit exceeded. Please try again in 99999999 hours", Some(3600)),
            ("Rate limit exceeded.", None),
            ("try again in a while", None),
        ] {
            let error = refusal(&answer(429, "RateLimitExceeded", text), Asked::Work);
            assert_eq!(error.retry_after(), seconds.map(Duration::from_secs), "{text}");
            assert!(error.is_retryable());
        }
        let mut limited = answer(429, "RateLimitExceeded", "Please try again in 1 minute");
        limited.headers.insert("retry-after", "7".parse().unwrap());
        let error = refusal(&limited, Asked::Work);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn nothing_of_the_servers_texts_is_in_an_error() {
        for status in [400, 401, 403, 404, 409, 422, 429, 500, 502] {
            for asked in [Asked::Work, Asked::Login] {
                let error = refusal(&answer(status, "canary", "canary"), asked);
                assert!(!format!("{error:?} {error:#}").contains("canary"), "{status}");
                assert!(!error.hint_text().is_empty());
            }
        }
    }
}
