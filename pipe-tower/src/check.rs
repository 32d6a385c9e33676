//! Who sent a request, and whether they may come in.

use std::sync::Arc;

use http::request::Parts;
use pipe_core::identity::{ContextRequest, TokenExpectation};
use pipe_core::{Error, ErrorKind, IdentityPlugin, Result, SecurityContext};

use crate::credentials::{self, Presented};
use crate::layer::{AfterUse, Settings};
use crate::refusal::Refusal;

/// What says who sent a request.
#[derive(Clone, Debug)]
pub(crate) enum Authority {
    /// A plugin that checks the token.
    Token { plugin: Arc<dyn IdentityPlugin>, expect: TokenExpectation },
}

impl Settings {
    /// Tells who sent this request, or why nobody comes in.
    pub(crate) async fn admit(&self, parts: &mut Parts) -> Result<SecurityContext, Refusal> {
        let presented = Presented::by(parts, self.origin.as_ref())?;
        match self.after_use {
            AfterUse::Remove => credentials::remove(&mut parts.headers),
            AfterUse::Keep => credentials::mark_sensitive(&mut parts.headers),
        }
        let context = tokio::time::timeout(self.deadline, self.identify(presented))
            .await
            .map_err(|_| self.overdue())??;
        self.check_granted(&context)?;
        Ok(context)
    }

    async fn identify(&self, presented: Presented) -> Result<SecurityContext> {
        let Authority::Token { plugin, expect } = &self.authority;
        let mut expect = expect.clone();
        expect.peer_certificate = presented.peer_certificate;
        expect.dpop = presented.dpop;
        let context = plugin.validate_token(&presented.token, &expect).await?;
        if self.roles.is_empty() {
            return Ok(context);
        }
        // A role that was taken away meanwhile is still in the token.
        let mut request = ContextRequest::new(context);
        request.tenant = expect.tenant;
        plugin.get_security_context(&request).await
    }

    fn check_granted(&self, context: &SecurityContext) -> Result<()> {
        let denied = |message| {
            Error::new(ErrorKind::PermissionDenied, message)
                .with("principal", &context.principal.id)
        };
        if let Some(role) = self.roles.iter().find(|role| !context.has_role(role)) {
            return Err(denied("the caller lacks the role")
                .with("role", role)
                .hint("grant the role to this principal at the issuer or in the role mapping"));
        }
        if let Some(scope) = self.scopes.iter().find(|scope| !context.scopes.contains(*scope)) {
            return Err(denied("the token lacks the scope")
                .with("scope", scope)
                .hint("let the client ask for the scope, and grant it at the issuer"));
        }
        Ok(())
    }

    fn overdue(&self) -> Error {
        let Authority::Token { plugin, .. } = &self.authority;
        Error::new(ErrorKind::Timeout, "the caller was not checked in time")
            .at(plugin.name(), "validate_token")
            .with("deadline", format_args!("{:?}", self.deadline))
            .hint("check that the identity provider answers, or raise the layer's deadline")
    }
}
