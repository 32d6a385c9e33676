use serde_json::json;

use super::*;
use crate::Namespace;
use crate::secrets::SecretVersion;

fn secret(name: &str) -> SecretRef {
    SecretRef::new(name).unwrap()
}

fn json(fragment: Result<PodFragment>) -> serde_json::Value {
    serde_json::to_value(fragment.unwrap()).unwrap()
}

/// REQ 004-79.3
#[test]
fn env_from_names_the_secret_with_prefix_and_optional() {
    let fragment =
        EnvInjection::new().with_env_from("DB_", secret("db-creds")).optional().fragment();
    let expected = json!({"envFrom": [{"prefix": "DB_", "secretRef": {"name": "db-creds", "optional": true}}]});
    assert_eq!(json(fragment), expected);
}

/// REQ 004-80.1, 004-80.3
#[test]
fn a_volume_has_a_default_path_a_narrow_mode_and_is_read_only() {
    let fragment =
        SecretMount::volume(secret("db-creds")).with_item("password", "password").fragment();
    let expected = json!({
        "volumeMounts": [
            {"name": "db-creds", "mountPath": "/var/run/secrets/pipe/db-creds", "readOnly": true},
        ],
        "volumes": [{"name": "db-creds", "secret": {
            "secretName": "db-creds", "defaultMode": 288, "optional": false,
            "items": [{"key": "password", "path": "password"}],
        }}],
    });
    assert_eq!(json(fragment), expected);
}

/// REQ 004-80.3
#[test]
fn a_mount_can_be_env_from() {
    let fragment = SecretMount::env_from(secret("db-creds"), "DB_").fragment();
    let expected = json!({"envFrom": [{"prefix": "DB_", "secretRef": {"name": "db-creds", "optional": false}}]});
    assert_eq!(json(fragment), expected);
}

#[test]
fn different_secrets_never_share_a_kubernetes_secret() {
    let in_namespace = secret("apps-db").with_namespace(Namespace::new("team1").unwrap());
    let names: std::collections::BTreeSet<_> =
        [secret("apps/db"), secret("apps-db"), secret("apps_db"), secret("Apps-db"), in_namespace]
            .iter()
            .map(kubernetes_secret_name)
            .collect();
    assert_eq!(names.len(), 5);
    assert!(names.iter().all(|name| is_dns_subdomain(name)), "{names:?}");
}

#[test]
fn every_secret_name_becomes_a_legal_kubernetes_name() {
    let long = "x/".repeat(200) + "x";
    for name in ["...", "-", "_", "A", "a.b", "a..b", "a/-/b", long.as_str()] {
        let name = kubernetes_secret_name(&secret(name));
        assert!(is_dns_subdomain(&name), "{name}");
        let volume = volume_name(&name);
        assert!(
            is_dns_subdomain(&volume) && volume.len() <= 63 && !volume.contains('.'),
            "{volume}"
        );
    }
}

/// REQ 004-79.1
#[test]
fn names_that_kubernetes_would_refuse_are_refused_here() {
    for name in ["", "1A", "A-B", "A.B", "A B", "Ä", "A="] {
        let error = EnvInjection::new().with_env(name, secret("s"), "k").fragment().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name:?}");
        assert!(
            EnvInjection::new().with_env_from(format!("{name}-"), secret("s")).fragment().is_err()
        );
    }
    for key in ["", ".", "..", "a b", "a/b", "ä"] {
        let error = EnvInjection::new().with_env("A", secret("s"), key).fragment().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{key:?}");
    }
    for path in ["", "/", "a", "/a:b", "/a/../b", "//a", "/a/", "/a\n"] {
        let error = SecretMount::volume(secret("s")).at(path).fragment().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{path:?}");
    }
    for mode in [0o644, 0o777, 0o444, 0, 0o4440] {
        assert!(SecretMount::volume(secret("s")).with_mode(mode).fragment().is_err(), "{mode:o}");
    }
    assert!(SecretMount::volume(secret("s")).with_item("k", "../k").fragment().is_err());
}

/// REQ 004-79.1
#[test]
fn one_variable_cannot_have_two_values() {
    let injection = EnvInjection::new().with_env("A", secret("s"), "k");
    assert_eq!(
        json(injection.clone().with_env("A", secret("s"), "k").fragment())["env"][1],
        json!(null)
    );
    let error = injection.with_env("A", secret("s"), "other").fragment().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let error = EnvInjection::new()
        .with_env_from("", secret("a"))
        .with_env_from("", secret("b"))
        .fragment()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[test]
fn an_old_version_cannot_be_given_to_a_pod() {
    let old = secret("s").with_version(SecretVersion::new(1));
    assert!(EnvInjection::new().with_env("A", old.clone(), "k").fragment().is_err());
    assert!(SecretMount::volume(old).fragment().is_err());
}
