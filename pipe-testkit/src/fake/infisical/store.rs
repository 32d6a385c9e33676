//! Folders and the rows in them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde_json::{Value, json};

use super::super::openbao::time::rfc3339;
use super::super::token_review::random_id;
use super::state::{InfisicalRelease, State};

/// An environment: folders, and rows of which several can have one key.
#[derive(Debug)]
pub(super) struct Environment {
    pub(super) folders: BTreeSet<String>,
    pub(super) rows: Vec<Row>,
    /// What a folder imports, in order.
    pub(super) imports: BTreeMap<String, Vec<(String, String)>>,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            folders: BTreeSet::from(["/".to_owned()]),
            rows: Vec::new(),
            imports: BTreeMap::new(),
        }
    }
}

/// A stored value with all that it was.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) path: String,
    pub(super) key: String,
    pub(super) values: Vec<String>,
    pub(super) comment: String,
    pub(super) tags: BTreeSet<String>,
    pub(super) metadata: Vec<(String, String)>,
    pub(super) created: SystemTime,
    pub(super) updated: SystemTime,
}

/// How a row is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) environment: &'a str,
    pub(super) hidden: bool,
    pub(super) version: Option<usize>,
    /// With what only answers to reads have.
    pub(super) whole: bool,
}

impl Row {
    pub(super) fn new(path: &str, key: &str, value: &str, now: SystemTime) -> Self {
        Self {
            id: random_id(),
            path: path.to_owned(),
            key: key.to_owned(),
            values: vec![trimmed(value)],
            comment: String::new(),
            tags: BTreeSet::new(),
            metadata: Vec::new(),
            created: now,
            updated: now,
        }
    }

    pub(super) fn value(&self) -> &str {
        self.values.last().map_or("", String::as_str)
    }

    /// A new version, even of the same value.
    pub(super) fn set(&mut self, value: &str, now: SystemTime) {
        self.values.push(trimmed(value));
        self.updated = now;
    }

    pub(super) fn json(&self, state: &State, view: View<'_>, value: &str) -> Value {
        let number = view.version.unwrap_or(self.values.len());
        let mut row = json!({
            "id": self.id,
            "_id": self.id,
            "workspace": state.project,
            "environment": view.environment,
            "version": number,
            "type": "shared",
            "secretKey": self.key,
            "secretValue": if view.hidden { "<hidden-by-infisical>" } else { value },
            "secretComment": self.comment,
            "secretReminderNote": null,
            "secretReminderRepeatDays": null,
            "skipMultilineEncoding": false,
            "createdAt": time(self.created),
            "updatedAt": time(self.updated),
        });
        if state.release.is_old() {
            row["metadata"] = Value::Null;
        } else {
            row["isRotatedSecret"] = false.into();
            row["rotationId"] = Value::Null;
        }
        if view.whole {
            let tag = |tag: &String| json!({"id": tag, "slug": tag, "color": "#fff", "name": tag});
            row["tags"] = self.tags.iter().map(tag).collect();
            if !state.release.is_old() {
                let pair = |(key, value): &(String, String)| json!({"key": key, "value": value});
                row["secretMetadata"] = self.metadata.iter().map(pair).collect();
                row["secretValueHidden"] = view.hidden.into();
            }
            if state.release == InfisicalRelease::Current {
                row["secretPath"] = self.path.as_str().into();
            }
        }
        row
    }
}

/// In milliseconds.
fn time(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let whole = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs());
    format!("{}.{:03}Z", rfc3339(whole).trim_end_matches('Z'), since.subsec_millis())
}

/// As the server stores a value: what is around it goes, but for one line break at its end.
fn trimmed(value: &str) -> String {
    let trimmed = value.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if value.ends_with('\n') { format!("{trimmed}\n") } else { trimmed.to_owned() }
}

impl State {
    pub(super) fn write(&mut self, environment: &str, path: &str, key: &str, value: &str) {
        let now = self.now();
        let environment = self.environments.entry(environment.to_owned()).or_default();
        add_folder(environment, path);
        match environment.rows.iter_mut().find(|row| row.path == path && row.key == key) {
            Some(row) => row.set(value, now),
            None => environment.rows.push(Row::new(path, key, value, now)),
        }
    }

    pub(super) fn delete(&mut self, environment: &str, path: &str, key: &str) {
        if let Some(environment) = self.environments.get_mut(environment) {
            environment.rows.retain(|row| row.path != path || row.key != key);
        }
    }

    pub(super) fn tag(&mut self, environment: &str, path: &str, key: &str, tag: &str) {
        let rows = self.environments.get_mut(environment).map(|found| &mut found.rows);
        for row in rows.into_iter().flatten().filter(|row| row.path == path && row.key == key) {
            row.tags.insert(tag.to_owned());
        }
    }

    pub(super) fn import(&mut self, environment: &str, path: &str, from: (&str, &str)) {
        let environment = self.environments.entry(environment.to_owned()).or_default();
        add_folder(environment, path);
        let imports = environment.imports.entry(path.to_owned()).or_default();
        imports.push((from.0.to_owned(), from.1.to_owned()));
    }

    pub(super) fn read(&self, environment: &str, path: &str, key: &str) -> Option<(String, usize)> {
        let rows = &self.environments.get(environment)?.rows;
        let found: Vec<_> = rows.iter().filter(|row| row.path == path && row.key == key).collect();
        found.last().map(|row| (row.value().to_owned(), found.len()))
    }
}

/// Adds a folder, and those that it is in.
pub(super) fn add_folder(environment: &mut Environment, path: &str) {
    let mut at = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        at = format!("{at}/{part}");
        environment.folders.insert(at.clone());
    }
}
