//! The rows of an answer, whatever else is in them: only the key, the value and the version count.

use std::borrow::Cow;
use std::collections::BTreeMap;

use pipe_core::secrets::StoredText;
use pipe_core::{Result, SecretData, SecretValue};
use pipe_http::HttpResponse;
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::error::hidden;

/// What stands for a value that we may not see.
const PLACEHOLDER: &str = "<hidden-by-infisical>";

/// An answer in this form; `None` when it is none. The whole of it is known to be text first, which
/// is faster than to ask it of each string.
pub(crate) fn parse<'a, T: Deserialize<'a>>(answer: &'a HttpResponse) -> Option<T> {
    serde_json::from_str(str::from_utf8(&answer.body).ok()?).ok()
}

/// An answer with several secrets.
#[derive(Deserialize)]
pub(crate) struct Listing<'a> {
    #[serde(borrow)]
    pub(crate) secrets: Vec<Row<'a>>,
    #[serde(borrow, default)]
    imports: Option<Vec<Import<'a>>>,
}

/// What a folder imports from another.
#[derive(Deserialize)]
struct Import<'a> {
    #[serde(borrow, default)]
    secrets: Vec<Row<'a>>,
}

/// An answer with one secret.
#[derive(Deserialize)]
pub(crate) struct Single<'a> {
    #[serde(borrow)]
    pub(crate) secret: Row<'a>,
}

/// One stored value.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row<'a> {
    #[serde(borrow)]
    pub(crate) secret_key: Cow<'a, str>,
    #[serde(borrow, default)]
    secret_value: Option<&'a RawValue>,
    #[serde(default)]
    pub(crate) version: Option<u64>,
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) secret_path: Option<Cow<'a, str>>,
    #[serde(default)]
    secret_value_hidden: Option<bool>,
    /// In a form whose order is that of time.
    #[serde(borrow, default)]
    updated_at: Option<Cow<'a, str>>,
}

impl Row<'_> {
    /// Personal values are those of a person.
    pub(crate) fn is_shared(&self) -> bool {
        self.kind.as_deref().is_none_or(|kind| kind == "shared")
    }

    /// Which of several rows of one key is the current one.
    fn age(&self) -> (Option<u64>, Option<&str>) {
        (self.version, self.updated_at.as_deref())
    }

    /// The value, unless it is hidden from us. `None` where there is none, or not as text.
    pub(crate) fn value(&self) -> Result<Option<SecretValue>> {
        if self.secret_value_hidden == Some(true) {
            return Err(hidden());
        }
        match self.secret_value.and_then(text_of) {
            Some(text) if text.as_str() == PLACEHOLDER => Err(hidden()),
            Some(text) => Ok(Some(StoredText::value(&text))),
            None => Ok(None),
        }
    }
}

impl Listing<'_> {
    /// The values by key: of several rows of one key the latest, the folder's own before imported
    /// ones, and later imports before earlier ones. `None` when a value has not its form.
    pub(crate) fn data(&self) -> Result<Option<SecretData>> {
        let imported = self.imports.iter().flatten().map(|import| &import.secrets);
        let mut found = BTreeMap::new();
        for (source, rows) in imported.chain([&self.secrets]).enumerate() {
            for row in rows.iter().filter(|row| row.is_shared()) {
                let known = found.entry(&*row.secret_key).or_insert((source, row));
                if (known.0, known.1.age()) <= (source, row.age()) {
                    *known = (source, row);
                }
            }
        }
        let mut data = SecretData::new();
        for (key, (_, row)) in found {
            match row.value()? {
                Some(value) => data = data.with(key, value),
                None => return Ok(None),
            }
        }
        Ok(Some(data))
    }
}

/// JSON text as text that is wiped.
pub(crate) fn text_of(json: &RawValue) -> Option<Zeroizing<String>> {
    serde_json::from_str::<String>(json.get()).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    use pipe_core::ErrorKind;

    fn data(json: &str) -> Result<Option<SecretData>> {
        serde_json::from_str::<Listing<'_>>(json).unwrap().data()
    }

    #[test]
    fn the_latest_of_several_rows_counts() {
        let found = data(
            r#"{"secrets":[
                {"secretKey":"a","secretValue":"old","version":1,"updatedAt":"2026-01-01T00:00:00Z"},
                {"secretKey":"a","secretValue":"new","version":2},
                {"secretKey":"a","secretValue":"older","version":1},
                {"secretKey":"a","secretValue":"mine","version":9,"type":"personal"}
            ]}"#,
        );
        assert_eq!(found.unwrap().unwrap(), SecretData::new().with("a", "new"));
    }

    #[test]
    fn the_folders_own_come_before_imports_and_the_last_import_before_others() {
        let found = data(
            r#"{"secrets":[{"secretKey":"own","secretValue":"own","version":1}],
                "imports":[
                    {"secrets":[{"secretKey":"own","secretValue":"1","version":7},{"secretKey":"both","secretValue":"1","version":9}]},
                    {"secrets":[{"secretKey":"both","secretValue":"2","version":1}]}
                ]}"#,
        );
        let expected = SecretData::new().with("own", "own").with("both", "2");
        assert_eq!(found.unwrap().unwrap(), expected);
    }

    #[test]
    fn a_hidden_value_is_an_error() {
        for row in [
            r#"{"secretKey":"a","secretValue":"<hidden-by-infisical>"}"#,
            r#"{"secretKey":"a","secretValue":"x","secretValueHidden":true}"#,
        ] {
            let error = data(&format!(r#"{{"secrets":[{row}]}}"#)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        }
    }

    #[test]
    fn a_value_that_is_no_text_is_malformed() {
        assert_eq!(data(r#"{"secrets":[{"secretKey":"a","secretValue":7}]}"#).unwrap(), None);
        assert_eq!(data(r#"{"secrets":[{"secretKey":"a"}]}"#).unwrap(), None);
    }
}
