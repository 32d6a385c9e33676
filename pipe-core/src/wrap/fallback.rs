//! A second plugin for when the first one cannot be asked (REQ 000-45, 002-07).

use async_trait::async_trait;
use futures_util::future::join;

use crate::identity::{
    BearerToken, ContextRequest, IdentityCapabilities, IdentityPlugin, JwtRequest, SecurityContext,
    ServiceAuthRequest, ServiceCredentials, SignedJwt, TokenExpectation,
};
use crate::pod::{EnvInjection, PodFragment, SecretMount};
use crate::secrets::{
    ListQuery, Secret, SecretRef, SecretStream, SecretsCapabilities, SecretsPlugin, WriteOutcome,
};
use crate::{Error, ErrorKind, Health, Plugin, Result, SecretData};

/// What the second plugin may answer. There is no default: whoever falls back says to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FallbackPolicy {
    /// The second store holds all that the first one does, so that what is not in it is not there,
    /// and its list is the list. No unless said otherwise.
    pub complete: bool,
    /// The second plugin may check tokens, give credentials and sign in the place of the first. No
    /// unless said otherwise.
    pub identity: bool,
}

impl FallbackPolicy {
    /// Secrets that the second store holds may be read from it while the first one is unavailable.
    #[must_use]
    pub const fn reads_when_unavailable() -> Self {
        Self { complete: false, identity: false }
    }

    /// The second store holds all that the first one does.
    #[must_use]
    pub const fn with_complete_secondary(self) -> Self {
        Self { complete: true, ..self }
    }

    /// The second plugin is trusted with identity as the first one is: whomever it accepts is
    /// accepted.
    #[must_use]
    pub const fn with_identity(self) -> Self {
        Self { identity: true, ..self }
    }
}

/// Asks a second plugin when the first one is unavailable, too slow or overrun, and never for any
/// other reason: denied, refused and absent are answers, and stay what they are.
///
/// ```
/// use pipe_core::wrap::{Fallback, FallbackPolicy};
/// # use pipe_core::SecretsPlugin;
/// # fn f(openbao: std::sync::Arc<dyn SecretsPlugin>, mirror: std::sync::Arc<dyn SecretsPlugin>) {
/// let secrets = Fallback::new(openbao, mirror, FallbackPolicy::reads_when_unavailable());
/// # }
/// ```
///
/// - What the second one does not settle is the first one's error. In particular, "not there" of a
///   store that is not [complete](FallbackPolicy::complete) is no answer.
/// - Writing, deleting and watching are the first one's alone, and so is a
///   [version](SecretRef::version), which the two count differently. A secret from the second store
///   has no version.
/// - Identity falls back only when the policy [says so](FallbackPolicy::identity). A refusal by the
///   second one is a refusal.
/// - Name, capabilities and pod fragments are the first one's.
///
/// It belongs outside of `Timeout` and `Retry` of each of the two, and inside of `Cached` and
/// `Observed`. Dropping a call drops the attempt that is under way.
#[derive(Clone, Debug)]
pub struct Fallback<P, S> {
    primary: P,
    secondary: S,
    policy: FallbackPolicy,
}

