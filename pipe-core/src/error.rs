//! The one error of the family: what happened, where, and what the caller can do about it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::name::is_unprintable;

/// The result of every fallible operation of the family.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an error. It never says which library failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is wrong; a person has to change it.
    ConfigInvalid,
    /// The stored object changed meanwhile, or is owned or frozen by somebody else.
    Conflict,
    /// The request itself is wrong; sending it again cannot help.
    InvalidArgument,
    /// A person is not logged in, for the typed reason; they may begin again. Browsers never see the
    /// reason.
    LoginRefused(LoginFault),
    /// What the request needs does not exist. An absent *secret* is `Ok(None)`, not this.
    NotFound,
    /// We are known, and not allowed.
    PermissionDenied,
    /// Too many requests; see [`Error::retry_after`].
    RateLimited,
    /// No answer within the deadline. A write may or may not have happened.
    Timeout,
    /// A presented token was refused, for the typed reason. Callers over the wire never see the reason.
    TokenRejected(TokenFault),
    /// We could not prove who *we* are.
    Unauthenticated,
    /// The backend cannot be reached, or says that it cannot serve now.
    Unavailable,
    /// The backend answered something its protocol does not allow.
    Unexpected,
    /// The plugin does not offer this; its capabilities say so.
    Unsupported,
}

impl ErrorKind {
    /// A stable name, as used in logs, metrics and audit lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConfigInvalid => "config_invalid",
            Self::Conflict => "conflict",
            Self::InvalidArgument => "invalid_argument",
            Self::LoginRefused(_) => "login_refused",
            Self::NotFound => "not_found",
            Self::PermissionDenied => "permission_denied",
            Self::RateLimited => "rate_limited",
            Self::Timeout => "timeout",
            Self::TokenRejected(_) => "token_rejected",
            Self::Unauthenticated => "unauthenticated",
            Self::Unavailable => "unavailable",
            Self::Unexpected => "unexpected",
            Self::Unsupported => "unsupported",
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::RateLimited | Self::Timeout | Self::Unavailable)
    }

    /// What may be told to the other side of a connection: constant per kind, and silent about
    /// *why* a token was refused.
    #[must_use]
    pub const fn public_message(self) -> &'static str {
        match self {
            Self::TokenRejected(_) => "invalid token",
            Self::PermissionDenied => "permission denied",
            Self::InvalidArgument => "invalid request",
            Self::LoginRefused(_) => "login failed",
            Self::NotFound => "not found",
            Self::Conflict => "conflict",
            Self::RateLimited => "too many requests",
            Self::Unsupported => "not supported",
            Self::Timeout | Self::Unavailable => "temporarily unavailable",
            Self::ConfigInvalid | Self::Unauthenticated | Self::Unexpected => "internal error",
        }
    }

    const fn default_hint(self) -> &'static str {
        match self {
            Self::ConfigInvalid => "correct the named setting and start again",
            Self::Conflict => "read the current state, then decide whether to write again",
            Self::InvalidArgument => "correct the named argument",
            Self::LoginRefused(_) => "let the person log in again",
            Self::NotFound => "check the name, the mount or the namespace",
            Self::PermissionDenied => "grant the named access to this identity",
            Self::RateLimited => "slow down, or raise the quota on the server",
            Self::Timeout => "try again, or raise the timeout",
            Self::TokenRejected(_) => "obtain a fresh token meant for this service",
            Self::Unauthenticated => "check the credentials this plugin logs in with",
            Self::Unavailable => {
                "try again; if it lasts, check that the backend runs and is reachable"
            }
            Self::Unexpected => "check that the address belongs to this kind of backend",
            Self::Unsupported => "look at the capabilities of this plugin",
        }
    }
}

