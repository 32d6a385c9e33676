//! Where the provider is asked.

use std::fmt;

use async_trait::async_trait;
use pipe_core::{Result, SecretValue};

pub(crate) use crate::provider::Endpoint;

/// Tells where the endpoints of a provider are.
#[async_trait]
pub(crate) trait Endpoints: fmt::Debug + Send + Sync + 'static {
    /// The issuer, byte for byte.
    fn issuer(&self) -> &str;

    /// The token endpoint. With a client certificate (the chain and the key, PEM), the client
    /// presents it, and the endpoint is that of `mtls_endpoint_aliases` where there is one (RFC
    /// 8705 5).
    ///
    /// # Errors
    /// `Unavailable` when it is not known yet; `ConfigInvalid` when the certificate is not usable.
    async fn token_endpoint(&self, certificate: Option<&SecretValue>) -> Result<Endpoint>;
}
