//! The JSON Schema of the documents that a registry understands.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::Registry;
use crate::decorators::{Check, Decorators, UncachedDecorators};
use crate::kind::Kinds;

/// What the schema of settings is generated with, wherever it is.
pub(crate) fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    settings.with_transform(RecursiveTransform(shorten)).into_generator()
}

impl Registry {
    /// The JSON Schema (2020-12) of the documents that this registry understands, for editors and
    /// for checks before a deployment.
    ///
    /// What it accepts can still be refused: the rules of an address or of a name are the plugins'.
    #[must_use]
    pub fn schema(&self) -> Value {
        let mut generator = generator();
        let sections = [
            definition::<_, Decorators>("secrets", &self.secrets, &mut generator),
            definition::<_, Decorators>("identity", &self.identity, &mut generator),
            definition::<_, UncachedDecorators>("memory", &self.memory, &mut generator),
            definition::<_, UncachedDecorators>("login", &self.login, &mut generator),
        ];
        let mut definitions = generator.take_definitions(true);
        definitions.extend(sections.into_iter().flatten());
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "plugins of the pipe family",
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "development": {
                    "description": "Whether secrets may stand in the document itself.",
                    "type": "boolean",
                    "default": false,
                },
                "secrets": section("secrets", self.secrets.is_empty()),
                "identity": section("identity", self.identity.is_empty()),
                "memory": section("memory", self.memory.is_empty()),
                "login": section("login", self.login.is_empty()),
            },
            "$defs": definitions,
        })
    }
}

/// One entry, or a table of named ones.
fn section(name: &str, is_empty: bool) -> Value {
    if is_empty {
        let description = format!("No kinds of {name} are known.");
        return json!({ "description": description, "type": "object", "maxProperties": 0 });
    }
    let entry = json!({ "$ref": format!("#/$defs/{name}") });
    json!({
        "description": format!("One plugin for {name}, or a table of them by instance name."),
        "type": "object",
        "if": { "required": ["kind"] },
        "then": entry,
        "else": {
            "propertyNames": { "pattern": "^[a-z0-9_-]{1,63}$" },
            "additionalProperties": entry,
        },
    })
}

/// What an entry of a section is, where it may have any.
fn definition<P: ?Sized, D: Check>(
    section: &str,
    kinds: &Kinds<P>,
    generator: &mut SchemaGenerator,
) -> Option<(String, Value)> {
    if kinds.is_empty() {
        return None;
    }
    let decorators = generator.subschema_for::<D>();
    Some((section.to_owned(), entry(kinds, &decorators, generator)))
}

fn entry<P: ?Sized>(
    kinds: &Kinds<P>,
    decorators: &Schema,
    generator: &mut SchemaGenerator,
) -> Value {
    let names: Vec<_> = kinds.keys().collect();
    let settings: Vec<_> = kinds
        .iter()
        .map(|(name, kind)| {
            let settings = (kind.schema)(generator);
            let mut then = json!({ "properties": { "settings": settings } });
            if needs_settings(settings.as_value(), generator.definitions()) {
                then["required"] = json!(["settings"]);
            }
            json!({ "if": { "properties": { "kind": { "const": name } } }, "then": then })
        })
        .collect();
    json!({
        "type": "object",
        "properties": {
            "kind": { "description": "The kind of plugin.", "enum": names },
            "settings": { "description": "The settings of the kind.", "type": "object" },
            "decorators": decorators,
        },
        "required": ["kind"],
        "additionalProperties": false,
        "allOf": settings,
    })
}

/// Whether a kind has settings without a default.
fn needs_settings(schema: &Value, definitions: &Map<String, Value>) -> bool {
    let name = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    let schema = name.and_then(|name| definitions.get(name)).unwrap_or(schema);
    schema["required"].as_array().is_some_and(|required| !required.is_empty())
}

/// Descriptions are the documentation of Rust types: what follows the first paragraph is for
/// programmers, and so are links.
fn shorten(schema: &mut Schema) {
    let Some(Value::String(text)) = schema.get_mut("description") else { return };
    let first = text.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    let mut plain = String::new();
    let mut rest = first.as_str();
    while let Some((before, link)) = rest.split_once("[`") {
        let (name, after) = link.split_once("`]").unwrap_or((link, ""));
        plain.push_str(before);
        plain.extend(["`", name, "`"]);
        let target = after.strip_prefix('(').and_then(|target| target.split_once(')'));
        rest = target.map_or(after, |(_, after)| after);
    }
    plain.push_str(rest);
    *text = plain;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_one_paragraph_without_links() {
        let text = "What [`Cached`](super::Cached) keeps,\nand [`Retry`] does.\n\n```\ncode\n```";
        let mut schema = schemars::json_schema!({ "description": text });
        shorten(&mut schema);
        assert_eq!(schema.as_value()["description"], "What `Cached` keeps, and `Retry` does.");
    }
}
