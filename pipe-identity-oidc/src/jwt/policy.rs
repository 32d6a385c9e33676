//! What an issuer's tokens must be like.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use pipe_core::{Error, ErrorKind, Result};

use super::algorithm::AlgorithmSet;
use super::{Algorithm, Jwt, Limits};

/// Whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedIssuer(pub(super) Rule);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Any of these spellings.
    Exact(Vec<String>),
    /// With a tenant in the middle.
    Template { before: String, after: String, tenants: BTreeSet<String> },
    /// A template that is none; found by [`TokenPolicyBuilder::build`].
    Unsound,
}

pub(super) const PLACEHOLDER: &str = "{tenantid}";

impl TrustedIssuer {
    /// The issuer with exactly this `iss`, byte for byte.
    pub fn exact(issuer: impl Into<String>) -> Self {
        Self(Rule::Exact(vec![issuer.into()]))
    }

    /// Another spelling of the same issuer, such as the two of Google. Without effect on a template.
    #[must_use]
    pub fn or(mut self, issuer: impl Into<String>) -> Self {
        if let Rule::Exact(spellings) = &mut self.0 {
            spellings.push(issuer.into());
        }
        self
    }

    /// An issuer for each tenant: `https://login.example/{tenantid}/v2.0`, where `{tenantid}` stands
    /// for the claim `tid`, which must be one of these tenants.
    pub fn template(template: &str, tenants: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let Some((before, after)) = template.split_once(PLACEHOLDER) else {
            return Self(Rule::Unsound);
        };
        Self(Rule::Template {
            before: before.to_owned(),
            after: after.to_owned(),
            tenants: tenants.into_iter().map(Into::into).collect(),
        })
    }

    /// Whether a token with this `iss` can be one of this issuer's, which is known only once it is
    /// verified. It serves to choose among several issuers.
    #[must_use]
    pub fn may_be(&self, issuer: &str) -> bool {
        match &self.0 {
            Rule::Exact(spellings) => spellings.iter().any(|spelling| spelling == issuer),
            Rule::Template { before, after, .. } => issuer
                .strip_prefix(&**before)
                .and_then(|rest| rest.strip_suffix(&**after))
                .is_some_and(|tenant| !tenant.is_empty() && !tenant.contains('/')),
            Rule::Unsound => false,
        }
    }
}

impl TrustedIssuer {
    /// Whether it stands for one issuer per tenant.
    pub(crate) fn is_template(&self) -> bool {
        matches!(self.0, Rule::Template { .. })
    }
}

/// Which kind of token `typ` must name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenType {
    /// `at+jwt`, with the claims that RFC 9068 2.2 requires.
    Strict,
    /// `at+jwt`, `JWT` or nothing, because providers differ; then claims that only other kinds of
    /// tokens have refuse it: `at_hash`, `c_hash` and `events`.
    Lenient,
    /// This media type, without `application/`: for tokens that are no access tokens, such as
    /// `logout+jwt`. The claims that other kinds have are not looked at.
    Exactly(String),
    /// `JWT` or nothing, for tokens that are no access tokens: ID tokens (OpenID Connect Core 2).
    Untyped,
}

/// What an issuer's tokens must be like. It is sound by construction: no mix of secrets and public
/// keys, every bound within its own.
#[derive(Clone, Debug)]
pub struct TokenPolicy {
    pub(super) issuer: TrustedIssuer,
    pub(super) algorithms: AlgorithmSet,
    pub(super) token_type: TokenType,
    pub(super) leeway: u64,
    pub(super) max_lifetime: u64,
    pub(super) required_claims: Vec<String>,
    pub(super) limits: Limits,
    pub(super) key_headers: KeyHeaders,
    pub(super) needs_subject: bool,
}

/// What becomes of a token with `jku`, `x5u`, `jwk` or `x5c` in its header. No key is ever taken
/// from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyHeaders {
    /// They are not looked at.
    Ignore,
    /// The token is refused as `Unsupported`.
    Reject,
}

impl TokenPolicy {
    /// A policy for this issuer, with the defaults named at each setting.
    pub fn builder(issuer: TrustedIssuer) -> TokenPolicyBuilder {
        TokenPolicyBuilder {
            issuer,
            algorithms: DEFAULT_ALGORITHMS.to_vec(),
            token_type: TokenType::Strict,
            leeway: Duration::from_secs(30),
            max_lifetime: Duration::from_secs(24 * 3600),
            required_claims: Vec::new(),
            limits: Limits::new(),
            key_headers: KeyHeaders::Ignore,
            needs_subject: true,
        }
    }

    /// How large a token may be; what [`Jwt::parse`] wants to know.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whose tokens these are.
    #[must_use]
    pub fn issuer(&self) -> &TrustedIssuer {
        &self.issuer
    }

    /// The clock skew that is tolerated.
    #[must_use]
    pub fn leeway(&self) -> Duration {
        Duration::from_secs(self.leeway)
    }

    /// Which algorithms are allowed.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.algorithms.iter()
    }

    /// Whether the token says that it is this issuer's; see [`TrustedIssuer::may_be`].
    #[must_use]
    pub fn may_be_for(&self, jwt: &Jwt<'_>) -> bool {
        jwt.unverified_issuer().is_some_and(|issuer| self.issuer.may_be(issuer))
    }
}

