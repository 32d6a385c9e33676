//! A stored Secret, as JSON and back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value, json};

use super::super::openbao::time::rfc3339;

/// A field as its owner has it: `["data", "password"]`.
pub(super) type Path = Vec<String>;

/// A stored Secret.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Object {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    /// 0 as long as it is not stored.
    pub(super) revision: u64,
    pub(super) created: SystemTime,
    pub(super) deleted: Option<SystemTime>,
    pub(super) content: Content,
    pub(super) managed: Vec<Managed>,
}

/// What a client sets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Content {
    /// What a name begins with that the server made.
    pub(super) generate_name: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) finalizers: Vec<String>,
    pub(super) data: BTreeMap<String, Vec<u8>>,
    /// What an apply says as text. It is stored as data, and never as this.
    pub(super) string_data: BTreeMap<String, String>,
    pub(super) secret_type: Option<String>,
    pub(super) immutable: Option<bool>,
}

/// Who owns what.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Managed {
    pub(super) manager: String,
    /// `Apply` or `Update`.
    pub(super) operation: &'static str,
    pub(super) time: SystemTime,
    pub(super) fields: BTreeSet<Path>,
}

/// What a body says, and which state it is based on.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) uid: Option<String>,
    pub(super) revision: Option<String>,
    pub(super) content: Content,
    /// The fields that a Secret has not: `bogus`, `metadata.bogus`.
    pub(super) unknown: Vec<String>,
}

/// Why a body is none of a Secret.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// `apiVersion` and `kind` are others.
    NotASecret,
    ManagedFields,
    /// In the server's words, after the path of the field.
    Field(String),
    /// A value is no base64.
    Base64,
}

impl Content {
    /// Every field with its value.
    pub(super) fn fields(&self) -> BTreeMap<Path, Value> {
        let mut fields = BTreeMap::new();
        let path = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Path>();
        if let Some(prefix) = &self.generate_name {
            fields.insert(path(&["metadata", "generateName"]), prefix.as_str().into());
        }
        for (name, value) in &self.labels {
            fields.insert(path(&["metadata", "labels", name]), value.as_str().into());
        }
        for (name, value) in &self.annotations {
            fields.insert(path(&["metadata", "annotations", name]), value.as_str().into());
        }
        for name in &self.finalizers {
            fields.insert(path(&["metadata", "finalizers", &item(name)]), name.as_str().into());
        }
        for (key, value) in &self.data {
            fields.insert(path(&["data", key]), BASE64_STANDARD.encode(value).into());
        }
        for (key, value) in &self.string_data {
            fields.insert(path(&["stringData", key]), value.as_str().into());
        }
        if let Some(secret_type) = &self.secret_type {
            fields.insert(path(&["type"]), secret_type.as_str().into());
        }
        if let Some(immutable) = self.immutable {
            fields.insert(path(&["immutable"]), immutable.into());
        }
        fields
    }

    /// As it is stored: with a type.
    pub(super) fn complete(mut self) -> Self {
        self.secret_type.get_or_insert_with(|| "Opaque".to_owned());
        self
    }

    /// Takes the value of a field from another, or takes the field away.
    pub(super) fn take(&mut self, path: &Path, from: &Self) {
        let parts: Vec<_> = path.iter().map(String::as_str).collect();
        let set = |own: &mut BTreeMap<String, String>, other: &BTreeMap<String, String>, name| {
            match other.get(name) {
                Some(value) => own.insert(String::from(name), value.clone()),
                None => own.remove(name),
            };
        };
        match parts.as_slice() {
            ["metadata", "labels", name] => set(&mut self.labels, &from.labels, *name),
            ["metadata", "annotations", name] => {
                set(&mut self.annotations, &from.annotations, *name);
            }
            ["metadata", "finalizers", name] => {
                self.finalizers.retain(|own| item(own) != *name);
                let found = from.finalizers.iter().find(|other| item(other) == *name);
                self.finalizers.extend(found.cloned());
            }
            ["data", key] => {
                match from.data.get(*key) {
                    Some(value) => self.data.insert((*key).to_owned(), value.clone()),
                    None => self.data.remove(*key),
                };
            }
            // Who owns text does not own the data that it became, which therefore stays.
            ["stringData", key] => {
                if let Some(value) = from.string_data.get(*key) {
                    self.data.insert((*key).to_owned(), value.as_bytes().to_vec());
                }
            }
            ["type"] => self.secret_type.clone_from(&from.secret_type),
            ["immutable"] => self.immutable = from.immutable,
            _ => {}
        }
    }
}

impl Sent {
    pub(super) fn of(body: &Value) -> Result<Self, Unreadable> {
        if body["apiVersion"] != "v1" || body["kind"] != "Secret" {
            return Err(Unreadable::NotASecret);
        }
        let body = body.as_object().ok_or(Unreadable::NotASecret)?;
        let mut sent = Self::default();
        for (field, value) in body {
            match (field.as_str(), value) {
                ("apiVersion" | "kind", _) | (_, Value::Null) => {}
                ("metadata", Value::Object(metadata)) => sent.read_metadata(metadata)?,
                ("data", Value::Object(data)) => {
                    for (key, value) in data {
                        let bytes = match value {
                            Value::Null => Vec::new(),
                            Value::String(text) => {
                                BASE64_STANDARD.decode(text).map_err(|_| Unreadable::Base64)?
                            }
                            _ => return Err(Unreadable::Base64),
                        };
                        sent.content.data.insert(key.clone(), bytes);
                    }
                }
                ("stringData", Value::Object(data)) => {
                    for (key, value) in data {
                        let text = value.as_str().ok_or(Unreadable::Base64)?;
                        sent.content.string_data.insert(key.clone(), text.to_owned());
                    }
                }
                ("type", Value::String(text)) => sent.content.secret_type = Some(text.clone()),
                ("immutable", Value::Bool(value)) => sent.content.immutable = Some(*value),
                (field @ ("metadata" | "data" | "stringData" | "type" | "immutable"), value) => {
                    let text = format!(".{field}: expected map, got &{{{value}}}");
                    return Err(Unreadable::Field(text));
                }
                (field, _) => sent.unknown.push(field.to_owned()),
            }
        }
        Ok(sent)
    }

