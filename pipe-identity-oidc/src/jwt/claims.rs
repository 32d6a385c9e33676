//! Claims of a token that was verified.

use std::fmt;
use std::sync::Arc;

use pipe_core::TokenFault;
use serde_json::{Map, Value};

/// The claims of a token that was verified against a [`TokenPolicy`](super::TokenPolicy). The
/// registered ones have the right types.
///
/// A clone is cheap. Its `Debug` output names the claims, and shows none of their values.
#[derive(Clone)]
pub struct Claims {
    members: Arc<Map<String, Value>>,
    times: Times,
}

/// The times of a token, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(super) expires_at: u64,
    pub(super) not_before: Option<u64>,
    pub(super) issued_at: Option<u64>,
}

impl Claims {
    /// Of a payload that was checked.
    pub(super) fn verified(members: Arc<Map<String, Value>>, times: Times) -> Self {
        Self { members, times }
    }

    /// Of a token that was verified when it came, and was kept since: its time may be over by now.
    pub(crate) fn kept(jwt: &super::Jwt<'_>) -> Result<Self, TokenFault> {
        let members = Arc::clone(jwt.claims());
        let times = Times {
            expires_at: super::numeric_date(&members, "exp")?.ok_or(TokenFault::MissingClaim)?,
            not_before: super::numeric_date(&members, "nbf")?,
            issued_at: super::numeric_date(&members, "iat")?,
        };
        Ok(Self { members, times })
    }

    /// `iss`
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.text("iss").unwrap_or_default()
    }

    /// `sub`: not empty, at most 255 bytes, unique within the issuer.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.text("sub").unwrap_or_default()
    }

    /// `aud`, at least one.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        texts(self.members.get("aud"))
    }

    /// `exp`, in seconds since 1970.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.times.expires_at
    }

    /// `nbf`, in seconds since 1970.
    #[must_use]
    pub fn not_before(&self) -> Option<u64> {
        self.times.not_before
    }

    /// `iat`, in seconds since 1970.
    #[must_use]
    pub fn issued_at(&self) -> Option<u64> {
        self.times.issued_at
    }

    /// `jti`
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.text("jti")
    }

    /// `client_id`
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.text("client_id")
    }

    /// `tid`: the tenant, with the providers that have this claim. A policy with a tenant template
    /// has checked it.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.text("tid").filter(|tenant| !tenant.is_empty() && !tenant.contains('\0'))
    }

    /// The scopes: of `scope`, words with blanks between them (RFC 8693 4.2), and of `scp`, a text of
    /// that form or a list, as Okta and Entra ID have it.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let scope = texts(self.members.get("scope"));
        scope
            .chain(texts(self.members.get("scp")))
            .flat_map(|text| text.split(' '))
            .filter(|scope| !scope.is_empty())
    }

    /// `cnf`: what the presenter must prove to have (RFC 7800).
    #[must_use]
    pub fn confirmation(&self) -> Option<Confirmation<'_>> {
        let members = self.members.get("cnf")?.as_object()?;
        let text = |name| members.get(name).and_then(Value::as_str);
        let certificate = text(CERTIFICATE);
        let key = text(KEY);
        let understood = usize::from(certificate.is_some()) + usize::from(key.is_some());
        let is_complete = understood > 0 && understood == members.len();
        Some(Confirmation { certificate, key, is_complete })
    }

    /// The claims as they stand in the token.
    #[must_use]
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// Whether the token is meant for one of these.
    ///
    /// # Errors
    /// `WrongAudience`, also when none are given.
    pub fn check_audience<S: AsRef<str>>(&self, expected: &[S]) -> Result<(), TokenFault> {
        check_audience(self.members.get("aud"), expected)
    }

    pub(crate) fn times(&self) -> Times {
        self.times
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }
}

/// What the presenter of a token must prove to have.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Confirmation<'a> {
    /// `x5t#S256`: the SHA-256 of the client's certificate, in base64url (RFC 8705 3.1).
    pub certificate: Option<&'a str>,
    /// `jkt`: the thumbprint of the key that signs the DPoP proof (RFC 9449 6.1).
    pub key: Option<&'a str>,
    /// Whether these are all, and at least one. A token that asks for another proof must be refused.
    pub is_complete: bool,
}

impl fmt::Debug for Confirmation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmation")
            .field("certificate", &self.certificate.is_some())
            .field("key", &self.key.is_some())
            .field("is_complete", &self.is_complete)
            .finish()
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.members.keys()).finish()
    }
}

pub(super) const CERTIFICATE: &str = "x5t#S256";
pub(super) const KEY: &str = "jkt";

/// A text, or the texts of a list.
pub(super) fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let one = value.and_then(Value::as_str);
    let many = value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(many)
}

pub(super) fn check_audience<S: AsRef<str>>(
    aud: Option<&Value>,
    expected: &[S],
) -> Result<(), TokenFault> {
    let meant = texts(aud).any(|audience| expected.iter().any(|name| name.as_ref() == audience));
    if meant { Ok(()) } else { Err(TokenFault::WrongAudience) }
}
