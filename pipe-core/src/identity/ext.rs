//! What callers find handy, on top of the contract.

use async_trait::async_trait;

use super::{BearerToken, ContextRequest, IdentityPlugin, Role, SecurityContext, TokenExpectation};
use crate::{Error, ErrorKind, Result};

/// Implemented for every [`IdentityPlugin`], trait objects included.
#[async_trait]
pub trait IdentityPluginExt: IdentityPlugin {
    /// Checks a token and requires a role of its bearer, both as they are now.
    ///
    /// # Errors
    /// `PermissionDenied`, naming the role; and as for [`IdentityPlugin::validate_token`].
    async fn authorize(
        &self,
        token: &BearerToken,
        expect: &TokenExpectation,
        role: &Role,
    ) -> Result<SecurityContext> {
        let context = self.validate_token(token, expect).await?;
        let mut request = ContextRequest::new(context);
        request.tenant = expect.tenant.clone();
        let context = self.get_security_context(&request).await?;
        if context.has_role(role) {
            return Ok(context);
        }
        Err(Error::new(ErrorKind::PermissionDenied, "the caller lacks the role")
            .at(self.name(), "authorize")
            .with("role", role)
            .with("principal", &context.principal.id)
            .hint("grant the role to this principal at the issuer or in the role mapping"))
    }

    /// Whether the caller has this role now. Whatever cannot be found out is an error, never yes.
    ///
    /// # Errors
    /// As for [`IdentityPlugin::get_security_context`].
    async fn is_allowed(&self, request: &ContextRequest, role: &Role) -> Result<bool> {
        Ok(self.get_security_context(request).await?.has_role(role))
    }
}

impl<P: IdentityPlugin + ?Sized> IdentityPluginExt for P {}
