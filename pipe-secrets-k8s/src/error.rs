//! What the API server's refusals mean, and what to change: one table, measured on kube-apiserver
//! 1.36 and 1.20.
//!
//! Rows are told apart by code, reason, and the causes' reasons and fields; by the text only where
//! the server gives nothing else. The text goes no further: that of a failed write can hold the
//! whole stored object.

use std::fmt;
use std::time::{Duration, SystemTime};

use pipe_core::{Error, ErrorKind};
use pipe_http::HttpResponse;
use serde::Deserialize;

/// What was asked for: it says which RBAC rule would have allowed it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The verbs that the request needs, as RBAC calls them.
    pub(crate) verbs: &'a [&'static str],
    pub(crate) resource: Resource,
    /// Empty at the cluster scope.
    pub(crate) namespace: &'a str,
    /// Empty for all names.
    pub(crate) name: &'a str,
}

/// What the verbs are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Secrets,
    ServiceAccountTokens,
    TokenReviews,
    AccessReviews,
}

impl Resource {
    fn group(self) -> &'static str {
        match self {
            Self::Secrets | Self::ServiceAccountTokens => "",
            Self::TokenReviews => "authentication.k8s.io",
            Self::AccessReviews => "authorization.k8s.io",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::ServiceAccountTokens => "serviceaccounts/token",
            Self::TokenReviews => "tokenreviews",
            Self::AccessReviews => "selfsubjectaccessreviews",
        }
    }
}

impl<'a> Asked<'a> {
    pub(crate) fn secret(verbs: &'a [&'static str], namespace: &'a str, name: &'a str) -> Self {
        Self { verbs, resource: Resource::Secrets, namespace, name }
    }
}

/// The RBAC rule that would allow it, as it stands in a Role.
impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (group, resource) = (self.resource.group(), self.resource.name());
        write!(f, "{{apiGroups: [{group:?}], resources: [{resource:?}], verbs: {:?}", self.verbs)?;
        // A POST names no object, so a rule for a name does not allow it; an apply that creates does.
        if !self.name.is_empty() {
            write!(f, ", resourceNames: [{:?}]", self.name)?;
        }
        f.write_str("}")?;
        match self.namespace {
            "" => f.write_str(" in a ClusterRole"),
            namespace => write!(f, " in a Role of namespace {namespace}"),
        }
    }
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// No such Secret.
    Absent,
    NamespaceAbsent,
    /// Something else that the request names is not there: a service account, a Pod.
    OtherAbsent,
    ApiAbsent,
    BadToken,
    Denied,
    OverQuota,
    NamespaceTerminating,
    /// Another manager owns a field, and has another value in it.
    FieldOwned,
    /// The object changed since it was read, was deleted or was replaced.
    Stale,
    AlreadyExists,
    Immutable,
    TooLarge,
    Invalid,
    AdmissionRefused,
    ApplyRefused,
    WebhookDown,
    BadRequest,
    /// The resourceVersion or the continue token is too old.
    Expired,
    /// The server has not seen that resourceVersion yet.
    Behind,
    TimedOut,
    TooMany,
    NotAcceptable,
    Redirected,
    /// Not in Kubernetes' form.
    Foreign,
    /// None of the known refusals; the status decides.
    Other,
}

impl Fault {
    /// What an answer that is no success means.
    pub(crate) fn of(answer: &HttpResponse, asked: &Asked<'_>) -> Self {
        if (300..400).contains(&answer.status) {
            return Self::Redirected;
        }
        match Status::of(&answer.body) {
            Some(status) => Self::of_status(answer.status, &status, asked),
            // Flow control and the router answer in plain text.
            None if answer.status == 429 => Self::TooMany,
            None if answer.status == 404 && *answer.body == *b"404 page not found\n" => {
                Self::ApiAbsent
            }
            None => Self::Foreign,
        }
    }

