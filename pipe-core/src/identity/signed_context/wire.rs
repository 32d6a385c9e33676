//! The form of a signed context: JWS compact serialization (RFC 7515), HS256.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::Sha256;

use super::ContextKey;
use crate::identity::{
    Group, Principal, PrincipalId, PrincipalKind, Role, SecurityContext, TenantId,
};
use crate::{Error, ErrorKind, Namespace, Result, TokenFault};

pub(super) const ALGORITHM: &str = "HS256";
/// So that no other kind of token is taken for one of these (RFC 8725 3.11).
pub(super) const TYPE: &str = "pipe-context+jwt";
pub(super) const SIZE_LIMIT: usize = 16 << 10;
/// How far the clocks of two services may be apart.
pub(super) const SKEW: Duration = Duration::from_secs(5);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) kid: String,
    pub(super) typ: String,
    /// An extension that we do not process, whatever it is (RFC 7515 4.1.11).
    #[serde(default, skip_serializing)]
    pub(super) crit: Present,
}

/// Whether a member is there, `null` included.
#[derive(Clone, Copy, Default)]
pub(super) struct Present(pub(super) bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        de::IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

/// What is signed. An unknown member is refused, because it may be a restriction.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claims {
    pub(super) iss: Option<String>,
    pub(super) aud: Option<String>,
    pub(super) iat: Option<u64>,
    pub(super) exp: Option<u64>,
    pub(super) jti: Option<String>,
    pub(super) context: Option<WireContext>,
}

/// A [`SecurityContext`], which cannot be read from anywhere but a token that was verified.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireContext {
    kind: PrincipalKind,
    id: PrincipalId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    namespaces: BTreeSet<Namespace>,
    roles: BTreeSet<Role>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    groups: BTreeSet<Group>,
    scopes: BTreeSet<String>,
    issuer: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_id: Option<String>,
    authenticated_at: u64,
    expires_at: u64,
}

impl WireContext {
    /// `None` for times before 1970.
    pub(super) fn new(context: &SecurityContext) -> Option<Self> {
        Some(Self {
            kind: context.principal.kind,
            id: context.principal.id.clone(),
            tenant: context.tenant.clone(),
            namespaces: context.namespaces.clone(),
            roles: context.roles.clone(),
            groups: context.groups.clone(),
            scopes: context.scopes.clone(),
            issuer: context.issuer.clone(),
            token_id: context.token_id.clone(),
            authenticated_at: seconds(context.authenticated_at)?,
            expires_at: seconds(context.expires_at)?,
        })
    }

    /// `None` for times that cannot be.
    pub(super) fn into_context(self) -> Option<SecurityContext> {
        let principal = match self.kind {
            PrincipalKind::Service => Principal::service(self.id),
            PrincipalKind::User => Principal::user(self.id),
        };
        let (start, end) = (time(self.authenticated_at)?, time(self.expires_at)?);
        let mut context = SecurityContext::new(principal, self.issuer, start, end)
            .with_namespaces(self.namespaces)
            .with_roles(self.roles)
            .with_groups(self.groups)
            .with_scopes(self.scopes);
        context.tenant = self.tenant;
        context.token_id = self.token_id;
        Some(context)
    }
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The engine refuses padding and stray bits, so that a token has one spelling.
pub(super) fn decode(text: &str) -> Result<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| refused(TokenFault::Malformed))
}

pub(super) fn mac(key: &ContextKey, signed: &str) -> Result<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.key.expose())
        .map_err(|_| Error::new(ErrorKind::Unexpected, "the key cannot be used"))?;
    mac.update(signed.as_bytes());
    Ok(mac)
}

/// Whole seconds since 1970, rounded down: what ends, ends no later than it was meant to.
pub(super) fn seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

pub(super) fn time(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

pub(super) fn refused(fault: TokenFault) -> Error {
    Error::new(ErrorKind::TokenRejected(fault), "the signed context was refused")
}
