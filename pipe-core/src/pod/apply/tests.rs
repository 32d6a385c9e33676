use serde_json::json;

use super::*;
use crate::pod::{EnvInjection, PodSecurity, Probes, SecretMount};
use crate::secrets::{SecretRef, SecretVersion};

fn fragment() -> PodFragment {
    let secret = SecretRef::new("db-creds").unwrap();
    let env = EnvInjection::new()
        .with_env("DB_PASSWORD", secret.clone(), "password")
        .with_env_from("DB_", secret.clone());
    let mount = SecretMount::volume(secret);
    env.fragment().unwrap().merge(mount.fragment().unwrap()).unwrap()
}

fn pod_spec() -> Value {
    json!({"containers": [{"name": "bot", "env": [{"name": "RUST_LOG", "value": "info"}]}],
           "initContainers": [{"name": "setup"}]})
}

#[test]
fn every_kind_that_has_pods_is_understood_and_twice_is_once() {
    let template = json!({"spec": pod_spec()});
    for (kind, spec) in [
        ("Pod", pod_spec()),
        ("Job", json!({"template": template})),
        ("Deployment", json!({"template": template})),
        ("StatefulSet", json!({"template": template})),
        ("DaemonSet", json!({"template": template})),
        ("CronJob", json!({"jobTemplate": {"spec": {"template": template}}})),
    ] {
        let mut manifest = json!({"kind": kind, "spec": spec});
        fragment().apply_to(&mut manifest, "bot").unwrap();
        let once = manifest.clone();
        fragment().apply_to(&mut manifest, "bot").unwrap();
        assert_eq!(manifest, once, "{kind}");
        let text = manifest.to_string();
        for part in ["RUST_LOG", "DB_PASSWORD", "secretRef", "mountPath", "secretName"] {
            assert_eq!(text.matches(&format!("\"{part}\"")).count(), 1, "{kind} {part}");
        }
    }
}

#[test]
fn an_init_container_is_found_by_name() {
    let mut manifest = json!({"kind": "Pod", "spec": pod_spec()});
    fragment().apply_to(&mut manifest, "setup").unwrap();
    assert_eq!(manifest["spec"]["initContainers"][0]["env"][0]["name"], "DB_PASSWORD");
}

#[test]
fn a_failed_merge_leaves_the_manifest_as_it_was() {
    let mut taken = json!({"kind": "Pod", "spec": pod_spec()});
    taken["spec"]["containers"][0]["env"] = json!([{"name": "DB_PASSWORD", "value": "x"}]);
    for (mut manifest, container, kind) in [
        (taken, "bot", ErrorKind::Conflict),
        (json!({"kind": "Pod", "spec": pod_spec()}), "other", ErrorKind::InvalidArgument),
        (json!({"kind": "Service", "spec": {}}), "bot", ErrorKind::InvalidArgument),
        (json!({"kind": "Job", "spec": {}}), "bot", ErrorKind::InvalidArgument),
        (json!([]), "bot", ErrorKind::InvalidArgument),
    ] {
        let before = manifest.clone();
        let error = fragment().apply_to(&mut manifest, container).unwrap_err();
        assert_eq!((error.kind(), manifest), (kind, before));
    }
}

