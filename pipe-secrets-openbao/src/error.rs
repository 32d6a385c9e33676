//! What the server's refusals mean, and what to change: one table, measured on OpenBao 2.7.
//!
//! The server's text decides which row applies, and goes no further: it can repeat what it was
//! sent. All that errors say is said here.

use std::time::Duration;

use pipe_core::{Error, ErrorKind};
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
        let Some(texts) = texts(&answer.body) else { return Self::Foreign };
        let says = |part: &str| texts.iter().any(|text| text.contains(part));
        let exactly = |whole: &str| texts.len() == 1 && texts[0].trim() == whole;
        match (answer.status, asked) {
            (404, _) if says("no handler for route") => Self::MountMissing,
            (404, _) if says("namespace not found") => Self::NamespaceMissing,
            (404, _) if says("Invalid path for a versioned K/V") => Self::NotKv2,
            (404 | 405, _) if says("unsupported path") || says("unsupported operation") => {
                Self::PathUnsupported
            }
            (404, _) => Self::Absent,
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

    /// What to tell the caller: kind, message and what to change.
    fn say(self) -> (ErrorKind, &'static str, &'static str) {
        use ErrorKind as K;
        match self {
            Self::Absent => {
                (K::NotFound, "nothing is there", "check the path, the mount and the namespace")
            }
            Self::MountMissing => (
                K::NotFound,
                "nothing is mounted there",
                "set `mount` to where the KV v2 engine is mounted, and `namespace` to where the mount is",
            ),
            Self::NamespaceMissing => (
                K::NotFound,
                "the namespace does not exist",
                "correct `namespace`, or create the namespace",
            ),
            Self::NotKv2 => (
                K::ConfigInvalid,
                "the path does not fit the version of the KV engine",
                "leave `kv_version` out, or set it to the version of the mount; raw paths of KV v2 have `data/` after the mount",
            ),
            Self::PathUnsupported => (
                K::Unsupported,
                "the engine at this mount does not know the operation",
                "set `mount` to the mount of a KV v2 engine",
            ),
            Self::BadToken => (
                K::Unauthenticated,
                "the token is not valid, or no longer",
                "set `auth` to a token or a login that this server and namespace accept",
            ),
            Self::Denied => (
                K::PermissionDenied,
                "the token's policies do not allow it",
                "grant the capability on this path in a policy of the role or token",
            ),
            Self::CasMismatch => (
                K::Conflict,
                "somebody else wrote meanwhile",
                "read the current version, then decide whether to write again",
            ),
            Self::CasRequired => (
                K::InvalidArgument,
                "the mount asks for check-and-set",
                "send the version that the write is based on",
            ),
            Self::RoleUnknown => (
                K::NotFound,
                "the engine has no such role",
                "correct the name of the role, or create the role in the engine",
            ),
            Self::KeyUnknown => (
                K::NotFound,
                "the engine has no such key",
                "correct the name of the key, or create the key in the engine",
            ),
            Self::KeyUnsuitable => (
                K::Unsupported,
                "a key of this type does not do that",
                "use a key of a type that does: `aes256-gcm96` encrypts, `ed25519` and `ecdsa-p256` sign",
            ),
            Self::ContextMissing => (
                K::InvalidArgument,
                "the key derives others, and was not told from what",
                "give the cipher the context that the key is to be derived for",
            ),
            Self::CiphertextRefused => (
                K::InvalidArgument,
                "what was given is not of this key, or was changed on its way",
                "check the key, that the associated data is what it was made with, and that the key's \
                 `min_decryption_version` does not exclude its version",
            ),
            Self::NameNotAllowed => (
                K::PermissionDenied,
                "the role does not allow such a certificate",
                "ask for names that the role allows, or change the role's allowed_domains, allow_subdomains, \
                 allow_bare_domains, allow_ip_sans, allowed_ip_sans_cidr or allowed_uri_sans",
            ),
            Self::CommonNameMissing => (
                K::InvalidArgument,
                "the role asks for a common name",
                "give a common name, or set the role's `require_cn` to false: certificates of SPIFFE have none",
            ),
            Self::KeyTypeRefused => (
                K::InvalidArgument,
                "the role does not take keys of this type",
                "make the CSR's key of the role's `key_type` and `key_bits`; a role with `key_type` `any` only \
                 signs CSRs",
            ),
            Self::EndIsFixed => (
                K::InvalidArgument,
                "the role fixes when its certificates end",
                "ask without a ttl, or remove the role's `not_after`",
            ),
            Self::AuthorityEndsSooner => (
                K::InvalidArgument,
                "the certificate would outlive the authority that issues it",
                "ask for a shorter ttl, set the issuer's `leaf_not_after_behavior` to `truncate`, or renew the \
                 authority",
            ),
            Self::AuthorityMissing => (
                K::ConfigInvalid,
                "the engine has no such authority",
                "generate or import one, and let the mount's default issuer or the role's `issuer_ref` name it",
            ),
            Self::CertificateUnknown => (
                K::NotFound,
                "the engine has no such certificate",
                "check the serial number; a role with `no_store` keeps none",
            ),
            Self::LeaseGone => (
                K::NotFound,
                "there is no such lease, or it has ended",
                "obtain the credentials again",
            ),
            Self::NotRenewable => (
                K::Unsupported,
                "the lease cannot be renewed",
                "obtain the credentials again before the lease ends",
            ),
            Self::DatabaseDown => (
                K::Unavailable,
                "the server does not reach the database",
                "check that the database runs, and the `connection_url` and the password in the engine's config",
            ),
            Self::DatabaseUnknown => (
                K::ConfigInvalid,
                "the role names a database that the engine does not have",
                "correct `db_name` of the role, or write the config of that database",
            ),
            Self::RoleNotAllowed => (
                K::PermissionDenied,
                "the database's config does not allow the role",
                "add the role to `allowed_roles` in the config of the database",
            ),
            Self::NoRaft => (
                K::Unsupported,
                "the server has no raft storage to take a snapshot of, or it is not asked in the root namespace",
                "use a plugin without `namespace`, on a server whose storage is raft",
            ),
            Self::WrapGone => (
                K::NotFound,
                "the wrapping token is not valid, or no longer",
                "if nobody of yours used it before, somebody may have intercepted it: revoke what it held; \
                 then have it wrapped again",
            ),
            Self::TooComplex => (
                K::InvalidArgument,
                "the request has more strings than the server accepts",
                "store fewer keys in one secret, or raise `max_request_json_strings` of the listener",
            ),
            Self::TooLarge => (
                K::InvalidArgument,
                "the request is larger than the server accepts",
                "store less in one secret, or raise `max_request_size` of the listener",
            ),
            Self::BadRequest => (
                K::InvalidArgument,
                "the server does not accept the request",
                "check the path, the mount and its kind",
            ),
            Self::LoginDenied("kubernetes") => (
                K::Unauthenticated,
                "the login is denied",
                "check `auth.mount` and `namespace`; then, on the server, that the auth method's kubernetes_host \
                 is reachable, its token_reviewer_jwt may create TokenReviews, and the service-account token is valid there",
            ),
            Self::LoginDenied(_) => (
                K::Unauthenticated,
                "the login is denied",
                "check `auth.mount` and `namespace`, and that the account is not locked out",
            ),
            Self::LoginRoleUnknown => (
                K::Unauthenticated,
                "the role does not exist",
                "set `auth.role` to a role of the auth method, or create the role",
            ),
            Self::LoginSecretRefused => (
                K::Unauthenticated,
                "the role id or the secret id is not valid",
                "check `auth.role_id` and `auth.secret_id`; a secret id may be used up or expired: issue a new one",
            ),
            Self::LoginSecretIncomplete => (
                K::ConfigInvalid,
                "the role id or the secret id is missing",
                "set `auth.role_id` and `auth.secret_id`",
            ),
            Self::Unwrapped => (
                K::Unauthenticated,
                "the wrapping token is not valid, or no longer",
                "if nothing of yours used it before, somebody may have intercepted it: destroy the secret id that it \
                 held; then set `auth.secret_id` to a new wrapping token, as after each start of the program",
            ),
            Self::LoginJwtExpired => (
                K::Unauthenticated,
                "the JWT has expired, or is not valid yet",
                "check that whatever gives `auth.jwt` refreshes it, and the clocks",
            ),
            Self::LoginJwtRefused => (
                K::Unauthenticated,
                "the JWT is not one that the role accepts",
                "check the JWT's issuer, audience and claims against the role's bound_issuer, bound_audiences, \
                 bound_claims and user_claim, and that the auth method knows the key that signed it",
            ),
            Self::LoginPasswordRefused => (
                K::Unauthenticated,
                "the user name or the password is not valid",
                "check `auth.username` and `auth.password`; several wrong ones in a row lock the user out",
            ),
            Self::LoginCertificateRefused => (
                K::Unauthenticated,
                "the client certificate is not one that the role accepts, or did not reach the server",
                "check `auth.role`, that its certificate is the authority of `http.client_certificate` and its allowed \
                 names fit, and that nothing in front of the server ends TLS",
            ),
            Self::LoginAddressRefused => (
                K::Unauthenticated,
                "the role does not allow logins from this address",
                "add the address to the role's bound CIDR blocks",
            ),
            Self::LoginNotConfigured => (
                K::ConfigInvalid,
                "the auth method is mounted and not configured",
                "write the auth method's config on the server",
            ),
            Self::ServiceAccountNotBound => (
                K::Unauthenticated,
                "the role does not accept this service account",
                "add the service account's name and namespace to the role's bound_service_account_names and \
                 bound_service_account_namespaces",
            ),
            Self::ServiceAccountTokenExpired => (
                K::Unauthenticated,
                "the service-account token has expired",
                "check that `auth.token_file` is a projected token that the kubelet refreshes, and the clocks",
            ),
            Self::ServiceAccountTokenRefused => (
                K::Unauthenticated,
                "the service-account token is not one that the role accepts",
                "give the projected token the role's audience, and set `auth.audience` to it",
            ),
            Self::RateLimited => (
                K::RateLimited,
                "a rate limit quota is exceeded",
                "slow down, or raise the quota at sys/quotas/rate-limit",
            ),
            Self::ReplicaBehind => (
                K::Unavailable,
                "the node has not caught up with the cluster yet",
                "try again shortly",
            ),
            Self::Upgrading => (
                K::Unavailable,
                "the KV engine is being upgraded to version 2",
                "try again shortly",
            ),
            Self::NoActiveNode => (
                K::Unavailable,
                "the cluster has no active node just now",
                "try again shortly; if it lasts, check that a majority of the nodes is unsealed",
            ),
            Self::InlineLease => (
                K::Unsupported,
                "what has a lease cannot be read by requests that log in by themselves",
                "set `inline_auth` to false: a lease belongs to a token",
            ),
            Self::LeadershipLost => (
                K::Unavailable,
                "the node ceased to be the active one in the middle of the request",
                "try again shortly: the request may have had its effect",
            ),
            Self::Sealed => {
                (K::Unavailable, "the server is sealed or not initialised", "unseal the server")
            }
            Self::NamespaceSealed => {
                (K::Unavailable, "the namespace is sealed", "unseal the namespace")
            }
            Self::NamespaceLocked => (
                K::PermissionDenied,
                "an administrator locked the namespace",
                "unlock it at sys/namespaces/api-lock/unlock",
            ),
            Self::Redirected => (
                K::Unavailable,
                "the server points to another one, and redirects are not followed",
                "try again, as the cluster may be electing a leader; if it lasts, set `address` to the active node or to \
                 a load balancer that knows it",
            ),
            Self::Irrevocable => (
                K::Unsupported,
                "tokens of this type cannot be given back",
                "let the token expire, or let the role issue service tokens",
            ),
            Self::Foreign => (
                K::Unexpected,
                "something other than OpenBao answered",
                "check `address`, and what stands in front of the server",
            ),
            Self::Other => {
                (K::Unexpected, "the server could not answer", "look into the server's log")
            }
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

/// The server's own texts: `errors`, and the warnings of answers that are no success; `None` when
/// the body has not the form that OpenBao's answers have.
fn texts(body: &[u8]) -> Option<Vec<String>> {
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
    Some(refusal.errors.unwrap_or_default().into_iter().chain(warnings).collect())
}

#[cfg(test)]
mod tests;
