//! Merging a fragment into a manifest (REQ 004-79.4, 004-80.4).

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::paths::{MountPaths, normal};
use super::{PodFragment, Probe, SecretChecksum, VolumeMount, taken};
use crate::{Error, ErrorKind, Result};

impl PodFragment {
    /// Merges the fragment into the named container of a Pod, Job, CronJob, Deployment,
    /// StatefulSet or DaemonSet; init containers are found too. Doing it twice changes nothing.
    ///
    /// An `envFrom` of another Secret under the same prefix is a conflict. One of a ConfigMap is
    /// not: settings and secrets are commonly given side by side, and the Secret, which comes
    /// last, wins where keys are equal. Settings of one object, such as a security context, are
    /// merged member by member, and lists of capabilities get what they lack.
    ///
    /// # Errors
    /// `InvalidArgument` when this is no such manifest or has no such container, `Conflict` when
    /// a name, a prefix or a setting is taken by something else, or when a mount path lies below
    /// another one of the container. The manifest is then unchanged.
    pub fn apply_to(&self, manifest: &mut Value, container: &str) -> Result<()> {
        changed(manifest, |manifest| self.apply(manifest, |name| name == container, container))
    }

    /// Merges the fragment into every container, init containers too: for security contexts,
    /// which the Pod Security Standards want everywhere.
    ///
    /// # Errors
    /// As for [`apply_to`](Self::apply_to).
    pub fn apply_to_all(&self, manifest: &mut Value) -> Result<()> {
        changed(manifest, |manifest| self.apply(manifest, |_| true, "any"))
    }

    /// Merges the fragment into an object of any type that is written as a manifest, such as
    /// those of `k8s-openapi`; otherwise like [`apply_to`](Self::apply_to).
    ///
    /// # Errors
    /// As for [`apply_to`](Self::apply_to), and `InvalidArgument` when the type has no place for
    /// what was merged.
    pub fn apply_to_typed<T>(&self, workload: &mut T, container: &str) -> Result<()>
    where
        T: Serialize + DeserializeOwned,
    {
        let mut manifest = to_value(&*workload)?;
        self.apply_to(&mut manifest, container)?;
        // The error of serde is dropped: it quotes values.
        *workload = T::deserialize(&manifest).map_err(|_| {
            Error::new(ErrorKind::InvalidArgument, "the manifest does not fit the type any more")
                .hint("use the type of the manifest's kind")
        })?;
        Ok(())
    }

    fn apply(
        &self,
        manifest: &mut Value,
        is_meant: impl Fn(&str) -> bool,
        name: &str,
    ) -> Result<()> {
        let pod = pod_template(manifest)?;
        if !self.annotations.is_empty() {
            let annotations = object(object(pod, "metadata")?, "annotations")?;
            for (key, value) in &self.annotations {
                if key == SecretChecksum::ANNOTATION {
                    // It is there in order to change.
                    annotations.remove(key);
                }
                merge_into(annotations, key, value.as_str().into(), key)?;
            }
        }
        let spec = pod.get_mut("spec").and_then(Value::as_object_mut);
        let spec = spec.ok_or_else(|| malformed("spec"))?;
        add_named(spec, "volumes", &self.volumes, |volume| &volume.name)?;
        set(spec, "securityContext", self.pod_security_context.as_ref())?;
        set(spec, "serviceAccountName", self.service_account_name.as_ref())?;
        let automount = "automountServiceAccountToken";
        set(spec, automount, self.automount_service_account_token.as_ref())?;
        let mut found = false;
        for list in CONTAINERS {
            let Some(containers) = spec.get_mut(list).and_then(Value::as_array_mut) else {
                continue;
            };
            for container in containers.iter_mut().filter_map(Value::as_object_mut) {
                if container.get("name").and_then(Value::as_str).is_some_and(&is_meant) {
                    self.apply_to_container(container)?;
                    found = true;
                }
            }
        }
        if found {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidArgument, "the manifest has no such container")
            .with("container", name)
            .hint("name one of the pod's containers"))
    }

    fn apply_to_container(&self, container: &mut Map<String, Value>) -> Result<()> {
        add_named(container, "env", &self.env, |variable| &variable.name)?;
        add_sources(container, &self.env_from)?;
        add_mounts(container, &self.volume_mounts)?;
        set(container, "securityContext", self.security_context.as_ref())?;
        set(container, "resources", self.resources.as_ref())?;
        set_probe(container, "livenessProbe", self.probes.liveness_probe.as_ref())?;
        set_probe(container, "readinessProbe", self.probes.readiness_probe.as_ref())?;
        set_probe(container, "startupProbe", self.probes.startup_probe.as_ref())
    }
}