#[test]
fn merging_two_meanings_of_one_name_is_a_conflict() {
    let other = EnvInjection::new()
        .with_env("DB_PASSWORD", SecretRef::new("other").unwrap(), "password")
        .fragment()
        .unwrap();
    assert_eq!(fragment().merge(fragment()).unwrap(), fragment());
    assert_eq!(fragment().merge(other).unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn one_prefix_for_two_secrets_is_a_conflict() {
    let from = |prefix: &str, name: &str| {
        let secret = SecretRef::new(name).unwrap();
        EnvInjection::new().with_env_from(prefix, secret).fragment().unwrap()
    };
    let error = from("DB_", "a").merge(from("DB_", "b")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(from("A_", "a").merge(from("B_", "b")).unwrap().env_from.len(), 2);
    for prefix in ["", "DB_"] {
        let mut manifest = json!({"kind": "Pod", "spec": pod_spec()});
        from(prefix, "a").apply_to(&mut manifest, "bot").unwrap();
        let error = from(prefix, "b").apply_to(&mut manifest, "bot").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{prefix:?}");
    }
}

#[test]
fn a_config_map_and_a_secret_share_a_prefix_and_the_secret_comes_last() {
    let mut manifest = json!({"kind": "Pod", "spec": pod_spec()});
    let settings = json!({"prefix": "DB_", "configMapRef": {"name": "settings"}});
    manifest["spec"]["containers"][0]["envFrom"] = json!([settings]);
    fragment().apply_to(&mut manifest, "bot").unwrap();
    let sources = &manifest["spec"]["containers"][0]["envFrom"];
    assert_eq!((&sources[0], &sources[1]["secretRef"]["name"]), (&settings, &"db-creds".into()));
}

#[test]
fn what_a_manifest_says_in_other_words_is_not_added_again() {
    let mut manifest = json!({"kind": "Pod", "spec": pod_spec()});
    let container = &mut manifest["spec"]["containers"][0];
    container["envFrom"] = json!([{"prefix": "DB_", "secretRef": {"name": "db-creds"}}]);
    container["volumeMounts"] = json!([{
        "name": "db-creds", "mountPath": "/var/run/secrets/pipe/db-creds/", "readOnly": true,
    }]);
    fragment().apply_to(&mut manifest, "bot").unwrap();
    let container = &manifest["spec"]["containers"][0];
    for list in ["envFrom", "volumeMounts"] {
        assert_eq!(container[list].as_array().unwrap().len(), 1, "{list}");
    }
}

#[test]
fn a_list_that_is_null_counts_as_absent() {
    let mut manifest = json!({"kind": "Pod", "spec": pod_spec()});
    let spec = &mut manifest["spec"];
    spec["volumes"] = Value::Null;
    for list in ["env", "envFrom", "volumeMounts"] {
        spec["containers"][0][list] = Value::Null;
    }
    fragment().apply_to(&mut manifest, "bot").unwrap();
    assert_eq!(manifest["spec"]["volumes"][0]["name"], "db-creds");
    assert_eq!(manifest["spec"]["containers"][0]["env"][0]["name"], "DB_PASSWORD");
}

#[test]
fn a_mount_inside_another_one_is_a_conflict() {
    let at = |path: &str, name: &str| {
        SecretMount::volume(SecretRef::new(name).unwrap()).at(path).fragment().unwrap()
    };
    for path in ["/a/b", "/a/b/c", "/a"] {
        let error = at("/a/b", "one").merge(at(path, "other")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{path}");
    }
    for path in ["/a/b", "/a/b/", "/a//b", "/a", "/a/b/c/"] {
        let mut manifest = json!({"kind": "Pod", "spec": pod_spec()});
        manifest["spec"]["containers"][0]["volumeMounts"] =
            json!([{"name": "data", "mountPath": path}]);
        let error = at("/a/b", "one").apply_to(&mut manifest, "bot").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{path}");
    }
    assert!(at("/a/b", "one").merge(at("/a/bc", "other")).is_ok());
}

#[test]
fn one_secret_is_mounted_twice_when_each_mount_shows_something_else() {
    let mount = || SecretMount::volume(SecretRef::new("db-creds").unwrap());
    let other = mount().at("/ca").with_mode(0o400).with_item("ca.crt", "ca.crt");
    let both = mount().fragment().unwrap().merge(other.fragment().unwrap()).unwrap();
    let mut manifest = json!({"kind": "Pod", "spec": pod_spec()});
    both.apply_to(&mut manifest, "bot").unwrap();
    let volumes = manifest["spec"]["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), 2);
    assert_ne!(volumes[0]["name"], volumes[1]["name"]);
}

#[test]
fn a_probe_that_asks_in_another_way_is_a_conflict() {
    let probes = |probe| Probes::new().with_liveness(probe).fragment().unwrap();
    for present in [
        json!({"tcpSocket": {"port": 80}}),
        json!({"httpGet": {"path": "/other", "port": 80}}),
        json!({"periodSeconds": 7}),
    ] {
        let mut manifest = json!({"kind": "Pod", "spec": pod_spec()});
        manifest["spec"]["containers"][0]["livenessProbe"] = present;
        let error = probes(Probe::http("/", 80)).apply_to(&mut manifest, "bot").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }
    let mut manifest = json!({"kind": "Pod", "spec": pod_spec()});
    probes(Probe::command(["a", "b"])).apply_to(&mut manifest, "bot").unwrap();
    manifest["spec"]["containers"][0]["livenessProbe"]["successThreshold"] = json!(1);
    let filled_in = manifest.clone();
    probes(Probe::command(["a", "b"])).apply_to(&mut manifest, "bot").unwrap();
    assert_eq!(manifest, filled_in);
    let error = probes(Probe::command(["b", "c"])).apply_to(&mut manifest, "bot").unwrap_err();
    assert_eq!(error.context("field"), Some("livenessProbe.exec.command"));
}

#[test]
fn a_security_context_is_completed_and_not_overruled() {
    let restricted = PodSecurity::restricted().fragment().unwrap();
    let mut manifest = json!({"kind": "Pod", "spec": pod_spec()});
    manifest["spec"]["containers"][0]["securityContext"] =
        json!({"procMount": "Default", "capabilities": {"drop": ["NET_RAW"]}});
    restricted.apply_to(&mut manifest, "bot").unwrap();
    let context = &manifest["spec"]["containers"][0]["securityContext"];
    assert_eq!(context["capabilities"]["drop"], json!(["NET_RAW", "ALL"]));
    assert_eq!(
        (&context["procMount"], &context["runAsNonRoot"]),
        (&json!("Default"), &json!(true))
    );
    manifest["spec"]["securityContext"]["runAsUser"] = json!(0);
    let error = restricted.apply_to(&mut manifest, "bot").unwrap_err();
    assert_eq!(error.context("field"), Some("securityContext.runAsUser"));
}

#[test]
fn every_container_gets_what_is_for_all() {
    let mut manifest = json!({"kind": "Pod", "spec": pod_spec()});
    PodSecurity::restricted().fragment().unwrap().apply_to_all(&mut manifest).unwrap();
    for list in ["containers", "initContainers"] {
        assert!(manifest["spec"][list][0]["securityContext"].is_object(), "{list}");
    }
    let mut empty = json!({"kind": "Pod", "spec": {"containers": []}});
    assert!(fragment().apply_to_all(&mut empty).is_err());
}

#[test]
fn a_checksum_replaces_the_one_that_is_there_and_no_other_annotation() {
    let secret = SecretRef::new("db-creds").unwrap();
    let of = |version| SecretChecksum::new().with(&secret, SecretVersion::new(version)).fragment();
    let mut manifest = json!({"kind": "Deployment", "spec": {"template": {
        "metadata": {"annotations": {"a": "b"}}, "spec": pod_spec(),
    }}});
    of(1).apply_to(&mut manifest, "bot").unwrap();
    let first = manifest.clone();
    of(2).apply_to(&mut manifest, "bot").unwrap();
    assert_ne!(manifest, first);
    of(1).apply_to(&mut manifest, "bot").unwrap();
    assert_eq!(manifest, first);
    assert_eq!(manifest["spec"]["template"]["metadata"]["annotations"]["a"], "b");
    let other = PodFragment {
        annotations: [("a".to_owned(), "c".to_owned())].into(),
        ..PodFragment::default()
    };
    let error = other.apply_to(&mut manifest, "bot").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}
