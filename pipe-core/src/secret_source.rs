//! Where a configuration's own secret comes from: a value, an environment variable or a file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

use crate::secret::{Hidden, refuse_without_repeating};
use crate::{Error, ErrorKind, Result, SecretValue, inline};

/// Names where a secret is, so that a configuration need not contain it.
///
/// In a document it is a table with exactly one entry: `{ env = "BAO_TOKEN" }`,
/// `{ file = "/var/run/secrets/token" }` or, for development, `{ value = "…" }`. A table of another
/// form is refused without repeating what it holds. Whoever loads the document must keep to that:
/// many parsers can show the faulty line next to their error, and that line may be the secret. Do
/// not print such snippets, and turn them off where a parser adds them by itself. Within
/// [`without_inline_secrets`](crate::without_inline_secrets) the form for development is refused.
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

    /// The secret as it is now, for settings that are read once, when a program starts. It blocks
    /// while it reads a file.
    ///
    /// # Errors
    /// `ConfigInvalid`, as for [`SecretReader::read`].
    pub fn read_once(&self) -> Result<SecretValue> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::Env(name) => read_env(name),
            Self::File(path) => read_file(path),
        }
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
            refuse_without_repeating!("expected a table with one of `env`, `file` or `value`");
            fn visit_map<A: de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<SecretSource, A::Error> {
                let one = || de::Error::custom("expected exactly one of `env`, `file` or `value`");
                // Keys, variables and paths are read as secrets too, for what stands in their
                // place by mistake is often the secret.
                let Hidden(key) = map.next_key()?.ok_or_else(one)?;
                let make = match key.expose() {
                    b"value" => {
                        inline::check("`env` or `file`")?;
                        SecretSource::Value
                    }
                    b"env" => |name| SecretSource::env(text(&name)),
                    b"file" => |path| SecretSource::file(text(&path)),
                    _ => return Err(one()),
                };
                let Hidden(value) = map.next_value()?;
                let source = make(value);
                match map.next_key::<Hidden>()? {
                    None => Ok(source),
                    Some(_) => Err(one()),
                }
            }
        }
        deserializer.deserialize_any(Table)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for SecretSource {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretSource".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let form = |name: &str, what: &str| {
            serde_json::json!({
                "type": "object",
                "properties": { name: { "type": "string", "description": what } },
                "required": [name],
                "additionalProperties": false,
            })
        };
        schemars::json_schema!({
            "description": "Where a secret is.",
            "oneOf": [
                form("env", "The environment variable of this name."),
                form("file", "The file at this path."),
                form("value", "The secret itself, for development."),
            ],
        })
    }
}

fn text(value: &SecretValue) -> &str {
    value.expose_str().unwrap_or_default()
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
    /// not there, cannot be read, is no regular file, empty or larger than 1 MiB. `Timeout` when
    /// the file cannot be read within five seconds.
    ///
    /// # Panics
    /// For a file, outside of a Tokio runtime with its clock enabled.
    pub async fn read(&self) -> Result<SecretValue> {
        match &self.source {
            SecretSource::Value(value) => Ok(value.clone()),
            SecretSource::Env(name) => read_env(name),
            SecretSource::File(path) => match read_file_in_time(path).await {
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

const FILE_LIMIT: usize = 1 << 20;
const FILE_TIMEOUT: Duration = Duration::from_secs(5);

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

fn file_fault(kind: ErrorKind, what: &'static str, path: &Path) -> Error {
    Error::new(kind, what)
        .with("file", path.display())
        .hint("check the path, the mount and the permissions of the file")
}

async fn read_file_in_time(path: &Path) -> Result<SecretValue> {
    let at = path.to_owned();
    let read = in_time(FILE_TIMEOUT, move || read_file(&at)).await;
    let slow = "the secret's file could not be read in time";
    read.ok_or_else(|| file_fault(ErrorKind::Timeout, slow, path))?
}

/// Waits no longer than `limit` for work that blocks, as a network file system may.
async fn in_time<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::time::timeout(limit, tokio::task::spawn_blocking(work)).await.ok()?.ok()
}

fn read_file(path: &Path) -> Result<SecretValue> {
    let fault = |what: &'static str| file_fault(ErrorKind::ConfigInvalid, what, path);
    let unreadable = |error: io::Error| fault("cannot read the secret's file").because(error);
    let mut file = open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    // A pipe may never be written to, and a device may have no end.
    if !metadata.is_file() {
        return Err(fault("the secret's path is no regular file"));
    }
    // Room for all of it at once, as growing would leave copies of the secret behind; and for one
    // byte more, to see the end. Files of the kernel's own do not tell their length.
    let length = match usize::try_from(metadata.len()) {
        Ok(0) => FILE_LIMIT,
        Ok(length) if length <= FILE_LIMIT => length,
        _ => return Err(fault("the secret's file is larger than 1 MiB")),
    };
    let mut buffer = Zeroizing::new(vec![0; length + 1]);
    let bytes = fill(&mut file, &mut buffer).map_err(unreadable)?;
    if bytes.len() > FILE_LIMIT {
        return Err(fault("the secret's file is larger than 1 MiB"));
    }
    if bytes.len() > length {
        return Err(fault("the secret's file grew while it was read"));
    }
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.is_empty() {
        return Err(fault("the secret's file is empty"));
    }
    Ok(text.into())
}

/// Opens without waiting for the other end of a pipe.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    /// `asm-generic/fcntl.h`; some other architectures have a number of their own.
    const O_NONBLOCK: i32 = 0o4000;
    File::options().read(true).custom_flags(O_NONBLOCK).open(path)
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn open(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no regular file"));
    }
    File::open(path)
}

fn fill<'a>(file: &mut impl Read, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(&buffer[..length])
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

    #[cfg(unix)]
    #[tokio::test]
    async fn a_pipe_that_nobody_writes_to_is_refused_at_once() {
        let path = scratch("pipe");
        let _ = std::fs::remove_file(&path);
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let error = SecretSource::file(&path).reader().read().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
        std::fs::remove_file(&path).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_file_that_does_not_tell_its_length_is_read() {
        let path = "/proc/self/comm";
        assert_eq!(std::fs::metadata(path).unwrap().len(), 0);
        assert!(!SecretSource::file(path).reader().read().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_file_of_the_largest_size_is_read() {
        let path = scratch("largest");
        std::fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        assert_eq!(SecretSource::file(&path).reader().read().await.unwrap().len(), 1 << 20);
        std::fs::remove_file(&path).unwrap();
    }

    #[tokio::test]
    async fn work_that_blocks_for_ever_is_not_waited_for() {
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        assert_eq!(in_time(Duration::ZERO, move || blocked.recv()).await, None);
        drop(release);
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
            r#"{"hunter2":"x"}"#,
            r#"{"env":"A","hunter2":"x"}"#,
            r#"{"env":424242}"#,
            r#"{"file":424242}"#,
            r#"{"env":{"hunter2":1}}"#,
            r#"["hunter2"]"#,
            "-424242",
            "4.24242",
            "true",
            "null",
            "424242",
            "{}",
        ] {
            let error = serde_json::from_str::<SecretSource>(json).unwrap_err().to_string();
            assert!(error.starts_with("expected "), "{error}");
            assert!(!error.contains("hunter2") && !error.contains("24242"), "{error}");
        }
    }
}
