//! The trait implementation, thin.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use pipe_core::identity::{
    BearerToken, ContextRequest, IdentityCapabilities, JwtRequest, RoleResolver,
    ServiceAuthRequest, ServiceCredentials, SignedJwt, TokenExpectation,
};
use pipe_core::rbac::KubernetesUser;
use pipe_core::{
    Clock, Error, ErrorKind, Health, IdentityPlugin, Plugin, Result, SecurityContext, TokenFault,
};
use tokio::time::Instant;

use crate::binding::ProofChecker;
use crate::cache::{Digest, TokenCache};
use crate::client::Credentials;
use crate::config::OidcConfig;
use crate::error::refused;
use crate::flights::Flights;
use crate::issue::TokenIssuer;
use crate::jwt::Jwt;
use crate::trusted::{Found, Trusted, Verified, nobody};
use crate::{CredentialSource, ProviderStatus, VerifiedToken, health};

/// OpenID Connect as an [`IdentityPlugin`]. Clones share keys, caches and credentials.
#[derive(Clone)]
pub struct Oidc(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) trusted: Vec<Trusted>,
    pub(crate) issuer: Option<Arc<TokenIssuer>>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) roles: Option<Arc<dyn RoleResolver>>,
    pub(crate) clock: Clock,
    pub(crate) cache: TokenCache<Verified>,
    pub(crate) cache_ttl: Duration,
    pub(crate) proofs: ProofChecker,
    /// What issuers are asked just now about opaque tokens.
    pub(crate) flights: Flights<Arc<Verified>>,
}

impl Oidc {
    /// A plugin with these settings. It reads the files that they name, and talks to nobody yet: a
    /// provider that is down is met by the first call, and the plugin recovers with it.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming all settings that are wrong.
    pub fn new(config: OidcConfig) -> Result<Self> {
        let name = config.name.clone();
        let inner = config.build().map_err(|error| error.at(&name, "new"))?;
        Ok(Self(Arc::new(inner)))
    }

    /// What issues our own tokens: for the keys to publish, and to replace them.
    #[must_use]
    pub fn issuer(&self) -> Option<&Arc<TokenIssuer>> {
        self.0.issuer.as_ref()
    }

    /// Credentials that refresh themselves, for a client of other services.
    ///
    /// # Errors
    /// As for [`authenticate_service`](IdentityPlugin::authenticate_service), as far as it can be
    /// told without asking the provider.
    pub fn credentials(&self, request: &ServiceAuthRequest) -> Result<CredentialSource> {
        let found = self.0.credentials().and_then(|credentials| credentials.source(request));
        found.map_err(|error| self.locate(error, "credentials"))
    }

    /// How the keys of each issuer are that publishes them: how many, how old, what failed last and
    /// when it is tried again. Asks nobody.
    #[must_use]
    pub fn status(&self) -> Vec<ProviderStatus> {
        let providers = self.0.trusted.iter().filter_map(|one| one.keys.provider());
        providers.map(|provider| provider.status()).collect()
    }

    /// Checks a token as [`validate_token`](IdentityPlugin::validate_token) does, and returns what it says as well.
    ///
    /// # Errors
    /// As for [`validate_token`](IdentityPlugin::validate_token); `Unsupported` for a token of an issuer
    /// whose claims are not kept (`keep_claims`).
    pub async fn verify_token(
        &self,
        token: &BearerToken,
        expect: &TokenExpectation,
    ) -> Result<VerifiedToken> {
        let verified = self.0.verify_whole(token, expect).await;
        verified.map_err(|error| self.locate(error, "verify_token"))
    }

    /// Who this caller is in a Kubernetes cluster, by the grants of their issuer: for
    /// `Impersonate-User` and `Impersonate-Group` (REQ 002-49).
    ///
    /// # Errors
    /// `TokenRejected` when the context has expired or was made by another issuer, and as for
    /// [`GroupRights::kubernetes_user`](pipe_core::rbac::GroupRights::kubernetes_user).
    pub fn kubernetes_user(&self, caller: &SecurityContext) -> Result<KubernetesUser> {
        let user = self.0.current(caller).and_then(|of| of.mapper.rights().kubernetes_user(caller));
        user.map_err(|error| self.locate(error, "kubernetes_user"))
    }

    /// Forgets every token that was verified or introspected, as after a revocation.
    pub fn forget_tokens(&self) {
        self.0.cache.clear();
        let introspectors = self.0.trusted.iter().filter_map(|one| one.introspector.as_ref());
        introspectors.for_each(|introspector| introspector.clear());
    }

    fn locate(&self, error: Error, operation: &'static str) -> Error {
        error.at(&self.0.name, operation)
    }
}

