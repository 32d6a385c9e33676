//! Proving who we are, and checking who calls.

mod bearer_source;
mod context;
mod credentials;
mod ext;
mod jwt;
mod login;
mod policy;
mod session;
mod signed_context;
mod token;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::bearer_source::{BearerSource, ObtainedBearer};
pub use self::context::{
    ContextRequest, Group, Principal, PrincipalId, PrincipalKind, Role, SecurityContext, TenantId,
};
pub use self::credentials::{AuthMethod, Credential, ServiceAuthRequest, ServiceCredentials};
pub use self::ext::IdentityPluginExt;
pub use self::jwt::{JwtRequest, RESERVED_CLAIMS, SignedJwt};
pub use self::login::{
    LoggedIn, LoggedOut, LoginCallback, LoginPrompt, LoginRequest, LoginStart, ReturnTo, UserLogin,
    UserProfile, UserSession, UserToken,
};
pub use self::policy::{Grant, Permission, RolePolicy, RoleResolver};
pub use self::session::{
    BrowserId, MemorySessions, SessionId, SessionKey, SessionRecord, SessionStore, SessionTag,
    StoredSession,
};
pub use self::signed_context::{ContextKey, ContextSigner, ContextVerifier};
pub use self::token::{BearerToken, DpopProof, TokenExpectation};
use crate::{Plugin, Result};

/// The powers of an [`IdentityPlugin`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdentityCapabilities {
    /// `authenticate_service` obtains credentials.
    pub authenticate: bool,
    /// `generate_jwt` signs.
    pub issue: bool,
}

impl IdentityCapabilities {
    /// Only checks tokens.
    pub const VERIFY_ONLY: Self = Self { authenticate: false, issue: false };

    /// Declares [`authenticate`](Self::authenticate).
    #[must_use]
    pub const fn with_authenticate(self) -> Self {
        Self { authenticate: true, ..self }
    }

    /// Declares [`issue`](Self::issue).
    #[must_use]
    pub const fn with_issue(self) -> Self {
        Self { issue: true, ..self }
    }
}

/// Proves who a service is, and checks who calls it (REQ 004-71).
///
/// # What callers may rely on
/// - Whatever cannot be checked is refused. Nothing falls back to "allow".
/// - A refused token is `TokenRejected` with a typed reason; "we could not find out" is another
///   kind (`Unavailable`, `Unauthenticated`), so that an outage is never mistaken for an intruder.
/// - A [`SecurityContext`] holds no token, no raw claims and no email address.
///
/// # What implementors keep
/// - The expectation is checked completely: a token bound to a certificate or key that arrives
///   without its proof is refused, never downgraded to a bearer token.
/// - No token, key or claim value appears in any error, log line or `Debug` output.
/// - `pipe_testkit::identity_compliance!` passes.
#[async_trait]
pub trait IdentityPlugin: Plugin {
    /// What this plugin offers beyond checking tokens. Constant for the instance's life.
    fn capabilities(&self) -> IdentityCapabilities;

    /// Obtains temporary credentials for a service.
    ///
    /// # Errors
    /// `Unauthenticated` when the issuer does not accept us, `Unavailable` when it cannot be
    /// asked, `Unsupported` for a method that is not offered.
    async fn authenticate_service(
        &self,
        request: &ServiceAuthRequest,
    ) -> Result<ServiceCredentials>;

    /// Signs a token for service-to-service calls.
    ///
    /// # Errors
    /// `InvalidArgument` for a lifetime out of bounds, `Unsupported` when the plugin does not sign.
    async fn generate_jwt(&self, request: &JwtRequest) -> Result<SignedJwt>;

    /// Checks a presented token and tells who is calling.
    ///
    /// # Errors
    /// `TokenRejected` with the reason; `Unavailable` when it could not be found out.
    async fn validate_token(
        &self,
        token: &BearerToken,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext>;

    /// The caller's context with its roles resolved *now*, for a decision downstream.
    ///
    /// # Errors
    /// `TokenRejected` when the context has expired, was made by another issuer or belongs to
    /// another tenant than the one asked for.
    async fn get_security_context(&self, request: &ContextRequest) -> Result<SecurityContext>;
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: IdentityPlugin + ?Sized> IdentityPlugin for $pointer {
            fn capabilities(&self) -> IdentityCapabilities {
                (**self).capabilities()
            }
            async fn authenticate_service(
                &self,
                request: &ServiceAuthRequest,
            ) -> Result<ServiceCredentials> {
                (**self).authenticate_service(request).await
            }
            async fn generate_jwt(&self, request: &JwtRequest) -> Result<SignedJwt> {
                (**self).generate_jwt(request).await
            }
            async fn validate_token(
                &self,
                token: &BearerToken,
                expect: &TokenExpectation,
            ) -> Result<SecurityContext> {
                (**self).validate_token(token, expect).await
            }
            async fn get_security_context(&self, request: &ContextRequest) -> Result<SecurityContext> {
                (**self).get_security_context(request).await
            }
        }
    )*};
}
forward!(Arc<P>, Box<P>);
