use serde_json::json;

use super::*;
use crate::ErrorKind;
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
    let fragment = SecretMount::volume(secret("db-creds")).fragment();
    let expected = json!({
        "volumeMounts": [
            {"name": "db-creds", "mountPath": "/var/run/secrets/pipe/db-creds", "readOnly": true},
        ],
        "volumes": [{"name": "db-creds", "secret": {
            "secretName": "db-creds", "defaultMode": 288, "optional": false,
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

/// REQ 004-79.1
#[test]
fn names_that_kubernetes_would_refuse_are_refused_here() {
    let endless = "A".repeat(254);
    for name in ["", "1A", "A-B", "A.B", "A B", "Ä", "A=", &endless] {
        let error = EnvInjection::new().with_env(name, secret("s"), "k").fragment().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name:?}");
        assert!(
            EnvInjection::new().with_env_from(format!("{name}-"), secret("s")).fragment().is_err()
        );
    }
    for key in ["", ".", "..", "..data", "...", "a b", "a/b", "ä"] {
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

/// REQ 004-80.3
#[test]
fn only_the_named_items_appear_in_a_volume() {
    let mount = SecretMount::volume(secret("s")).with_item("a", "x/a").with_item("b", "x/b");
    let items = &json(mount.fragment())["volumes"][0]["secret"]["items"];
    assert_eq!(*items, json!([{"key": "a", "path": "x/a"}, {"key": "b", "path": "x/b"}]));
}

#[test]
fn two_items_cannot_have_one_path_and_a_file_cannot_hold_another() {
    for path in ["x", "x/y"] {
        let mount = SecretMount::volume(secret("s")).with_item("a", "x").with_item("b", path);
        assert_eq!(mount.fragment().unwrap_err().kind(), ErrorKind::Conflict, "{path}");
    }
}

#[test]
fn what_env_from_cannot_have_is_not_ignored() {
    let mount = SecretMount::env_from(secret("s"), "A_");
    for mount in
        [mount.clone().at("/a"), mount.clone().with_mode(0o440), mount.clone().with_item("k", "k")]
    {
        assert_eq!(mount.fragment().unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    assert!(mount.fragment().is_ok());
}

#[test]
fn a_plugin_can_name_kubernetes_secrets_in_its_own_way() {
    let name_of = |secret: &SecretRef| Ok(format!("bao.{}", secret.name));
    let injection = EnvInjection::new().with_env("A", secret("s"), "k");
    let fragment = injection.fragment_with(name_of).unwrap();
    assert_eq!(fragment.env[0].value_from.secret_key_ref.name, "bao.s");
    let fragment = SecretMount::volume(secret("s")).fragment_with(name_of).unwrap();
    assert_eq!(fragment.volumes[0].secret().unwrap().secret_name, "bao.s");
    let error = injection.fragment_with(|_| Ok("No_Name".to_owned())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}
