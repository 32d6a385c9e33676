//! What the server's refusals mean, and what to change: one table, measured on OpenBao 2.7.
//!
//! The server's text decides which row applies, and goes no further: it can repeat what it was
//! sent. All that errors say is said here.

mod words;

use std::time::Duration;

use pipe_core::Error;
use pipe_http::HttpResponse;
use serde::Deserialize;

/// What was asked for, because the same answer means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A login by this method.
    Login(&'static str),
    /// Anything with a token.
    Work,
    /// Something of an engine other than KV, of this kind.
    Engine(&'static str),
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum Fault {
    /// Nothing is there: no secret, no version, no folder, no more pages.
    Absent,
    MountMissing,
    NamespaceMissing,
    NotKv2,
    PathUnsupported,
    BadToken,
    Denied,
    CasMismatch,
    CasRequired,
    RoleUnknown,
    KeyUnknown,
    KeyUnsuitable,
    ContextMissing,
    CiphertextRefused,
    NameNotAllowed,
    CommonNameMissing,
    KeyTypeRefused,
    EndIsFixed,
    AuthorityEndsSooner,
    AuthorityMissing,
    CertificateUnknown,
    LeaseGone,
    NotRenewable,
    DatabaseDown,
    DatabaseUnknown,
    RoleNotAllowed,
    WrapGone,
    NoRaft,
    TooComplex,
    TooLarge,
    BadRequest,
    LoginDenied(&'static str),
    LoginRoleUnknown,
    LoginSecretRefused,
    LoginSecretIncomplete,
    LoginAddressRefused,
    Unwrapped,
    LoginJwtExpired,
    LoginJwtRefused,
    LoginPasswordRefused,
    LoginCertificateRefused,
    LoginNotConfigured,
    ServiceAccountNotBound,
    ServiceAccountTokenExpired,
    ServiceAccountTokenRefused,
    RateLimited,
    ReplicaBehind,
    Upgrading,
    NoActiveNode,
    LeadershipLost,
    InlineLease,
    Sealed,
    NamespaceSealed,
    NamespaceLocked,
    Redirected,
    Irrevocable,
    /// Not in OpenBao's form.
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
        // A 404 of a proxy says nothing about secrets.
        let Some(said) = said(&answer.body) else { return Self::Foreign };
        let texts = &said.texts;
        let says = |part: &str| texts.iter().any(|text| text.contains(part));
        let exactly = |whole: &str| texts.len() == 1 && texts[0].trim() == whole;
        match (answer.status, asked) {
            (404, _) if says("no handler for route") => Self::MountMissing,
            (404, _) if says("namespace not found") => Self::NamespaceMissing,
            (404, _) if says("Invalid path for a versioned K/V") => Self::NotKv2,
            (404 | 405, _) if says("unsupported path") || says("unsupported operation") => {
                Self::PathUnsupported
            }
            // A proxy may write errors too, and says nothing about secrets.
            (404, _) if texts.is_empty() || said.is_whole => Self::Absent,
            (404, _) => Self::Foreign,
            (503, _) if says("namespace is sealed") => Self::NamespaceSealed,
            (503, _) if says("has been locked by an administrator") => Self::NamespaceLocked,
            (503, _) if says("is sealed") => Self::Sealed,
            (429, _) if says("quota exceeded") => Self::RateLimited,
            (429, _) if texts.is_empty() => Self::ReplicaBehind,
            (413, _) => Self::TooLarge,
            (400, _) if says("high complexity") => Self::TooComplex,
            (400, _) if says("upgrade from non-versioned to versioned") => Self::Upgrading,
            (400, Asked::Work)
                if says("check-and-set parameter did not match")
                    || says("check-and-set parameter does not match") =>
            {
                Self::CasMismatch
            }
            (400, Asked::Work) if says("check-and-set parameter required") => Self::CasRequired,
            (403, Asked::Work | Asked::Engine(_))
                if exactly("permission denied") || exactly("bad token") =>
            {
                Self::BadToken
            }
            (403, Asked::Work | Asked::Engine(_)) if says("permission denied") => Self::Denied,
            (400, Asked::Login("kubernetes")) if says("invalid role name") => {
                Self::LoginRoleUnknown
            }
            (400 | 403, Asked::Login("kubernetes")) if says("token is expired") => {
                Self::ServiceAccountTokenExpired
            }
            (400 | 403, Asked::Login("kubernetes")) if says("not authorized") => {
                Self::ServiceAccountNotBound
            }
            (400 | 403, Asked::Login("kubernetes"))
                if says("audience") || says("claim") || says("error validating token") =>
            {
                Self::ServiceAccountTokenRefused
            }
            (400, Asked::Login("unwrap")) if says("wrapping token is not valid") => Self::Unwrapped,
            (400, Asked::Login("jwt")) if says("could not be found") => Self::LoginRoleUnknown,
            (400, Asked::Login("jwt")) if says("missing role") => Self::LoginRoleUnknown,
            (400, Asked::Login("jwt")) if says("could not load configuration") => {
                Self::LoginNotConfigured
            }
            (400, Asked::Login("jwt")) if says("token is expired") || says("not yet valid") => {
                Self::LoginJwtExpired
            }
            (400, Asked::Login("jwt"))
                if says("claim") || says("error validating token") || says("missing token") =>
            {
                Self::LoginJwtRefused
            }
            (400, Asked::Login("cert"))
                if says("client certificate") || says("login certificate") =>
            {
                Self::LoginCertificateRefused
            }
            (400 | 500, Asked::Login("userpass"))
                if says("invalid username or password") || says("missing password") =>
            {
                Self::LoginPasswordRefused
            }
            (400, Asked::Work) if says("batch tokens cannot be revoked") => Self::Irrevocable,
            (500, _) if says("active cluster node not found") => Self::NoActiveNode,
            (500, _) if says("inline authentication cannot generate leases") => Self::InlineLease,
            (500, _) if says("leadership lost") => Self::LeadershipLost,
            (_, Asked::Engine(engine)) => Self::of_engine(engine, answer.status, says),
            (500, Asked::Login(_)) if says("could not load backend configuration") => {
                Self::LoginNotConfigured
            }
            (_, Asked::Login(_)) if says("unauthorized by CIDR") => Self::LoginAddressRefused,
            (400, Asked::Login(_)) if says("invalid role or secret ID") => Self::LoginSecretRefused,
            (_, Asked::Login(_)) if says("missing secret_id") || says("missing role_id") => {
                Self::LoginSecretIncomplete
            }
            (403, Asked::Login(method)) => Self::LoginDenied(method),
            (400, _) => Self::BadRequest,
            _ => Self::Other,
        }
    }

    /// What a refusal of an engine other than KV means, beyond what all of them say.
    pub(crate) fn of_engine(engine: &str, status: u16, says: impl Fn(&str) -> bool) -> Self {
        match (engine, status) {
            ("database" | "leases" | "pki", 400) if says("unknown role") => Self::RoleUnknown,
            // What it says of a renewal or a revocation that the database has to do is a 400.
            ("database" | "leases", 400 | 500)
                if says("failed to connect") || says("connection refused") =>
            {
                Self::DatabaseDown
            }
            ("pki", 400) if says("role key type") || says("role requires") => Self::KeyTypeRefused,
            ("pki", 400) if says("not allowed") || says("not valid for this role") => {
                Self::NameNotAllowed
            }
            ("pki", 400) if says("common_name field is required") => Self::CommonNameMissing,
            ("pki", 400) if says("Either ttl or not_after") => Self::EndIsFixed,
            ("pki", 400)
                if says("beyond the expiration of the CA")
                    || says("later than the certificate's Not After") =>
            {
                Self::AuthorityEndsSooner
            }
            ("pki", 400 | 500)
                if says("no default issuer") || says("unable to find PKI issuer") =>
            {
                Self::AuthorityMissing
            }
            ("database" | "leases", 500) if says("is not an allowed role") => Self::RoleNotAllowed,
            ("database" | "leases", 500) if says("failed to find entry for connection") => {
                Self::DatabaseUnknown
            }
            ("pki", 400) if says("certificate with serial") => Self::CertificateUnknown,
            ("transit", 400) if says("key not found") => Self::KeyUnknown,
            ("transit", 400) if says("not support") => Self::KeyUnsuitable,
            ("transit", 400) if says("missing 'context'") => Self::ContextMissing,
            ("transit", 400)
                if says("ciphertext")
                    || says("authentication failed")
                    || says("signature")
                    || says("version is too") =>
            {
                Self::CiphertextRefused
            }
            ("leases", 400) if says("lease not found") || says("invalid lease") => Self::LeaseGone,
            ("leases", 400) if says("not renewable") => Self::NotRenewable,
            ("wrapping", 400) if says("wrapping token is not valid") => Self::WrapGone,
            (_, 400) => Self::BadRequest,
            _ => Self::Other,
        }
    }

    /// The error where no status tells more.
    pub(crate) fn alone(self) -> Error {
        let (kind, message, hint) = self.say();
        Error::new(kind, message).hint(hint)
    }

    /// The error that an answer amounts to.
    pub(crate) fn error(self, answer: &HttpResponse) -> Error {
        let (kind, message, hint) = self.say();
        // Where the table knows no better, the status does.
        let kind = match (self, answer.error_kind()) {
            (Self::Other, Some(by_status)) => by_status,
            // Only an outage can be read from the status of somebody else.
            (Self::Foreign, Some(by_status)) if by_status.is_retryable() => by_status,
            _ => kind,
        };
        let error = Error::new(kind, message).with("status", answer.status).hint(hint);
        let delay = pipe_http::retry_after(&answer.headers, std::time::SystemTime::now());
        match delay {
            Some(delay) => error.retry_in(delay.max(Duration::from_secs(1))),
            None => error,
        }
    }
}

/// The error that an answer amounts to.
pub(crate) fn refusal(answer: &HttpResponse, asked: Asked) -> Error {
    Fault::of(answer, asked).error(answer)
}

struct Said {
    texts: Vec<String>,
    /// Whether it has all that an answer with content has.
    is_whole: bool,
}

/// The server's own texts: `errors`, and the warnings of answers that are no success; `None` when
/// the body has not the form that OpenBao's answers have.
fn said(body: &[u8]) -> Option<Said> {
    #[derive(Deserialize)]
    struct Refusal {
        errors: Option<Vec<String>>,
        warnings: Option<Vec<String>>,
        request_id: Option<serde::de::IgnoredAny>,
    }
    const LONGEST: usize = 256 << 10;
    let body = body.get(..LONGEST.min(body.len()))?;
    let refusal: Refusal = serde_json::from_slice(body).ok()?;
    if refusal.errors.is_none() && refusal.request_id.is_none() {
        return None;
    }
    let warnings = refusal.warnings.unwrap_or_default();
    let texts = refusal.errors.unwrap_or_default().into_iter().chain(warnings).collect();
    Some(Said { texts, is_whole: refusal.request_id.is_some() })
}

#[cfg(test)]
mod tests;
