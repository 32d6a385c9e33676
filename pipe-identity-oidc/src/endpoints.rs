//! Where to ask an issuer: what its discovery document says, unless the settings say otherwise.

use async_trait::async_trait;
use pipe_core::{Error, ErrorKind, Result, SecretValue};

use crate::client::Endpoints;
use crate::provider::{Endpoint, EndpointUrls, Provider};

/// The endpoints of one issuer.
#[derive(Debug)]
pub(crate) struct ProviderEndpoints {
    issuer: String,
    provider: Provider,
    token: Option<String>,
    introspection: Option<String>,
}

impl ProviderEndpoints {
    /// Those of this provider; the token endpoint and the introspection endpoint may be given.
    ///
    /// # Errors
    /// `ConfigInvalid` when one that is given cannot be used.
    pub(crate) fn new(
        issuer: impl Into<String>,
        provider: Provider,
        token: Option<String>,
        introspection: Option<String>,
    ) -> Result<Self> {
        for url in token.iter().chain(&introspection) {
            provider.client_for(url, None)?;
        }
        Ok(Self { issuer: issuer.into(), provider, token, introspection })
    }

    /// The introspection endpoint (RFC 7662).
    pub(crate) async fn introspection(
        &self,
        certificate: Option<&SecretValue>,
    ) -> Result<Endpoint> {
        let named = |urls: &EndpointUrls| urls.introspection_endpoint.clone();
        self.endpoint(self.introspection.as_deref(), named, "introspection.endpoint", certificate)
            .await
    }

    async fn endpoint(
        &self,
        given: Option<&str>,
        named: impl Fn(&EndpointUrls) -> Option<String>,
        setting: &'static str,
        certificate: Option<&SecretValue>,
    ) -> Result<Endpoint> {
        if let Some(url) = given {
            return self.provider.client_for(url, certificate);
        }
        let metadata = self.provider.metadata().await?;
        // RFC 8705 5
        let alias = certificate.and_then(|_| named(&metadata.mtls_endpoint_aliases));
        let url = alias.or_else(|| named(&metadata.endpoints)).ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "the provider does not name the endpoint")
                .with("setting", setting)
                .hint("set the URL of the endpoint, or check that the provider offers it")
        })?;
        self.provider.client_for(&url, certificate)
    }
}

#[async_trait]
impl Endpoints for ProviderEndpoints {
    fn issuer(&self) -> &str {
        &self.issuer
    }

    async fn token_endpoint(&self, certificate: Option<&SecretValue>) -> Result<Endpoint> {
        let named = |urls: &EndpointUrls| urls.token_endpoint.clone();
        self.endpoint(self.token.as_deref(), named, "client.token_endpoint", certificate).await
    }
}
