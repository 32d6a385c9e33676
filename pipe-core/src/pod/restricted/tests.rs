use serde_json::{Value, json};

use super::*;
use crate::ErrorKind;

fn sound() -> Value {
    let container = |name: &str| {
        json!({"name": name, "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        }})
    };
    json!({"kind": "Deployment", "spec": {"template": {
        "metadata": {"annotations": {}},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "initContainers": [container("setup")],
            "containers": [container("bot")],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }}})
}

/// Sets members, given by pointers into the pod template, and says which rules are broken where.
fn broken(changes: &[(&str, Value)]) -> Vec<(&'static str, String)> {
    let mut manifest = sound();
    for (pointer, value) in changes {
        let mut place = &mut manifest["spec"]["template"];
        for member in pointer.split('/') {
            place = match member.parse::<usize>() {
                Ok(index) => &mut place[index],
                Err(_) => &mut place[member.replace("~1", "/")],
            };
        }
        *place = value.clone();
    }
    let violations = restricted_violations(&manifest).unwrap();
    violations.into_iter().map(|violation| (violation.rule, violation.place)).collect()
}

#[test]
fn a_sound_pod_breaks_no_rule() {
    assert_eq!(broken(&[]), []);
    for (pointer, value) in [
        ("spec/containers/0/securityContext/runAsUser", json!(7)),
        ("spec/containers/0/securityContext/privileged", json!(false)),
        ("spec/containers/0/securityContext/procMount", json!("Default")),
        ("spec/containers/0/securityContext/capabilities/add", json!(["NET_BIND_SERVICE"])),
        (
            "spec/containers/0/securityContext/seLinuxOptions",
            json!({"type": "container_t", "level": "s0", "user": ""}),
        ),
        ("spec/containers/0/ports", json!([{"containerPort": 80}, {"hostPort": 0}])),
        ("spec/containers/0/livenessProbe", json!({"httpGet": {"path": "/", "host": ""}})),
        ("spec/hostNetwork", json!(false)),
        ("spec/securityContext/sysctls", json!([{"name": "net.ipv4.tcp_rmem", "value": "1"}])),
        ("spec/securityContext/appArmorProfile", json!({"type": "Localhost"})),
        ("spec/securityContext/windowsOptions", json!({"hostProcess": false})),
        (
            "metadata/annotations/container.apparmor.security.beta.kubernetes.io~1bot",
            json!("localhost/x"),
        ),
        ("spec/containers/0/securityContext/runAsNonRoot", Value::Null),
    ] {
        assert_eq!(broken(&[(pointer, value)]), [], "{pointer}");
    }
}

#[test]
fn each_rule_names_itself_and_the_place() {
    let container = "spec/containers/0";
    for (pointer, value, rule, place) in [
        (
            "metadata/annotations/container.apparmor.security.beta.kubernetes.io~1bot",
            json!("unconfined"),
            "appArmorProfile",
            "",
        ),
        ("spec/hostNetwork", json!(true), "hostNamespaces", ""),
        ("spec/hostPID", json!(true), "hostNamespaces", ""),
        ("spec/hostIPC", json!("yes"), "hostNamespaces", ""),
        ("spec/volumes/0", json!({"name": "x", "nfs": {}}), "restrictedVolumes", ""),
        ("spec/volumes/0", json!({"name": "x"}), "restrictedVolumes", ""),
        ("spec/securityContext/sysctls", json!([{"name": "kernel.msgmax"}]), "sysctls", "/0/name"),
        ("spec/securityContext/runAsUser", json!(0), "runAsUser", ""),
        ("spec/securityContext/runAsNonRoot", json!(false), "runAsNonRoot", ""),
        (
            "spec/securityContext/seccompProfile",
            json!({"type": "Unconfined"}),
            "seccompProfile_restricted",
            "/type",
        ),
        (
            "spec/securityContext/seLinuxOptions",
            json!({"type": "spc_t"}),
            "seLinuxOptions",
            "/type",
        ),
        ("spec/securityContext/seLinuxOptions", json!({"user": "root"}), "seLinuxOptions", "/user"),
        ("spec/securityContext/seLinuxOptions", json!({"role": "r"}), "seLinuxOptions", "/role"),
        (
            "spec/securityContext/appArmorProfile",
            json!({"type": "Unconfined"}),
            "appArmorProfile",
            "/type",
        ),
        (
            "spec/securityContext/windowsOptions",
            json!({"hostProcess": true}),
            "windowsHostProcess",
            "/hostProcess",
        ),
    ] {
        let expected = format!("/spec/template/{pointer}{place}");
        assert_eq!(broken(&[(pointer, value)]), [(rule, expected)], "{pointer}");
    }
    for (pointer, value, rule, place) in [
        ("securityContext/privileged", json!(true), "privileged", ""),
        ("securityContext/procMount", json!("Unmasked"), "procMount", ""),
        ("securityContext/allowPrivilegeEscalation", json!(true), "allowPrivilegeEscalation", ""),
        ("securityContext/allowPrivilegeEscalation", Value::Null, "allowPrivilegeEscalation", ""),
        ("securityContext/capabilities/drop", json!(["NET_RAW"]), "capabilities_restricted", ""),
        ("securityContext/capabilities/add", json!(["CHOWN"]), "capabilities_restricted", "/0"),
        ("securityContext/runAsNonRoot", json!(false), "runAsNonRoot", ""),
        ("securityContext/runAsUser", json!(0), "runAsUser", ""),
        (
            "securityContext/seccompProfile",
            json!({"type": "Unconfined"}),
            "seccompProfile_restricted",
            "/type",
        ),
        ("securityContext/seLinuxOptions", json!({"type": "spc_t"}), "seLinuxOptions", "/type"),
        (
            "securityContext/appArmorProfile",
            json!({"type": "Unconfined"}),
            "appArmorProfile",
            "/type",
        ),
        (
            "securityContext/windowsOptions",
            json!({"hostProcess": true}),
            "windowsHostProcess",
            "/hostProcess",
        ),
        ("ports", json!([{"containerPort": 1}, {"hostPort": 80}]), "hostPorts", "/1/hostPort"),
        (
            "livenessProbe",
            json!({"httpGet": {"host": "10.0.0.1"}}),
            "hostProbesAndHostLifecycle",
            "/httpGet/host",
        ),
        (
            "lifecycle",
            json!({"preStop": {"tcpSocket": {"host": "x"}}}),
            "hostProbesAndHostLifecycle",
            "/preStop/tcpSocket/host",
        ),
    ] {
        let pointer = format!("{container}/{pointer}");
        let expected = format!("/spec/template/{pointer}{place}");
        assert_eq!(broken(&[(&pointer, value)]), [(rule, expected)], "{pointer}");
    }
}

#[test]
fn a_host_path_breaks_two_rules() {
    let broken = broken(&[("spec/volumes/0", json!({"name": "x", "hostPath": {"path": "/"}}))]);
    let rules: Vec<_> = broken.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(rules, ["hostPathVolumes", "restrictedVolumes"]);
}

#[test]
fn init_and_ephemeral_containers_are_looked_at_too() {
    for list in ["initContainers", "ephemeralContainers"] {
        let broken = broken(&[(&format!("spec/{list}"), json!([{"name": "x"}]))]);
        let rules: Vec<_> = broken.iter().map(|(rule, _)| *rule).collect();
        assert_eq!(rules, ["allowPrivilegeEscalation", "capabilities_restricted"], "{list}");
        assert!(
            broken.iter().all(|(_, place)| place.contains(&format!("/{list}/0/"))),
            "{broken:?}"
        );
    }
}

#[test]
fn what_the_pod_does_not_say_each_container_has_to_say() {
    let broken = broken(&[("spec/securityContext", json!({}))]);
    let rules: Vec<_> = broken.iter().map(|(rule, _)| *rule).collect();
    let each = ["runAsNonRoot", "seccompProfile_restricted"];
    assert_eq!(rules, [each, each].concat());
}

#[test]
fn windows_pods_need_not_say_what_only_linux_has() {
    let changes = [
        ("spec/os", json!({"name": "windows"})),
        ("spec/containers/0/securityContext", json!({})),
        ("spec/initContainers/0/securityContext", json!({})),
        ("spec/securityContext", json!({"runAsNonRoot": true})),
    ];
    assert_eq!(broken(&changes), []);
}

#[test]
fn a_violation_says_what_to_do() {
    let violations = restricted_violations(&json!({
        "kind": "Pod", "spec": {"hostNetwork": true, "containers": []},
    }));
    let text = violations.unwrap()[0].to_string();
    assert_eq!(text, "hostNamespaces: /spec/hostNetwork has to be false");
}

#[test]
fn what_has_no_pod_is_refused() {
    for manifest in [json!({"kind": "Service"}), json!({}), json!([]), json!({"kind": "Pod"})] {
        let error = restricted_violations(&manifest).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{manifest}");
    }
}