/// Builds a [`TokenPolicy`].
#[derive(Clone, Debug)]
#[must_use = "nothing is checked before `build`"]
pub struct TokenPolicyBuilder {
    issuer: TrustedIssuer,
    algorithms: Vec<Algorithm>,
    token_type: TokenType,
    leeway: Duration,
    max_lifetime: Duration,
    required_claims: Vec<String>,
    limits: Limits,
    key_headers: KeyHeaders,
    needs_subject: bool,
}

/// What issuers with public keys use, short of RSA with the longer hashes, which nobody needs.
pub const DEFAULT_ALGORITHMS: [Algorithm; 5] =
    [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa];

const MAX_LEEWAY: Duration = Duration::from_secs(300);
const MAX_TOKEN_BYTES: usize = 64 * 1024;

impl TokenPolicyBuilder {
    /// The algorithms that are allowed, instead of [`DEFAULT_ALGORITHMS`]: those of public keys, or
    /// those of a shared secret.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Which kind of token it must be; [`TokenType::Strict`] unless changed.
    pub fn token_type(mut self, token_type: TokenType) -> Self {
        self.token_type = token_type;
        self
    }

    /// The clock skew that is tolerated, in whole seconds; 30 s unless changed, 300 s at most.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// How long a token may live, from `iat` (or now, without it) to `exp`, in whole seconds; 24
    /// hours unless changed.
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.max_lifetime = max_lifetime;
        self
    }

    /// A claim that must be there, and not `null`; may be repeated. `iss`, `aud` and `exp` always
    /// must, and `sub` unless it is [optional](Self::subject_optional).
    pub fn require_claim(mut self, name: impl Into<String>) -> Self {
        self.required_claims.push(name.into());
        self
    }

    /// How large a token may be; 16 KiB with a header of 4 KiB unless changed, 64 KiB at most.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What becomes of a token that brings a key along; it is ignored unless changed.
    pub fn key_headers(mut self, key_headers: KeyHeaders) -> Self {
        self.key_headers = key_headers;
        self
    }

    /// `sub` may be absent, as in a logout token that names a session instead (OpenID Connect
    /// Back-Channel Logout 2.4).
    pub fn subject_optional(mut self) -> Self {
        self.needs_subject = false;
        self
    }

    /// The policy.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming every setting that is wrong.
    pub fn build(self) -> Result<TokenPolicy> {
        let algorithms: AlgorithmSet = self.algorithms.iter().copied().collect();
        let faults = [
            ("issuer", self.issuer_fault()),
            ("algorithms", algorithms_fault(algorithms)),
            ("leeway", (self.leeway > MAX_LEEWAY).then_some("must be at most 300 seconds")),
            (
                "max_lifetime",
                (self.max_lifetime.as_secs() == 0).then_some("must be at least a second"),
            ),
            (
                "required_claims",
                self.required_claims.iter().any(String::is_empty).then_some("must have names"),
            ),
            (
                "token_bytes",
                (!(1..=MAX_TOKEN_BYTES).contains(&self.limits.token_bytes))
                    .then_some("must be between 1 and 65536"),
            ),
            (
                "header_bytes",
                (!(1..=self.limits.token_bytes).contains(&self.limits.header_bytes))
                    .then_some("must be between 1 and `token_bytes`"),
            ),
        ];
        let faults: Vec<_> =
            faults.into_iter().filter_map(|(name, fault)| Some((name, fault?))).collect();
        if faults.is_empty() {
            return Ok(TokenPolicy {
                issuer: self.issuer,
                algorithms,
                token_type: self.token_type,
                leeway: self.leeway.as_secs(),
                max_lifetime: self.max_lifetime.as_secs(),
                required_claims: self.required_claims,
                limits: self.limits,
                key_headers: self.key_headers,
                needs_subject: self.needs_subject,
            });
        }
        let error = Error::new(ErrorKind::ConfigInvalid, "the rules for tokens are not sound")
            .hint("correct the named settings");
        Err(faults.into_iter().fold(error, |error, (name, fault)| error.with(name, fault)))
    }

    fn issuer_fault(&self) -> Option<&'static str> {
        match &self.issuer.0 {
            Rule::Exact(spellings) if spellings.iter().any(String::is_empty) => {
                Some("must not be empty")
            }
            Rule::Exact(spellings) if spellings.iter().any(|issuer| issuer.contains('{')) => {
                Some("has a placeholder; name the tenants that are accepted")
            }
            Rule::Exact(_) => None,
            Rule::Template { before, after, .. } if format!("{before}{after}").contains('{') => {
                Some("must have one placeholder, `{tenantid}`")
            }
            Rule::Template { before, .. } if before.is_empty() => {
                Some("must not begin with the placeholder")
            }
            Rule::Template { tenants, .. } if tenants.is_empty() => {
                Some("needs the tenants that are accepted")
            }
            Rule::Template { tenants, .. }
                if tenants.iter().any(|tenant| {
                    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                    tenant.is_empty() || !tenant.bytes().all(plain)
                }) =>
            {
                Some("has a tenant that is not letters, digits, `-`, `_` and `.`")
            }
            Rule::Template { .. } => None,
            Rule::Unsound => Some("has tenants, and no placeholder `{tenantid}`"),
        }
    }
}

fn algorithms_fault(algorithms: AlgorithmSet) -> Option<&'static str> {
    let symmetric = algorithms.iter().any(Algorithm::is_symmetric);
    let asymmetric = algorithms.iter().any(|algorithm| !algorithm.is_symmetric());
    match (symmetric, asymmetric) {
        (false, false) => Some("must not be empty"),
        (true, true) => Some("must be those of public keys, or of a shared secret, not both"),
        _ => None,
    }
}
