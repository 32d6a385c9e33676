//! The few Kubernetes types that fragments are made of, with the API's own names and meaning
//! (<https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>).

use serde::Serialize;

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
    pub read_only: bool,
}

/// A volume of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Volume {
    /// The volume's name.
    pub name: String,
    /// The Secret it holds.
    pub secret: SecretVolumeSource,
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
}
