//! The Secrets Store CSI driver with OpenBao's provider, `secrets-store.csi.x-k8s.io/v1`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Delivered, PodSecrets, check_keyed};
use crate::Result;
use crate::pod::manifest::MANAGED_BY;
use crate::pod::model::{CsiVolumeSource, Volume, VolumeMount, VolumeSource};
use crate::pod::naming::{DEFAULT_MODE, marked};
use crate::pod::{
    EnvInjection, Manifest, OpenBaoStore, PodFragment, SecretMount, invalid, kubernetes_secret_name,
};
use crate::secrets::SecretRef;

/// A `SecretProviderClass` for each mount; the driver writes the files when the pod starts, and a
/// Kubernetes Secret only for environment variables, while such a pod runs.
///
/// Keys have to be named, and be there. The pod runs as the service account of the store; for its
/// audience the driver has to be installed with a `tokenRequests` entry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SecretsStoreCsi {
    /// Where in OpenBao, and as whom.
    pub openbao: OpenBaoStore,
    /// The file with the server's certificate authorities, in the provider's own pod.
    #[serde(default)]
    pub ca_file: Option<String>,
}

impl SecretsStoreCsi {
    /// From OpenBao, with the provider's own certificate authorities.
    #[must_use]
    pub fn new(openbao: OpenBaoStore) -> Self {
        Self { openbao, ca_file: None }
    }

    /// The file with the server's certificate authorities, in the provider's own pod.
    #[must_use]
    pub fn with_ca_file(self, ca_file: impl Into<String>) -> Self {
        Self { ca_file: Some(ca_file.into()), ..self }
    }

    pub(super) fn deliver(&self, secrets: &PodSecrets) -> Result<Delivered> {
        self.openbao.check()?;
        let mut fragments = vec![PodFragment {
            service_account_name: Some(self.openbao.service_account.clone()),
            ..PodFragment::default()
        }];
        let mut manifests = Vec::new();
        for mount in secrets.volumes_of_keys()? {
            let (fragment, class) = self.files(secrets, mount)?;
            fragments.push(fragment);
            manifests.extend(class.filter(|class| !manifests.contains(class)));
        }
        let variables = self.variables(secrets)?;
        fragments.extend(variables.0);
        manifests.extend(variables.1);
        let fragment = PodFragment::merge_all(fragments)?;
        Delivered::new(fragment).with_manifests(manifests).with_policy_for(secrets, &self.openbao)
    }

    fn files(
        &self,
        secrets: &PodSecrets,
        mount: &SecretMount,
    ) -> Result<(PodFragment, Option<Manifest>)> {
        // Everything is checked as for a Secret; then the volume is another one.
        let mut fragment = mount.fragment()?;
        let path = self.openbao.data_path(&mount.secret)?;
        let Some(volume) = fragment.volumes.pop() else { return Ok((fragment, None)) };
        let mode = volume.secret().map_or(DEFAULT_MODE, |secret| secret.default_mode);
        let mut objects = String::new();
        for item in &mount.items {
            object(&mut objects, &item.path, &path, &item.key, item.mode.unwrap_or(mode));
        }
        let at = fragment.volume_mounts.first().map(|mounted| mounted.mount_path.clone());
        let name = class_name(secrets, &at.unwrap_or_default());
        for mounted in &mut fragment.volume_mounts {
            mounted.name.clone_from(&name);
        }
        fragment.volumes.push(volume_of(&name));
        let class = self.class(secrets, &name, objects, Vec::new())?;
        Ok((fragment, Some(class)))
    }

