//! Merging a fragment into a manifest (REQ 004-79.4, 004-80.4).

use serde::Serialize;
use serde_json::{Map, Value};

use super::paths::{check_apart, is_same};
use super::{PodFragment, taken};
use crate::{Error, ErrorKind, Result};

impl PodFragment {
    /// Merges the fragment into the named container of a Pod, Job, CronJob, Deployment,
    /// StatefulSet or DaemonSet; init containers are found too. Doing it twice changes nothing.
    ///
    /// An `envFrom` of another Secret under the same prefix is a conflict. One of a ConfigMap is
    /// not: settings and secrets are commonly given side by side, and the Secret, which comes
    /// last, wins where keys are equal.
    ///
    /// # Errors
    /// `InvalidArgument` when this is no such manifest or has no such container, `Conflict` when
    /// a name or a prefix is taken by something else, or when a mount path lies below another one
    /// of the container. The manifest is then unchanged.
    pub fn apply_to(&self, manifest: &mut Value, container: &str) -> Result<()> {
        let mut changed = manifest.clone();
        self.apply(&mut changed, container)?;
        *manifest = changed;
        Ok(())
    }

    fn apply(&self, manifest: &mut Value, container: &str) -> Result<()> {
        let pod_spec = pod_spec(manifest)?;
        add(pod_spec, "volumes", &self.volumes, by_name)?;
        let container = ["containers", "initContainers"]
            .into_iter()
            .find(|list| find(pod_spec, list, container).is_some())
            .and_then(|list| find(pod_spec, list, container))
            .ok_or_else(|| {
                Error::new(ErrorKind::InvalidArgument, "the manifest has no such container")
                    .with("container", container)
                    .hint("name one of the pod's containers")
            })?;
        add(container, "env", &self.env, by_name)?;
        add(container, "envFrom", &self.env_from, by_prefix)?;
        add(container, "volumeMounts", &self.volume_mounts, by_path)
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

/// How an item of a manifest relates to one of ours.
enum Relation {
    Same,
    Unrelated,
}

/// Adds what is not there yet, unless `relation` finds it in conflict with what is there.
fn add<T: Serialize>(
    object: &mut Map<String, Value>,
    field: &'static str,
    items: &[T],
    relation: impl Fn(&Value, &Value) -> Result<Relation>,
) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let malformed = || {
        Error::new(ErrorKind::InvalidArgument, "the manifest's field is not a list")
            .with("field", field)
    };
    let present = object.entry(field).or_insert(Value::Null);
    if present.is_null() {
        *present = Value::Array(Vec::new());
    }
    let present = present.as_array_mut().ok_or_else(malformed)?;
    for item in items {
        let item = serde_json::to_value(item).map_err(|_| malformed())?;
        if present.contains(&item) {
            continue;
        }
        let mut known = false;
        for other in &*present {
            known |= matches!(relation(other, &item)?, Relation::Same);
        }
        if !known {
            present.push(item);
        }
    }
    Ok(())
}

fn by_name(present: &Value, item: &Value) -> Result<Relation> {
    let name = text(item, "/name");
    if text(present, "/name") == name { Err(taken("name", name)) } else { Ok(Relation::Unrelated) }
}

fn by_prefix(present: &Value, item: &Value) -> Result<Relation> {
    let prefix = text(item, "/prefix");
    let is_secret = present.get("secretRef").is_some_and(Value::is_object);
    if !is_secret || text(present, "/prefix") != prefix {
        return Ok(Relation::Unrelated);
    }
    // A manifest may leave out `optional: false`.
    let meaning = |source: &Value| {
        let optional = source.pointer("/secretRef/optional").and_then(Value::as_bool);
        (text(source, "/secretRef/name").to_owned(), optional.unwrap_or_default())
    };
    if meaning(present) == meaning(item) {
        return Ok(Relation::Same);
    }
    Err(taken("prefix", prefix))
}

fn by_path(present: &Value, item: &Value) -> Result<Relation> {
    let (path, other) = (text(item, "/mountPath"), text(present, "/mountPath"));
    let mut rewritten = present.clone();
    if let Some(mount) = rewritten.as_object_mut() {
        mount.insert("mountPath".to_owned(), path.into());
    }
    if rewritten == *item && is_same(path, other) {
        return Ok(Relation::Same);
    }
    check_apart("mount path", path, [other]).map(|()| Relation::Unrelated)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
