//! What is sent of a secret: its keys with their values as text that the server keeps.

use std::collections::BTreeMap;

use pipe_core::SecretValue;
use pipe_core::secrets::StoredText;
use serde::{Serialize, Serializer};

use crate::api::Version;
use crate::place::Place;

/// What goes with a write besides the data. What is not set stays as it is on the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// A comment on each key.
    pub comment: Option<String>,
    /// The ids of the tags of each key.
    pub tag_ids: Option<Vec<String>>,
    /// Metadata of each key. It is not secret.
    pub metadata: Option<BTreeMap<String, String>>,
}

impl WriteOptions {
    /// Nothing besides the data.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A comment on each key.
    #[must_use]
    pub fn with_comment(self, comment: impl Into<String>) -> Self {
        Self { comment: Some(comment.into()), ..self }
    }

    /// The ids of the tags of each key.
    #[must_use]
    pub fn with_tag_ids<S: Into<String>>(self, tag_ids: impl IntoIterator<Item = S>) -> Self {
        Self { tag_ids: Some(tag_ids.into_iter().map(Into::into).collect()), ..self }
    }

    /// Metadata of each key; may be repeated.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.get_or_insert_default().insert(key.into(), value.into());
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A batch of changes in one place.
pub(crate) struct Batch<'a> {
    pub(crate) version: Version,
    pub(crate) place: &'a Place,
    /// Whether what is not there is created.
    pub(crate) upsert: bool,
    pub(crate) entries: Vec<Entry<'a>>,
}

/// One key, with its value unless it is to be deleted.
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a str,
    pub(crate) value: Option<&'a SecretValue>,
    pub(crate) options: &'a WriteOptions,
}

impl Batch<'_> {
    /// What the body takes at most.
    pub(crate) fn room(&self) -> usize {
        let options = |options: &WriteOptions| {
            let metadata = options.metadata.iter().flatten();
            let metadata = metadata.map(|(key, value)| key.len() + value.len() + 64).sum::<usize>();
            let tags = options.tag_ids.iter().flatten().map(|id| id.len() + 8).sum::<usize>();
            options.comment.as_ref().map_or(0, String::len) + metadata + tags
        };
        let entry = |entry: &Entry<'_>| {
            let value = entry.value.map_or(0, |value| value.len() * 4 / 3 + 96);
            entry.key.len() * 2 + value + options(entry.options) + 128
        };
        self.entries.iter().map(entry).sum::<usize>() + 1024
    }
}

impl Serialize for Batch<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(self.version.project(), &self.place.project)?;
        map.serialize_entry("environment", &self.place.environment)?;
        map.serialize_entry("secretPath", &self.place.path)?;
        if self.upsert {
            map.serialize_entry("mode", "upsert")?;
        }
        map.serialize_entry("secrets", &self.entries)?;
        map.end()
    }
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("secretKey", self.key)?;
        map.serialize_entry("type", "shared")?;
        let Some(value) = self.value else { return map.end() };
        map.serialize_entry("secretValue", StoredText::of(value, is_kept).as_str())?;
        if let Some(comment) = &self.options.comment {
            map.serialize_entry("secretComment", comment)?;
        }
        if let Some(tag_ids) = &self.options.tag_ids {
            map.serialize_entry("tagIds", tag_ids)?;
        }
        if let Some(metadata) = &self.options.metadata {
            #[derive(Serialize)]
            struct Pair<'a> {
                key: &'a str,
                value: &'a str,
            }
            let pairs: Vec<_> = metadata.iter().map(|(key, value)| Pair { key, value }).collect();
            map.serialize_entry("secretMetadata", &pairs)?;
        }
        map.end()
    }
}

/// Whether the server keeps a text as it is: it trims, but for one line break at the end; it
/// follows references, and refuses those that lead nowhere; and JSON must not blow it up.
fn is_kept(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let is_space = |c: char| c.is_whitespace() || c == '\u{feff}';
    let edges = body.starts_with(is_space) || body.ends_with(is_space);
    let only_line_break = body.is_empty() && !text.is_empty();
    let size: usize = text
        .chars()
        .map(|c| match c {
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
            '\0'..='\u{1f}' => 6,
            other => other.len_utf8(),
        })
        .sum();
    !edges
        && !only_line_break
        && !text.contains("${")
        && text != "<hidden-by-infisical>"
        && size <= text.len() * 4 / 3 + 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_would_change_is_encoded() {
        for text in ["", "hunter2", "-----BEGIN\nAAAA\n-----END\n", "ä\"\\", "$(HOME)", "a\0b"] {
            assert!(is_kept(text), "{text:?}");
        }
        let control = "\u{1}".repeat(100);
        for text in [
            " x",
            "x ",
            "x\n\n",
            "\nx",
            "\n",
            "x\r\n",
            "\u{a0}x",
            "\u{feff}x",
            "${HOME}",
            "a${b}c",
            "<hidden-by-infisical>",
            &control,
        ] {
            assert!(!is_kept(text), "{text:?}");
        }
    }
}