    pub(crate) fn of_status(code: u16, status: &Status, asked: &Asked<'_>) -> Self {
        let details = &status.details;
        let cause = |reason: &str| details.causes.iter().any(|cause| cause.reason == reason);
        let at = |reason: &str, field: &str| {
            details.causes.iter().any(|cause| cause.reason == reason && cause.field == field)
        };
        let says = |text: &str| status.message.contains(text);
        match (code, status.reason.as_str()) {
            (404, "NotFound") if details.kind == "namespaces" => Self::NamespaceAbsent,
            (404, "NotFound")
                if details.kind == "secrets" && asked.resource == Resource::Secrets =>
            {
                Self::Absent
            }
            // A resource that this server does not know has no name in the details.
            (404, "NotFound") if details.name.is_empty() => Self::ApiAbsent,
            (404, "NotFound") => Self::OtherAbsent,
            (401, _) => Self::BadToken,
            (403, _) if cause("NamespaceTerminating") => Self::NamespaceTerminating,
            (403, _) if says("exceeded quota") => Self::OverQuota,
            (403, _) => Self::Denied,
            (409, "AlreadyExists") => Self::AlreadyExists,
            (409, "Conflict") if cause("FieldManagerConflict") => Self::FieldOwned,
            (409, "Conflict") => Self::Stale,
            (422, "Invalid") if at("FieldValueInvalid", "metadata.uid") => Self::Stale,
            (422, "Invalid")
                if at("FieldValueForbidden", "data") || at("FieldValueForbidden", "immutable") =>
            {
                Self::Immutable
            }
            (422, "Invalid") if at("FieldValueTooLong", "data") => Self::TooLarge,
            (422, "Invalid") if details.causes.iter().any(Cause::is_of_a_policy) => {
                Self::AdmissionRefused
            }
            (422, "Invalid") => Self::Invalid,
            (413, _) => Self::TooLarge,
            (410, _) => Self::Expired,
            (429, _) => Self::TooMany,
            (504, _) if cause("ResourceVersionTooLarge") => Self::Behind,
            (504, _) => Self::TimedOut,
            (406 | 415, _) => Self::NotAcceptable,
            (400, _) => Self::BadRequest,
            (500, "InternalError") if says("failed calling webhook") => Self::WebhookDown,
            (500, "")
                if says("failed to create typed patch object")
                    || says("failed to convert new object") =>
            {
                Self::ApplyRefused
            }
            _ => Self::Other,
        }
    }

    /// What to tell the caller: kind, message and what to change.
    fn say(self) -> (ErrorKind, &'static str, &'static str) {
        use ErrorKind as K;
        match self {
            Self::Absent => (
                K::NotFound,
                "the Secret does not exist",
                "check the name and the namespace, or create the Secret",
            ),
            Self::NamespaceAbsent => (
                K::NotFound,
                "the namespace does not exist",
                "correct `namespace`, or create the namespace",
            ),
            Self::OtherAbsent => (
                K::NotFound,
                "what the request names does not exist",
                "check the service account, or the object that the token is to be bound to",
            ),
            Self::ApiAbsent => (
                K::Unsupported,
                "the server does not know this API",
                "check that the address is that of an API server, and its version",
            ),
            Self::BadToken => (
                K::Unauthenticated,
                "the server does not know us",
                "set `connection` to a token or certificate of this cluster; a token may have expired or be meant \
                 for another audience",
            ),
            Self::Denied => {
                (K::PermissionDenied, "RBAC does not allow it", "grant the verb to this identity")
            }
            Self::OverQuota => (
                K::PermissionDenied,
                "the namespace's quota is used up",
                "delete Secrets, or raise the ResourceQuota of the namespace",
            ),
            Self::NamespaceTerminating => (
                K::Conflict,
                "the namespace is being deleted",
                "use another namespace, or wait until it is gone and create it again",
            ),
            Self::FieldOwned => (
                K::Conflict,
                "another field manager owns the field",
                "let one of the two write the field: leave it out here, or have the other give it up",
            ),
            Self::Stale => (
                K::Conflict,
                "the Secret was changed, deleted or replaced meanwhile",
                "read the current state, then decide whether to write again",
            ),
            Self::AlreadyExists => (
                K::Conflict,
                "the Secret exists already",
                "read it, then decide whether to write again",
            ),
            Self::Immutable => (
                K::Conflict,
                "the Secret is immutable",
                "delete it and create it anew, or write under another name",
            ),
            Self::TooLarge => (
                K::InvalidArgument,
                "the Secret is larger than Kubernetes allows",
                "store less in one Secret: its values may have 1 MiB together",
            ),
            Self::Invalid => (
                K::InvalidArgument,
                "the server does not accept the object",
                "correct the named field",
            ),
            Self::AdmissionRefused => (
                K::PermissionDenied,
                "an admission policy refuses it",
                "look at the ValidatingAdmissionPolicies of the cluster",
            ),
            Self::ApplyRefused => (
                K::InvalidArgument,
                "the server cannot read the object that was applied",
                "correct the object: a field is unknown, doubled or of the wrong type",
            ),
            Self::WebhookDown => (
                K::Unavailable,
                "an admission webhook cannot be reached",
                "look at the cluster's webhook configurations, and at the service behind them",
            ),
            Self::BadRequest => (
                K::InvalidArgument,
                "the server does not accept the request",
                "check the names and the version of the server",
            ),
            Self::Expired => (
                K::Unavailable,
                "the server has forgotten the state that we had seen",
                "read again from the beginning",
            ),
            Self::Behind => (
                K::Unavailable,
                "this API server has not caught up with the others yet",
                "try again shortly",
            ),
            Self::TimedOut => (
                K::Timeout,
                "the server could not answer in time",
                "try again; if it lasts, check that the API server reaches etcd",
            ),
            Self::TooMany => (
                K::RateLimited,
                "the server's flow control turned the request away",
                "slow down, or give this identity a PriorityLevelConfiguration of its own",
            ),
            Self::NotAcceptable => (
                K::Unsupported,
                "the server does not speak this form",
                "check the version of the server: 1.20 is the oldest that was tried",
            ),
            Self::Redirected => (
                K::Unexpected,
                "the server points elsewhere, and redirects are not followed",
                "set the connection to the API server itself",
            ),
            Self::Foreign => (
                K::Unexpected,
                "something other than a Kubernetes API server answered",
                "check the address, and what stands in front of the server",
            ),
            Self::Other => {
                (K::Unexpected, "the server could not answer", "look into the API server's log")
            }
        }
    }

