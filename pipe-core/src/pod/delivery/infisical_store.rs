//! Infisical as a provider of the External Secrets Operator.

use serde::Deserialize;
use serde_json::{Value, json};

use super::PodSecrets;
use crate::Result;
use crate::pod::infisical_folder::infisical_path;
use crate::pod::openbao::{check_address, check_object_name, check_word};
use crate::pod::{Manifest, kubernetes_secret_name, of_secret};
use crate::secrets::SecretRef;

/// Where in Infisical the operator reads. It logs in by universal auth, with a Kubernetes Secret of the pod's
/// namespace.
///
/// The operator copies text as it is stored: a value that the plugin has to store encoded
/// ([`StoredText`](crate::secrets::StoredText)) arrives encoded.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct InfisicalStore {
    /// The server's address as the operator reaches it; `https`.
    pub address: String,
    /// The project's slug.
    pub project: String,
    /// The environment's slug.
    pub environment: String,
    /// The folder below which all secrets are; the root when absent.
    #[serde(default)]
    pub folder: Option<String>,
    /// The Kubernetes Secret with the client id and the client secret.
    pub credentials: String,
    /// The key with the client id; `clientId`.
    #[serde(default = "default_client_id")]
    pub client_id_key: String,
    /// The key with the client secret; `clientSecret`.
    #[serde(default = "default_client_secret")]
    pub client_secret_key: String,
}

fn default_client_id() -> String {
    "clientId".to_owned()
}

fn default_client_secret() -> String {
    "clientSecret".to_owned()
}

impl InfisicalStore {
    /// This environment of this project, with the credentials in this Kubernetes Secret.
    #[must_use]
    pub fn new(
        address: impl Into<String>,
        project: impl Into<String>,
        environment: impl Into<String>,
        credentials: impl Into<String>,
    ) -> Self {
        Self {
            address: address.into(),
            project: project.into(),
            environment: environment.into(),
            folder: None,
            credentials: credentials.into(),
            client_id_key: default_client_id(),
            client_secret_key: default_client_secret(),
        }
    }

    /// The folder below which all secrets are.
    #[must_use]
    pub fn with_folder(self, folder: impl Into<String>) -> Self {
        Self { folder: Some(folder.into()), ..self }
    }

    /// Under which keys the Kubernetes Secret has the client id and the client secret.
    #[must_use]
    pub fn with_keys(self, client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self { client_id_key: client_id.into(), client_secret_key: client_secret.into(), ..self }
    }

    /// The store of one secret, whose folder it reads.
    pub(super) fn store(&self, secret: &SecretRef, secrets: &PodSecrets) -> Result<Manifest> {
        check_address(&self.address)?;
        check_word("project", &self.project)?;
        check_word("environment", &self.environment)?;
        check_object_name("secret", &self.credentials)?;
        check_word("key", &self.client_id_key)?;
        check_word("key", &self.client_secret_key)?;
        if secret.namespace.is_some() {
            return Err(of_secret(secret, "the environment is the store's")
                .hint("leave the namespace out, and use a store of that environment"));
        }
        let reference = |key: &str| json!({"name": self.credentials, "key": key});
        let provider = json!({
            "hostAPI": self.address,
            "auth": {"universalAuthCredentials": {
                "clientId": reference(&self.client_id_key),
                "clientSecret": reference(&self.client_secret_key),
            }},
            "secretsScope": {
                "projectSlug": self.project,
                "environmentSlug": self.environment,
                "secretsPath": infisical_path(self.folder.as_deref(), &secret.name)?,
            },
        });
        let rest = json!({"spec": {"provider": {"infisical": provider}}});
        let name = kubernetes_secret_name(secret);
        Ok(Manifest::new(
            super::external_secrets::API,
            "SecretStore",
            &name,
            &secrets.namespace,
            rest,
        ))
    }

    /// Where a key is, in the store of its secret.
    pub(super) fn remote(property: &str) -> Value {
        json!({"key": property})
    }

    /// All keys, in the store of their secret.
    pub(super) fn all() -> Value {
        json!({"find": {
            "name": {"regexp": ".*"},
            "conversionStrategy": "Default",
            "decodingStrategy": "None",
        }})
    }
}