impl<P, S> Fallback<P, S> {
    /// Falls back from the first plugin to the second.
    pub fn new(primary: P, secondary: S, policy: FallbackPolicy) -> Self {
        Self { primary, secondary, policy }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: Plugin, S: Plugin> Plugin for Fallback<P, S> {
    fn name(&self) -> &str {
        self.primary.name()
    }

    /// The first one's; degraded when only one of the two serves.
    async fn health(&self) -> Health {
        let (primary, secondary) = join(self.primary.health(), self.secondary.health()).await;
        let degraded = |plugin: &str, health: Health| {
            Health::degraded(format!("{plugin} does not serve: {}", health.reason), health.hint)
        };
        match (primary.is_serving(), secondary.is_serving()) {
            (true, false) => degraded(self.secondary.name(), secondary),
            (false, true) => degraded(self.primary.name(), primary),
            _ => primary,
        }
    }

    async fn close(&self) -> Result<()> {
        let (primary, secondary) = join(self.primary.close(), self.secondary.close()).await;
        primary.and(secondary)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: SecretsPlugin, S: SecretsPlugin> SecretsPlugin for Fallback<P, S> {
    fn capabilities(&self) -> SecretsCapabilities {
        self.primary.capabilities()
    }

    async fn get_secret(&self, secret: &SecretRef) -> Result<Option<Secret>> {
        let fault = match self.primary.get_secret(secret).await {
            Err(fault) if moves_on(&fault) && secret.version.is_none() => fault,
            answer => return answer,
        };
        note(&self.secondary, &fault);
        match self.secondary.get_secret(secret).await {
            Ok(Some(found)) => Ok(Some(Secret { version: None, ..found })),
            Ok(None) if self.policy.complete => Ok(None),
            Ok(None) => Err(fault.with("secondary", "not_found")),
            Err(second) => Err(unsettled(fault, &second)),
        }
    }

    async fn create_secret(&self, secret: &SecretRef, data: SecretData) -> Result<WriteOutcome> {
        self.primary.create_secret(secret, data).await
    }

    fn inject_env_vars(&self, injection: &EnvInjection) -> Result<PodFragment> {
        self.primary.inject_env_vars(injection)
    }

    fn generate_secret_mounts(&self, mount: &SecretMount) -> Result<PodFragment> {
        self.primary.generate_secret_mounts(mount)
    }

    async fn delete_secret(&self, secret: &SecretRef) -> Result<bool> {
        self.primary.delete_secret(secret).await
    }

    async fn list_secrets(&self, query: &ListQuery) -> Result<Vec<SecretRef>> {
        let fault = match self.primary.list_secrets(query).await {
            Err(fault) if moves_on(&fault) && self.policy.complete => fault,
            answer => return answer,
        };
        note(&self.secondary, &fault);
        self.secondary.list_secrets(query).await.map_err(|second| unsettled(fault, &second))
    }

    async fn watch_secret(&self, secret: &SecretRef) -> Result<SecretStream> {
        self.primary.watch_secret(secret).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: IdentityPlugin, S: IdentityPlugin> IdentityPlugin for Fallback<P, S> {
    fn capabilities(&self) -> IdentityCapabilities {
        self.primary.capabilities()
    }

    async fn authenticate_service(
        &self,
        request: &ServiceAuthRequest,
    ) -> Result<ServiceCredentials> {
        let fault = match self.primary.authenticate_service(request).await {
            Err(fault) if self.trusts_secondary(&fault) => fault,
            answer => return answer,
        };
        let answer = self.secondary.authenticate_service(request).await;
        answer.map_err(|second| refusal_or(fault, second))
    }

    async fn generate_jwt(&self, request: &JwtRequest) -> Result<SignedJwt> {
        let fault = match self.primary.generate_jwt(request).await {
            Err(fault) if self.trusts_secondary(&fault) => fault,
            answer => return answer,
        };
        let answer = self.secondary.generate_jwt(request).await;
        answer.map_err(|second| refusal_or(fault, second))
    }

    async fn validate_token(
        &self,
        token: &BearerToken,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext> {
        let fault = match self.primary.validate_token(token, expect).await {
            Err(fault) if self.trusts_secondary(&fault) => fault,
            answer => return answer,
        };
        let answer = self.secondary.validate_token(token, expect).await;
        answer.map_err(|second| refusal_or(fault, second))
    }

    async fn get_security_context(&self, request: &ContextRequest) -> Result<SecurityContext> {
        let fault = match self.primary.get_security_context(request).await {
            Err(fault) if self.trusts_secondary(&fault) => fault,
            answer => return answer,
        };
        let answer = self.secondary.get_security_context(request).await;
        answer.map_err(|second| refusal_or(fault, second))
    }
}

impl<P, S: Plugin> Fallback<P, S> {
    fn trusts_secondary(&self, fault: &Error) -> bool {
        let trusts = self.policy.identity && moves_on(fault);
        if trusts {
            note(&self.secondary, fault);
        }
        trusts
    }
}

/// By the kind: that retrying is over does not make it an answer.
fn moves_on(fault: &Error) -> bool {
    fault.kind().is_retryable()
}

fn note(secondary: &impl Plugin, fault: &Error) {
    tracing::warn!(error = %fault, secondary = secondary.name(), "asking the second plugin");
}

/// The first one's error: it may find out later what the second one could not.
fn unsettled(fault: Error, second: &Error) -> Error {
    fault.with("secondary", second.kind().name())
}

fn refusal_or(fault: Error, second: Error) -> Error {
    match second.kind() {
        ErrorKind::PermissionDenied | ErrorKind::TokenRejected(_) => second,
        _ => unsettled(fault, &second),
    }
}

#[cfg(test)]
mod tests;
