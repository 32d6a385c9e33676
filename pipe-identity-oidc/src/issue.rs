//! Issuing tokens for service-to-service calls (REQ 004-73).

mod claims;
mod keys;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipe_core::identity::{BearerToken, JwtRequest, SignedJwt};
use pipe_core::{Clock, Error, ErrorKind, Result, SecurityContext};
use serde_json::Value;

use self::keys::{Keys, SigningState};
pub(crate) use self::keys::{Material, VerificationKeys};
use crate::jwt::Signer;
use crate::jwt::sign::sign_compact;

/// Issues tokens, publishes the keys that verify them, and replaces those keys while tokens are
/// under way.
///
/// The tokens follow RFC 9068: their `typ` is `at+jwt`, and `client_id` is the subject, because
/// the service that a token speaks for is its own client. `nbf` is `iat`, and `jti` a random UUID.
///
/// ```
/// # use std::sync::Arc;
/// use pipe_core::identity::{JwtRequest, PrincipalId};
/// use pipe_identity_oidc::TokenIssuer;
/// use pipe_identity_oidc::jwt::{Algorithm, SigningKey};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let key = SigningKey::generate(Algorithm::Es256)?;
/// let issuer = TokenIssuer::new("https://platform.example", Arc::new(key))?
///     .with_default_audience("https://api.example");
/// let subject = PrincipalId::new("service-account:floe-job-runner")?;
/// let signed = issuer.issue(&JwtRequest::new(subject)).await?;
/// assert_eq!(issuer.jwks()["keys"].as_array().map(Vec::len), Some(1));
/// # let _ = signed;
/// # Ok::<(), pipe_core::Error>(()) }).unwrap();
/// ```
///
/// # Rotation
/// A new key is best published before it signs ([`publish_next`](Self::publish_next), and
/// [`promote`](Self::promote) when all verifiers have fetched it). [`rotate`](Self::rotate) does
/// both at once. The old key stays published until the last token that it signed has expired and
/// the leeway is over. All keys of an issuer are symmetric, or none is.
///
/// # On whose behalf
/// Within a caller's [`SecurityContext::scope`], a token gets no role and no namespace that the
/// caller has not, unless [`without_caller_limit`](Self::without_caller_limit) says otherwise.
/// Outside of a scope the program speaks for itself, and nothing limits it.
#[derive(Debug)]
pub struct TokenIssuer {
    issuer: String,
    audiences: BTreeSet<String>,
    max_lifetime: Duration,
    leeway: Duration,
    limit_to_caller: bool,
    clock: Clock,
    keys: Keys,
}

impl TokenIssuer {
    /// How many keys there are at most: the current one, the next, and those that were replaced
    /// and are still needed.
    pub const MAX_KEYS: usize = 16;