/// The lists of a pod spec in which the names of containers are unique.
pub(super) const CONTAINERS: [&str; 2] = ["containers", "initContainers"];

/// Where a manifest of this kind has its pod: an object with `metadata` and `spec`.
///
/// # Errors
/// `InvalidArgument` for a kind that has no pods.
pub(super) fn pod_pointer(manifest: &Value) -> Result<&'static str> {
    match manifest.get("kind").and_then(Value::as_str) {
        Some("Pod") => Ok(""),
        Some("Job" | "Deployment" | "StatefulSet" | "DaemonSet") => Ok("/spec/template"),
        Some("CronJob") => Ok("/spec/jobTemplate/spec/template"),
        other => Err(Error::new(ErrorKind::InvalidArgument, "not a manifest that has pods")
            .with("kind", other.unwrap_or("none"))
            .hint("use a Pod, Job, CronJob, Deployment, StatefulSet or DaemonSet")),
    }
}

/// # Errors
/// `InvalidArgument` for what cannot be written as JSON.
pub(super) fn to_value(object: &(impl Serialize + ?Sized)) -> Result<Value> {
    // The error of serde is dropped: it may quote values.
    serde_json::to_value(object).map_err(|_| {
        Error::new(ErrorKind::InvalidArgument, "the manifest cannot be written as JSON")
            .hint("use an object whose members all have names")
    })
}

fn changed(manifest: &mut Value, change: impl FnOnce(&mut Value) -> Result<()>) -> Result<()> {
    let mut changed = manifest.clone();
    change(&mut changed)?;
    *manifest = changed;
    Ok(())
}

fn pod_template(manifest: &mut Value) -> Result<&mut Map<String, Value>> {
    let path = pod_pointer(manifest)?;
    let has_spec = |pod: &&mut Map<String, Value>| pod.get("spec").is_some_and(Value::is_object);
    let pod = manifest.pointer_mut(path).and_then(Value::as_object_mut).filter(has_spec);
    pod.ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, "the manifest has no pod spec")
            .with("path", format_args!("{path}/spec"))
    })
}

fn malformed(field: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, "the manifest's field is of another type")
        .with("field", field)
}

/// The list under this name, made when there is none: `null` counts as absent.
fn list<'a>(object: &'a mut Map<String, Value>, field: &str) -> Result<&'a mut Vec<Value>> {
    let present = object.entry(field).or_insert(Value::Null);
    if present.is_null() {
        *present = Value::Array(Vec::new());
    }
    present.as_array_mut().ok_or_else(|| malformed(field))
}

fn object<'a>(
    object: &'a mut Map<String, Value>,
    field: &str,
) -> Result<&'a mut Map<String, Value>> {
    let present = object.entry(field).or_insert(Value::Null);
    if present.is_null() {
        *present = Value::Object(Map::new());
    }
    present.as_object_mut().ok_or_else(|| malformed(field))
}

/// Adds what is not there yet; another item under the same name is a conflict.
fn add_named<T: Serialize>(
    object: &mut Map<String, Value>,
    field: &'static str,
    items: &[T],
    name: impl Fn(&T) -> &str,
) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let present = list(object, field)?;
    let known: HashMap<_, _> =
        present.iter().enumerate().map(|(at, item)| (text(item, "name").to_owned(), at)).collect();
    for item in items {
        let value = to_value(item)?;
        match known.get(name(item)) {
            None => present.push(value),
            Some(at) if present[*at] == value => {}
            Some(_) => return Err(taken("name", name(item))),
        }
    }
    Ok(())
}

