//! The parts of a Kubernetes pod spec through which secrets reach a pod. Names only, never values.

mod apply;
mod model;
mod naming;
mod paths;
mod secrets;

use serde::Serialize;

pub use self::model::{
    EnvFromSource, EnvVar, EnvVarSource, KeyToPath, SecretEnvSource, SecretKeySelector,
    SecretVolumeSource, Volume, VolumeMount,
};
pub use self::naming::kubernetes_secret_name;
use self::paths::check_apart;
pub use self::secrets::{EnvInjection, SecretMount};
use crate::{Error, ErrorKind, Result};

/// A piece of a pod spec: what goes into one container, and the volumes that go beside it.
///
/// Its serialised form uses the field names of the Kubernetes API, in a stable order. Merging is
/// idempotent, and refuses two different things under one name.
///
/// ```
/// use pipe_core::pod::EnvInjection;
/// use pipe_core::secrets::SecretRef;
///
/// let fragment = EnvInjection::new()
///     .with_env("DB_PASSWORD", SecretRef::new("db-creds")?, "password")
///     .fragment()?;
/// assert_eq!(
///     serde_json::to_value(&fragment).unwrap(),
///     serde_json::json!({"env": [{
///         "name": "DB_PASSWORD",
///         "valueFrom": {"secretKeyRef": {"name": "db-creds", "key": "password", "optional": false}},
///     }]}),
/// );
/// # Ok::<(), pipe_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PodFragment {
    /// Environment variables of the container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// Whole Secrets as environment variables of the container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvFromSource>,
    /// Where the container sees the volumes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_mounts: Vec<VolumeMount>,
    /// Volumes of the pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
}

impl PodFragment {
    /// Both fragments in one.
    ///
    /// # Errors
    /// `Conflict` when both use a variable, a prefix of variables, a volume or a mount path for
    /// different things, or when a mount path of one lies below one of the other.
    pub fn merge(mut self, other: Self) -> Result<Self> {
        add_all(&mut self.env, other.env, "environment variable", |env| &env.name)?;
        add_all(&mut self.env_from, other.env_from, "prefix", |source| &source.prefix)?;
        for mount in other.volume_mounts {
            if !self.volume_mounts.contains(&mount) {
                let others = self.volume_mounts.iter().map(|other| other.mount_path.as_str());
                check_apart("mount path", &mount.mount_path, others)?;
                self.volume_mounts.push(mount);
            }
        }
        add_all(&mut self.volumes, other.volumes, "volume", |volume| &volume.name)?;
        Ok(self)
    }
}

fn add_all<T: PartialEq>(
    into: &mut Vec<T>,
    from: Vec<T>,
    what: &'static str,
    name: impl Fn(&T) -> &str,
) -> Result<()> {
    for item in from {
        match into.iter().find(|present| name(present) == name(&item)) {
            None => into.push(item),
            Some(present) if *present == item => {}
            Some(_) => return Err(taken(what, name(&item))),
        }
    }
    Ok(())
}

fn taken(what: &'static str, name: &str) -> Error {
    Error::new(ErrorKind::Conflict, "the name is taken by something else")
        .with(what, name)
        .hint("give one of the two another name")
}

fn invalid(message: &'static str, what: &'static str, value: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, message).with(what, format_args!("{value:?}"))
}