    /// The driver writes a Kubernetes Secret for as long as a pod mounts the volume.
    fn variables(&self, secrets: &PodSecrets) -> Result<(Option<PodFragment>, Option<Manifest>)> {
        let mut keys: BTreeMap<&SecretRef, BTreeMap<&str, String>> = BTreeMap::new();
        for injection in &secrets.env {
            for whole in &injection.whole {
                check_keyed(&whole.secret, false, injection.optional)?;
            }
            for variable in &injection.variables {
                check_keyed(&variable.secret, true, injection.optional)?;
                // A Secret's name has no underscore, so no two files meet.
                let file = format!("{}_{}", kubernetes_secret_name(&variable.secret), variable.key);
                keys.entry(&variable.secret).or_default().insert(&variable.key, file);
            }
        }
        if keys.is_empty() {
            return Ok((None, None));
        }
        let mut objects = String::new();
        let mut synced = Vec::new();
        for (secret, keys) in &keys {
            let path = self.openbao.data_path(secret)?;
            let mut data = Vec::new();
            for (key, file) in keys {
                object(&mut objects, file, &path, key, DEFAULT_MODE);
                data.push(json!({"objectName": file, "key": key}));
            }
            synced.push(json!({
                "secretName": kubernetes_secret_name(secret),
                "type": "Opaque",
                "labels": {MANAGED_BY: "pipe"},
                "data": data,
            }));
        }
        let name = class_name(secrets, ENV_PATH);
        let mount_path = ENV_PATH.to_owned();
        let volume = PodFragment {
            volume_mounts: vec![VolumeMount { name: name.clone(), mount_path, read_only: true }],
            volumes: vec![volume_of(&name)],
            ..PodFragment::default()
        };
        let env = secrets.env.iter().map(EnvInjection::fragment).collect::<Result<Vec<_>>>()?;
        let fragment = PodFragment::merge_all(env.into_iter().chain([volume]))?;
        Ok((Some(fragment), Some(self.class(secrets, &name, objects, synced)?)))
    }

    fn class(
        &self,
        secrets: &PodSecrets,
        name: &str,
        objects: String,
        synced: Vec<Value>,
    ) -> Result<Manifest> {
        let mut parameters = json!({
            "baoAddress": self.openbao.address,
            "baoAuthMountPath": self.openbao.auth_mount,
            "roleName": self.openbao.role,
            "audience": self.openbao.audience,
            "objects": objects,
        });
        if let Some(namespace) = &self.openbao.namespace {
            parameters["baoNamespace"] = namespace.as_str().into();
        }
        if let Some(file) = &self.ca_file {
            if !file.starts_with('/') {
                return Err(invalid("not an absolute path", "ca_file", file)
                    .hint("use the path in the pod of the provider"));
            }
            parameters["baoCACertPath"] = file.as_str().into();
        }
        let mut spec = json!({"provider": "openbao", "parameters": parameters});
        if !synced.is_empty() {
            spec["secretObjects"] = synced.into();
        }
        let rest = json!({"spec": spec});
        Ok(Manifest::new(API, "SecretProviderClass", name, &secrets.namespace, rest))
    }
}

const API: &str = "secrets-store.csi.x-k8s.io/v1";
const DRIVER: &str = "secrets-store.csi.k8s.io";
/// Beside the default paths of mounts, which are below `/var/run/secrets/pipe`.
const ENV_PATH: &str = "/var/run/secrets/pipe-env";

/// Parameters are texts; this one is read as a YAML list. JSON's strings are YAML's.
fn object(objects: &mut String, file: &str, path: &str, key: &str, mode: u32) {
    let [file, path, key] = [file, path, key].map(Value::from);
    let _ = writeln!(
        objects,
        "- objectName: {file}\n  secretPath: {path}\n  secretKey: {key}\n  filePermission: {mode:04o}"
    );
}

fn class_name(secrets: &PodSecrets, mount_path: &str) -> String {
    let last = mount_path.rsplit('/').next().unwrap_or_default();
    let called = format!("{}-{last}", secrets.name);
    marked(&called, &format!("{}{mount_path}", secrets.name), "csi")
}

fn volume_of(class: &str) -> Volume {
    let attribute = ("secretProviderClass".to_owned(), class.to_owned());
    let source = CsiVolumeSource {
        driver: DRIVER.to_owned(),
        read_only: true,
        volume_attributes: BTreeMap::from([attribute]),
    };
    Volume { name: class.to_owned(), source: VolumeSource::Csi(source) }
}
