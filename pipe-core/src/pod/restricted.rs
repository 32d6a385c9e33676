//! Which rules of the Pod Security Standard `restricted` a pod breaks, found out without a server.
//!
//! The rules are those of <https://kubernetes.io/docs/concepts/security/pod-security-standards/>
//! up to 1.36, called as the admission controller calls them; the `baseline` rules are part of
//! `restricted`. Where versions differ the stricter rule is taken: the relaxations for pods in user
//! namespaces are left out.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::apply::{pod_pointer, to_value};
use crate::{Error, ErrorKind, Result};

/// A rule that is broken, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The rule, as the admission controller calls it: `runAsNonRoot`.
    pub rule: &'static str,
    /// The field, as a JSON pointer into the manifest: `/spec/containers/0/securityContext`.
    pub place: String,
    /// What the rule wants.
    pub wanted: &'static str,
}

/// `runAsNonRoot: /spec/securityContext/runAsNonRoot has to be true`
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, place, wanted } = self;
        write!(f, "{rule}: {place} has to {wanted}")
    }
}

/// Which rules of `restricted` the pod of this manifest breaks: of a Pod, Job, CronJob,
/// Deployment, StatefulSet or DaemonSet, as JSON or of any type that is written as a manifest.
/// Ephemeral containers are looked at too.
///
/// A member of another type than Kubernetes has there is for the server to refuse; what a rule
/// demands does not stand in it, and is missing.
///
/// # Errors
/// `InvalidArgument` when this is no such manifest, or none with a list of containers.
pub fn restricted_violations(manifest: &impl Serialize) -> Result<Vec<Violation>> {
    let manifest = to_value(manifest)?;
    let pointer = pod_pointer(&manifest)?;
    let mut check = Check { violations: Vec::new() };
    let pod = Node { value: manifest.pointer(pointer), place: pointer.to_owned() };
    let containers = pod.at("spec/containers");
    if !containers.value.is_some_and(Value::is_array) {
        return Err(Error::new(ErrorKind::InvalidArgument, "the manifest has no containers")
            .with("place", containers.place)
            .hint("check the whole manifest"));
    }
    check.pod(&pod);
    Ok(check.violations)
}

/// A member of the manifest, which need not be there.
struct Node<'a> {
    value: Option<&'a Value>,
    place: String,
}

impl<'a> Node<'a> {
    fn get(&self, member: &str) -> Self {
        let value = self.value.and_then(|value| value.get(member)).filter(|value| !value.is_null());
        let escaped = member.replace('~', "~0").replace('/', "~1");
        Node { value, place: format!("{}/{escaped}", self.place) }
    }

    fn at(&self, path: &str) -> Self {
        let start = Node { value: self.value, place: self.place.clone() };
        path.split('/').fold(start, |node, member| node.get(member))
    }

    fn items(&self) -> impl Iterator<Item = Self> {
        let items = self.value.and_then(Value::as_array).into_iter().flatten().enumerate();
        items.map(|(i, value)| Node { value: Some(value), place: format!("{}/{i}", self.place) })
    }

    fn members(&self) -> impl Iterator<Item = (&'a str, Self)> {
        let members = self.value.and_then(Value::as_object).into_iter().flatten();
        members.map(|(name, _)| (name.as_str(), self.get(name)))
    }

    fn text(&self) -> &'a str {
        self.value.and_then(Value::as_str).unwrap_or_default()
    }

    fn is(&self, wanted: bool) -> bool {
        self.value.and_then(Value::as_bool) == Some(wanted)
    }

    fn is_set(&self) -> bool {
        self.value.is_some()
    }
}

struct Check {
    violations: Vec<Violation>,
}

impl Check {
    fn forbid(
        &mut self,
        is_broken: bool,
        rule: &'static str,
        node: &Node<'_>,
        wanted: &'static str,
    ) {
        if is_broken {
            self.violations.push(Violation { rule, place: node.place.clone(), wanted });
        }
    }

    fn pod(&mut self, pod: &Node<'_>) {
        let spec = pod.get("spec");
        let context = spec.get("securityContext");
        for (name, value) in pod.at("metadata/annotations").members() {
            let is_bad = name.starts_with("container.apparmor.security.beta.kubernetes.io/")
                && !matches!(value.text(), "" | "runtime/default")
                && !value.text().starts_with("localhost/");
            self.forbid(is_bad, "appArmorProfile", &value, "be runtime/default or localhost/…");
        }
        for member in ["hostNetwork", "hostPID", "hostIPC"] {
            let host = spec.get(member);
            self.forbid(host.is_set() && !host.is(false), "hostNamespaces", &host, "be false");
        }
        for volume in spec.get("volumes").items() {
            self.volume(&volume);
        }
        for name in context.get("sysctls").items().map(|sysctl| sysctl.get("name")) {
            let is_bad = !SYSCTLS.contains(&name.text());
            self.forbid(is_bad, "sysctls", &name, "be a safe sysctl, or be left out");
        }
        self.context(&context);
        let is_windows = spec.at("os/name").text() == "windows";
        for list in ["initContainers", "containers", "ephemeralContainers"] {
            for container in spec.get(list).items() {
                self.container(&container, &context, is_windows);
            }
        }
    }

