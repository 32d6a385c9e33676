//! The kinds of plugins that a registry knows, and how an entry of a kind becomes a plugin.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pipe_core::{Result, without_inline_secrets};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Fault;
use crate::document::{Node, Problem, What, decode};
use crate::schema::generator;
use crate::words::Words;

/// The kinds of one section by name. `P` is `dyn SecretsPlugin` or `dyn IdentityPlugin`.
pub(crate) type Kinds<P> = BTreeMap<String, Kind<P>>;

pub(crate) struct Kind<P: ?Sized> {
    pub(crate) schema: fn(&mut SchemaGenerator) -> Schema,
    make: Make<P>,
}

type Make<P> = Box<dyn Fn(&Node, &Where<'_>) -> Result<Arc<P>, Vec<Fault>> + Send + Sync>;

/// Where the settings stand, and whether the document may hold secrets itself.
pub(crate) struct Where<'a> {
    pub(crate) place: &'a str,
    pub(crate) development: bool,
}

impl<P: ?Sized + 'static> Kind<P> {
    pub(crate) fn new<C: DeserializeOwned + JsonSchema>(
        make: impl Fn(C) -> Result<Arc<P>> + Send + Sync + 'static,
    ) -> Self {
        let make = move |settings: &Node, at: &Where<'_>| {
            let config = read::<C>(settings, at)?;
            make(config).map_err(|error| {
                let words = Words::new(settings, names(&schema_of::<C>()));
                let fault = |(setting, message): (&str, String)| {
                    Fault::new(join(at.place, setting), words.hide(&message))
                };
                refused(&error).map(fault).collect()
            })
        };
        Self { schema: SchemaGenerator::subschema_for::<C>, make: Box::new(make) }
    }

    pub(crate) fn make(&self, settings: &Node, at: &Where<'_>) -> Result<Arc<P>, Vec<Fault>> {
        (self.make)(settings, at)
    }
}

/// Reads settings, or tells everything that is wrong with them.
pub(crate) fn read<C: DeserializeOwned + JsonSchema>(
    settings: &Node,
    at: &Where<'_>,
) -> Result<C, Vec<Fault>> {
    let decoded =
        if at.development { decode(settings) } else { without_inline_secrets(|| decode(settings)) };
    decoded.map_err(|mut problems| {
        let schema = schema_of::<C>();
        // Not everything that is missing can be stood in for while the rest is looked at.
        let required = schema["required"].as_array().into_iter().flatten();
        let missing = required
            .filter_map(Value::as_str)
            .filter(|name| settings.table().is_some() && settings.child(name).is_none())
            .map(|name| Problem { path: Vec::new(), what: What::Missing(name.to_owned()) });
        for problem in missing {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        let words = Words::new(settings, names(&schema));
        problems.iter().map(|problem| words.fault(at.place, problem)).collect()
    })
}

fn schema_of<C: JsonSchema>() -> Value {
    generator().into_root_schema_for::<C>().to_value()
}

/// What a constructor or a policy refused: its settings, or else all of them.
pub(crate) fn refused(error: &pipe_core::Error) -> impl Iterator<Item = (&str, String)> {
    let whole = (error.contexts().len() == 0)
        .then(|| ("", format!("{}; {}", error.message(), error.hint_text())));
    error.contexts().map(|(setting, fault)| (setting, fault.to_owned())).chain(whole)
}

pub(crate) fn join(place: &str, name: &str) -> String {
    if name.is_empty() { place.to_owned() } else { format!("{place}.{name}") }
}

/// The names of all settings that a schema knows.
fn names(schema: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut rest = vec![schema];
    while let Some(value) = rest.pop() {
        match value {
            Value::Object(object) => {
                if let Some(Value::Object(properties)) = object.get("properties") {
                    names.extend(properties.keys().cloned());
                }
                rest.extend(object.values());
            }
            Value::Array(list) => rest.extend(list),
            _ => {}
        }
    }
    names
}
