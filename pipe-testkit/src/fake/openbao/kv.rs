//! The routes of a KV v2 mount.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::answers::{self, Outcome, Reply};
use super::fields;
use super::request::{ApiRequest, Operation};
use super::store::{Secret, Store, Version};

/// A write to a KV v2 mount whose fields have their types.
///
/// OpenBao decodes them before it looks at policies, to know whether this creates or updates.
pub(super) fn check_fields(path: &str, request: &ApiRequest) -> Result<(), Reply> {
    if request.operation != Operation::Update {
        return Ok(());
    }
    if path.starts_with("data/") {
        fields::object(request, "data")?;
        fields::object(request, "options")?;
    } else if path.starts_with("metadata/") {
        fields::integer(request, "max_versions")?;
        fields::integer(request, "metadata_cas")?;
        fields::boolean(request, "cas_required")?;
        fields::duration(request, "delete_version_after")?;
        fields::object(request, "custom_metadata")?;
    }
    Ok(())
}

impl Store {
    /// Whether a write to this path updates something; else it creates it.
    pub(super) fn is_update(&self, path: &str) -> bool {
        let secret = path.strip_prefix("data/").or_else(|| path.strip_prefix("metadata/"));
        secret.is_none_or(|name| self.secrets.contains_key(name))
    }

    /// Answers for a path below the mount, for a token that may do this.
    pub(super) fn route(&mut self, path: &str, request: &ApiRequest, now: SystemTime) -> Outcome {
        let Some((area, name)) = path.split_once('/') else {
            return Err(wrong_path(path, request.operation));
        };
        match (area, request.operation) {
            ("data", Operation::Read) => self.read(name, request, now),
            ("data", Operation::Update) => self.write(name, request, now),
            ("data", Operation::Delete) => {
                if let Some(secret) = self.secrets.get_mut(name.trim_end_matches('/')) {
                    let current = secret.versions.get_mut(&secret.current);
                    current.into_iter().for_each(|version| version.delete(now));
                }
                Ok(answers::no_content())
            }
            ("metadata", Operation::Read) => match self.secrets.get(name) {
                Some(secret) => Ok(answers::data(&secret.metadata())),
                None => Err(answers::missing()),
            },
            ("metadata", Operation::Update) => self.write_metadata(name, request, now),
            ("metadata", Operation::Delete) => {
                self.secrets.remove(name);
                Ok(answers::no_content())
            }
            ("metadata" | "detailed-metadata", Operation::List | Operation::Scan) => {
                self.names(area, name, request)
            }
            ("delete", Operation::Update) => {
                self.change_versions(name, request, "No", |version| version.delete(now))
            }
            ("undelete", Operation::Update) => {
                self.change_versions(name, request, "No", |version| version.deleted_at = None)
            }
            ("destroy", Operation::Update) => {
                self.change_versions(name, request, "no", Version::destroy)
            }
            ("data" | "metadata" | "detailed-metadata" | "delete" | "undelete" | "destroy", _) => {
                Err(answers::unsupported_operation())
            }
            _ => Err(wrong_path(path, request.operation)),
        }
    }

    fn read(&self, name: &str, request: &ApiRequest, now: SystemTime) -> Outcome {
        let asked = u64::try_from(request.number("version")?).unwrap_or_default();
        let trimmed = name.trim_end_matches('/');
        if trimmed != name && self.secrets.contains_key(trimmed) {
            return Err(answers::listed_error(500, "could not find version data"));
        }
        let secret = self.secrets.get(name).ok_or_else(answers::missing)?;
        let number = if asked == 0 { secret.current } else { asked };
        let version = secret.versions.get(&number).ok_or_else(answers::missing)?;
        let metadata = secret.describe(number);
        if version.is_readable(now) {
            Ok(answers::data(&json!({"data": version.data, "metadata": metadata})))
        } else {
            Err(answers::missing_data(&json!({"data": null, "metadata": metadata})))
        }
    }

    fn write(&mut self, name: &str, request: &ApiRequest, now: SystemTime) -> Outcome {
        let no_data = || answers::error(400, "no data provided");
        let data = fields::object(request, "data")?.ok_or_else(no_data)?;
        let options = fields::object(request, "options")?.unwrap_or_default();
        let (current, cas_required) = match self.secrets.get(name) {
            Some(secret) => (secret.current, secret.cas_required),
            None => (0, false),
        };
        match fields::cas(&options)? {
            Some(cas) if i64::try_from(current) != Ok(cas) => {
                let text = "check-and-set parameter did not match the current version";
                return Err(answers::error(400, text));
            }
            None if cas_required => {
                let text = "check-and-set parameter required for this call";
                return Err(answers::error(400, text));
            }
            _ => {}
        }
        let secret = self.secrets.entry(name.to_owned()).or_insert_with(|| Secret::new(now));
        let number = secret.write(data, now);
        Ok(answers::data_with(&secret.describe(number), &unrecognized(request)))
    }

