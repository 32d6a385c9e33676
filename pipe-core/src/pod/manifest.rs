//! Kubernetes objects as they stand in files.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

/// A Kubernetes object, one to a file (REQ 003-12).
///
/// It is written as JSON, which is YAML too, with its members in the order of the alphabet: the
/// same declaration gives the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Manifest(Value);

impl Manifest {
    /// An object with a spec, or whatever its kind calls it, in `rest`.
    pub(crate) fn new(
        api_version: &str,
        kind: &str,
        name: &str,
        namespace: &str,
        mut rest: Value,
    ) -> Self {
        let labels = json!({MANAGED_BY: "pipe"});
        rest["apiVersion"] = api_version.into();
        rest["kind"] = kind.into();
        rest["metadata"] = match namespace {
            "" => json!({"name": name, "labels": labels}),
            namespace => json!({"name": name, "namespace": namespace, "labels": labels}),
        };
        Self(rest)
    }

    /// Another label.
    pub(crate) fn with_label(mut self, name: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][name] = value.into();
        self
    }

    /// The object's kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// The object's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// The object.
    #[must_use]
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    /// The object.
    #[must_use]
    pub fn into_value(self) -> Value {
        self.0
    }

    /// A name for the object's file, which no other object of the namespace has:
    /// `externalsecret-db-creds.json`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}-{}.json", self.kind().to_ascii_lowercase(), self.name().replace(':', "_"))
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

/// As it stands in a file.
impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:#}", self.0)
    }
}

pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
