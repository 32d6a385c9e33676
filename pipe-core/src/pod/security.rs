//! Security contexts as the Pod Security Standard `restricted` wants them.

use serde::Serialize;

use super::model::{EmptyDirVolumeSource, Volume, VolumeMount, VolumeSource};
use super::paths::check_mount_path;
use super::{PodFragment, invalid};
use crate::{Error, ErrorKind, Result};

/// The security contexts of a pod and its containers.
///
/// [`restricted`](Self::restricted) is stricter than the standard of that name: the root file
/// system cannot be written to either. What loosens it is a method that says so, `allow_…`; those
/// that leave the standard say that too.
///
/// ```
/// use pipe_core::pod::{PodSecurity, restricted_violations};
/// use serde_json::json;
///
/// let mut pod = json!({"kind": "Pod", "spec": {"containers": [{"name": "bot"}]}});
/// assert!(!restricted_violations(&pod)?.is_empty());
/// PodSecurity::restricted().fragment()?.apply_to_all(&mut pod)?;
/// assert!(restricted_violations(&pod)?.is_empty());
/// # Ok::<(), pipe_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PodSecurity {
    ids: Option<(i64, i64)>,
    root_user: bool,
    read_only_root: bool,
    privilege_escalation: bool,
    seccomp: SeccompProfile,
    capabilities: Vec<String>,
    scratch: Vec<(String, String)>,
}

impl PodSecurity {
    /// Not root (user and group 10001, which also own the volumes), no new privileges, no
    /// capabilities, the runtime's seccomp profile, a read-only root file system.
    #[must_use]
    pub fn restricted() -> Self {
        Self {
            ids: Some((10_001, 10_001)),
            root_user: false,
            read_only_root: true,
            privilege_escalation: false,
            seccomp: SeccompProfile::runtime_default(),
            capabilities: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Another user and group; not 0.
    #[must_use]
    pub fn with_user(self, user: u32, group: u32) -> Self {
        Self { ids: Some((user.into(), group.into())), ..self }
    }

    /// An empty folder in memory at `path`, of at most `size` (a Kubernetes quantity such as
    /// `64Mi`): for `/tmp` beside a read-only root file system. All containers that the fragment is
    /// applied to share it.
    #[must_use]
    pub fn with_scratch(mut self, path: impl Into<String>, size: impl Into<String>) -> Self {
        self.scratch.push((path.into(), size.into()));
        self
    }

    /// Another seccomp profile of the node, below the kubelet's folder of profiles.
    #[must_use]
    pub fn with_localhost_seccomp(self, profile: impl Into<String>) -> Self {
        Self { seccomp: SeccompProfile::new("Localhost", Some(profile.into())), ..self }
    }

    /// The user and the group are those of the image, which must not be root.
    #[must_use]
    pub fn allow_image_user(self) -> Self {
        Self { ids: None, ..self }
    }

    /// The container may write to its root file system.
    #[must_use]
    pub fn allow_writable_root_filesystem(self) -> Self {
        Self { read_only_root: false, ..self }
    }

    /// The container may listen on ports below 1024.
    #[must_use]
    pub fn allow_net_bind_service(self) -> Self {
        self.allow_capability("NET_BIND_SERVICE")
    }

    /// The container gets a capability, by its name without `CAP_`. Leaves the standard.
    #[must_use]
    pub fn allow_capability(mut self, capability: impl Into<String>) -> Self {
        let capability = capability.into();
        if !self.capabilities.contains(&capability) {
            self.capabilities.push(capability);
        }
        self
    }

    /// The container may be root, when the image says so. Leaves the standard.
    #[must_use]
    pub fn allow_root_user(self) -> Self {
        Self { ids: None, root_user: true, ..self }
    }

    /// A process may get more privileges than its parent has. Leaves the standard.
    #[must_use]
    pub fn allow_privilege_escalation(self) -> Self {
        Self { privilege_escalation: true, ..self }
    }

    /// No system call is filtered. Leaves the standard.
    #[must_use]
    pub fn allow_unconfined_seccomp(self) -> Self {
        Self { seccomp: SeccompProfile::new("Unconfined", None), ..self }
    }

    /// The security contexts. For every container of a pod: [`PodFragment::apply_to_all`].
    ///
    /// # Errors
    /// `InvalidArgument` for user or group 0, for a capability, seccomp profile or size that
    /// Kubernetes would refuse, and for a path that hides what a container needs; `Conflict` for
    /// folders inside each other.
    pub fn fragment(&self) -> Result<PodFragment> {
        if self.ids.is_some_and(|(user, group)| user == 0 || group == 0) {
            return Err(Error::new(ErrorKind::InvalidArgument, "the user or the group is root")
                .hint("use ids above 0, or `allow_root_user`"));
        }
        for capability in &self.capabilities {
            let known = capability.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
            if !known || capability.is_empty() || capability.starts_with("CAP_") {
                return Err(invalid("not the name of a capability", "capability", capability)
                    .hint("use a name such as NET_BIND_SERVICE, without CAP_"));
            }
        }
        self.seccomp.check()?;
        let non_root = !self.root_user;
        let (user, group) = self.ids.unzip();
        let contexts = PodFragment {
            pod_security_context: Some(PodSecurityContext {
                run_as_non_root: non_root,
                run_as_user: user,
                run_as_group: group,
                fs_group: group,
                seccomp_profile: self.seccomp.clone(),
            }),
            security_context: Some(ContainerSecurityContext {
                allow_privilege_escalation: self.privilege_escalation,
                read_only_root_filesystem: self.read_only_root,
                run_as_non_root: non_root,
                capabilities: Capabilities {
                    add: self.capabilities.clone(),
                    drop: vec!["ALL".to_owned()],
                },
            }),
            ..PodFragment::default()
        };
        let scratch = self.scratch.iter().map(|(path, size)| scratch(path, size));
        let scratch = scratch.collect::<Result<Vec<_>>>()?;
        PodFragment::merge_all(std::iter::once(contexts).chain(scratch))
    }
}

/// The security context of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PodSecurityContext {
    /// Whether the kubelet refuses to start a container as root.
    pub run_as_non_root: bool,
    /// The user; that of the image when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<i64>,
    /// The group; that of the image when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_group: Option<i64>,
    /// The group of the files in volumes: files of mode 0440 are read through it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs_group: Option<i64>,
    /// Which system calls are filtered.
    pub seccomp_profile: SeccompProfile,
}

/// The security context of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ContainerSecurityContext {
    /// Whether a process may get more privileges than its parent has.
    pub allow_privilege_escalation: bool,
    /// Whether the root file system cannot be written to.
    pub read_only_root_filesystem: bool,
    /// Whether the kubelet refuses to start the container as root.
    pub run_as_non_root: bool,
    /// What the container may do beyond an ordinary process.
    pub capabilities: Capabilities,
}

