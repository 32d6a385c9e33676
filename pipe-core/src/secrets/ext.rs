//! What callers find handy, on top of the contract.

use async_trait::async_trait;

use super::{Secret, SecretRef, SecretsPlugin};
use crate::{Error, ErrorKind, Result, SecretValue};

/// Implemented for every [`SecretsPlugin`], trait objects included.
#[async_trait]
pub trait SecretsPluginExt: SecretsPlugin {
    /// Reads a secret that has to exist.
    ///
    /// # Errors
    /// `NotFound` when it does not, and as for [`SecretsPlugin::get_secret`].
    async fn require_secret(&self, secret: &SecretRef) -> Result<Secret> {
        self.get_secret(secret).await?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "the secret does not exist")
                .at(self.name(), "require_secret")
                .with("secret", secret)
                .hint("create the secret, or check its name and namespace")
        })
    }

    /// Reads one key; `None` when the secret or the key does not exist.
    ///
    /// # Errors
    /// As for [`SecretsPlugin::get_secret`].
    async fn get_key(&self, secret: &SecretRef, key: &str) -> Result<Option<SecretValue>> {
        Ok(self.get_secret(secret).await?.and_then(|found| found.data.get(key).cloned()))
    }

    /// Reads one key that has to exist.
    ///
    /// # Errors
    /// `NotFound` when the secret or the key does not, naming the keys that do exist.
    async fn require_key(&self, secret: &SecretRef, key: &str) -> Result<SecretValue> {
        let found = self.require_secret(secret).await?;
        found.data.get(key).cloned().ok_or_else(|| {
            let keys: Vec<_> = found.data.keys().collect();
            Error::new(ErrorKind::NotFound, "the secret has no such key")
                .at(self.name(), "require_key")
                .with("secret", secret)
                .with("key", key)
                .with("keys", keys.join(" "))
                .hint("use one of the keys that exist, or add the key to the secret")
        })
    }
}

impl<P: SecretsPlugin + ?Sized> SecretsPluginExt for P {}
