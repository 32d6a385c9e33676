//! The few Kubernetes types that fragments are made of, with the API's own names and meaning
//! (<https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>).

use std::collections::BTreeMap;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// An environment variable of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EnvVar {
    /// The variable's name.
    pub name: String,
    /// Where its value comes from.
    pub value_from: EnvVarSource,
}

/// Where the value of an environment variable comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EnvVarSource {
    /// A key of a Secret in the pod's namespace.
    pub secret_key_ref: SecretKeySelector,
}

/// A key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SecretKeySelector {
    /// The Secret's name.
    pub name: String,
    /// The key.
    pub key: String,
    /// Whether the pod may start without it.
    pub optional: bool,
}

/// Every key of a source as an environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EnvFromSource {
    /// What is put in front of each key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The Secret.
    pub secret_ref: SecretEnvSource,
}

/// A Secret whose keys become environment variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SecretEnvSource {
    /// The Secret's name.
    pub name: String,
    /// Whether the pod may start without it.
    pub optional: bool,
}

/// Where a container sees a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct VolumeMount {
    /// The volume's name.
    pub name: String,
    /// The path in the container.
    pub mount_path: String,
    /// Always true for secrets.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
}

/// A volume of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Volume {
    /// The volume's name.
    pub name: String,
    /// What it holds.
    pub source: VolumeSource,
}

impl Volume {
    /// The Secret it holds, when it holds one.
    #[must_use]
    pub fn secret(&self) -> Option<&SecretVolumeSource> {
        match &self.source {
            VolumeSource::Secret(secret) => Some(secret),
            _ => None,
        }
    }
}

/// As `flatten` would write it, which is slower.
impl Serialize for Volume {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut volume = serializer.serialize_struct("Volume", 2)?;
        volume.serialize_field("name", &self.name)?;
        match &self.source {
            VolumeSource::Secret(source) => volume.serialize_field("secret", source)?,
            VolumeSource::Projected(source) => volume.serialize_field("projected", source)?,
            VolumeSource::Csi(source) => volume.serialize_field("csi", source)?,
            VolumeSource::EmptyDir(source) => volume.serialize_field("emptyDir", source)?,
        }
        volume.end()
    }
}

/// What a volume holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VolumeSource {
    /// A Secret.
    Secret(SecretVolumeSource),
    /// A token of the pod's service account.
    Projected(ProjectedVolumeSource),
    /// What a driver puts there.
    Csi(CsiVolumeSource),
    /// Nothing yet.
    EmptyDir(EmptyDirVolumeSource),
}

/// A Secret as a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SecretVolumeSource {
    /// The Secret's name.
    pub secret_name: String,
    /// The mode of each file, as the decimal number that JSON wants: 0440 is 288.
    pub default_mode: u32,
    /// Whether the pod may start without it.
    pub optional: bool,
    /// Which keys appear, and under which path; all keys when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<KeyToPath>,
}

/// A key of a Secret as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct KeyToPath {
    /// The key.
    pub key: String,
    /// The file's path, relative to the mount.
    pub path: String,
    /// The file's mode, when it is not that of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

/// Several sources in one volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ProjectedVolumeSource {
    /// The mode of each file.
    pub default_mode: u32,
    /// The sources.
    pub sources: Vec<VolumeProjection>,
}

/// One source of a projected volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum VolumeProjection {
    /// A token that the kubelet renews.
    ServiceAccountToken(ServiceAccountTokenProjection),
}

/// A service account's token for one audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServiceAccountTokenProjection {
    /// Whom the token is meant for.
    pub audience: String,
    /// How long it lives, in seconds; 600 at least.
    pub expiration_seconds: u64,
    /// The file's path, relative to the mount.
    pub path: String,
}

/// A volume of a CSI driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CsiVolumeSource {
    /// The driver's name.
    pub driver: String,
    /// Always true for secrets.
    pub read_only: bool,
    /// What the driver is told.
    pub volume_attributes: BTreeMap<String, String>,
}

/// An empty folder that goes away with the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EmptyDirVolumeSource {
    /// `Memory`, or the node's disk when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<String>,
    /// How much fits in, as a Kubernetes quantity.
    pub size_limit: String,
}

// The signature is serde's.
fn is_false(value: &bool) -> bool {
    !value
}