    /// The error that it amounts to.
    pub(crate) fn error(self, answer: &HttpResponse, asked: &Asked<'_>) -> Error {
        let (kind, message, hint) = self.say();
        // Where the table knows no better, the status does.
        let kind = match (self, answer.error_kind()) {
            (Self::Other, Some(by_status)) => by_status,
            // Only an outage can be read from the status of somebody else.
            (Self::Foreign, Some(by_status)) if by_status.is_retryable() => by_status,
            _ => kind,
        };
        let mut error = Error::new(kind, message).with("status", answer.status).hint(hint);
        if self == Self::Denied {
            error = error
                .with("verbs", asked.verbs.join(","))
                .with("resource", asked.resource.name())
                .with("namespace", asked.namespace)
                .hint(format!("grant {asked}"));
        }
        let status = Status::of(&answer.body).unwrap_or_default();
        for field in fields(self, &status) {
            error = error.with("field", field);
        }
        let by_header = pipe_http::retry_after(&answer.headers, SystemTime::now());
        let by_body = status.details.retry_after_seconds.map(Duration::from_secs);
        match by_header.or(by_body) {
            Some(delay) => error.retry_in(delay.max(Duration::from_secs(1))),
            None => error,
        }
    }
}

/// The error that an answer amounts to.
pub(crate) fn refusal(answer: &HttpResponse, asked: &Asked<'_>) -> Error {
    Fault::of(answer, asked).error(answer, asked)
}

/// The answer is a success and not what the API promises.
pub(crate) fn malformed(answer: &HttpResponse) -> Error {
    answer
        .error("the answer has not the form that the API promises")
        .hint("check the address, and what stands in front of the server")
}

/// The server's answer when something did not work, or was deleted.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    /// A Status says so, or has at least this: where the server gives up waiting, it leaves out
    /// what it is.
    #[serde(default)]
    kind: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    pub(crate) code: u16,
    #[serde(default)]
    details: Details,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(default)]
    name: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    causes: Vec<Cause>,
    retry_after_seconds: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct Cause {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    field: String,
}

impl Cause {
    fn is_of_a_policy(&self) -> bool {
        self.reason.is_empty() && self.field.is_empty()
    }
}

impl Status {
    fn of(body: &[u8]) -> Option<Self> {
        let status = serde_json::from_slice::<Self>(body).ok()?;
        let known =
            status.kind == "Status" || (status.kind.is_empty() && status.status == "Failure");
        known.then_some(status)
    }
}

/// The fields that the server names, where they hold nothing but names: `data[key]` has the key in
/// it, which was checked before it was sent.
fn fields(fault: Fault, status: &Status) -> Vec<&str> {
    if !matches!(fault, Fault::FieldOwned | Fault::Invalid | Fault::Immutable) {
        return Vec::new();
    }
    let mut fields: Vec<_> = status.details.causes.iter().map(|cause| &*cause.field).collect();
    // Anything else is no path of a field, whatever stands in front of the server says.
    const ROOTS: [&str; 6] = ["data", "immutable", "metadata", "spec", "type", "stringData"];
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-[]/".contains(&b);
    fields.retain(|field| {
        let path = field.trim_start_matches('.');
        let root = path.split(['.', '[']).next().unwrap_or_default();
        ROOTS.contains(&root) && path.len() <= 300 && path.bytes().all(legal)
    });
    fields.sort_unstable();
    fields.dedup();
    fields.truncate(5);
    fields
}

#[cfg(test)]
mod tests;
