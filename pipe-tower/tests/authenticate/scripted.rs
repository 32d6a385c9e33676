//! A plugin that says what it is told to say.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use pipe_core::identity::{
    BearerToken, ContextRequest, IdentityCapabilities, JwtRequest, ServiceAuthRequest,
    ServiceCredentials, SignedJwt, TokenExpectation,
};
use pipe_core::{Error, ErrorKind, Health, IdentityPlugin, Plugin, Result, SecurityContext};

/// Gives every token the same answer, and remembers what was expected of the last one.
#[derive(Clone, Debug)]
pub(crate) struct Scripted {
    answer: Option<Result<SecurityContext>>,
    expected: Arc<Mutex<Option<TokenExpectation>>>,
}

impl Scripted {
    pub(crate) fn accepts(context: SecurityContext) -> Self {
        Self { answer: Some(Ok(context)), expected: Arc::default() }
    }

    pub(crate) fn fails(error: Error) -> Self {
        Self { answer: Some(Err(error)), expected: Arc::default() }
    }

    pub(crate) fn fails_as(kind: ErrorKind) -> Self {
        Self::fails(Error::new(kind, "scripted"))
    }

    pub(crate) fn hangs() -> Self {
        Self { answer: None, expected: Arc::default() }
    }

    /// What was expected of the token that came last.
    pub(crate) fn expected(&self) -> Option<TokenExpectation> {
        self.expected.lock().unwrap().clone()
    }
}

#[async_trait]
impl Plugin for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    async fn health(&self) -> Health {
        Health::healthy()
    }
}

#[async_trait]
impl IdentityPlugin for Scripted {
    fn capabilities(&self) -> IdentityCapabilities {
        IdentityCapabilities::VERIFY_ONLY
    }

    async fn authenticate_service(&self, _: &ServiceAuthRequest) -> Result<ServiceCredentials> {
        Err(Error::unsupported(self.name(), "authenticate_service"))
    }

    async fn generate_jwt(&self, _: &JwtRequest) -> Result<SignedJwt> {
        Err(Error::unsupported(self.name(), "generate_jwt"))
    }

    async fn validate_token(
        &self,
        _: &BearerToken,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext> {
        *self.expected.lock().unwrap() = Some(expect.clone());
        match &self.answer {
            Some(answer) => answer.clone(),
            None => std::future::pending().await,
        }
    }

    async fn get_security_context(&self, request: &ContextRequest) -> Result<SecurityContext> {
        Ok(request.context.clone())
    }
}
