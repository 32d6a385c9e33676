//! The identity half.

use std::sync::Arc;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::Cached;
use super::store::Fetch;
use crate::identity::{
    BearerToken, ContextRequest, IdentityCapabilities, JwtRequest, ServiceAuthRequest,
    ServiceCredentials, SignedJwt, TokenExpectation,
};
use crate::{IdentityPlugin, Result, SecurityContext};

/// A digest of a token and of all that was expected of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenKey([u8; 32]);

impl TokenKey {
    /// `None` when the answer is good for one request only.
    fn new(token: &BearerToken, expect: &TokenExpectation) -> Option<Self> {
        let TokenExpectation { audiences, tenant, peer_certificate, dpop } = expect;
        if dpop.is_some() {
            return None;
        }
        let mut digest = Sha256::new();
        // Lengths in front of the parts, so that no two lists of parts look alike.
        let mut add = |part: Option<&[u8]>| {
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            digest.update(length.to_be_bytes());
            digest.update(part.unwrap_or_default());
        };
        add(Some(token.expose()));
        add(tenant.as_ref().map(|tenant| tenant.as_str().as_bytes()));
        add(peer_certificate.as_deref());
        for audience in audiences {
            add(Some(audience.as_bytes()));
        }
        Some(Self(digest.finalize().into()))
    }
}

impl<P> Cached<P> {
    /// Forgets credentials that were refused where they were shown: the next call obtains others.
    pub fn invalidate_credentials(&self, request: &ServiceAuthRequest) {
        self.0.credentials.forget(request);
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: IdentityPlugin> IdentityPlugin for Cached<P> {
    fn capabilities(&self) -> IdentityCapabilities {
        self.0.plugin.capabilities()
    }

    async fn authenticate_service(
        &self,
        request: &ServiceAuthRequest,
    ) -> Result<ServiceCredentials> {
        let fetch = || -> Fetch<ServiceCredentials> {
            let (plugin, request) = (Arc::clone(&self.0.plugin), request.clone());
            Box::pin(async move { plugin.authenticate_service(&request).await })
        };
        self.0.credentials.get(request, fetch).await
    }

    async fn generate_jwt(&self, request: &JwtRequest) -> Result<SignedJwt> {
        self.0.plugin.generate_jwt(request).await
    }

    async fn validate_token(
        &self,
        token: &BearerToken,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext> {
        let Some(key) = TokenKey::new(token, expect) else {
            return self.0.plugin.validate_token(token, expect).await;
        };
        let fetch = || -> Fetch<SecurityContext> {
            let (plugin, token) = (Arc::clone(&self.0.plugin), token.clone());
            let expect = expect.clone();
            Box::pin(async move { plugin.validate_token(&token, &expect).await })
        };
        self.0.tokens.get(&key, fetch).await
    }

    async fn get_security_context(&self, request: &ContextRequest) -> Result<SecurityContext> {
        self.0.plugin.get_security_context(request).await
    }
}