impl Inner {
    async fn validate(
        &self,
        token: &BearerToken,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext> {
        check_expectation(expect)?;
        let digest = self.cache.name(token);
        // What is known is answered without waiting, from a small future; the rest has a box of its own.
        let verified = match digest.as_ref().and_then(|digest| self.known(digest)) {
            Some(verified) => verified,
            None => Box::pin(self.find_out_once(token, digest, expect)).await?,
        };
        let without_groups = self.without_groups(&verified);
        let context = self.accept(verified, token, expect)?;
        match &self.roles {
            None => Ok(context),
            Some(_) => Box::pin(self.resolved(context, without_groups)).await,
        }
    }

    async fn verify_whole(
        &self,
        token: &BearerToken,
        expect: &TokenExpectation,
    ) -> Result<VerifiedToken> {
        check_expectation(expect)?;
        let digest = self.cache.name(token);
        let verified = match digest.as_ref().and_then(|digest| self.known(digest)) {
            Some(verified) => verified,
            None => self.find_out_once(token, digest, expect).await?,
        };
        let claims = verified.claims().cloned().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "the claims of this issuer's tokens are not kept")
                .hint("set `keep_claims` of the issuer")
        })?;
        let without_groups = self.without_groups(&verified);
        let context = self.accept(verified, token, expect)?;
        let context = self.resolved(context, without_groups).await?;
        Ok(VerifiedToken { context, claims })
    }

    /// What was found out before, if the keys are still those that it was found out with.
    fn known(&self, digest: &Digest) -> Option<Arc<Verified>> {
        let now = Instant::now();
        let (verified, generation) = self.cache.get_at(digest, now)?;
        let current = || self.trusted[verified.trusted].keys.generation_at(now);
        (generation.is_none() || generation == current()).then_some(verified)
    }

    /// As `find_out`, with one question for all who present the same opaque token at once. What a JWT is found
    /// to be depends on who expects it.
    async fn find_out_once(
        &self,
        token: &BearerToken,
        digest: Option<Digest>,
        expect: &TokenExpectation,
    ) -> Result<Arc<Verified>> {
        let is_opaque = matches!(dots(token.expose()), 0 | 4);
        match digest.filter(|_| is_opaque) {
            None => self.find_out(token, digest, expect).await,
            Some(digest) => {
                self.flights.share(digest, self.find_out(token, Some(digest), expect)).await
            }
        }
    }

    async fn find_out(
        &self,
        token: &BearerToken,
        digest: Option<Digest>,
        expect: &TokenExpectation,
    ) -> Result<Arc<Verified>> {
        let clearings = self.cache.clearings();
        let now = self.clock.now();
        let Found { verified, generation, ttl } =
            self.verify(token, &expect.audiences, now).await?;
        let verified = Arc::new(verified);
        if let Some(digest) = digest {
            self.cache.insert_since(clearings, digest, Arc::clone(&verified), generation, ttl);
        }
        Ok(verified)
    }

    /// What has to hold for each presentation of a token, whether it was known before or not.
    fn accept(
        &self,
        verified: Arc<Verified>,
        token: &BearerToken,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext> {
        let now = self.clock.now();
        let trusted = &self.trusted[verified.trusted];
        trusted.check_again(&verified, &expect.audiences, now)?;
        let binding = verified.confirmation();
        if binding.is_some() || expect.dpop.is_some() {
            let leeway = trusted.policy.leeway();
            self.proofs.check(binding, token, expect, now, leeway)?;
        }
        if let Some(tenant) = &expect.tenant {
            verified.context.require_tenant(tenant)?;
        }
        // Nobody else has what is not remembered.
        Ok(Arc::try_unwrap(verified)
            .map_or_else(|shared| shared.context.clone(), |own| own.context))
    }

    async fn verify(
        &self,
        token: &BearerToken,
        audiences: &[String],
        now: SystemTime,
    ) -> Result<Found> {
        let first = self.trusted.first().ok_or_else(nobody)?;
        let jwt = match Jwt::parse(token.expose(), first.policy.limits()) {
            Ok(jwt) => jwt,
            Err(fault) if is_opaque(token.expose(), first.policy.limits().token_bytes) => {
                return self.introspect_opaque(token, fault, now).await;
            }
            Err(fault) => return Err(refused(fault, &first.issuer)),
        };
        // A token that names nobody whom we trust is checked as if it came from the first: nothing
        // about its claims is told before a signature is known to be good.
        let place = self.trusted.iter().position(|one| one.policy.may_be_for(&jwt)).unwrap_or(0);
        let trusted = &self.trusted[place];
        match &trusted.introspector {
            Some(introspector) if introspector.asks_about_jwts() => {
                // Only with what is at least signed by the issuer is the issuer bothered.
                let found = trusted.verify(&jwt, audiences, now, place, self.cache_ttl).await?;
                Ok(match trusted.ask(introspector, token).await? {
                    // What else it says, the token has said itself.
                    Some(_) => Found { ttl: introspector.active_ttl().min(found.ttl), ..found },
                    None => found,
                })
            }
            _ => trusted.verify(&jwt, audiences, now, place, self.cache_ttl).await,
        }
    }

    async fn introspect_opaque(
        &self,
        token: &BearerToken,
        fault: TokenFault,
        now: SystemTime,
    ) -> Result<Found> {
        let mut asked = self
            .trusted
            .iter()
            .enumerate()
            .filter_map(|(place, one)| Some((place, one, one.introspector.as_ref()?)));
        let Some((place, trusted, introspector)) = asked.next() else {
            let first = self.trusted.first().ok_or_else(nobody)?;
            return Err(refused(fault, &first.issuer));
        };
        let found = trusted.introspect(introspector, token, now, place).await?;
        // The issuer wants it verified here, and it is nothing that can be.
        found.ok_or_else(|| trusted.malformed())
    }

    /// Whose mapping has to be told the groups of the token's bearer.
    fn without_groups(&self, verified: &Verified) -> Option<&Trusted> {
        verified.groups_elsewhere.then(|| &self.trusted[verified.trusted])
    }

    /// What the resolver says, for each request anew: the roles, and the groups where a token does
    /// not name them.
    async fn resolved(
        &self,
        mut context: SecurityContext,
        without_groups: Option<&Trusted>,
    ) -> Result<SecurityContext> {
        let Some(resolver) = &self.roles else { return Ok(context) };
        if let Some(trusted) = without_groups {
            trusted.mapper.resolve_groups(&mut context, &**resolver).await?;
        }
        let roles = resolver.resolve(&context).await?;
        Ok(context.with_roles(roles))
    }

    /// Whose context it is, if it still holds.
    fn current(&self, context: &SecurityContext) -> Result<&Trusted> {
        let trusted = self.trusted.iter().find(|one| one.is_of(&context.issuer));
        let Some(trusted) = trusted else {
            return Err(refused(TokenFault::WrongIssuer, &context.issuer));
        };
        if context.is_expired_at(self.clock.now()) {
            return Err(refused(TokenFault::Expired, &trusted.issuer));
        }
        Ok(trusted)
    }

    async fn resolve(&self, request: &ContextRequest) -> Result<SecurityContext> {
        let context = &request.context;
        self.current(context)?;
        if let Some(tenant) = &request.tenant {
            context.require_tenant(tenant)?;
        }
        self.resolved(context.clone(), None).await
    }

    fn credentials(&self) -> Result<&Credentials> {
        self.credentials.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "the plugin obtains no credentials")
                .hint("set `client`")
        })
    }

    async fn issue(&self, request: &JwtRequest) -> Result<SignedJwt> {
        let issuer = self.issuer.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "the plugin signs no tokens").hint("set `signing`")
        })?;
        issuer.issue(request).await
    }
}