    /// Issues under this name (`iss`), with this key. Tokens live for 24 hours at most; the leeway
    /// is 30 seconds.
    ///
    /// # Errors
    /// `ConfigInvalid` for an empty name, and for a signer whose public JWK is absent or does not
    /// fit its algorithm and name.
    pub fn new(issuer: impl Into<String>, signer: Arc<dyn Signer>) -> Result<Self> {
        let issuer = issuer.into();
        if issuer.is_empty() || issuer.contains(char::is_control) {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the issuer has no name")
                .hint("set the issuer to the URL or name that verifiers expect as `iss`"));
        }
        Ok(Self {
            issuer,
            audiences: BTreeSet::new(),
            max_lifetime: Duration::from_secs(24 * 3600),
            leeway: Duration::from_secs(30),
            limit_to_caller: true,
            clock: Clock::default(),
            keys: Keys::new(signer)?,
        })
    }

    /// Whom tokens are meant for whose request does not say; may be repeated.
    #[must_use]
    pub fn with_default_audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.insert(audience.into());
        self
    }

    /// How long a token may live at most.
    ///
    /// # Errors
    /// `ConfigInvalid` for less than a second.
    pub fn with_max_lifetime(self, max_lifetime: Duration) -> Result<Self> {
        if max_lifetime < Duration::from_secs(1) {
            return Err(Error::new(ErrorKind::ConfigInvalid, "no token could live")
                .hint("raise the maximum lifetime to a second or more"));
        }
        Ok(Self { max_lifetime, ..self })
    }

    /// How long verifiers accept a token after its end, and so how much longer a key that was
    /// replaced stays published.
    #[must_use]
    pub fn with_leeway(self, leeway: Duration) -> Self {
        Self { leeway, ..self }
    }

    /// Lets tokens have roles and namespaces that the caller, on whose behalf they are issued, has
    /// not. For programs that decide themselves who may have what.
    #[must_use]
    pub fn without_caller_limit(self) -> Self {
        Self { limit_to_caller: false, ..self }
    }

    /// Another clock, for tests.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Whose name is on the tokens (`iss`).
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs a token.
    ///
    /// # Errors
    /// `InvalidArgument` for a lifetime below a second or above the maximum, a request without
    /// audience when there is no default one, and a token that we would refuse ourselves (larger
    /// than 16 KiB, a subject of more than 255 bytes, claims nested too deeply or too many).
    /// `PermissionDenied` for a role or a namespace that the caller has not, and
    /// `TokenRejected(Expired)` when the caller's context has expired. Those of the signer.
    pub async fn issue(&self, request: &JwtRequest) -> Result<SignedJwt> {
        let now = self.clock.now();
        if self.limit_to_caller
            && let Some(caller) = SecurityContext::current()
        {
            claims::check_caller(request, &caller, now)?;
        }
        let issued_at = seconds(now)?;
        let expires_at = claims::expiry(request, issued_at, self.max_lifetime)?;
        let id = claims::new_id()?;
        let payload = claims::payload(&claims::Facts {
            request,
            issuer: &self.issuer,
            default_audiences: &self.audiences,
            id: &id,
            issued_at,
            expires_at,
        })?;
        let SigningState { signer, header, signature_len, .. } =
            &*self.keys.key_for_token_until(expires_at);
        let token = sign_compact(header, &payload, &**signer, *signature_len).await?;
        let ends = UNIX_EPOCH + Duration::from_secs(expires_at);
        Ok(SignedJwt::new(BearerToken::new(token), id, ends))
    }

    /// The public keys (RFC 7517) that verify the tokens that are under way or will be: the
    /// current one, the next, and those that were replaced and are still needed. There is none of
    /// a symmetric key.
    #[must_use]
    pub fn jwks(&self) -> Value {
        let keys = self.verification_keys().keys;
        let public = keys.iter().filter_map(|key| match &key.material {
            Material::Public(jwk) => Some(jwk.clone()),
            Material::Secret(_) | Material::Elsewhere => None,
        });
        serde_json::json!({ "keys": public.collect::<Vec<_>>() })
    }

    /// Publishes the key that will sign after the current one. It replaces one that was published
    /// this way and did not get to sign.
    ///
    /// # Errors
    /// `ConfigInvalid` for a signer whose public JWK is absent or does not fit its algorithm and
    /// name, one without a name, and one that is symmetric when the current is not, or the other
    /// way round. `Conflict` when a key has this name already, and when there would be more than
    /// [`MAX_KEYS`](Self::MAX_KEYS).
    pub fn publish_next(&self, signer: Arc<dyn Signer>) -> Result<()> {
        self.keys.publish_next(signer, self.unneeded())
    }

    /// Lets the key sign that was published with [`publish_next`](Self::publish_next).
    ///
    /// # Errors
    /// `InvalidArgument` when there is none.
    pub fn promote(&self) -> Result<()> {
        self.keys.promote(self.unneeded())
    }

    /// Lets this key sign at once. When it is the one that was published as the next, it is that
    /// no more; another one stays the next.
    ///
    /// # Errors
    /// As for [`publish_next`](Self::publish_next). The key that signs is the old one then.
    pub fn rotate(&self, signer: Arc<dyn Signer>) -> Result<()> {
        self.keys.rotate(signer, self.unneeded())
    }

    /// Publishes keys that signed before this process did, as [`jwks`](Self::jwks) told them then:
    /// a key that is replaced by a restart has tokens under way, too. They stay until any token
    /// that they can have signed is over.
    ///
    /// # Errors
    /// `ConfigInvalid` for what is no such key set, and beside a secret; `Conflict` for more than
    /// [`MAX_KEYS`](Self::MAX_KEYS).
    pub fn keep_published(&self, jwks: &Value) -> Result<()> {
        let latest = seconds(self.clock.now())?.saturating_add(ceil_seconds(self.max_lifetime));
        self.keys.keep(jwks, latest, self.unneeded())
    }

    /// What verifies the tokens of this issuer: the current key first. The generation changes
    /// whenever the keys do, also when one is not needed any more.
    pub(crate) fn verification_keys(&self) -> VerificationKeys {
        self.keys.verification(self.unneeded())
    }

    /// How long a token may live at most.
    pub(crate) fn max_lifetime(&self) -> Duration {
        self.max_lifetime
    }

    /// Whether whoever verifies its tokens could sign them.
    pub(crate) fn is_symmetric(&self) -> bool {
        self.keys.is_symmetric()
    }

    /// Another number for other keys.
    pub(crate) fn generation(&self) -> u64 {
        self.keys.generation(self.unneeded())
    }

    /// Tokens that ended before this are refused everywhere. A clock that shows a time before
    /// 1970 ends none.
    fn unneeded(&self) -> u64 {
        seconds(self.clock.now()).unwrap_or(0).saturating_sub(ceil_seconds(self.leeway))
    }
}

fn seconds(time: SystemTime) -> Result<u64> {
    time.duration_since(UNIX_EPOCH).map(|since| since.as_secs()).map_err(|_| {
        Error::new(ErrorKind::ConfigInvalid, "the clock shows a time before 1970")
            .hint("set the system's clock")
    })
}

const fn ceil_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add((duration.subsec_nanos() > 0) as u64)
}

#[cfg(test)]
mod tests;