    fn write_metadata(&mut self, name: &str, request: &ApiRequest, now: SystemTime) -> Outcome {
        let version = self.secrets.get(name).map_or(0, |secret| secret.metadata_version);
        if fields::integer(request, "metadata_cas")?.is_some_and(|cas| cas != version) {
            let text = "metadata check-and-set parameter does not match the current version";
            return Err(answers::error(400, text));
        }
        let custom_metadata = match fields::object(request, "custom_metadata")? {
            Some(Value::Object(given)) => Some(custom_metadata(given)?),
            other => other,
        };
        let secret = self.secrets.entry(name.to_owned()).or_insert_with(|| Secret::new(now));
        if let Some(most) = fields::integer(request, "max_versions")? {
            secret.max_versions = most;
        }
        if let Some(required) = fields::boolean(request, "cas_required")? {
            secret.cas_required = required;
        }
        if let Some(seconds) = fields::duration(request, "delete_version_after")? {
            secret.delete_after = Duration::from_secs(seconds);
        }
        if let Some(given) = custom_metadata {
            secret.custom_metadata = given;
        }
        if !request.body.is_empty() {
            secret.metadata_version += 1;
            secret.updated = now;
        }
        Ok(answers::no_content())
    }

    fn change_versions(
        &mut self,
        name: &str,
        request: &ApiRequest,
        no: &str,
        change: impl Fn(&mut Version),
    ) -> Outcome {
        let numbers = fields::versions(request)?;
        if numbers.is_empty() {
            return Err(answers::error(400, &format!("{no} version number provided")));
        }
        let secret = self.secrets.get_mut(name);
        let versions = secret.into_iter().flat_map(|secret| &mut secret.versions);
        versions
            .filter(|(number, _)| numbers.contains(number))
            .for_each(|(_, version)| change(version));
        Ok(answers::no_content())
    }

    fn names(&self, area: &str, directory: &str, request: &ApiRequest) -> Outcome {
        let names = if request.operation == Operation::Scan {
            self.scan(directory)
        } else {
            let after = request.parameter("after").unwrap_or_default();
            let limit = usize::try_from(request.number("limit")?).unwrap_or_default();
            let limit = if limit == 0 { usize::MAX } else { limit };
            let names = self.list(directory).into_iter();
            names.filter(|name| name.as_str() > after).take(limit).collect()
        };
        if names.is_empty() {
            return Err(answers::missing());
        }
        if area == "metadata" {
            return Ok(answers::data(&json!({ "keys": names })));
        }
        // The server shows the metadata of a secret `a` for a directory `a/`, too.
        let info = |name: &String| {
            let secret = self.secrets.get(&format!("{directory}{}", name.trim_end_matches('/')));
            (name.clone(), secret.map_or_else(|| json!({}), Secret::metadata))
        };
        let key_info = names.iter().map(info).collect::<Map<_, _>>();
        Ok(answers::data(&json!({"key_info": key_info, "keys": names})))
    }
}

fn unrecognized(request: &ApiRequest) -> Value {
    let known = ["data", "options", "path", "version"];
    let names = request.body.keys().map(String::as_str);
    let names = names.filter(|name| !known.contains(name)).collect::<Vec<_>>();
    match names.as_slice() {
        [] => Value::Null,
        names => json!([format!(
            "Endpoint ignored these unrecognized parameters: [{}]",
            names.join(" ")
        )]),
    }
}

fn custom_metadata(given: Map<String, Value>) -> Result<Value, Reply> {
    let invalid = |reason: String| {
        answers::listed_error(400, &format!("custom_metadata validation failed: {reason}"))
    };
    if given.len() > 64 {
        let text = format!("payload must contain at most 64 keys, provided {}", given.len());
        return Err(invalid(text));
    }
    let mut kept = Map::new();
    for (key, value) in given {
        let value = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        if key.is_empty() || key.len() > 128 {
            let length = key.len();
            return Err(invalid(format!(
                "length of key {key:?} is {length} but must be 0 < len(key) <= 128"
            )));
        }
        if value.is_empty() || value.len() > 512 {
            let length = value.len();
            return Err(invalid(format!(
                "length of value for key {key:?} is {length} but must be 0 < len(value) <= 512"
            )));
        }
        kept.insert(key, value.into());
    }
    Ok(kept.into())
}

fn wrong_path(path: &str, operation: Operation) -> Reply {
    if ["data", "metadata", "detailed-metadata"].contains(&path) {
        let text = "Non-listing operations on the root of a K/V v2 mount are not supported.";
        return answers::missing_because(text);
    }
    let command = match operation {
        Operation::Read => "get",
        Operation::Update => "put",
        Operation::List => "list",
        Operation::Delete => "delete",
        _ => return answers::unsupported_operation(),
    };
    answers::missing_because(&format!(
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API \
         endpoints to use. If using the OpenBao CLI, use 'bao kv {command}' for this operation."
    ))
}