fn check_expectation(expect: &TokenExpectation) -> Result<()> {
    if !expect.audiences.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidArgument, "no audience is expected")
        .hint("say in `TokenExpectation` for whom the token has to be meant"))
}

/// Whether it can be a token that only its issuer can read: without dots, or encrypted (RFC 7516
/// 7.1), and of characters that a token may have (RFC 6750 2.1).
fn is_opaque(token: &[u8], limit: usize) -> bool {
    let is_legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    !token.is_empty()
        && token.len() <= limit
        && matches!(dots(token), 0 | 4)
        && token.iter().all(is_legal)
}

fn dots(token: &[u8]) -> usize {
    token.iter().filter(|byte| **byte == b'.').count()
}

impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers: Vec<_> = self.0.trusted.iter().map(|one| &one.issuer).collect();
        f.debug_struct("Oidc")
            .field("name", &self.0.name)
            .field("issuers", &issuers)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Plugin for Oidc {
    fn name(&self) -> &str {
        &self.0.name
    }

    async fn health(&self) -> Health {
        health::check(&self.0).await
    }

    async fn close(&self) -> Result<()> {
        if let Some(credentials) = &self.0.credentials {
            credentials.close();
        }
        self.forget_tokens();
        Ok(())
    }
}

#[async_trait]
impl IdentityPlugin for Oidc {
    fn capabilities(&self) -> IdentityCapabilities {
        let mut capabilities = IdentityCapabilities::VERIFY_ONLY;
        if self.0.credentials.as_ref().is_some_and(Credentials::can_authenticate) {
            capabilities = capabilities.with_authenticate();
        }
        if self.0.issuer.is_some() {
            capabilities = capabilities.with_issue();
        }
        capabilities
    }

    async fn authenticate_service(
        &self,
        request: &ServiceAuthRequest,
    ) -> Result<ServiceCredentials> {
        let credentials = match self.0.credentials() {
            Ok(credentials) => credentials.authenticate(request).await,
            Err(error) => Err(error),
        };
        credentials.map_err(|error| self.locate(error, "authenticate_service"))
    }

    async fn generate_jwt(&self, request: &JwtRequest) -> Result<SignedJwt> {
        self.0.issue(request).await.map_err(|error| self.locate(error, "generate_jwt"))
    }

    async fn validate_token(
        &self,
        token: &BearerToken,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext> {
        let validated = self.0.validate(token, expect).await;
        validated.map_err(|error| self.locate(error, "validate_token"))
    }

    async fn get_security_context(&self, request: &ContextRequest) -> Result<SecurityContext> {
        let resolved = self.0.resolve(request).await;
        resolved.map_err(|error| self.locate(error, "get_security_context"))
    }
}
