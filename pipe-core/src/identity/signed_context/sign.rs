//! Sending a context along.

use std::time::{Duration, SystemTime};

use hmac::Mac;

use super::wire::{ALGORITHM, Claims, Header, Present, SIZE_LIMIT, TYPE, WireContext};
use super::{ContextKey, setting, wire};
use crate::clock::Clock;
use crate::identity::{BearerToken, SecurityContext};
use crate::{Error, ErrorKind, Result, TokenFault};

/// Signs contexts for the services that this one calls.
///
/// ```
/// # use std::time::{Duration, SystemTime};
/// use pipe_core::identity::{ContextKey, ContextSigner, ContextVerifier};
/// # use pipe_core::SecurityContext;
/// # use pipe_core::identity::{Principal, PrincipalId};
///
/// # let now = SystemTime::now();
/// # let bot = Principal::service(PrincipalId::new("bot")?);
/// # let caller = SecurityContext::new(bot, "issuer", now, now + Duration::from_secs(600));
/// # let key = vec![7; 32];
/// let key = ContextKey::new("2024-05", key)?;
/// let signer = ContextSigner::new("orders", key.clone())?;
/// let token = signer.sign(&caller, "billing")?;
///
/// // In the service `billing`:
/// let verifier = ContextVerifier::new("billing", [key])?;
/// assert_eq!(verifier.verify(&token)?.principal, caller.principal);
/// # Ok::<(), pipe_core::Error>(())
/// ```
///
/// A token can be used again while it lives, which is why it lives shortly: a minute, and never
/// longer than the context in it.
#[derive(Clone, Debug)]
pub struct ContextSigner {
    service: String,
    key: ContextKey,
    lifetime: Duration,
    clock: Clock,
}

impl ContextSigner {
    /// This service signs with this key.
    ///
    /// # Errors
    /// `ConfigInvalid` when the service has no name.
    pub fn new(service: impl Into<String>, key: ContextKey) -> Result<Self> {
        let service = setting("service", service.into())?;
        Ok(Self { service, key, lifetime: Duration::from_secs(60), clock: Clock::default() })
    }

    /// How long a token lives; one minute unless changed. Receivers refuse more than they accept,
    /// which is five minutes.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// Another clock, for tests.
    #[must_use]
    pub fn with_clock(self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { clock: Clock::new(now), ..self }
    }

    /// Signs a context for one receiver.
    ///
    /// # Errors
    /// `TokenRejected(Expired)` when the context ends within the same second;
    /// `ConfigInvalid` for a lifetime below a second; `InvalidArgument` for an empty audience, a
    /// time before 1970, and a context that is too large for a token of 16 KiB.
    pub fn sign(&self, context: &SecurityContext, audience: &str) -> Result<BearerToken> {
        if audience.is_empty() {
            return Err(fault("the audience is empty", "name the service that is called"));
        }
        if self.lifetime < Duration::from_secs(1) {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the token would not live")
                .hint("raise the signer's lifetime to a second or more"));
        }
        let early = || fault("a time is before 1970", "correct the clock or the context");
        let now = self.clock.now();
        let ends = now.checked_add(self.lifetime).unwrap_or(context.expires_at);
        let (iat, exp) = (wire::seconds(now), wire::seconds(ends.min(context.expires_at)));
        let (iat, exp) = iat.zip(exp).ok_or_else(early)?;
        if exp <= iat || context.is_expired_at(now) {
            return Err(wire::refused(TokenFault::Expired));
        }
        self.sign_claims(&Claims {
            iss: Some(self.service.clone()),
            aud: Some(audience.to_owned()),
            iat: Some(iat),
            exp: Some(exp),
            jti: Some(new_id()?),
            context: Some(WireContext::new(context).ok_or_else(early)?),
        })
    }

    fn sign_claims(&self, claims: &Claims) -> Result<BearerToken> {
        let header = Header {
            alg: ALGORITHM.into(),
            kid: self.key.id().into(),
            typ: TYPE.into(),
            crit: Present::default(),
        };
        let json = |_| Error::new(ErrorKind::Unexpected, "the context could not be written out");
        let header = serde_json::to_vec(&header).map_err(json)?;
        let claims = serde_json::to_vec(claims).map_err(json)?;
        let signed = format!("{}.{}", wire::encode(header), wire::encode(claims));
        let signature = wire::mac(&self.key, &signed)?.finalize().into_bytes();
        let token = format!("{signed}.{}", wire::encode(signature));
        if token.len() > SIZE_LIMIT {
            let hint = "send fewer roles, scopes and namespaces along";
            return Err(fault("the signed context is larger than 16 KiB", hint));
        }
        Ok(BearerToken::new(token))
    }
}

fn fault(message: &'static str, hint: &'static str) -> Error {
    Error::new(ErrorKind::InvalidArgument, message).hint(hint)
}

fn new_id() -> Result<String> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| {
        Error::new(ErrorKind::Unavailable, "the system gives no random bytes")
            .hint("check that the process may read from the system's random source")
    })?;
    Ok(wire::encode(id))
}
