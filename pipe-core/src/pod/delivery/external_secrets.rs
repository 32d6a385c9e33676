//! The External Secrets Operator, `external-secrets.io/v1` (REQ 003-10).

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Delivered, InfisicalStore, Need, PodSecrets};
use crate::pod::manifest::MANAGED_BY;
use crate::pod::openbao::{check_object_name, check_word};
use crate::pod::{Manifest, OpenBaoStore, invalid, kubernetes_secret_name, of_secret};
use crate::secrets::SecretRef;
use crate::{Error, ErrorKind, Result};

/// An `ExternalSecret` for each secret, which the operator copies into a Kubernetes Secret, and the
/// `SecretStore` that it reads from.
///
/// The operator's provider for OpenBao is the one that it calls `vault`, which works with every
/// version since 0.16; the newer one of OpenBao's own name cannot log in with a service account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ExternalSecrets {
    /// Where the operator reads.
    pub store: ExternalStore,
    /// How often it reads; an hour. A second at least.
    #[serde(default = "default_refresh", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub refresh: Duration,
    /// Where OpenBao's certificate authorities are, when they are not the operator's own.
    #[serde(default)]
    pub ca_config_map: Option<ConfigMapKey>,
}

/// A key of a ConfigMap of the pod's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ConfigMapKey {
    /// The ConfigMap's name.
    pub name: String,
    /// The key.
    pub key: String,
}

/// Where the operator reads.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ExternalStore {
    /// OpenBao, through a `SecretStore` that is named after the pod.
    Openbao(OpenBaoStore),
    /// Infisical, through a `SecretStore` for each secret, whose folder it reads.
    Infisical(InfisicalStore),
    /// A store of any provider that is there already, and calls secrets as we do.
    Existing {
        /// Its name.
        name: String,
        /// Whether it belongs to the namespace.
        #[serde(default)]
        scope: StoreScope,
    },
}

/// Whom a store of the operator belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StoreScope {
    /// The namespace: a `SecretStore`.
    #[default]
    Namespace,
    /// The cluster: a `ClusterSecretStore`.
    Cluster,
}

impl StoreScope {
    fn kind(self) -> &'static str {
        match self {
            Self::Namespace => "SecretStore",
            Self::Cluster => "ClusterSecretStore",
        }
    }
}

impl ExternalSecrets {
    /// From OpenBao, every hour.
    #[must_use]
    pub fn openbao(openbao: OpenBaoStore) -> Self {
        Self::new(ExternalStore::Openbao(openbao))
    }

    /// From Infisical, every hour.
    #[must_use]
    pub fn infisical(infisical: InfisicalStore) -> Self {
        Self::new(ExternalStore::Infisical(infisical))
    }

    /// From a store that is there already, every hour.
    #[must_use]
    pub fn existing(name: impl Into<String>, scope: StoreScope) -> Self {
        Self::new(ExternalStore::Existing { name: name.into(), scope })
    }

    fn new(store: ExternalStore) -> Self {
        Self { store, refresh: default_refresh(), ca_config_map: None }
    }

    /// Which ConfigMap, and which key in it, has the certificate authorities of OpenBao.
    #[must_use]
    pub fn with_ca_config_map(self, name: impl Into<String>, key: impl Into<String>) -> Self {
        let ca = ConfigMapKey { name: name.into(), key: key.into() };
        Self { ca_config_map: Some(ca), ..self }
    }

    /// How often the operator reads.
    #[must_use]
    pub fn with_refresh(self, refresh: Duration) -> Self {
        Self { refresh, ..self }
    }

