//! Free text, in a dataset of its own.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::memory::{DataPointId, MemoryKey};
use pipe_core::{Error, ErrorKind, Result};
use uuid::Uuid;

use crate::Cognee;
use crate::api::{Call, Patience, unexpected};
use crate::multipart::Form;
use crate::plugin::Inner;

/// A text that the memory may learn from, such as the minutes of a review.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Document {
    /// What it is known by: 128 bytes at most.
    pub key: MemoryKey,
    /// The text.
    pub text: String,
}

impl Document {
    /// A text that is known by this key.
    pub fn new(key: MemoryKey, text: impl Into<String>) -> Self {
        Self { key, text: text.into() }
    }

    /// Always a file: of text in a field, the server would read its own files and fetch URLs. The
    /// name without its end is what the server knows it by.
    fn attach(&self, form: Form, dataset: &str) -> Form {
        form.file("data", &format!("{}.txt", stem(dataset, &self.key)), self.text.as_bytes())
    }
}

/// What became of a text that was to take another's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replaced {
    /// It has, and a graph is made of it.
    Replaced,
    /// The same text was stored already.
    Unchanged,
}

/// The most texts of one call, and the most bytes of all of them.
const MAX_DOCUMENTS: usize = 1_000;
const MAX_BYTES: usize = 16 << 20;
/// The longest key of a text: the server uses it, longer than it is, in the names of files.
const MAX_KEY: usize = 128;
/// How many documents the server lists at once, and how often it is asked for more.
const PAGE: usize = 1_000;
const MAX_PAGES: usize = 100;

impl Cognee {
    /// Stores texts in a dataset of their own (`governance-texts`) beside that of the data points. No language model is
    /// asked. The same text under the same key is stored once.
    ///
    /// # Errors
    /// `InvalidArgument` for more than a thousand texts, 16 MiB, a text of blanks, a key of more than
    /// 128 bytes, or two texts of the same key; `Conflict` when another text is stored under one of
    /// the keys, which [`replace_document`](Self::replace_document)
    /// is for. Texts before that one may have been stored. Two clients that store different texts
    /// under one key at the same moment may both succeed, and both texts are found then.
    pub async fn add_documents(&self, documents: &[Document]) -> Result<()> {
        let added = self.inner.add_documents(documents).await;
        added.map_err(|error| error.at(&self.inner.name, "add_documents"))
    }

    /// Puts a text in the place of the one that is stored under its key, and waits until the server
    /// has made a graph of it, which asks its language model.
    ///
    /// The server changes a text of which a graph was made in place: when it fails, the old one
    /// stays as it was, with its graph. A text of which no graph was made yet, or which the server
    /// cannot compare with its pieces, is stored first: when the server fails then, the new text may
    /// be stored without a graph, and [`cognify_governance_data`](Self::cognify_governance_data)
    /// makes one. Under the key is one of the two texts at all times, and this may be called again.
    ///
    /// # Errors
    /// `InvalidArgument` for a text of blanks or of more than 16 MiB; `NotFound` when nothing is
    /// stored under the key; `Timeout` after `cognify_timeout`, and the server goes on; `Unavailable`
    /// when a model of the server fails.
    pub async fn replace_document(&self, document: &Document) -> Result<Replaced> {
        let replaced = self.inner.replace_document(document).await;
        replaced.map_err(|error| error.at(&self.inner.name, "replace_document"))
    }
}

impl Inner {
    /// The name of the dataset of texts.
    pub(crate) fn texts(&self) -> String {
        format!("{}-texts", self.dataset)
    }

    async fn add_documents(&self, documents: &[Document]) -> Result<()> {
        check(documents)?;
        if documents.is_empty() {
            return Ok(());
        }
        // By its id where it is there: by its name, a user who may only read it would make another.
        let mut form = match self.find_dataset(&self.texts()).await? {
            Some(id) => Form::new()?.field("datasetId", &id),
            None => Form::new()?.field("datasetName", &self.texts()),
        };
        let documents: BTreeMap<_, _> =
            documents.iter().map(|document| (&document.key, document)).collect();
        for document in documents.into_values() {
            form = document.attach(form, &self.texts());
        }
        let (content_type, body) = form.finish()?;
        let call = Call::upload(&["api", "v1", "add"], content_type, body);
        let answer = self.api.send(&call).await?.json()?;
        match answer["status"].as_str() {
            Some("PipelineRunCompleted" | "PipelineRunAlreadyCompleted") => Ok(()),
            _ => Err(unexpected("the server did not store all texts")),
        }
    }

