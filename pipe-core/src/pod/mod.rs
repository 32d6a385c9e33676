//! The parts of a Kubernetes pod spec through which secrets reach a pod, and what goes around
//! them: other ways of delivery, security contexts, rights. Names only, never values.

mod acl;
mod agreement;
mod apply;
mod checksum;
mod delivery;
mod infisical_folder;
mod manifest;
mod model;
mod naming;
mod openbao;
mod paths;
mod probes;
mod rbac;
mod resources;
mod restricted;
mod secrets;
mod security;

use std::collections::BTreeMap;

use serde::Serialize;

pub use self::acl::{AclCapability, AclPolicy};
pub use self::agreement::Disagreement;
pub use self::checksum::SecretChecksum;
pub use self::delivery::{
    AgentInjector, ConfigMapKey, Delivered, Delivery, ExternalSecrets, ExternalStore,
    InfisicalAuthMethod, InfisicalOperator, InfisicalStore, NativeSecret, PodSecrets, RuntimeRead,
    SecretKey, SecretsStoreCsi, StoreScope,
};
pub use self::infisical_folder::{infisical_folder, secret_of_infisical_folder};
pub use self::manifest::Manifest;
pub use self::model::{
    CsiVolumeSource, EmptyDirVolumeSource, EnvFromSource, EnvVar, EnvVarSource, KeyToPath,
    ProjectedVolumeSource, SecretEnvSource, SecretKeySelector, SecretVolumeSource,
    ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection, VolumeSource,
};
pub use self::naming::kubernetes_secret_name;
pub(crate) use self::naming::marked;
pub use self::openbao::OpenBaoStore;
pub(crate) use self::openbao::{check_namespace, check_object_name};
use self::paths::{MountPaths, normal};
pub use self::probes::{Port, Probe, Probes};
pub use self::rbac::{SecretsRole, token_review_binding};
pub use self::resources::{ResourceProfile, ResourceRequirements, Resources};
pub use self::restricted::{Violation, restricted_violations};
pub use self::secrets::{EnvInjection, SecretMount};
pub use self::security::{
    Capabilities, ContainerSecurityContext, PodSecurity, PodSecurityContext, SeccompProfile,
};
use crate::secrets::SecretRef;
use crate::{Error, ErrorKind, Result};

/// A piece of a pod spec: what goes into one container, and what goes beside it.
///
/// Its serialised form uses the field names of the Kubernetes API, in a stable order; only the
/// pod's security context is called `podSecurityContext`, beside the container's. Merging is
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
    /// The container's security context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_context: Option<ContainerSecurityContext>,
    /// What the container gets of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// How the kubelet finds out how the container is.
    #[serde(flatten)]
    pub probes: Probes,
    /// Volumes of the pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// The pod's security context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_security_context: Option<PodSecurityContext>,
    /// The service account that the pod runs as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Whether the pod gets a token for the API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automount_service_account_token: Option<bool>,
    /// Annotations of the pod.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl PodFragment {
    /// Both fragments in one.
    ///
    /// # Errors
    /// `Conflict` when both use a variable, a prefix of variables, a volume, a mount path, an
    /// annotation or a setting for different things, or when a mount path of one lies below one
    /// of the other.
    pub fn merge(self, other: Self) -> Result<Self> {
        Self::merge_all([self, other])
    }

    /// All fragments in one.
    ///
    /// # Errors
    /// As for [`merge`](Self::merge).
    pub fn merge_all(fragments: impl IntoIterator<Item = Self>) -> Result<Self> {
        let mut parts = Parts::default();
        fragments.into_iter().try_for_each(|fragment| parts.add(fragment))?;
        Ok(parts.merged)
    }
}

/// What was merged so far, and where in it everything is.
#[derive(Default)]
struct Parts {
    merged: PodFragment,
    env: Index,
    env_from: Index,
    volumes: Index,
    paths: MountPaths,
}

type Index = std::collections::HashMap<String, usize>;

impl Parts {
    fn add(&mut self, other: PodFragment) -> Result<()> {
        let into = &mut self.merged;
        add_all(&mut into.env, &mut self.env, other.env, "environment variable", |e| &e.name)?;
        add_all(&mut into.env_from, &mut self.env_from, other.env_from, "prefix", |e| &e.prefix)?;
        add_all(&mut into.volumes, &mut self.volumes, other.volumes, "volume", |v| &v.name)?;
        for mount in other.volume_mounts {
            let path = normal(&mount.mount_path);
            let present = self.paths.find(&path).map(|at| &into.volume_mounts[at]);
            if present != Some(&mount) {
                self.paths.add(path, into.volume_mounts.len())?;
                into.volume_mounts.push(mount);
            }
        }
        for (key, value) in other.annotations {
            match into.annotations.get(&key) {
                Some(present) if *present != value => return Err(taken("annotation", &key)),
                _ => drop(into.annotations.insert(key, value)),
            }
        }
        one(&mut into.security_context, other.security_context, "securityContext")?;
        one(&mut into.resources, other.resources, "resources")?;
        one(&mut into.probes.liveness_probe, other.probes.liveness_probe, "livenessProbe")?;
        one(&mut into.probes.readiness_probe, other.probes.readiness_probe, "readinessProbe")?;
        one(&mut into.probes.startup_probe, other.probes.startup_probe, "startupProbe")?;
        one(&mut into.pod_security_context, other.pod_security_context, "podSecurityContext")?;
        one(&mut into.service_account_name, other.service_account_name, "serviceAccountName")?;
        one(
            &mut into.automount_service_account_token,
            other.automount_service_account_token,
            "automountServiceAccountToken",
        )
    }
}

fn one<T: PartialEq>(into: &mut Option<T>, from: Option<T>, setting: &'static str) -> Result<()> {
    match (&into, from) {
        (_, None) => Ok(()),
        (None, from) => {
            *into = from;
            Ok(())
        }
        (Some(present), Some(from)) if *present == from => Ok(()),
        _ => Err(Error::new(ErrorKind::Conflict, "the setting has two values")
            .with("setting", setting)
            .hint("leave it out of one of the two")),
    }
}

fn add_all<T: PartialEq>(
    into: &mut Vec<T>,
    index: &mut Index,
    from: Vec<T>,
    what: &'static str,
    name: impl Fn(&T) -> &str,
) -> Result<()> {
    for item in from {
        match index.get(name(&item)).map(|at| &into[*at]) {
            None => {
                index.insert(name(&item).to_owned(), into.len());
                into.push(item);
            }
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

fn of_secret(secret: &SecretRef, message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidArgument, message).with("secret", secret)
}

fn invalid(message: &'static str, what: &'static str, value: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, message).with(what, format_args!("{value:?}"))
}