    fn volume(&mut self, volume: &Node<'_>) {
        let host_path = volume.get("hostPath");
        self.forbid(host_path.is_set(), "hostPathVolumes", &host_path, "be left out");
        let is_allowed = VOLUMES.iter().any(|kind| volume.get(kind).is_set());
        let wanted = "be a configMap, csi, downwardAPI, emptyDir, ephemeral, \
                      persistentVolumeClaim, projected or secret";
        self.forbid(!is_allowed, "restrictedVolumes", volume, wanted);
    }

    /// What pods and containers both have.
    fn context(&mut self, context: &Node<'_>) {
        let host_process = context.at("windowsOptions/hostProcess");
        let is_bad = host_process.is_set() && !host_process.is(false);
        self.forbid(is_bad, "windowsHostProcess", &host_process, "be false");
        let profile = context.at("appArmorProfile/type");
        let is_bad = profile.is_set() && !matches!(profile.text(), "RuntimeDefault" | "Localhost");
        self.forbid(is_bad, "appArmorProfile", &profile, "be RuntimeDefault or Localhost");
        let selinux = context.get("seLinuxOptions");
        let kind = selinux.get("type");
        let is_bad = kind.is_set() && !SELINUX.contains(&kind.text());
        self.forbid(is_bad, "seLinuxOptions", &kind, "be a type of containers");
        for member in ["user", "role"] {
            let member = selinux.get(member);
            let is_bad = member.is_set() && member.value != Some(&Value::from(""));
            self.forbid(is_bad, "seLinuxOptions", &member, "be left out");
        }
        let user = context.get("runAsUser");
        let is_root = user.value.is_some_and(|user| user.as_i64() == Some(0));
        self.forbid(is_root, "runAsUser", &user, "be above 0");
        let non_root = context.get("runAsNonRoot");
        self.forbid(non_root.is(false), "runAsNonRoot", &non_root, "be true");
        let seccomp = context.at("seccompProfile/type");
        let is_bad = seccomp.is_set() && !is_seccomp(&seccomp);
        let wanted = "be RuntimeDefault or Localhost";
        self.forbid(is_bad, "seccompProfile_restricted", &seccomp, wanted);
    }

    fn container(&mut self, container: &Node<'_>, pod: &Node<'_>, is_windows: bool) {
        let context = container.get("securityContext");
        self.context(&context);
        let privileged = context.get("privileged");
        let is_bad = privileged.is_set() && !privileged.is(false);
        self.forbid(is_bad, "privileged", &privileged, "be false");
        let proc_mount = context.get("procMount");
        let is_bad = proc_mount.is_set() && proc_mount.text() != "Default";
        self.forbid(is_bad, "procMount", &proc_mount, "be Default");
        for port in container.get("ports").items().map(|port| port.get("hostPort")) {
            let is_bad = port.value.is_some_and(|port| port.as_i64() != Some(0));
            self.forbid(is_bad, "hostPorts", &port, "be left out");
        }
        for handler in HANDLERS {
            for host in
                ["httpGet/host", "tcpSocket/host"].map(|host| container.at(handler).at(host))
            {
                let is_bad = host.is_set() && host.value != Some(&Value::from(""));
                self.forbid(is_bad, "hostProbesAndHostLifecycle", &host, "be left out");
            }
        }
        let non_root = context.get("runAsNonRoot");
        let is_missing = !non_root.is_set() && !pod.get("runAsNonRoot").is_set();
        self.forbid(is_missing, "runAsNonRoot", &non_root, "be true, here or for the pod");
        if !is_windows {
            self.linux_container(&context, pod);
        }
    }

    fn linux_container(&mut self, context: &Node<'_>, pod: &Node<'_>) {
        let escalation = context.get("allowPrivilegeEscalation");
        self.forbid(!escalation.is(false), "allowPrivilegeEscalation", &escalation, "be false");
        let seccomp = context.at("seccompProfile/type");
        let is_missing = !seccomp.is_set() && !pod.at("seccompProfile/type").is_set();
        let wanted = "be RuntimeDefault or Localhost, here or for the pod";
        self.forbid(is_missing, "seccompProfile_restricted", &seccomp, wanted);
        let rule = "capabilities_restricted";
        let drop = context.at("capabilities/drop");
        let drops_all = drop.items().any(|capability| capability.text() == "ALL");
        self.forbid(!drops_all, rule, &drop, "contain ALL");
        for added in context.at("capabilities/add").items() {
            let is_bad = added.text() != "NET_BIND_SERVICE";
            self.forbid(is_bad, rule, &added, "be NET_BIND_SERVICE, or be left out");
        }
    }
}

fn is_seccomp(kind: &Node<'_>) -> bool {
    matches!(kind.text(), "RuntimeDefault" | "Localhost")
}

const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

const SELINUX: [&str; 5] =
    ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

const HANDLERS: [&str; 5] =
    ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle/postStart", "lifecycle/preStop"];

#[cfg(test)]
mod tests;