    /// As every write but apply takes it: text becomes data, and the type is said.
    pub(super) fn plain(mut self) -> Self {
        let texts = std::mem::take(&mut self.content.string_data);
        self.content.data.extend(texts.into_iter().map(|(key, text)| (key, text.into_bytes())));
        self.content = self.content.complete();
        self
    }

    fn read_metadata(&mut self, metadata: &Map<String, Value>) -> Result<(), Unreadable> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let texts = |value: &Value| {
            let pairs = value.as_object().into_iter().flatten();
            pairs.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
        };
        for (field, value) in metadata {
            match field.as_str() {
                "name" => self.name = text(value),
                "namespace" => self.namespace = text(value),
                "uid" => self.uid = text(value),
                "generateName" => {
                    self.content.generate_name = text(value).filter(|text| !text.is_empty());
                }
                "resourceVersion" => self.revision = text(value).filter(|text| !text.is_empty()),
                "labels" => self.content.labels = texts(value),
                "annotations" => self.content.annotations = texts(value),
                "finalizers" => {
                    let all = value.as_array().into_iter().flatten();
                    self.content.finalizers = all.filter_map(text).collect();
                }
                "managedFields" if !value.is_null() => return Err(Unreadable::ManagedFields),
                "managedFields"
                | "creationTimestamp"
                | "deletionTimestamp"
                | "deletionGracePeriodSeconds"
                | "generation"
                | "ownerReferences"
                | "selfLink" => {}
                field => self.unknown.push(format!("metadata.{field}")),
            }
        }
        Ok(())
    }
}

impl Object {
    /// The whole object, or its metadata alone.
    pub(super) fn json(&self, metadata_only: bool) -> Value {
        if metadata_only {
            return json!({
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": self.metadata(),
            });
        }
        let mut object = self.item();
        object["kind"] = "Secret".into();
        object["apiVersion"] = "v1".into();
        object
    }

    /// As an item of a list, which says nothing about its kind.
    pub(super) fn item(&self) -> Value {
        let Content { data, secret_type, immutable, .. } = &self.content;
        let mut object = json!({
            "metadata": self.metadata(),
            "type": secret_type.as_deref().unwrap_or("Opaque"),
        });
        if !data.is_empty() {
            let encode = |(key, value): (&String, &Vec<u8>)| {
                (key.clone(), Value::from(BASE64_STANDARD.encode(value)))
            };
            object["data"] = data.iter().map(encode).collect::<Map<_, _>>().into();
        }
        if let Some(immutable) = immutable {
            object["immutable"] = (*immutable).into();
        }
        object
    }

    fn metadata(&self) -> Value {
        let Content { labels, annotations, finalizers, .. } = &self.content;
        let mut metadata = json!({
            "name": self.name,
            "namespace": self.namespace,
            "uid": self.uid,
            "creationTimestamp": time(self.created),
        });
        if let Some(prefix) = &self.content.generate_name {
            metadata["generateName"] = prefix.as_str().into();
        }
        if self.revision > 0 {
            metadata["resourceVersion"] = self.revision.to_string().into();
        }
        if !labels.is_empty() {
            metadata["labels"] = json!(labels);
        }
        if !annotations.is_empty() {
            metadata["annotations"] = json!(annotations);
        }
        if !finalizers.is_empty() {
            metadata["finalizers"] = json!(finalizers);
        }
        if let Some(deleted) = self.deleted {
            metadata["deletionTimestamp"] = time(deleted).into();
            metadata["deletionGracePeriodSeconds"] = 0.into();
        }
        if !self.managed.is_empty() {
            let mut managed: Vec<_> = self.managed.iter().collect();
            managed.sort_by_key(|entry| (entry.operation, entry.time, entry.manager.clone()));
            metadata["managedFields"] = managed.into_iter().map(Managed::json).collect();
        }
        metadata
    }
}

impl Managed {
    fn json(&self) -> Value {
        let mut fields = json!({});
        for path in &self.fields {
            let mut at = &mut fields;
            for (depth, part) in path.iter().enumerate() {
                let name = if part.starts_with("v:") { part.clone() } else { format!("f:{part}") };
                at = &mut at[name];
                if at.is_null() {
                    *at = json!({});
                }
                // A client that does not apply also owns the maps it made.
                if self.operation == "Update" && depth + 1 < path.len() && path[0] == "data" {
                    at["."] = json!({});
                }
            }
        }
        json!({
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": "v1",
            "time": time(self.time),
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        })
    }
}

/// How the owner of one item of a list has it.
fn item(text: &str) -> String {
    format!("v:{text:?}")
}

/// In whole seconds.
pub(super) fn time(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    rfc3339(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs()))
}
