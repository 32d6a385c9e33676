//! Where the keys of a trusted issuer come from.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use pipe_core::identity::BearerToken;
use pipe_core::{Error, ErrorKind, Result, TokenFault};
use tokio::time::Instant;

use crate::cache::Digest;
use crate::client::{Endpoints, Recipient};
use crate::endpoints::ProviderEndpoints;
use crate::introspection::{Answer, Introspector};
use crate::issue::{Material, TokenIssuer};
use crate::jwt::{Claims, Jwt, KeySet, TokenPolicy, VerifyingKey};
use crate::provider::{KeyRing, Provider};

/// The keys of an issuer at one time, wherever they come from.
#[derive(Clone, Debug)]
pub(crate) enum Keys {
    Published(Arc<KeyRing>),
    Ours(Arc<Ring>),
}

impl Keys {
    pub(crate) fn set(&self) -> &KeySet {
        match self {
            Self::Published(ring) => ring.keys(),
            Self::Ours(ring) => &ring.keys,
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        match self {
            Self::Published(ring) => ring.generation(),
            Self::Ours(ring) => ring.generation,
        }
    }
}

/// Keys that no provider has to be asked for.
#[derive(Debug)]
pub(crate) struct Ring {
    keys: KeySet,
    generation: u64,
}

impl Ring {
    pub(crate) fn new(generation: u64, keys: KeySet) -> Self {
        Self { keys, generation }
    }
}

/// The keys of an issuer, as they are now.
#[derive(Debug)]
pub(crate) enum KeySource {
    /// The issuer publishes them, or they were given; and it may be asked about tokens.
    Provider { provider: Provider, endpoints: Arc<ProviderEndpoints> },
    /// A secret that the issuer and we share.
    Secret(Arc<Ring>),
    /// We are the issuer.
    Own(OwnKeys),
}

impl KeySource {
    /// The keys in which the one with this name has to be.
    ///
    /// # Errors
    /// `Unavailable` when no keys are known, or this one may be new and nobody can be asked.
    pub(crate) async fn ring_for(&self, kid: Option<&str>) -> Result<Keys> {
        match self {
            Self::Provider { provider, .. } => provider.ring_for(kid).await.map(Keys::Published),
            Self::Secret(ring) => Ok(Keys::Ours(Arc::clone(ring))),
            Self::Own(own) => own.ring().map(Keys::Ours),
        }
    }

    /// The keys after another look, where one is possible now: for a token that none of the known
    /// ones verifies, although none is unknown by its name.
    pub(crate) async fn renewed(&self) -> Option<Keys> {
        match self {
            Self::Provider { provider, .. } => provider.renewed().await.ok().map(Keys::Published),
            _ => None,
        }
    }

    /// Verifies a JWT with these keys: what came of it, and which keys they were.
    ///
    /// # Errors
    /// As for [`ring_for`](Self::ring_for).
    pub(crate) async fn verify<S: AsRef<str>>(
        &self,
        policy: &TokenPolicy,
        jwt: &Jwt<'_>,
        audiences: &[S],
        now: SystemTime,
    ) -> Result<(Result<Claims, TokenFault>, u64)> {
        let mut keys = self.ring_for(jwt.kid()).await?;
        let mut checked = policy.verify(jwt, keys.set(), audiences, now);
        // A key may have been replaced under its name, or have none.
        if matches!(checked, Err(TokenFault::BadSignature | TokenFault::UnknownKey))
            && let Some(renewed) = self.renewed().await
            && renewed.generation() != keys.generation()
        {
            keys = renewed;
            checked = policy.verify(jwt, keys.set(), audiences, now);
        }
        Ok((checked, keys.generation()))
    }

    /// Whoever publishes the keys, when somebody does.
    pub(crate) fn provider(&self) -> Option<&Provider> {
        match self {
            Self::Provider { provider, .. } => Some(provider),
            _ => None,
        }
    }

    /// Which keys they are, when any may be used now.
    pub(crate) fn generation_at(&self, now: Instant) -> Option<u64> {
        match self {
            Self::Provider { provider, .. } => provider.generation_at(now),
            Self::Secret(ring) => Some(ring.generation),
            Self::Own(own) => Some(own.issuer.generation()),
        }
    }

    /// Asks the issuer about a token.
    pub(crate) async fn introspect(
        &self,
        introspector: &Introspector,
        token: &BearerToken,
        digest: Digest,
    ) -> Result<Answer> {
        let Self::Provider { endpoints, .. } = self else {
            return Err(Error::new(ErrorKind::Unsupported, "the issuer cannot be asked"));
        };
        let certificate = introspector.authenticator().certificate().await?;
        let endpoint = endpoints.introspection(certificate.as_ref()).await?;
        let token_endpoint = match introspector.wants_token_endpoint() {
            true => endpoints.token_endpoint(certificate.as_ref()).await?.uri.to_string(),
            false => String::new(),
        };
        let recipient = Recipient { issuer: endpoints.issuer(), token_endpoint: &token_endpoint };
        introspector.ask(token, digest, &endpoint, recipient).await
    }
}

/// The keys that we sign with ourselves, ready to verify.
#[derive(Debug)]
pub(crate) struct OwnKeys {
    issuer: Arc<TokenIssuer>,
    ring: ArcSwapOption<Ring>,
}

impl OwnKeys {
    pub(crate) fn new(issuer: Arc<TokenIssuer>) -> Self {
        Self { issuer, ring: ArcSwapOption::empty() }
    }

    fn ring(&self) -> Result<Arc<Ring>> {
        let generation = self.issuer.generation();
        if let Some(ring) = &*self.ring.load()
            && ring.generation == generation
        {
            return Ok(Arc::clone(ring));
        }
        let verification = self.issuer.verification_keys();
        let mut keys = Vec::with_capacity(verification.keys.len());
        for key in &verification.keys {
            let verifying = match &key.material {
                Material::Public(jwk) => VerifyingKey::from_jwk(jwk)?,
                Material::Secret(secret) => VerifyingKey::from_hmac(secret, key.algorithm),
                // Only its signer can verify with it.
                Material::Elsewhere => continue,
            };
            keys.push(match &key.key_id {
                Some(kid) => verifying.with_kid(kid),
                None => verifying,
            });
        }
        let keys = KeySet::from_keys(keys)?;
        let ring = Arc::new(Ring::new(verification.generation, keys));
        self.ring.store(Some(Arc::clone(&ring)));
        Ok(ring)
    }
}
