//! Receiving a context.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use hmac::Mac;
use serde_json::error::Category;

use super::wire::{ALGORITHM, Claims, Header, SIZE_LIMIT, SKEW, TYPE, refused};
use super::{ContextKey, setting, wire};
use crate::clock::Clock;
use crate::identity::{BearerToken, SecurityContext};
use crate::{Error, ErrorKind, Result, TokenFault};

/// Verifies the contexts that other services send along.
///
/// It knows several keys, so that a key can be replaced without refusing anybody: receivers learn
/// the new key, then senders sign with it, then receivers forget the old one, a token's lifetime
/// later.
///
/// What it returns is the context as its first receiver knew it, with the issuer who vouched for
/// it. Its roles are those of that time: for a decision, ask
/// [`get_security_context`](crate::IdentityPlugin::get_security_context).
#[derive(Clone, Debug)]
pub struct ContextVerifier {
    audience: String,
    keys: Vec<ContextKey>,
    senders: Option<BTreeSet<String>>,
    longest: Duration,
    clock: Clock,
}

impl ContextVerifier {
    /// Accepts what was signed for this audience with one of these keys.
    ///
    /// # Errors
    /// `ConfigInvalid` when the audience has no name, there is no key, or two have the same name.
    pub fn new(
        audience: impl Into<String>,
        keys: impl IntoIterator<Item = ContextKey>,
    ) -> Result<Self> {
        let audience = setting("audience", audience.into())?;
        let keys: Vec<_> = keys.into_iter().collect();
        let names: BTreeSet<_> = keys.iter().map(ContextKey::id).collect();
        if keys.is_empty() || names.len() < keys.len() {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the keys are not usable")
                .with("keys", keys.iter().map(ContextKey::id).collect::<Vec<_>>().join(" "))
                .hint("give the verifier one key or more, each with a name of its own"));
        }
        let (longest, clock) = (Duration::from_secs(300), Clock::default());
        Ok(Self { audience, keys, senders: None, longest, clock })
    }

    /// Accepts only what these services say to have signed. It holds as far as they do not lie:
    /// they share a key.
    #[must_use]
    pub fn with_senders<S: Into<String>>(self, services: impl IntoIterator<Item = S>) -> Self {
        Self { senders: Some(services.into_iter().map(Into::into).collect()), ..self }
    }

    /// The longest lifetime of a token; five minutes unless changed.
    #[must_use]
    pub fn with_max_lifetime(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// Another clock, for tests.
    #[must_use]
    pub fn with_clock(self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { clock: Clock::new(now), ..self }
    }

    /// The context in a token, when every part of it is in order.
    ///
    /// # Errors
    /// `TokenRejected` with the reason.
    pub fn verify(&self, token: &BearerToken) -> Result<SecurityContext> {
        if token.expose().len() > SIZE_LIMIT {
            return Err(refused(TokenFault::Malformed));
        }
        let malformed = || refused(TokenFault::Malformed);
        let token = token.expose_str().ok_or_else(malformed)?;
        let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
        let key = self.key(&wire::decode(header)?)?;
        let signature = wire::decode(signature)?;
        // In constant time, and before anything of the claims is looked at.
        wire::mac(key, signed)?
            .verify_slice(&signature)
            .map_err(|_| refused(TokenFault::BadSignature))?;
        let claims = serde_json::from_slice(&wire::decode(claims)?).map_err(|error| {
            refused(match error.classify() {
                Category::Data => TokenFault::Malformed,
                _ => TokenFault::Malformed,
            })
        })?;
        self.check(claims)
    }

    fn key(&self, header: &[u8]) -> Result<&ContextKey> {
        let header: Header =
            serde_json::from_slice(header).map_err(|_| refused(TokenFault::Malformed))?;
        if header.crit.0 {
            return Err(refused(TokenFault::Unsupported));
        }
        if header.typ != TYPE {
            return Err(refused(TokenFault::WrongType));
        }
        if header.alg != ALGORITHM {
            return Err(refused(TokenFault::AlgorithmRefused));
        }
        let key = self.keys.iter().find(|key| key.id() == header.kid);
        key.ok_or_else(|| refused(TokenFault::UnknownKey))
    }

    fn check(&self, claims: Claims) -> Result<SecurityContext> {
        let Claims { iss, aud, iat, exp, jti, context } = claims;
        let iss = required(iss)?;
        if required(aud)? != self.audience {
            return Err(refused(TokenFault::WrongAudience));
        }
        if self.senders.as_ref().is_some_and(|senders| !senders.contains(&iss)) {
            return Err(refused(TokenFault::WrongIssuer));
        }
        if required(jti)?.is_empty() {
            return Err(refused(TokenFault::MissingClaim));
        }
        let invalid = || refused(TokenFault::Malformed);
        let time = |seconds| required(seconds).and_then(|at| wire::time(at).ok_or_else(invalid));
        let (issued, ends, now) = (time(iat)?, time(exp)?, self.clock.now());
        if now >= ends {
            return Err(refused(TokenFault::Expired));
        }
        let soon = now.checked_add(SKEW).unwrap_or(now);
        if issued > soon {
            return Err(refused(TokenFault::IssuedInFuture));
        }
        let lifetime = ends.duration_since(issued).map_err(|_| invalid())?;
        if lifetime > self.longest {
            return Err(refused(TokenFault::LifetimeTooLong));
        }
        let context = required(context)?.into_context().ok_or_else(invalid)?;
        if ends > context.expires_at || context.authenticated_at > soon {
            return Err(invalid());
        }
        Ok(context)
    }
}

fn required<T>(claim: Option<T>) -> Result<T> {
    claim.ok_or_else(|| refused(TokenFault::MissingClaim))
}