/// Capabilities of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Capabilities {
    /// Those that it gets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Those that are taken away first.
    pub drop: Vec<String>,
}

/// Which system calls are filtered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SeccompProfile {
    /// `RuntimeDefault`, `Localhost` or `Unconfined`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The profile's file when it is a local one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub localhost_profile: Option<String>,
}

impl SeccompProfile {
    fn runtime_default() -> Self {
        Self::new("RuntimeDefault", None)
    }

    fn new(kind: &str, localhost_profile: Option<String>) -> Self {
        Self { kind: kind.to_owned(), localhost_profile }
    }

    fn check(&self) -> Result<()> {
        match &self.localhost_profile {
            Some(profile) => super::paths::check_item_path(profile),
            None => Ok(()),
        }
    }
}

fn scratch(path: &str, size: &str) -> Result<PodFragment> {
    check_mount_path(path)?;
    let number = size.trim_end_matches(['K', 'M', 'G', 'i', 'k']);
    let unit = &size[number.len()..];
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    if !is_number || !matches!(unit, "" | "k" | "M" | "G" | "Ki" | "Mi" | "Gi") {
        return Err(invalid("not a size", "size", size).hint("use a quantity such as 64Mi"));
    }
    let name = super::naming::scratch_name(path);
    Ok(PodFragment {
        volume_mounts: vec![VolumeMount {
            name: name.clone(),
            mount_path: path.to_owned(),
            read_only: false,
        }],
        volumes: vec![Volume {
            name,
            source: VolumeSource::EmptyDir(EmptyDirVolumeSource {
                medium: Some("Memory".to_owned()),
                size_limit: size.to_owned(),
            }),
        }],
        ..PodFragment::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::restricted_violations;

    fn violations(security: &PodSecurity) -> Vec<String> {
        let mut pod = serde_json::json!({"kind": "Pod", "spec": {"containers": [{"name": "a"}],
            "initContainers": [{"name": "b"}]}});
        security.fragment().unwrap().apply_to_all(&mut pod).unwrap();
        let violations = restricted_violations(&pod).unwrap();
        violations.iter().map(|violation| violation.rule.to_owned()).collect()
    }

    #[test]
    fn what_keeps_the_standard_breaks_no_rule() {
        let restricted = PodSecurity::restricted;
        for security in [
            restricted(),
            restricted().with_user(1, 2),
            restricted().with_scratch("/tmp", "64Mi").with_scratch("/var/cache/bot", "1Gi"),
            restricted().with_localhost_seccomp("profiles/bot.json"),
            restricted().allow_image_user(),
            restricted().allow_writable_root_filesystem(),
            restricted().allow_net_bind_service(),
        ] {
            assert_eq!(violations(&security), Vec::<String>::new(), "{security:?}");
        }
    }

    #[test]
    fn what_leaves_the_standard_breaks_the_rule_that_it_is_about() {
        let restricted = PodSecurity::restricted;
        for (security, rule) in [
            (restricted().allow_root_user(), "runAsNonRoot"),
            (restricted().allow_privilege_escalation(), "allowPrivilegeEscalation"),
            (restricted().allow_capability("SYS_PTRACE"), "capabilities_restricted"),
            (restricted().allow_unconfined_seccomp(), "seccompProfile_restricted"),
        ] {
            let violations = violations(&security);
            assert!(!violations.is_empty(), "{security:?}");
            assert!(violations.iter().all(|broken| broken == rule), "{violations:?}");
        }
    }

    #[test]
    fn what_kubernetes_would_refuse_is_refused_here() {
        let restricted = PodSecurity::restricted;
        for security in [
            restricted().with_user(0, 1),
            restricted().with_user(1, 0),
            restricted().allow_capability("CAP_SYS_ADMIN"),
            restricted().allow_capability(""),
            restricted().allow_capability("net"),
            restricted().with_localhost_seccomp("../profile"),
            restricted().with_scratch("/etc", "1Mi"),
            restricted().with_scratch("tmp", "1Mi"),
            restricted().with_scratch("/tmp", "many"),
            restricted().with_scratch("/tmp", "1MiMi"),
            restricted().with_scratch("/tmp", "Mi"),
        ] {
            let error = security.fragment().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{security:?}");
        }
        let nested = restricted().with_scratch("/a", "1Mi").with_scratch("/a/b", "1Mi");
        assert_eq!(nested.fragment().unwrap_err().kind(), ErrorKind::Conflict);
    }
}
