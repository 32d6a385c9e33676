//! What the generators write, byte for byte, and that Kubernetes' own types lose nothing of it.
//!
//! `UPDATE_GOLDENS=1 cargo test -p pipe-core --test goldens` writes the files anew; the change is
//! then for a reader to judge. `goldens/reference/` is not written: manifests that were checked
//! against the schemas of the operators.

#[path = "goldens/cases.rs"]
mod cases;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use pipe_core::pod::restricted_violations;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

fn files_in(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder)
        .expect("the goldens are there")
        .map(|entry| entry.expect("the goldens are there").path());
    let files = entries.filter(|path| path.extension().is_some_and(|e| e == "json" || e == "hcl"));
    files
        .map(|path| {
            let name =
                path.file_name().expect("the goldens are there").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("the goldens are there"))
        })
        .collect()
}

/// The files as they are generated now.
fn generated() -> BTreeMap<String, String> {
    cases::all().into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}

fn manifests() -> impl Iterator<Item = (String, Value)> {
    let is_json = |(name, _): &(String, String)| name.ends_with(".json");
    let parse = |(name, text): (String, String)| {
        (name, serde_json::from_str(&text).expect("the goldens are there"))
    };
    generated().into_iter().filter(is_json).map(parse)
}

#[test]
fn what_is_generated_is_what_was_agreed() {
    let generated = generated();
    assert_eq!(generated.len(), cases::all().len(), "two goldens have one name");
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        for name in files_in(&folder()).keys() {
            fs::remove_file(folder().join(name)).unwrap();
        }
        for (name, text) in &generated {
            fs::write(folder().join(name), text).unwrap();
        }
    }
    let agreed = files_in(&folder());
    assert!(agreed.keys().eq(generated.keys()), "{:?}", agreed.keys());
    for (name, text) in &generated {
        assert_eq!(text, &agreed[name], "{name}");
    }
    assert!(agreed.len() >= 30, "{}", agreed.len());
}

/// REQ 003-12
#[test]
fn the_same_declaration_gives_the_same_bytes() {
    assert_eq!(generated(), generated());
}

#[test]
fn the_types_of_kubernetes_lose_nothing() {
    let mut count = 0;
    for (name, manifest) in manifests() {
        let lost = match (manifest["apiVersion"].as_str(), manifest["kind"].as_str().unwrap()) {
            (Some("v1"), "Pod") => round_trip::<Pod>(&manifest),
            (Some("batch/v1"), "Job") => round_trip::<Job>(&manifest),
            (Some("batch/v1"), "CronJob") => round_trip::<CronJob>(&manifest),
            (Some("apps/v1"), "Deployment") => round_trip::<Deployment>(&manifest),
            (Some("apps/v1"), "StatefulSet") => round_trip::<StatefulSet>(&manifest),
            (Some("apps/v1"), "DaemonSet") => round_trip::<DaemonSet>(&manifest),
            (Some("rbac.authorization.k8s.io/v1"), "Role") => round_trip::<Role>(&manifest),
            (Some("rbac.authorization.k8s.io/v1"), "ClusterRole") => {
                round_trip::<ClusterRole>(&manifest)
            }
            (_, "RoleBinding") => round_trip::<RoleBinding>(&manifest),
            (_, "ClusterRoleBinding") => round_trip::<ClusterRoleBinding>(&manifest),
            (Some(api), _) => {
                assert!(
                    api.starts_with("external-secrets.io/")
                        || api.starts_with("secrets-store.csi.x-k8s.io/")
                        || api.starts_with("secrets.infisical.com/"),
                    "{name}: {api}"
                );
                continue;
            }
            (None, kind) => panic!("{name}: {kind}"),
        };
        assert_eq!(lost, manifest, "{name}");
        count += 1;
    }
    assert!(count >= 20, "{count}");
}

fn round_trip<T: Serialize + DeserializeOwned>(manifest: &Value) -> Value {
    serde_json::to_value(T::deserialize(manifest).expect("it is of this type")).expect("it is JSON")
}