    pub(super) fn deliver(&self, secrets: &PodSecrets, pod: Delivered) -> Result<Delivered> {
        if self.refresh.as_secs() == 0 {
            return Err(invalid("not an interval", "refresh", &format!("{:?}", self.refresh))
                .hint("use a second at least"));
        }
        let mut manifests = Vec::new();
        let store = match &self.store {
            ExternalStore::Openbao(openbao) => {
                manifests.push(secret_store(secrets, openbao, self.ca_config_map.as_ref())?);
                json!({"kind": "SecretStore", "name": secrets.name})
            }
            ExternalStore::Existing { .. } | ExternalStore::Infisical(_)
                if self.ca_config_map.is_some() =>
            {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    "only OpenBao's store takes it",
                )
                .hint("leave out `ca_config_map`"));
            }
            // Each secret has its own.
            ExternalStore::Infisical(_) => Value::Null,
            ExternalStore::Existing { name, scope } => {
                check_object_name("store", name)?;
                json!({"kind": scope.kind(), "name": name})
            }
        };
        for (secret, need) in secrets.needs() {
            self.check(secret)?;
            let name = kubernetes_secret_name(secret);
            let store = match &self.store {
                ExternalStore::Infisical(infisical) => {
                    manifests.push(infisical.store(secret, secrets)?);
                    json!({"kind": "SecretStore", "name": name})
                }
                _ => store.clone(),
            };
            let spec = self.external_secret(secret, &need, &store);
            let rest = json!({"spec": spec});
            manifests.push(Manifest::new(API, "ExternalSecret", &name, &secrets.namespace, rest));
        }
        let delivered = pod.with_manifests(manifests);
        match &self.store {
            ExternalStore::Openbao(openbao) => delivered.with_policy_for(secrets, openbao),
            ExternalStore::Existing { .. } | ExternalStore::Infisical(_) => Ok(delivered),
        }
    }

    fn check(&self, secret: &SecretRef) -> Result<()> {
        match &self.store {
            ExternalStore::Openbao(openbao) => openbao.data_path(secret).map(drop),
            ExternalStore::Existing { .. } if secret.namespace.is_some() => {
                Err(of_secret(secret, "the namespace is the store's")
                    .hint("leave the namespace out, and use a store that is in it"))
            }
            ExternalStore::Existing { .. } | ExternalStore::Infisical(_) => Ok(()),
        }
    }

    fn external_secret(&self, secret: &SecretRef, need: &Need<'_>, store: &Value) -> Value {
        let key = secret.name.as_str();
        // The defaults are written out: what the server would add looks like a change to GitOps.
        let mut spec = json!({
            "refreshPolicy": "Periodic",
            "refreshInterval": go_duration(self.refresh),
            "secretStoreRef": store,
            "target": {
                "name": kubernetes_secret_name(secret),
                "creationPolicy": "Owner",
                "deletionPolicy": "Retain",
                "template": {
                    "type": "Opaque",
                    "engineVersion": "v2",
                    "metadata": {"labels": {MANAGED_BY: "pipe"}},
                },
            },
        });
        let remote = |mut reference: Value| {
            reference["conversionStrategy"] = "Default".into();
            reference["decodingStrategy"] = "None".into();
            reference["metadataPolicy"] = "None".into();
            reference
        };
        let is_folder = matches!(self.store, ExternalStore::Infisical(_));
        if need.whole {
            spec["dataFrom"] = match is_folder {
                true => json!([InfisicalStore::all()]),
                false => json!([{"extract": remote(json!({"key": key}))}]),
            };
        } else {
            let one = |property: &&str| {
                let reference = remote(match is_folder {
                    true => InfisicalStore::remote(property),
                    false => json!({"key": key, "property": property}),
                });
                json!({"secretKey": property, "remoteRef": reference})
            };
            spec["data"] = need.keys.iter().map(one).collect();
        }
        spec
    }
}

pub(super) const API: &str = "external-secrets.io/v1";

fn secret_store(
    secrets: &PodSecrets,
    openbao: &OpenBaoStore,
    ca: Option<&ConfigMapKey>,
) -> Result<Manifest> {
    openbao.check()?;
    let mut provider = json!({
        "server": openbao.address,
        "path": openbao.mount,
        "version": "v2",
        "auth": {"kubernetes": {
            "mountPath": openbao.auth_mount,
            "role": openbao.role,
            "serviceAccountRef": {
                "name": openbao.service_account,
                "audiences": [openbao.audience],
            },
        }},
    });
    if let Some(namespace) = &openbao.namespace {
        provider["namespace"] = namespace.as_str().into();
    }
    if let Some(ConfigMapKey { name, key }) = ca {
        check_object_name("config map", name)?;
        check_word("key", key)?;
        provider["caProvider"] = json!({"type": "ConfigMap", "name": name, "key": key});
    }
    let rest = json!({"spec": {"provider": {"vault": provider}}});
    Ok(Manifest::new(API, "SecretStore", &secrets.name, &secrets.namespace, rest))
}

/// As Go writes it, and therefore the server returns it: `1h0m0s`.
pub(super) fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

fn default_refresh() -> Duration {
    Duration::from_secs(3600)
}
