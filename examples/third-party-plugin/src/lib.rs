//! A store of secrets by somebody else: small, flat, text only. What it does not declare, the
//! trait's default bodies refuse.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use pipe_core::secrets::{Change, Secret, SecretsCapabilities, WriteOutcome};
use pipe_core::{
    Error, ErrorKind, Health, Plugin, Result, SecretData, SecretName, SecretRef, SecretsPlugin,
};

/// Acme's vault.
#[derive(Default)]
pub struct AcmeVault(Mutex<BTreeMap<SecretName, SecretData>>);

impl AcmeVault {
    /// Acme knows neither folders nor namespaces nor versions.
    fn name_of(secret: &SecretRef) -> Result<SecretName> {
        if secret.namespace.is_some() || secret.version.is_some() {
            return Err(Error::new(ErrorKind::Unsupported, "only plain names are supported"));
        }
        if secret.name.segments().nth(1).is_some() {
            return Err(Error::new(ErrorKind::InvalidArgument, "the name has a folder in it")
                .hint("use a name without `/`"));
        }
        Ok(secret.name.clone())
    }
}

impl fmt::Debug for AcmeVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AcmeVault")
    }
}

#[async_trait::async_trait]
impl Plugin for AcmeVault {
    fn name(&self) -> &str {
        "acme"
    }

    async fn health(&self) -> Health {
        Health::healthy()
    }
}

#[async_trait::async_trait]
impl SecretsPlugin for AcmeVault {
    fn capabilities(&self) -> SecretsCapabilities {
        SecretsCapabilities::READ_ONLY.with_write()
    }

    async fn get_secret(&self, secret: &SecretRef) -> Result<Option<Secret>> {
        let name = Self::name_of(secret)?;
        Ok(self.0.lock().expect("no holder panics").get(&name).cloned().map(Secret::new))
    }

    async fn create_secret(&self, secret: &SecretRef, data: SecretData) -> Result<WriteOutcome> {
        let name = Self::name_of(secret)?;
        self.capabilities().check(&data)?;
        let mut stored = self.0.lock().expect("no holder panics");
        let change = match stored.get(&name) {
            None => Change::Created,
            Some(before) if *before == data => Change::Unchanged,
            Some(_) => Change::Updated,
        };
        stored.insert(name, data);
        Ok(WriteOutcome::new(change))
    }
}
