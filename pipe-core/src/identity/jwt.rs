//! Tokens that a plugin signs (REQ 004-73).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{BearerToken, PrincipalId, Role};
use crate::{Error, ErrorKind, Namespace, Result};

/// The claims that the signer sets or that grant something, and that a custom claim can never be.
pub const RESERVED_CLAIMS: [&str; 19] = [
    "act",
    "aud",
    "auth_time",
    "azp",
    "client_id",
    "cnf",
    "events",
    "exp",
    "iat",
    "iss",
    "jti",
    "may_act",
    "namespace",
    "nbf",
    "roles",
    "scope",
    "scp",
    "sub",
    "tenant",
];

/// Asks for a signed token. Its `Debug` output names the custom claims without their values.
///
/// ```
/// use pipe_core::Namespace;
/// use pipe_core::identity::{JwtRequest, PrincipalId, Role};
///
/// let request = JwtRequest::new(PrincipalId::new("service-account:floe-job-runner")?)
///     .with_namespace(Namespace::new("sales")?)
///     .with_role(Role::new("data_reader")?)
///     .with_claim("run", 42)?;
/// assert!(request.with_claim("sub", "admin").is_err());
/// # Ok::<(), pipe_core::Error>(())
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct JwtRequest {
    /// `sub`: on whose behalf the token speaks.
    pub subject: PrincipalId,
    /// `aud`: whom the token is meant for; the plugin's default when empty.
    pub audiences: BTreeSet<String>,
    /// `exp` − `iat`; one hour unless changed (REQ 004-73.4).
    pub lifetime: Duration,
    /// The claim `namespace` (REQ 004-73.2).
    pub namespace: Option<Namespace>,
    /// The claim `roles` (REQ 004-73.2).
    pub roles: BTreeSet<Role>,
    claims: BTreeMap<String, Value>,
}

impl JwtRequest {
    /// A token for this subject that lives one hour.
    #[must_use]
    pub fn new(subject: PrincipalId) -> Self {
        Self {
            subject,
            audiences: BTreeSet::new(),
            lifetime: Duration::from_secs(3600),
            namespace: None,
            roles: BTreeSet::new(),
            claims: BTreeMap::new(),
        }
    }

    /// Whom the token is meant for; may be repeated.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.insert(audience.into());
        self
    }

    /// How long the token lives.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// The claim `namespace`.
    #[must_use]
    pub fn with_namespace(self, namespace: Namespace) -> Self {
        Self { namespace: Some(namespace), ..self }
    }

    /// A member of the claim `roles`; may be repeated.
    #[must_use]
    pub fn with_role(mut self, role: Role) -> Self {
        self.roles.insert(role);
        self
    }

    /// A claim of the caller's own.
    ///
    /// # Errors
    /// `InvalidArgument` for one of the [`RESERVED_CLAIMS`] and for an empty name.
    pub fn with_claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Result<Self> {
        let name = name.into();
        if name.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "the claim has no name")
                .hint("give the claim a name"));
        }
        if RESERVED_CLAIMS.contains(&name.as_str()) {
            return Err(Error::new(ErrorKind::InvalidArgument, "the claim is set by the signer")
                .with("claim", name)
                .hint("use the request's own field, or another claim name"));
        }
        self.claims.insert(name, value.into());
        Ok(self)
    }

    /// The claims of the caller's own; none of them is reserved.
    #[must_use]
    pub fn claims(&self) -> &BTreeMap<String, Value> {
        &self.claims
    }
}

impl fmt::Debug for JwtRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, audiences, lifetime, namespace, roles, claims } = self;
        f.debug_struct("JwtRequest")
            .field("subject", subject)
            .field("audiences", audiences)
            .field("lifetime", lifetime)
            .field("namespace", namespace)
            .field("roles", roles)
            .field("claims", &claims.keys())
            .finish()
    }
}

/// A signed token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedJwt {
    /// The token, in compact form.
    pub token: BearerToken,
    /// `jti`: the token's name in audit lines.
    pub id: String,
    /// `exp`
    pub expires_at: SystemTime,
}

impl SignedJwt {
    /// A token with its name and its end.
    pub fn new(token: BearerToken, id: impl Into<String>, expires_at: SystemTime) -> Self {
        Self { token, id: id.into(), expires_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> JwtRequest {
        JwtRequest::new(PrincipalId::new("service-account:floe-job-runner").unwrap())
    }

    #[test]
    fn a_claim_of_the_signer_or_without_a_name_is_refused() {
        for name in RESERVED_CLAIMS.into_iter().chain([""]) {
            let error = request().with_claim(name, "x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name}");
        }
        assert!(request().with_claim("run", 42).is_ok());
    }

    #[test]
    fn debug_names_the_custom_claims_and_not_their_values() {
        let text = format!("{:?}", request().with_claim("run", "do-not-print").unwrap());
        assert!(text.contains(r#""run""#) && !text.contains("do-not-print"), "{text}");
    }
}