/// What the operators' schemas do not have, they would drop or refuse.
#[test]
fn the_operators_objects_have_the_shape_of_checked_ones() {
    let references = files_in(&folder().join("reference"));
    let references: Vec<Value> =
        references.values().map(|text| serde_json::from_str(text).unwrap()).collect();
    let mut count = 0;
    for (name, manifest) in manifests() {
        let of_kind = |other: &&Value| {
            (&other["apiVersion"], &other["kind"]) == (&manifest["apiVersion"], &manifest["kind"])
        };
        let known: Vec<_> = references.iter().filter(of_kind).collect();
        if manifest["apiVersion"].as_str().unwrap().contains("secrets") {
            assert!(!known.is_empty(), "{name}");
            fits(&name, "", &manifest, &known);
            count += 1;
        }
    }
    assert!(count >= 10, "{count}");
}

/// Every member is a member of one of the known objects, and of the same type.
fn fits(name: &str, place: &str, value: &Value, known: &[&Value]) {
    assert!(!known.is_empty(), "{name}: {place} is not known");
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let known: Vec<_> = known.iter().filter_map(|known| known.get(member)).collect();
                fits(name, &format!("{place}/{member}"), value, &known);
            }
        }
        Value::Array(items) => {
            let lists = known.iter().filter_map(|known| known.as_array());
            let known: Vec<_> = lists.flatten().collect();
            items.iter().for_each(|item| fits(name, place, item, &known));
        }
        Value::String(_) => assert!(known.iter().any(|known| known.is_string()), "{name}: {place}"),
        Value::Bool(_) => assert!(known.iter().any(|known| known.is_boolean()), "{name}: {place}"),
        Value::Number(_) => assert!(known.iter().any(|known| known.is_number()), "{name}: {place}"),
        Value::Null => panic!("{name}: {place} is null"),
    }
}

/// REQ 003-02
#[test]
fn hardened_pods_break_no_rule_of_restricted() {
    let mut count = 0;
    for (name, manifest) in manifests().filter(|(name, _)| name.starts_with("restricted-")) {
        assert_eq!(restricted_violations(&manifest).unwrap(), [], "{name}");
        count += 1;
    }
    assert!(count >= 4, "{count}");
}

/// REQ 002-30: groups are bound, and the one account that acts for them; no person, no secret.
#[test]
fn no_person_is_named_where_groups_are_bound() {
    let mut count = 0;
    for (name, manifest) in manifests().filter(|(name, _)| name.starts_with("group-")) {
        for subject in manifest["subjects"].as_array().into_iter().flatten() {
            assert!(subject["kind"] == "Group" || subject["kind"] == "ServiceAccount", "{name}");
            count += 1;
        }
    }
    assert!(count >= 4, "{count}");
}

/// The Job that was checked by hand is one that the generators make.
#[test]
fn the_generators_make_the_checked_job() {
    let text = fs::read_to_string(folder().join("reference/job-bot-job.json")).unwrap();
    let checked: Value = serde_json::from_str(&text).unwrap();
    let made: Value = serde_json::from_str(&generated()["restricted-job.json"]).unwrap();
    let spec = |job: &Value, pointer: &str| job.pointer(pointer).unwrap().clone();
    for pointer in [
        "/spec/template/spec/securityContext",
        "/spec/template/spec/automountServiceAccountToken",
        "/spec/template/spec/serviceAccountName",
        "/spec/template/spec/containers/0/securityContext",
        "/spec/template/spec/containers/0/resources",
        "/spec/template/spec/containers/0/env",
        "/spec/template/spec/containers/0/envFrom",
    ] {
        assert_eq!(spec(&made, pointer), spec(&checked, pointer), "{pointer}");
    }
}

#[test]
fn a_fragment_goes_into_typed_objects_too() {
    let manifest: Value = serde_json::from_str(&generated()["env-job.json"]).unwrap();
    let mut job = Job::deserialize(&manifest).unwrap();
    let fragment = cases::database().fragment().unwrap();
    fragment.apply_to_typed(&mut job, "bot").unwrap();
    let pod = job.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    assert_eq!(pod.volumes.as_ref().unwrap()[0].name, "db-creds");
    let once = job.clone();
    fragment.apply_to_typed(&mut job, "bot").unwrap();
    assert_eq!(job, once);
    let mut role = Role::default();
    assert!(fragment.apply_to_typed(&mut role, "bot").is_err());
}
