//! Who sent a request, and whether they may come in.

use std::sync::Arc;

use http::request::Parts;
use pipe_core::identity::{ContextRequest, ContextVerifier, TokenExpectation};
use pipe_core::{Error, ErrorKind, IdentityPlugin, Result, SecurityContext};

use crate::credentials::{self, Presented};
use crate::layer::{AfterUse, Settings};
use crate::refusal::Refusal;

/// What says who sent a request.
#[derive(Clone, Debug)]
pub(crate) enum Authority {
    /// A plugin that checks the token.
    Token { plugin: Arc<dyn IdentityPlugin>, expect: TokenExpectation },
    /// A service in front of us, which checked the token and signed what it found.
    Signed(ContextVerifier),
}

impl Settings {
    /// Tells who sent this request, or why nobody comes in.
    pub(crate) async fn admit(&self, parts: &mut Parts) -> Result<SecurityContext, Refusal> {
        let context = match &self.authority {
            Authority::Token { plugin, expect } => {
                let presented = Presented::by(parts, self.origin.as_ref())?;
                self.clean(parts);
                tokio::time::timeout(self.deadline, self.identify(plugin, expect, presented))
                    .await
                    .map_err(|_| self.overdue(plugin.name()))??
            }
            Authority::Signed(verifier) => {
                let token = credentials::signed_context(parts)?;
                self.clean(parts);
                verifier.verify(&token)?
            }
        };
        self.check_granted(&context)?;
        Ok(context)
    }

    fn clean(&self, parts: &mut Parts) {
        match self.after_use {
            AfterUse::Remove => credentials::remove(&mut parts.headers),
            AfterUse::Keep => credentials::mark_sensitive(&mut parts.headers),
        }
    }

    async fn identify(
        &self,
        plugin: &dyn IdentityPlugin,
        expect: &TokenExpectation,
        presented: Presented,
    ) -> Result<SecurityContext> {
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

    fn overdue(&self, plugin: &str) -> Error {
        Error::new(ErrorKind::Timeout, "the caller was not checked in time")
            .at(plugin, "validate_token")
            .with("deadline", format_args!("{:?}", self.deadline))
            .hint("check that the identity provider answers, or raise the layer's deadline")
    }
}
