//! What manifests say about paths and keys.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Disagreement;
use crate::pod::OpenBaoStore;
use crate::pod::apply::{CONTAINERS, pod_pointer};
use crate::pod::delivery::{INJECTOR_PREFIX, Need};

/// A path of OpenBao that a manifest names.
pub(super) struct Remote {
    pub(super) place: String,
    pub(super) path: String,
    /// All keys when `None`.
    key: Option<String>,
}

/// A key of a Kubernetes Secret that a pod names.
struct Used {
    place: String,
    secret: String,
    key: String,
}

pub(super) struct References<'a> {
    store: &'a OpenBaoStore,
    pub(super) remotes: Vec<Remote>,
    pub(super) faults: Vec<Disagreement>,
    /// The keys of each Secret that an operator makes; all when `None`.
    made: BTreeMap<String, Option<BTreeSet<String>>>,
    used: Vec<Used>,
}

impl<'a> References<'a> {
    pub(super) fn of<'m>(
        store: &'a OpenBaoStore,
        manifests: impl IntoIterator<Item = &'m Value>,
    ) -> Self {
        let (remotes, faults, used) = (Vec::new(), Vec::new(), Vec::new());
        let mut references = Self { store, remotes, faults, made: BTreeMap::new(), used };
        for manifest in manifests {
            let object = Object::new(manifest);
            match text(manifest, "/kind") {
                "SecretStore" | "ClusterSecretStore" => references.secret_store(&object),
                "ExternalSecret" => references.external_secret(&object),
                "SecretProviderClass" => references.provider_class(&object),
                _ => references.workload(&object),
            }
        }
        references
    }

    /// What is needed of this path, and no manifest names.
    pub(super) fn misses(&self, path: &str, need: &Need<'_>) -> Vec<Disagreement> {
        let mut keys = self.remotes.iter().filter(|remote| remote.path == path).peekable();
        if keys.peek().is_none() {
            return vec![Disagreement::new("manifests", path, "is not named")];
        }
        let named: Vec<_> = keys.map(|remote| remote.key.as_deref()).collect();
        if named.contains(&None) {
            return Vec::new();
        }
        let mut missed: Vec<_> = need
            .keys
            .iter()
            .filter(|key| !named.contains(&Some(key)))
            .map(|key| Disagreement::new("manifests", &format!("{path} {key}"), "is not named"))
            .collect();
        if need.whole {
            missed.push(Disagreement::new("manifests", path, "is named only in part"));
        }
        missed
    }

    /// Keys that pods name, of Secrets of the declaration that operators make without them.
    pub(super) fn unmade_keys(
        &self,
        carriers: &BTreeSet<String>,
    ) -> impl Iterator<Item = Disagreement> {
        let is_unmade = |used: &&Used| {
            let made = self.made.get(&used.secret).and_then(Option::as_ref);
            carriers.contains(&used.secret) && made.is_some_and(|keys| !keys.contains(&used.key))
        };
        self.used.iter().filter(is_unmade).map(|used| {
            let subject = format!("{} {}", used.secret, used.key);
            Disagreement::new(&used.place, &subject, "is a key that no manifest makes")
        })
    }

    fn secret_store(&mut self, object: &Object<'_>) {
        let store = self.store;
        let base = "/spec/provider/vault";
        if object.value.pointer(base).is_none() {
            return;
        }
        let namespace = store.namespace.as_ref().map_or("", |namespace| namespace.as_str());
        for (member, expected) in [
            ("server", store.address.as_str()),
            ("path", store.mount.as_str()),
            ("namespace", namespace),
            ("auth/kubernetes/mountPath", store.auth_mount.as_str()),
            ("auth/kubernetes/role", store.role.as_str()),
        ] {
            let pointer = format!("{base}/{member}");
            let found = text(object.value, &pointer).trim_end_matches('/');
            if found != expected.trim_end_matches('/') {
                let place = object.place(&pointer);
                self.faults.push(Disagreement::new(&place, expected, "is meant, not what it says"));
            }
        }
    }

    fn external_secret(&mut self, object: &Object<'_>) {
        let mut keys = Some(BTreeSet::new());
        for (i, item) in list(object.value, "/spec/data") {
            let remote = object.place(&format!("/spec/data/{i}/remoteRef/key"));
            let property = text(item, "/remoteRef/property");
            // Without a property the whole secret becomes one value.
            let key = Some(property.to_owned());
            self.remote(remote, text(item, "/remoteRef/key"), key);
            if let Some(keys) = &mut keys {
                keys.insert(text(item, "/secretKey").to_owned());
            }
        }
        for (i, item) in list(object.value, "/spec/dataFrom") {
            keys = None;
            if item.get("extract").is_some() {
                let place = object.place(&format!("/spec/dataFrom/{i}/extract/key"));
                self.remote(place, text(item, "/extract/key"), None);
            }
        }
        let target = match text(object.value, "/spec/target/name") {
            "" => object.name(),
            target => target,
        };
        self.made.insert(target.to_owned(), keys);
    }

    /// The operator's keys are below the mount; it takes those with the mount, too.
    fn remote(&mut self, place: String, name: &str, key: Option<String>) {
        let prefix = format!("{}/data/", self.store.mount);
        let name = name.strip_prefix(&prefix).unwrap_or(name);
        self.remotes.push(Remote { place, path: format!("{prefix}{name}"), key });
    }

    fn provider_class(&mut self, object: &Object<'_>) {
        let pointer = "/spec/parameters/objects";
        let mut keys_of = BTreeMap::new();
        // The driver's own YAML in a text: one member to a line.
        for entry in text(object.value, pointer).split("- objectName:").skip(1) {
            let member = |name: &str| {
                let line = entry.lines().map(str::trim).find_map(|line| line.strip_prefix(name));
                line.map(|value| value.trim().trim_matches(['"', '\'']).to_owned())
            };
            let name = entry.lines().next().unwrap_or_default();
            let name = name.trim().trim_matches(['"', '\'']).to_owned();
            let path = member("secretPath:").unwrap_or_default();
            let key = member("secretKey:");
            keys_of.insert(name, key.clone());
            if path.starts_with(&format!("{}/data/", self.store.mount)) {
                self.remotes.push(Remote { place: object.place(pointer), path, key });
            }
        }
        for (i, synced) in list(object.value, "/spec/secretObjects") {
            let mut keys = BTreeSet::new();
            for (j, item) in list(synced, "/data") {
                let file = text(item, "/objectName");
                if !keys_of.contains_key(file) {
                    let place = object.place(&format!("/spec/secretObjects/{i}/data/{j}"));
                    self.faults.push(Disagreement::new(&place, file, "is no object of the class"));
                }
                keys.insert(text(item, "/key").to_owned());
            }
            self.made.insert(text(synced, "/secretName").to_owned(), Some(keys));
        }
    }

    fn workload(&mut self, object: &Object<'_>) {
        let Ok(pod) = pod_pointer(object.value) else { return };
        self.annotations(object, &format!("{pod}/metadata/annotations"));
        for containers in CONTAINERS {
            let containers = format!("{pod}/spec/{containers}");
            for (i, container) in list(object.value, &containers) {
                for (j, variable) in list(container, "/env") {
                    let pointer = "/valueFrom/secretKeyRef";
                    let Some(reference) = variable.pointer(pointer) else { continue };
                    self.used.push(Used {
                        place: object.place(&format!("{containers}/{i}/env/{j}{pointer}")),
                        secret: text(reference, "/name").to_owned(),
                        key: text(reference, "/key").to_owned(),
                    });
                }
            }
        }
        let volumes = format!("{pod}/spec/volumes");
        for (i, volume) in list(object.value, &volumes) {
            for (j, item) in list(volume, "/secret/items") {
                self.used.push(Used {
                    place: object.place(&format!("{volumes}/{i}/secret/items/{j}/key")),
                    secret: text(volume, "/secret/secretName").to_owned(),
                    key: text(item, "/key").to_owned(),
                });
            }
        }
    }

    fn annotations(&mut self, object: &Object<'_>, pointer: &str) {
        let annotations = object.value.pointer(pointer).and_then(Value::as_object);
        for (name, value) in annotations.into_iter().flatten() {
            let of = |what: &str| name.strip_prefix(&format!("{INJECTOR_PREFIX}/{what}-"));
            let (Some(id), Some(path)) = (of("agent-inject-secret"), value.as_str()) else {
                continue;
            };
            let place = object.place(&format!("{pointer}/{}", name.replace('/', "~1")));
            let template = format!("{INJECTOR_PREFIX}/agent-inject-template-{id}");
            let template = annotations.and_then(|all| all.get(&template)).and_then(Value::as_str);
            if let Some(template) = template
                && !template.contains(&format!("\"{path}\""))
            {
                self.faults.push(Disagreement::new(&place, path, "is not what the template reads"));
            }
            let key = template.and_then(template_key);
            self.remotes.push(Remote { place, path: path.to_owned(), key });
        }
    }
}

/// The key that `index .Data.data "key"` or `.Data.data.key` reads.
fn template_key(template: &str) -> Option<String> {
    let (_, rest) = template.split_once(".Data.data")?;
    let end = |c: char| c == '"' || c == '}' || c.is_whitespace();
    let key = match rest.strip_prefix('.') {
        Some(key) => key.split(end).next()?,
        None => rest.trim_start().strip_prefix('"')?.split('"').next()?,
    };
    Some(key.to_owned())
}

struct Object<'m> {
    value: &'m Value,
}

impl<'m> Object<'m> {
    fn new(value: &'m Value) -> Self {
        Self { value }
    }

    fn name(&self) -> &'m str {
        text(self.value, "/metadata/name")
    }

    fn place(&self, pointer: &str) -> String {
        format!("{}/{}: {pointer}", text(self.value, "/kind"), self.name())
    }
}

fn list<'m>(value: &'m Value, pointer: &str) -> impl Iterator<Item = (usize, &'m Value)> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten().enumerate()
}

fn text<'m>(value: &'m Value, pointer: &str) -> &'m str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