/// Why a presented token was refused. For logs and tests, never for the presenter.
///
/// Where several reasons hold, parsing comes first, then algorithm and key, then the signature, then
/// the claims: nothing about them is told before the signature is known to be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenFault {
    /// The signature algorithm is not allowed for this issuer and key (RFC 8725 3.1).
    AlgorithmRefused,
    /// The signature does not verify.
    BadSignature,
    /// `exp` has passed.
    Expired,
    /// The issuer says that the token is not active: it was revoked, or its session ended.
    Inactive,
    /// `iat` lies in the future.
    IssuedInFuture,
    /// The token lives longer than we accept.
    LifetimeTooLong,
    /// This is not a token of the expected form: it is too large, cannot be parsed, or a claim has
    /// the wrong type or an impossible value.
    Malformed,
    /// A required claim is absent.
    MissingClaim,
    /// The token is bound to a certificate or key (`cnf`), and the proof is absent or another's.
    NotBound,
    /// `nbf` has not come yet.
    NotYetValid,
    /// The token may be used once, and was used before.
    Replayed,
    /// The token belongs to another tenant.
    TenantMismatch,
    /// No trusted key has this `kid`, or several have it.
    UnknownKey,
    /// The person proved who they are too long ago (`auth_time`).
    TooOld,
    /// The token uses something that we do not process: a critical extension, encryption,
    /// compression.
    Unsupported,
    /// The person proved who they are in another way than was asked for (`acr`).
    WrongAssurance,
    /// `aud` names somebody else, or `azp` does.
    WrongAudience,
    /// `at_hash` is not that of the access token which came along.
    WrongHash,
    /// `iss` is not an issuer that we trust.
    WrongIssuer,
    /// `nonce` is not that of this login.
    WrongNonce,
    /// `sub` is another person than before.
    WrongSubject,
    /// `typ` says that this is another kind of token.
    WrongType,
}

impl TokenFault {
    /// A stable code, as used in logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::AlgorithmRefused => "algorithm_refused",
            Self::BadSignature => "bad_signature",
            Self::Expired => "expired",
            Self::Inactive => "inactive",
            Self::IssuedInFuture => "issued_in_future",
            Self::LifetimeTooLong => "lifetime_too_long",
            Self::Malformed => "malformed",
            Self::MissingClaim => "missing_claim",
            Self::NotBound => "not_bound",
            Self::NotYetValid => "not_yet_valid",
            Self::Replayed => "replayed",
            Self::TenantMismatch => "tenant_mismatch",
            Self::UnknownKey => "unknown_key",
            Self::TooOld => "too_old",
            Self::Unsupported => "unsupported",
            Self::WrongAssurance => "wrong_assurance",
            Self::WrongAudience => "wrong_audience",
            Self::WrongHash => "wrong_hash",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongNonce => "wrong_nonce",
            Self::WrongSubject => "wrong_subject",
            Self::WrongType => "wrong_type",
        }
    }
}

/// Why a login is refused, or a session ended. For logs and tests, never for the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoginFault {
    /// The person, or the provider on their behalf, said no.
    AccessDenied,
    /// The provider does not take the code: it was used, has expired, or is another client's.
    CodeRefused,
    /// The provider would have to ask the person something, and was told not to.
    InteractionRequired,
    /// What the browser brought back is not the answer of an OpenID provider.
    Malformed,
    /// The provider refused for another reason.
    ProviderRefused,
    /// The provider does not renew the session: it was revoked there, or its refresh token was used
    /// by somebody else.
    SessionRevoked,
    /// No such login is under way in this browser: it was finished, has expired, was begun elsewhere,
    /// or never was.
    UnknownLogin,
    /// The answer is another provider's (RFC 9207).
    WrongIssuer,
}

impl LoginFault {
    /// A stable code, as used in logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::CodeRefused => "code_refused",
            Self::InteractionRequired => "interaction_required",
            Self::Malformed => "malformed",
            Self::ProviderRefused => "provider_refused",
            Self::SessionRevoked => "session_revoked",
            Self::UnknownLogin => "unknown_login",
            Self::WrongIssuer => "wrong_issuer",
        }
    }
}