fn add_sources(object: &mut Map<String, Value>, items: &[super::EnvFromSource]) -> Result<()> {
    #[derive(Deserialize)]
    struct Source<'a> {
        #[serde(default)]
        prefix: &'a str,
        #[serde(borrow, rename = "secretRef")]
        secret: Reference<'a>,
    }
    #[derive(Deserialize)]
    struct Reference<'a> {
        name: &'a str,
        // A manifest may leave out `optional: false`.
        optional: Option<bool>,
    }
    if items.is_empty() {
        return Ok(());
    }
    let present = list(object, "envFrom")?;
    let known: HashMap<_, _> = present
        .iter()
        .filter_map(|source| Source::deserialize(source).ok())
        .map(|source| {
            let meaning =
                (source.secret.name.to_owned(), source.secret.optional.unwrap_or_default());
            (source.prefix.to_owned(), meaning)
        })
        .collect();
    for item in items {
        match known.get(&item.prefix) {
            None => present.push(to_value(item)?),
            Some((name, optional))
                if *name == item.secret_ref.name && *optional == item.secret_ref.optional => {}
            Some(_) => return Err(taken("prefix", &item.prefix)),
        }
    }
    Ok(())
}

fn add_mounts(object: &mut Map<String, Value>, items: &[VolumeMount]) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let present = list(object, "volumeMounts")?;
    let mut paths = MountPaths::default();
    for (at, mount) in present.iter().enumerate() {
        paths.insert(normal(text(mount, "mountPath")), at);
    }
    for item in items {
        let path = normal(&item.mount_path);
        let mut value = to_value(item)?;
        if let Some(at) = paths.find(&path) {
            // The same mount, though the path may be written in another way.
            value["mountPath"] = text(&present[at], "mountPath").into();
            if value == present[at] {
                continue;
            }
        }
        paths.add(path, present.len())?;
        present.push(value);
    }
    Ok(())
}

fn set<T: Serialize>(
    object: &mut Map<String, Value>,
    field: &'static str,
    setting: Option<&T>,
) -> Result<()> {
    let Some(setting) = setting else { return Ok(()) };
    merge_into(object, field, to_value(setting)?, field)
}

/// A probe asks in one way: two are not merged, but those of other members, such as a time that the
/// server has filled in.
fn set_probe(
    object: &mut Map<String, Value>,
    field: &'static str,
    probe: Option<&Probe>,
) -> Result<()> {
    let Some(probe) = probe else { return Ok(()) };
    let probe = to_value(probe)?;
    for way in Probe::WAYS {
        let present = object.get(field).and_then(|present| present.get(way));
        if present.is_some_and(|present| !present.is_null()) && probe.get(way).is_none() {
            return Err(says_otherwise(&format!("{field}.{way}")));
        }
    }
    merge_into(object, field, probe, field)
}

/// Sets what is not set yet, member by member.
fn merge_into(
    into: &mut Map<String, Value>,
    field: &str,
    setting: Value,
    place: &str,
) -> Result<()> {
    let present = into.entry(field).or_insert(Value::Null);
    match (&mut *present, setting) {
        (Value::Null, setting) => *present = setting,
        (Value::Object(present), Value::Object(setting)) => {
            for (key, value) in setting {
                merge_into(present, &key, value, &format!("{place}.{key}"))?;
            }
        }
        (Value::Array(present), Value::Array(setting)) if place.starts_with(CAPABILITIES) => {
            for item in setting {
                if !present.contains(&item) {
                    present.push(item);
                }
            }
        }
        (present, setting) if *present == setting => {}
        _ => return Err(says_otherwise(place)),
    }
    Ok(())
}

/// The lists that are sets of words: they get what they lack.
const CAPABILITIES: &str = "securityContext.capabilities.";

fn says_otherwise(place: &str) -> Error {
    Error::new(ErrorKind::Conflict, "the manifest says something else")
        .with("field", place)
        .hint("leave the field out of the manifest, or make the fragment say the same")
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
