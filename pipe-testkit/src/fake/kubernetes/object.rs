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
    pub(super) revision: u64,
    pub(super) created: SystemTime,
    pub(super) deleted: Option<SystemTime>,
    pub(super) content: Content,
    pub(super) managed: Vec<Managed>,
}

/// What a client sets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Content {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) finalizers: Vec<String>,
    pub(super) data: BTreeMap<String, Vec<u8>>,
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
        for (name, value) in &self.labels {
            fields.insert(path(&["metadata", "labels", name]), value.as_str().into());
        }
        for (name, value) in &self.annotations {
            fields.insert(path(&["metadata", "annotations", name]), value.as_str().into());
        }
        for (key, value) in &self.data {
            fields.insert(path(&["data", key]), BASE64_STANDARD.encode(value).into());
        }
        if let Some(secret_type) = &self.secret_type {
            fields.insert(path(&["type"]), secret_type.as_str().into());
        }
        if let Some(immutable) = self.immutable {
            fields.insert(path(&["immutable"]), immutable.into());
        }
        fields
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
            ["data", key] => {
                match from.data.get(*key) {
                    Some(value) => self.data.insert((*key).to_owned(), value.clone()),
                    None => self.data.remove(*key),
                };
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
                // What is sent as text is stored as data, and shown as such.
                ("stringData", Value::Object(data)) => {
                    for (key, value) in data {
                        let text = value.as_str().ok_or(Unreadable::Base64)?;
                        sent.content.data.insert(key.clone(), text.as_bytes().to_vec());
                    }
                }
                ("type", Value::String(text)) => sent.content.secret_type = Some(text.clone()),
                ("immutable", Value::Bool(value)) => sent.content.immutable = Some(*value),
                (field @ ("metadata" | "data" | "stringData" | "type" | "immutable"), value) => {
                    let text = format!(".{field}: expected map, got &{{{value}}}");
                    return Err(Unreadable::Field(text));
                }
                (field, _) => {
                    return Err(Unreadable::Field(format!(
                        ".{field}: field not declared in schema"
                    )));
                }
            }
        }
        Ok(sent)
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
                | "generateName"
                | "deletionTimestamp"
                | "deletionGracePeriodSeconds"
                | "generation"
                | "ownerReferences"
                | "selfLink" => {}
                field => {
                    let text = format!(".metadata.{field}: field not declared in schema");
                    return Err(Unreadable::Field(text));
                }
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
            "resourceVersion": self.revision.to_string(),
            "creationTimestamp": time(self.created),
        });
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
            metadata["managedFields"] = self.managed.iter().map(Managed::json).collect();
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
                at = &mut at[format!("f:{part}")];
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

/// In whole seconds.
pub(super) fn time(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    rfc3339(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs()))
}