    async fn replace_document(&self, document: &Document) -> Result<Replaced> {
        check(std::slice::from_ref(document))?;
        let missing = || {
            Error::new(ErrorKind::NotFound, "no text is stored under this key")
                .with("key", &document.key)
                .hint("add it with `add_documents`")
        };
        let dataset = self.find_dataset(&self.texts()).await?.ok_or_else(missing)?;
        let id = self.find_document(&dataset, &document.key).await?.ok_or_else(missing)?;
        let (content_type, body) = document.attach(Form::new()?, &self.texts()).finish()?;
        let query = format!("data_id={id}&dataset_id={dataset}");
        let call = Call::patch(&["api", "v1", "update"], content_type, body)
            .with_query(&query)
            .with_patience(Patience::Cognify);
        let answer = self.api.send(&call).await?.json()?;
        match answer["status"].as_str() {
            Some("incremental" | "full_rebuild") => Ok(Replaced::Replaced),
            Some("unchanged") => Ok(Replaced::Unchanged),
            _ => Err(unexpected("the server does not say that it replaced the text")),
        }
    }

    /// The server's id of the text under this key.
    async fn find_document(&self, dataset: &str, key: &MemoryKey) -> Result<Option<String>> {
        let stem = stem(&self.texts(), key);
        for page in 0..MAX_PAGES {
            let query = format!("limit={PAGE}&offset={}", page * PAGE);
            let path = ["api", "v1", "datasets", dataset, "data"];
            let answer = self.api.send(&Call::get(&path).with_query(&query)).await?.json()?;
            let rows = answer.as_array();
            let rows = rows.ok_or_else(|| unexpected("the texts come in an unknown form"))?;
            if let Some(row) = rows.iter().find(|row| row["name"] == *stem) {
                let id = row["id"].as_str().filter(|id| DataPointId::parse(id).is_some());
                let id = id.ok_or_else(|| unexpected("a text has no id"))?;
                return Ok(Some(id.to_owned()));
            }
            if rows.len() < PAGE {
                return Ok(None);
            }
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            "the dataset has too many texts to find one of them",
        )
        .with("limit", PAGE * MAX_PAGES)
        .hint("keep texts in several datasets"))
    }
}

/// The name that the server knows a text by, and shows with each piece of it: whose it is, since a
/// server without access control searches the texts of all datasets; and its key. Nothing else that
/// is stored beside a text outlives all its replacements.
pub(crate) fn stem(dataset: &str, key: &MemoryKey) -> String {
    format!("{}_{}", owner(dataset, key), URL_SAFE_NO_PAD.encode(key.as_str()))
}

/// The key of the text of this name, where it belongs to the dataset.
pub(crate) fn key_of(name: &str, dataset: &str) -> Option<MemoryKey> {
    let (owner, key) = name.split_once('_')?;
    let key = String::from_utf8(URL_SAFE_NO_PAD.decode(key).ok()?).ok()?;
    let key = MemoryKey::new(key).ok()?;
    (owner == self::owner(dataset, &key).to_string()).then_some(key)
}

/// No dataset has a slash in its name, so no two pairs are the same.
fn owner(dataset: &str, key: &MemoryKey) -> Uuid {
    let name = format!("urn:pipe:governance-memory:_document/{dataset}/{key}");
    Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes())
}

fn check(documents: &[Document]) -> Result<()> {
    let bytes: usize = documents.iter().map(|document| document.text.len()).sum();
    if documents.len() > MAX_DOCUMENTS || bytes > MAX_BYTES {
        return Err(Error::new(ErrorKind::InvalidArgument, "too many texts in one call")
            .with("documents", documents.len())
            .with("bytes", bytes)
            .hint("add a thousand texts and 16 MiB at once, at most"));
    }
    if documents.iter().any(|document| document.text.trim().is_empty()) {
        return Err(Error::new(ErrorKind::InvalidArgument, "a text is empty"));
    }
    // The server would store both, and know neither by its name alone.
    let mut texts = BTreeMap::new();
    for Document { key, text } in documents {
        if texts.insert(key, text).is_some_and(|other| other != text) {
            return Err(Error::new(ErrorKind::InvalidArgument, "two texts have the same key")
                .with("key", key)
                .hint("give each text a key of its own"));
        }
    }
    if let Some(document) = documents.iter().find(|document| document.key.as_str().len() > MAX_KEY)
    {
        return Err(Error::new(ErrorKind::InvalidArgument, "the key of a text is too long")
            .with("bytes", document.key.as_str().len())
            .hint("use a key of 128 bytes at most"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_the_key_to_its_own_dataset_alone() {
        for text in ["minutes/1", "äöü _-", &"k".repeat(MAX_KEY)] {
            let key = MemoryKey::new(text).unwrap();
            let name = stem("governance-texts", &key);
            assert!(name.len() < 220, "{name}");
            assert!(
                name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
                "{name}"
            );
            assert_eq!(key_of(&name, "governance-texts"), Some(key));
            assert_eq!(key_of(&name, "other-texts"), None);
        }
        for name in ["", "m1", "m1_bTE", "_", "_!"] {
            assert_eq!(key_of(name, "governance-texts"), None, "{name}");
        }
    }
}