/// The error every plugin returns (the standard's `PluginExecutionError`, REQ 004-82.2).
///
/// It says what happened, where, and what to change. A secret, a token or a response body has no
/// way in: backends put in their own words, names and numbers only.
///
/// ```
/// use pipe_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::PermissionDenied, "read refused")
///     .at("openbao", "get_secret")
///     .with("path", "apps/db")
///     .hint("grant `read` on secret/data/apps/* to role `bots`");
/// assert_eq!(
///     error.to_string(),
///     "openbao get_secret: read refused (PermissionDenied, path=apps/db); \
///      try: grant `read` on secret/data/apps/* to role `bots`"
/// );
/// ```
///
/// Every text in it is made one line of at most 512 characters. `{:#}` and `{:?}` add the chain of
/// sources, up to eight of them. Cloning is cheap enough to hand one failure to
/// every caller that waited for the same attempt.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    plugin: Cow<'static, str>,
    operation: &'static str,
    context: Vec<(Cow<'static, str>, String)>,
    hint: Option<Cow<'static, str>>,
    retryable: bool,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind. The message is lower-case, one line, and names no value.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: one_line(message.into()),
            plugin: Cow::Borrowed(""),
            operation: "",
            context: Vec::new(),
            hint: None,
            retryable: kind.is_retryable(),
            retry_after: None,
            source: None,
        }))
    }

    /// What every default body of an optional power returns.
    #[must_use]
    pub fn unsupported(plugin: &str, operation: &'static str) -> Self {
        Self::new(ErrorKind::Unsupported, "not supported by this plugin").at(plugin, operation)
    }

    /// Says which plugin instance failed in which operation.
    #[must_use]
    pub fn at(mut self, plugin: &str, operation: &'static str) -> Self {
        self.0.plugin = one_line(plugin.to_owned().into());
        self.0.operation = operation;
        self
    }

    /// Adds a name or a number that helps to find the cause. The first sixteen are kept, any more
    /// are dropped.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> Self {
        if self.0.context.len() < CONTEXT_LIMIT {
            let key = one_line(key.into());
            self.0.context.push((key, one_line(value.to_string().into()).into_owned()));
        }
        self
    }

    /// Says what to change: the setting, the policy, the role. An empty hint changes nothing.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        let hint = one_line(hint.into());
        if !hint.trim().is_empty() {
            self.0.hint = Some(hint);
        }
        self
    }

    /// Says when a retry makes sense, as the server told us.
    #[must_use]
    pub fn retry_in(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Keeps the cause. Only causes whose whole chain is free of secrets and bodies may be kept.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// Marks that retrying was done and is over, so that nested retries do not multiply.
    #[must_use]
    pub fn exhausted(mut self) -> Self {
        self.0.retryable = false;
        self
    }

    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The plugin instance, empty when not known.
    #[must_use]
    pub fn plugin(&self) -> &str {
        &self.0.plugin
    }

    /// The operation, empty when not known.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// What happened, without place, context or hint.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to change; the kind's own hint when the backend knew no better one. Never empty.
    #[must_use]
    pub fn hint_text(&self) -> &str {
        self.0.hint.as_deref().unwrap_or(self.0.kind.default_hint())
    }

    /// The value of a piece of context.
    #[must_use]
    pub fn context(&self, key: &str) -> Option<&str> {
        self.0.context.iter().find(|(k, _)| *k == key).map(|(_, v)| v.as_str())
    }

    /// All pieces of context, in the order in which they were added.
    pub fn contexts(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.context.iter().map(|(key, value)| (&**key, value.as_str()))
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// How long the server asked us to wait. It can be zero; put a floor under it.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// What may be told to the other side of a connection; see [`ErrorKind::public_message`].
    #[must_use]
    pub fn public_message(&self) -> &'static str {
        self.0.kind.public_message()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, message, plugin, operation, context, .. } = &*self.0;
        let place = [&**plugin, *operation];
        for (i, part) in place.iter().filter(|part| !part.is_empty()).enumerate() {
            write!(f, "{}{part}", if i == 0 { "" } else { " " })?;
        }
        if place.iter().any(|part| !part.is_empty()) {
            f.write_str(": ")?;
        }
        write!(f, "{message} ({kind:?}")?;
        for (key, value) in context {
            write!(f, ", {key}={value}")?;
        }
        write!(f, "); try: {}", self.hint_text())?;
        if f.alternate() {
            let first = self.source();
            for error in std::iter::successors(first, |&error| error.source()).take(CAUSE_LIMIT) {
                write!(f, ": {}", one_line(error.to_string().into()))?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#}")
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

const CONTEXT_LIMIT: usize = 16;
const CAUSE_LIMIT: usize = 8;
const LINE_LIMIT: usize = 512;

/// Control characters could forge a log line, and an endless name could fill a log.
pub(crate) fn one_line(text: Cow<'static, str>) -> Cow<'static, str> {
    // No text has more characters than bytes.
    if text.len() <= LINE_LIMIT && !text.contains(is_unprintable) {
        return text;
    }
    let mut rest = text.chars();
    let printable = |c| if is_unprintable(c) { ' ' } else { c };
    let mut line: String = rest.by_ref().take(LINE_LIMIT).map(printable).collect();
    if rest.next().is_some() {
        line.push('…');
    }
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ErrorKind; 12] = [
        ErrorKind::ConfigInvalid,
        ErrorKind::Conflict,
        ErrorKind::InvalidArgument,
        ErrorKind::NotFound,
        ErrorKind::PermissionDenied,
        ErrorKind::RateLimited,
        ErrorKind::Timeout,
        ErrorKind::TokenRejected(TokenFault::Expired),
        ErrorKind::Unauthenticated,
        ErrorKind::Unavailable,
        ErrorKind::Unexpected,
        ErrorKind::Unsupported,
    ];

    #[test]
    fn a_result_of_nothing_is_as_small_as_a_pointer() {
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }

    /// REQ 004-82.3
    #[test]
    fn every_kind_has_a_hint_and_a_name_of_its_own() {
        let mut names = std::collections::BTreeSet::new();
        for kind in KINDS {
            assert!(!Error::new(kind, "x").hint_text().is_empty(), "{kind:?}");
            assert!(names.insert(kind.name()), "{kind:?}");
        }
    }

    #[test]
    fn only_what_recovers_by_itself_is_retryable() {
        let retryable: Vec<_> = KINDS.into_iter().filter(|kind| kind.is_retryable()).collect();
        let expected = [ErrorKind::RateLimited, ErrorKind::Timeout, ErrorKind::Unavailable];
        assert_eq!(retryable, expected);
        assert!(!Error::new(ErrorKind::Unavailable, "x").exhausted().is_retryable());
    }

    /// REQ 004-74.5
    #[test]
    fn the_reason_of_a_refused_token_is_not_public() {
        let messages: Vec<_> = [TokenFault::Expired, TokenFault::BadSignature]
            .map(|fault| Error::new(ErrorKind::TokenRejected(fault), "x").public_message())
            .into();
        assert_eq!(messages, ["invalid token", "invalid token"]);
    }

    #[test]
    fn a_line_break_in_a_name_cannot_forge_a_log_line() {
        let error = Error::new(ErrorKind::NotFound, "a\nb").at("p\rq", "get").with("k", "v\n2");
        assert!(!error.to_string().contains(char::is_control), "{error}");
        assert_eq!(error.context("k"), Some("v 2"));
    }

    #[test]
    fn an_endless_name_is_cut() {
        let error = Error::new(ErrorKind::NotFound, "x").with("path", "y".repeat(100_000));
        assert!(error.to_string().len() < 1000);
    }

    #[test]
    fn the_chain_of_causes_shows_only_in_the_alternate_form() {
        let error = Error::new(ErrorKind::Unavailable, "x").because("the cause");
        assert!(!format!("{error}").contains("the cause"));
        assert!(format!("{error:#}").ends_with(": the cause"));
        assert!(format!("{error:?}").ends_with(": the cause"));
    }

    #[test]
    fn a_cause_cannot_forge_a_log_line_or_fill_a_log() {
        let mut error = Error::new(ErrorKind::Unavailable, "x").because("a\nb".repeat(100_000));
        assert!(!format!("{error:?}").contains(char::is_control));
        for _ in 0..50 {
            error = Error::new(ErrorKind::Unavailable, "outer").because(error);
        }
        assert_eq!(format!("{error:#}").matches("outer").count(), 1 + 8);
        assert!(format!("{error:#}").len() < 9 * 600);
    }

    #[test]
    fn a_character_that_is_not_seen_is_shown_as_a_blank() {
        let text = "a\u{2028}b\u{202e}c\u{2066}d\u{200b}e\u{feff}f\u{2029}g";
        assert_eq!(Error::new(ErrorKind::NotFound, text).message(), "a b c d e f g");
    }

    #[test]
    fn only_a_text_that_was_cut_ends_in_an_ellipsis() {
        let message = |text: String| Error::new(ErrorKind::NotFound, text).message().to_owned();
        assert_eq!(message("ä".repeat(512)), "ä".repeat(512));
        assert_eq!(message("\u{2028}".repeat(512)), " ".repeat(512));
        assert_eq!(message("ä".repeat(513)), "ä".repeat(512) + "…");
    }

    #[test]
    fn context_has_an_end() {
        let error = Error::new(ErrorKind::NotFound, "x");
        let error = (0..100).fold(error, |error, i| error.with("k", i));
        assert_eq!(error.to_string().matches("k=").count(), 16);
    }

    #[test]
    fn an_empty_hint_leaves_the_kinds_own() {
        let error = Error::new(ErrorKind::Timeout, "x").hint("").hint("\n");
        assert_eq!(error.hint_text(), ErrorKind::Timeout.default_hint());
    }
}
