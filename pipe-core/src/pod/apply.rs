//! Merging a fragment into a manifest (REQ 004-79.4, 004-80.4).

use serde::Serialize;
use serde_json::{Map, Value};

use super::{PodFragment, taken};
use crate::{Error, ErrorKind, Result};

impl PodFragment {
    /// Merges the fragment into the named container of a Pod, Job, CronJob, Deployment,
    /// StatefulSet or DaemonSet; init containers are found too. Doing it twice changes nothing.
    ///
    /// # Errors
    /// `InvalidArgument` when this is no such manifest or has no such container, `Conflict` when
    /// a name is taken by something else. The manifest is then unchanged.
    pub fn apply_to(&self, manifest: &mut Value, container: &str) -> Result<()> {
        let mut changed = manifest.clone();
        self.apply(&mut changed, container)?;
        *manifest = changed;
        Ok(())
    }

    fn apply(&self, manifest: &mut Value, container: &str) -> Result<()> {
        let pod_spec = pod_spec(manifest)?;
        add(pod_spec, "volumes", "name", &self.volumes)?;
        let container = ["containers", "initContainers"]
            .into_iter()
            .find(|list| find(pod_spec, list, container).is_some())
            .and_then(|list| find(pod_spec, list, container))
            .ok_or_else(|| {
                Error::new(ErrorKind::InvalidArgument, "the manifest has no such container")
                    .with("container", container)
                    .hint("name one of the pod's containers")
            })?;
        add(container, "env", "name", &self.env)?;
        add(container, "envFrom", "", &self.env_from)?;
        add(container, "volumeMounts", "mountPath", &self.volume_mounts)
    }
}

fn pod_spec(manifest: &mut Value) -> Result<&mut Map<String, Value>> {
    let path = match manifest.get("kind").and_then(Value::as_str) {
        Some("Pod") => "/spec",
        Some("Job" | "Deployment" | "StatefulSet" | "DaemonSet") => "/spec/template/spec",
        Some("CronJob") => "/spec/jobTemplate/spec/template/spec",
        other => {
            let kind = other.unwrap_or("none").to_owned();
            return Err(Error::new(ErrorKind::InvalidArgument, "not a manifest that has pods")
                .with("kind", kind)
                .hint("use a Pod, Job, CronJob, Deployment, StatefulSet or DaemonSet"));
        }
    };
    manifest.pointer_mut(path).and_then(Value::as_object_mut).ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, "the manifest has no pod spec").with("path", path)
    })
}

fn find<'a>(
    pod_spec: &'a mut Map<String, Value>,
    list: &str,
    name: &str,
) -> Option<&'a mut Map<String, Value>> {
    pod_spec
        .get_mut(list)?
        .as_array_mut()?
        .iter_mut()
        .find(|container| container.get("name").and_then(Value::as_str) == Some(name))?
        .as_object_mut()
}

/// Adds what is not there yet; items are told apart by `identity`, or as a whole when it is empty.
fn add<T: Serialize>(
    object: &mut Map<String, Value>,
    field: &'static str,
    identity: &str,
    items: &[T],
) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let malformed = || {
        Error::new(ErrorKind::InvalidArgument, "the manifest's field is not a list")
            .with("field", field)
    };
    let present = object.entry(field).or_insert_with(|| Value::Array(Vec::new()));
    let present = present.as_array_mut().ok_or_else(malformed)?;
    for item in items {
        let item = serde_json::to_value(item).map_err(|_| malformed())?;
        if present.contains(&item) {
            continue;
        }
        if let Some(name) = item.get(identity)
            && present.iter().any(|other| other.get(identity) == Some(name))
        {
            return Err(taken(field, name.as_str().unwrap_or_default()));
        }
        present.push(item);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::{EnvInjection, SecretMount};
    use crate::secrets::SecretRef;

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
}
