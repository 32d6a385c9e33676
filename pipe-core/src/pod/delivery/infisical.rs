//! Infisical's operator, `secrets.infisical.com/v1beta1`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::external_secrets::go_duration;
use super::{Delivered, PodSecrets};
use crate::Result;
use crate::pod::infisical_folder::infisical_path;
use crate::pod::openbao::{check_address, check_namespace, check_object_name, check_word};
use crate::pod::{Manifest, invalid, kubernetes_secret_name, of_secret};
use crate::secrets::SecretRef;

/// An `InfisicalStaticSecret` for each secret: the folder of its name, whose secrets are its keys,
/// is copied into a Kubernetes Secret. Whole: the operator does not choose keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct InfisicalOperator {
    /// The server's address as the operator reaches it; `https`.
    pub address: String,
    /// The project's slug.
    pub project: String,
    /// The environment's slug.
    pub environment: String,
    /// The folder below which all secrets are; the root when absent.
    #[serde(default)]
    pub folder: Option<String>,
    /// How the operator logs in.
    pub auth: InfisicalAuthMethod,
    /// How often it reads; a minute. A second at least.
    #[serde(default = "default_refresh", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub refresh: Duration,
}

/// How the operator logs in: where in Kubernetes what it needs is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum InfisicalAuthMethod {
    /// With a machine identity's client id and secret.
    Universal {
        /// Where the client id is.
        client_id: SecretKey,
        /// Where the client secret is.
        client_secret: SecretKey,
    },
    /// As a service account of the pod's namespace.
    Kubernetes {
        /// Where the id of the machine identity is.
        identity_id: SecretKey,
        /// The service account.
        service_account: String,
        /// Whom its token is meant for.
        audience: String,
    },
}

/// A key of a Kubernetes Secret of any namespace, for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SecretKey {
    /// The Secret's namespace.
    pub namespace: String,
    /// The Secret's name.
    pub name: String,
    /// The key.
    pub key: String,
}

impl SecretKey {
    /// This key of this Secret.
    #[must_use]
    pub fn new(
        namespace: impl Into<String>,
        name: impl Into<String>,
        key: impl Into<String>,
    ) -> Self {
        Self { namespace: namespace.into(), name: name.into(), key: key.into() }
    }

    fn reference(&self) -> Result<Value> {
        check_namespace(&self.namespace)?;
        check_object_name("secret", &self.name)?;
        check_word("key", &self.key)?;
        Ok(json!({"namespace": self.namespace, "name": self.name, "key": self.key}))
    }
}

impl InfisicalOperator {
    /// From this environment of this project, every minute.
    #[must_use]
    pub fn new(
        address: impl Into<String>,
        project: impl Into<String>,
        environment: impl Into<String>,
        auth: InfisicalAuthMethod,
    ) -> Self {
        Self {
            address: address.into(),
            project: project.into(),
            environment: environment.into(),
            folder: None,
            auth,
            refresh: default_refresh(),
        }
    }

    /// The folder below which all secrets are.
    #[must_use]
    pub fn with_folder(self, folder: impl Into<String>) -> Self {
        Self { folder: Some(folder.into()), ..self }
    }

    /// How often the operator reads.
    #[must_use]
    pub fn with_refresh(self, refresh: Duration) -> Self {
        Self { refresh, ..self }
    }

    pub(super) fn deliver(&self, secrets: &PodSecrets, pod: Delivered) -> Result<Delivered> {
        check_address(&self.address)?;
        check_word("project", &self.project)?;
        check_word("environment", &self.environment)?;
        if self.refresh.as_secs() == 0 {
            return Err(invalid("not an interval", "refresh", &format!("{:?}", self.refresh))
                .hint("use a second at least"));
        }
        let (name, namespace) = (secrets.name.as_str(), secrets.namespace.as_str());
        let own = |kind: &str, spec: Value| {
            Manifest::new(API, kind, name, namespace, json!({"spec": spec}))
        };
        let mut manifests = vec![
            own("InfisicalConnection", json!({"address": self.address})),
            own("InfisicalAuth", self.auth(name, namespace)?),
        ];
        for secret in secrets.needs().into_keys() {
            let spec = self.static_secret(secret, name, namespace)?;
            let rest = json!({"spec": spec});
            let name = kubernetes_secret_name(secret);
            manifests.push(Manifest::new(API, "InfisicalStaticSecret", &name, namespace, rest));
        }
        Ok(pod.with_manifests(manifests))
    }

    fn auth(&self, name: &str, namespace: &str) -> Result<Value> {
        let connection = json!({"name": name, "namespace": namespace});
        Ok(match &self.auth {
            InfisicalAuthMethod::Universal { client_id, client_secret } => json!({
                "infisicalConnectionRef": connection,
                "method": "universal",
                "universal": {
                    "clientIdRef": client_id.reference()?,
                    "clientSecretRef": client_secret.reference()?,
                },
            }),
            InfisicalAuthMethod::Kubernetes { identity_id, service_account, audience } => {
                check_object_name("service account", service_account)?;
                check_word("audience", audience)?;
                json!({
                    "infisicalConnectionRef": connection,
                    "method": "kubernetes",
                    "kubernetes": {
                        "identityIdRef": identity_id.reference()?,
                        "serviceAccountRef": {"name": service_account, "namespace": namespace},
                        "serviceAccountTokenAudiences": [audience],
                    },
                })
            }
        })
    }

    fn static_secret(&self, secret: &SecretRef, name: &str, namespace: &str) -> Result<Value> {
        if secret.namespace.is_some() {
            return Err(of_secret(secret, "the environment is the operator's").hint(
                "leave the namespace out, and use an operator's settings with that environment",
            ));
        }
        Ok(json!({
            "infisicalAuthRef": {"name": name, "namespace": namespace},
            "syncOptions": {
                "refreshInterval": go_duration(self.refresh),
                "instantUpdates": false,
            },
            "sources": [{
                "projectSlug": self.project,
                "environmentSlug": self.environment,
                "secretPath": infisical_path(self.folder.as_deref(), &secret.name)?,
            }],
            "targets": [{
                "name": kubernetes_secret_name(secret),
                "namespace": namespace,
                "kind": "Secret",
                "secretType": "Opaque",
                "creationPolicy": "Owner",
            }],
        }))
    }
}

const API: &str = "secrets.infisical.com/v1beta1";

fn default_refresh() -> Duration {
    Duration::from_secs(60)
}
