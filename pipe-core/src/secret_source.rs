//! Where a configuration's own secret comes from: a value, an environment variable or a file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Deserializer, de};
use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

use crate::{Error, ErrorKind, Result, SecretValue};

/// Names where a secret is, so that a configuration need not contain it.
///
/// In a document it is a table with exactly one entry: `{ env = "BAO_TOKEN" }`,
/// `{ file = "/var/run/secrets/token" }` or, for development, `{ value = "…" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretSource {
    /// The secret itself.
    Value(SecretValue),
    /// The environment variable of this name.
    Env(String),
    /// The file at this path. One trailing line break is not part of the secret.
    File(PathBuf),
}

impl SecretSource {
    /// The environment variable of this name.
    pub fn env(name: impl Into<String>) -> Self {
        Self::Env(name.into())
    }

    /// The file at this path.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(path.into())
    }

    /// Whether the secret stands in the configuration itself.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        matches!(self, Self::Value(_))
    }

    /// A reader that remembers the last good value of a file.
    #[must_use]
    pub fn reader(&self) -> SecretReader {
        SecretReader { source: self.clone(), last_good: Arc::default() }
    }
}

impl From<SecretValue> for SecretSource {
    fn from(value: SecretValue) -> Self {
        Self::Value(value)
    }
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "lowercase")]
        enum Field {
            Value,
            Env,
            File,
        }
        struct Table;
        impl<'de> de::Visitor<'de> for Table {
            type Value = SecretSource;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table with one of `env`, `file` or `value`")
            }
            // A bare string is most likely the secret: serde's own message would repeat it.
            fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretSource, E> {
                Err(E::custom("expected a table with one of `env`, `file` or `value`, found text"))
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretSource, E> {
                self.visit_str("")
            }
            fn visit_u64<E: de::Error>(self, _: u64) -> Result<SecretSource, E> {
                self.visit_str("")
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretSource, E> {
                self.visit_str("")
            }
            fn visit_map<A: de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<SecretSource, A::Error> {
                let one = || de::Error::custom("expected exactly one of `env`, `file` or `value`");
                let source = match map.next_key()?.ok_or_else(one)? {
                    Field::Value => SecretSource::Value(map.next_value()?),
                    Field::Env => SecretSource::Env(map.next_value()?),
                    Field::File => SecretSource::File(map.next_value()?),
                };
                match map.next_key::<Field>()? {
                    None => Ok(source),
                    Some(_) => Err(one()),
                }
            }
        }
        deserializer.deserialize_any(Table)
    }
}

/// Reads a [`SecretSource`] again and again.
///
/// A file is read anew each time, as projected tokens are replaced under our feet; when a read
/// fails, the last good value is served and the failure is logged.
#[derive(Clone, Debug)]
pub struct SecretReader {
    source: SecretSource,
    last_good: Arc<Mutex<Option<SecretValue>>>,
}

impl SecretReader {
    /// The secret as it is now.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the variable or the file, when there is nothing to serve: it is
    /// not there, cannot be read, is empty or larger than 1 MiB.
    pub async fn read(&self) -> Result<SecretValue> {
        match &self.source {
            SecretSource::Value(value) => Ok(value.clone()),
            SecretSource::Env(name) => read_env(name),
            SecretSource::File(path) => match read_file(path).await {
                Ok(value) => {
                    *self.last_good() = Some(value.clone());
                    Ok(value)
                }
                Err(error) => {
                    let kept = self.last_good().clone();
                    kept.inspect(|_| tracing::warn!(%error, "serving the last good value"))
                        .ok_or(error)
                }
            },
        }
    }

    fn last_good(&self) -> std::sync::MutexGuard<'_, Option<SecretValue>> {
        self.last_good.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const FILE_LIMIT: u64 = 1 << 20;

fn read_env(name: &str) -> Result<SecretValue> {
    let fault = |what: &'static str| {
        Error::new(ErrorKind::ConfigInvalid, what)
            .with("variable", name)
            .hint("set the environment variable")
    };
    match std::env::var(name) {
        Ok(value) if value.is_empty() => Err(fault("the environment variable is empty")),
        Ok(value) => Ok(value.into()),
        Err(std::env::VarError::NotPresent) => Err(fault("the environment variable is not set")),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(fault("the environment variable is not text"))
        }
    }
}

async fn read_file(path: &Path) -> Result<SecretValue> {
    let fault = |what: &'static str| {
        Error::new(ErrorKind::ConfigInvalid, what)
            .with("file", path.display())
            .hint("check the path, the mount and the permissions of the file")
    };
    let unreadable = |error: std::io::Error| fault("cannot read the secret's file").because(error);
    let metadata = tokio::fs::metadata(path).await.map_err(unreadable)?;
    // Opening a pipe would wait for a writer, and a device may have no end.
    if !metadata.is_file() {
        return Err(fault("the secret's path is no regular file"));
    }
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    // Room for all of it at once: growing would leave copies of the secret behind.
    let room = usize::try_from(metadata.len().min(FILE_LIMIT)).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).await.map_err(unreadable)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(fault("the secret's file is larger than 1 MiB"));
    }
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.is_empty() {
        return Err(fault("the secret's file is empty"));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("pipe-core-{}-{name}", std::process::id()))
    }

    #[tokio::test]
    async fn a_file_is_read_anew_and_its_last_good_value_survives_a_failed_read() {
        let path = scratch("rotates");
        let reader = SecretSource::file(&path).reader();
        std::fs::write(&path, "first\n").unwrap();
        assert_eq!(reader.read().await.unwrap().expose(), b"first");
        std::fs::write(&path, "second\r\n").unwrap();
        assert_eq!(reader.read().await.unwrap().expose(), b"second");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(reader.read().await.unwrap().expose(), b"second");
    }

    #[tokio::test]
    async fn a_missing_empty_or_huge_file_is_named() {
        let path = scratch("faulty");
        let error = SecretSource::file(&path).reader().read().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert_eq!(error.context("file"), path.to_str());
        for content in [Vec::new(), b"\n".to_vec(), vec![b'x'; (1 << 20) + 1]] {
            std::fs::write(&path, content).unwrap();
            let error = SecretSource::file(&path).reader().read().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        for path in ["/dev/zero", "/"] {
            let error = SecretSource::file(path).reader().read().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
        }
    }

    #[tokio::test]
    async fn a_variable_that_is_not_set_is_named() {
        let error = SecretSource::env("PIPE_CORE_NOT_SET").reader().read().await.unwrap_err();
        assert_eq!(error.context("variable"), Some("PIPE_CORE_NOT_SET"));
    }

    #[test]
    fn each_form_parses() {
        let parse = |json| serde_json::from_str::<SecretSource>(json);
        assert_eq!(parse(r#"{"env":"A"}"#).unwrap(), SecretSource::env("A"));
        assert_eq!(parse(r#"{"file":"/a"}"#).unwrap(), SecretSource::file("/a"));
        assert!(parse(r#"{"value":"v"}"#).unwrap().is_inline());
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        for json in [
            r#""hunter2""#,
            r#"{"value":"hunter2","env":"A"}"#,
            r#"{"value":{"hunter2":1}}"#,
            "424242",
            "{}",
        ] {
            let error = serde_json::from_str::<SecretSource>(json).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && !error.contains("424242"), "{error}");
        }
    }
}
