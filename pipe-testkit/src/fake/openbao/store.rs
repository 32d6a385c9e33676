//! What a KV v2 mount holds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Number, Value, json};

use super::time::{long, rfc3339};

/// How many versions a secret keeps unless its metadata says otherwise.
const DEFAULT_MAX_VERSIONS: u64 = 10;

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) secrets: BTreeMap<String, Secret>,
}

/// One secret: its metadata and its versions.
#[derive(Debug)]
pub(super) struct Secret {
    pub(super) created: SystemTime,
    pub(super) updated: SystemTime,
    /// 0 while there is only metadata.
    pub(super) current: u64,
    pub(super) oldest: u64,
    pub(super) versions: BTreeMap<u64, Version>,
    /// 0 is the default.
    pub(super) max_versions: u64,
    pub(super) cas_required: bool,
    pub(super) delete_after: Duration,
    pub(super) custom_metadata: Value,
    pub(super) metadata_version: u64,
}

#[derive(Debug)]
pub(super) struct Version {
    pub(super) data: Value,
    created: SystemTime,
    /// May lie in the future: then it is not deleted yet.
    pub(super) deleted_at: Option<SystemTime>,
    pub(super) destroyed: bool,
}

impl Version {
    pub(super) fn is_readable(&self, now: SystemTime) -> bool {
        !self.destroyed && self.deleted_at.is_none_or(|at| at > now)
    }

    /// What `versions` of the metadata says of it.
    fn summary(&self) -> Value {
        json!({
            "created_time": rfc3339(self.created),
            "deletion_time": self.deleted_at.map(rfc3339).unwrap_or_default(),
            "destroyed": self.destroyed,
        })
    }

    pub(super) fn delete(&mut self, now: SystemTime) {
        if self.is_readable(now) {
            self.deleted_at = Some(now);
        }
    }

    pub(super) fn destroy(&mut self) {
        self.destroyed = true;
        self.data = Value::Null;
    }
}

impl Secret {
    pub(super) fn new(now: SystemTime) -> Self {
        Self {
            created: now,
            updated: now,
            current: 0,
            oldest: 0,
            versions: BTreeMap::new(),
            max_versions: 0,
            cas_required: false,
            delete_after: Duration::ZERO,
            custom_metadata: Value::Null,
            metadata_version: 0,
        }
    }

    /// Stores the next version, drops the oldest beyond the maximum, and returns the new one's number.
    pub(super) fn write(&mut self, mut data: Value, now: SystemTime) -> u64 {
        round_numbers(&mut data);
        self.current += 1;
        self.updated = now;
        let deleted_at = (!self.delete_after.is_zero()).then(|| now + self.delete_after);
        let version = Version { data, created: now, deleted_at, destroyed: false };
        self.versions.insert(self.current, version);
        let most = match self.max_versions {
            0 => DEFAULT_MAX_VERSIONS,
            most => most,
        };
        if self.current > most {
            self.oldest = self.current - most + 1;
            self.versions = self.versions.split_off(&self.oldest);
        }
        self.current
    }

    /// The `metadata` of one version, as reads and writes answer it.
    pub(super) fn describe(&self, number: u64) -> Value {
        let mut summary = self.versions[&number].summary();
        summary["custom_metadata"] = self.custom_metadata.clone();
        summary["version"] = number.into();
        summary
    }

    /// Everything but the data.
    pub(super) fn metadata(&self) -> Value {
        let numbered =
            |(number, version): (&u64, &Version)| (number.to_string(), version.summary());
        json!({
            "cas_required": self.cas_required,
            "created_time": rfc3339(self.created),
            "current_metadata_version": self.metadata_version,
            "current_version": self.current,
            "custom_metadata": self.custom_metadata,
            "delete_version_after": long(self.delete_after.as_secs()),
            "max_versions": self.max_versions,
            "metadata_cas_required": false,
            "oldest_version": self.oldest,
            "updated_time": rfc3339(self.updated),
            "versions": self.versions.iter().map(numbered).collect::<Map<_, _>>(),
        })
    }
}

impl Store {
    /// The names directly below a directory (`""` or `a/b/`); directories end in a slash.
    pub(super) fn list(&self, directory: &str) -> BTreeSet<String> {
        let below = self.secrets.keys().filter_map(|key| key.strip_prefix(directory));
        below
            .map(|rest| match rest.split_once('/') {
                Some((child, _)) => format!("{child}/"),
                None => rest.to_owned(),
            })
            .collect()
    }

    /// Every secret below a directory, in the server's order: of the directories that it has seen
    /// it enters the last first.
    pub(super) fn scan(&self, directory: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut waiting = vec![String::new()];
        while let Some(entered) = waiting.pop() {
            for name in self.list(&format!("{directory}{entered}")) {
                let path = format!("{entered}{name}");
                let list = if name.ends_with('/') { &mut waiting } else { &mut found };
                list.push(path);
            }
        }
        found
    }
}

/// The server keeps numbers as 64-bit floats: integers above 2^53 are rounded.
fn round_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let float = number.as_f64().unwrap_or_default();
            let text = float.to_string();
            let whole = text.parse::<i64>().map(Number::from);
            let whole = whole.or_else(|_| text.parse::<u64>().map(Number::from));
            if let Some(rounded) = whole.ok().or_else(|| Number::from_f64(float)) {
                *number = rounded;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(round_numbers),
        Value::Object(members) => members.values_mut().for_each(round_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
