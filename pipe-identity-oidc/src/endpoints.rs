//! Where to ask an issuer: what its discovery document says, unless the settings say otherwise.

use async_trait::async_trait;
use pipe_core::{Error, ErrorKind, Result, SecretValue};

use crate::client::Endpoints;
use crate::provider::{Endpoint, EndpointUrls, Metadata, Provider};

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

    /// Whoever it is that is asked.
    pub(crate) fn provider(&self) -> &Provider {
        &self.provider
    }

    /// An endpoint that discovery names, where clients authenticate; `None` when it names none.
    pub(crate) async fn offered(
        &self,
        named: impl Fn(&EndpointUrls) -> Option<String>,
        certificate: Option<&SecretValue>,
    ) -> Result<Option<Endpoint>> {
        let metadata = self.provider.metadata().await?;
        let Some(url) = url_of(&metadata, named, certificate) else { return Ok(None) };
        self.provider.client_for(&url, certificate).map(Some)
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
        let url = url_of(&metadata, named, certificate).ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "the provider does not name the endpoint")
                .with("setting", setting)
                .hint("set the URL of the endpoint, or check that the provider offers it")
        })?;
        self.provider.client_for(&url, certificate)
    }
}

/// Where a certificate is taken, where we present one (RFC 8705 5).
fn url_of(
    metadata: &Metadata,
    named: impl Fn(&EndpointUrls) -> Option<String>,
    certificate: Option<&SecretValue>,
) -> Option<String> {
    let alias = certificate.and_then(|_| named(&metadata.mtls_endpoint_aliases));
    alias.or_else(|| named(&metadata.endpoints))
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
