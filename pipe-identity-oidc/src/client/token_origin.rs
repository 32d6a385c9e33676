//! Where the tokens come from that we exchange for others.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use pipe_core::identity::{Credential, ServiceAuthRequest};
use pipe_core::{
    Error, ErrorKind, IdentityPlugin, Result, SecretReader, SecretSource, SecretValue,
};
use serde::Deserialize;

/// Gives a token, the same one or another each time.
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// A token that is valid now.
    ///
    /// # Errors
    /// Whatever keeps the token from being had.
    async fn token(&self) -> Result<SecretValue>;
}

/// Where a token is. A file is read anew for every request, for Kubernetes replaces the tokens that
/// it projects.
///
/// In a document it is a [`SecretSource`]: `{ file = "/var/run/secrets/tokens/idp" }`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "SecretSource"))]
#[serde(from = "SecretSource")]
pub struct TokenOrigin(Arc<dyn TokenSource>);

impl TokenOrigin {
    /// The file at this path.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        SecretSource::file(path).into()
    }

    /// Whatever this gives, such as [`PluginTokens`].
    pub fn new(source: impl TokenSource) -> Self {
        Self(Arc::new(source))
    }

    pub(crate) async fn token(&self) -> Result<SecretValue> {
        self.0.token().await
    }
}

impl From<SecretSource> for TokenOrigin {
    fn from(source: SecretSource) -> Self {
        Self::new(Stored(source.reader()))
    }
}

#[derive(Debug)]
struct Stored(SecretReader);

#[async_trait]
impl TokenSource for Stored {
    async fn token(&self) -> Result<SecretValue> {
        self.0.read().await
    }
}

/// The tokens that another identity plugin obtains: those of another provider, say.
pub struct PluginTokens {
    plugin: Arc<dyn IdentityPlugin>,
    request: ServiceAuthRequest,
}

impl PluginTokens {
    /// What this plugin gives for this request.
    pub fn new(plugin: Arc<dyn IdentityPlugin>, request: ServiceAuthRequest) -> Self {
        Self { plugin, request }
    }
}

#[async_trait]
impl TokenSource for PluginTokens {
    async fn token(&self) -> Result<SecretValue> {
        match self.plugin.authenticate_service(&self.request).await?.credential {
            Credential::Bearer(token) => Ok(token.expose().into()),
            _ => Err(Error::new(
                ErrorKind::ConfigInvalid,
                "the plugin that should give a token gives another credential",
            )
            .with("plugin", self.plugin.name())
            .hint("ask it with a method that gives tokens")),
        }
    }
}

impl fmt::Debug for PluginTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginTokens")
            .field("plugin", &self.plugin.name())
            .field("request", &self.request)
            .finish()
    }
}
