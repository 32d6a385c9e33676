//! Secrets as environment variables and as mounts (REQ 004-79, 004-80).

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::model::{
    EnvFromSource, EnvVar, EnvVarSource, KeyToPath, SecretEnvSource, SecretKeySelector,
    SecretVolumeSource, Volume, VolumeMount,
};
use super::{PodFragment, taken};
use crate::secrets::SecretRef;
use crate::{Error, ErrorKind, Result};

/// The name of the Kubernetes Secret that carries `secret` to a pod.
///
/// A name that Kubernetes accepts (RFC 1123 subdomain) and that is in no namespace is its own.
/// Any other becomes a readable slug with eight digits of its SHA-256, so that `apps/db` and
/// `apps-db` never meet in one Secret.
///
/// ```
/// use pipe_core::{pod::kubernetes_secret_name, secrets::SecretRef};
///
/// assert_eq!(kubernetes_secret_name(&SecretRef::new("db-creds")?), "db-creds");
/// assert_eq!(kubernetes_secret_name(&SecretRef::new("apps/db")?), "apps-db-03cc9eaf");
/// # Ok::<(), pipe_core::Error>(())
/// ```
#[must_use]
pub fn kubernetes_secret_name(secret: &SecretRef) -> String {
    let name = secret.name.as_str();
    if secret.namespace.is_none() && is_dns_subdomain(name) {
        return name.to_owned();
    }
    let namespace = secret.namespace.as_ref().map_or("", |namespace| namespace.as_str());
    let digest = Sha256::digest(format!("{namespace}\n{name}"));
    let slug: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(200)
        .collect();
    let slug = slug.trim_matches('-');
    let separator = if slug.is_empty() { "" } else { "-" };
    let [a, b, c, d, ..] = <[u8; 32]>::from(digest);
    format!("{slug}{separator}{a:02x}{b:02x}{c:02x}{d:02x}")
}

/// Which secrets a container gets as environment variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvInjection {
    variables: Vec<Variable>,
    whole: Vec<Whole>,
    optional: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Variable {
    name: String,
    secret: SecretRef,
    key: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Whole {
    prefix: String,
    secret: SecretRef,
}

impl EnvInjection {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The variable `name` gets the value of `key`.
    #[must_use]
    pub fn with_env(
        mut self,
        name: impl Into<String>,
        secret: SecretRef,
        key: impl Into<String>,
    ) -> Self {
        self.variables.push(Variable { name: name.into(), secret, key: key.into() });
        self
    }

    /// Every key of the secret becomes a variable, with `prefix` in front; the prefix may be empty.
    #[must_use]
    pub fn with_env_from(mut self, prefix: impl Into<String>, secret: SecretRef) -> Self {
        self.whole.push(Whole { prefix: prefix.into(), secret });
        self
    }

    /// The pod may start although a secret does not exist.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The secrets that are named, for a plugin that maps names in its own way.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        self.variables.iter().map(|v| &v.secret).chain(self.whole.iter().map(|w| &w.secret))
    }

    /// The fragment.
    ///
    /// # Errors
    /// `InvalidArgument` for a variable, prefix or key that Kubernetes would refuse and for a
    /// reference to an old version, which no pod can be given; `Conflict` when one variable is
    /// given two values.
    pub fn fragment(&self) -> Result<PodFragment> {
        let mut env: Vec<EnvVar> = Vec::new();
        for Variable { name, secret, key } in &self.variables {
            check_variable("environment variable", name)?;
            check_key(key)?;
            let variable = EnvVar {
                name: name.clone(),
                value_from: EnvVarSource {
                    secret_key_ref: SecretKeySelector {
                        name: carrier(secret)?,
                        key: key.clone(),
                        optional: self.optional,
                    },
                },
            };
            match env.iter().find(|present| present.name == *name) {
                None => env.push(variable),
                Some(present) if *present == variable => {}
                Some(_) => return Err(taken("environment variable", name)),
            }
        }
        let mut prefixes = BTreeMap::new();
        for Whole { prefix, secret } in &self.whole {
            if !prefix.is_empty() {
                check_variable("prefix", prefix)?;
            }
            // Two Secrets under one prefix: the later would silently win where keys are equal.
            let name = carrier(secret)?;
            if prefixes.insert(prefix, name.clone()).is_some_and(|other| other != name) {
                return Err(taken("prefix", prefix));
            }
        }
        let env_from = prefixes
            .into_iter()
            .map(|(prefix, name)| EnvFromSource {
                prefix: prefix.clone(),
                secret_ref: SecretEnvSource { name, optional: self.optional },
            })
            .collect();
        Ok(PodFragment { env, env_from, ..PodFragment::default() })
    }
}

/// How a container sees a secret as files: one file per key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecretMount {
    secret: SecretRef,
    form: Form,
    optional: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Volume { path: Option<String>, mode: u32, items: Vec<KeyToPath> },
    EnvFrom { prefix: String },
}

impl SecretMount {
    /// A read-only volume with files of mode 0440, at `/var/run/secrets/pipe/<secret>`.
    #[must_use]
    pub fn volume(secret: SecretRef) -> Self {
        let form = Form::Volume { path: None, mode: 0o440, items: Vec::new() };
        Self { secret, form, optional: false }
    }

    /// `envFrom` instead of files.
    #[must_use]
    pub fn env_from(secret: SecretRef, prefix: impl Into<String>) -> Self {
        Self { secret, form: Form::EnvFrom { prefix: prefix.into() }, optional: false }
    }

    /// The volume's absolute path in the container.
    #[must_use]
    pub fn at(mut self, mount_path: impl Into<String>) -> Self {
        if let Form::Volume { path, .. } = &mut self.form {
            *path = Some(mount_path.into());
        }
        self
    }

    /// The mode of the volume's files: 0440 (the default) or 0400.
    #[must_use]
    pub fn with_mode(mut self, file_mode: u32) -> Self {
        if let Form::Volume { mode, .. } = &mut self.form {
            *mode = file_mode;
        }
        self
    }

    /// Only this key appears, as the file `path` below the mount; may be repeated.
    #[must_use]
    pub fn with_item(mut self, key: impl Into<String>, path: impl Into<String>) -> Self {
        if let Form::Volume { items, .. } = &mut self.form {
            items.push(KeyToPath { key: key.into(), path: path.into() });
        }
        self
    }

    /// The pod may start although the secret does not exist.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The secret that is mounted.
    #[must_use]
    pub fn secret(&self) -> &SecretRef {
        &self.secret
    }

    /// The fragment.
    ///
    /// # Errors
    /// `InvalidArgument` for a path, mode, key or prefix that Kubernetes would refuse or that
    /// would open the files to others, and for a reference to an old version.
    pub fn fragment(&self) -> Result<PodFragment> {
        let secret_name = carrier(&self.secret)?;
        let Form::Volume { path, mode, items } = &self.form else {
            let Form::EnvFrom { prefix } = &self.form else {
                return Ok(PodFragment::default());
            };
            let mut injection = EnvInjection::new().with_env_from(prefix, self.secret.clone());
            injection.optional = self.optional;
            return injection.fragment();
        };
        let mount_path =
            path.clone().unwrap_or_else(|| format!("/var/run/secrets/pipe/{secret_name}"));
        check_mount_path(&mount_path)?;
        if !matches!(mode, 0o400 | 0o440) {
            return Err(invalid(
                "the files would be open to others",
                "mode",
                &format!("{mode:04o}"),
            )
            .hint("use mode 0400 or 0440"));
        }
        for item in items {
            check_key(&item.key)?;
            check_relative_path(&item.path)?;
        }
        let name = volume_name(&secret_name);
        let secret = SecretVolumeSource {
            secret_name,
            default_mode: *mode,
            optional: self.optional,
            items: items.clone(),
        };
        Ok(PodFragment {
            volume_mounts: vec![VolumeMount { name: name.clone(), mount_path, read_only: true }],
            volumes: vec![Volume { name, secret }],
            ..PodFragment::default()
        })
    }
}

fn carrier(secret: &SecretRef) -> Result<String> {
    match secret.version {
        None => Ok(kubernetes_secret_name(secret)),
        Some(_) => {
            Err(invalid("a pod always gets the current version", "secret", &secret.to_string())
                .hint("leave the version out of the reference"))
        }
    }
}

/// Volume names are RFC 1123 labels: no dots, at most 63 characters.
fn volume_name(secret_name: &str) -> String {
    if secret_name.len() <= 63 && !secret_name.contains('.') {
        return secret_name.to_owned();
    }
    let digest = Sha256::digest(secret_name);
    let [a, b, c, d, ..] = <[u8; 32]>::from(digest);
    let slug: String = secret_name.replace('.', "-").chars().take(50).collect();
    format!("{}-{a:02x}{b:02x}{c:02x}{d:02x}", slug.trim_end_matches('-'))
}

fn invalid(message: &'static str, what: &'static str, value: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, message).with(what, format_args!("{value:?}"))
}

/// The strictest rule of any supported server: a C identifier.
fn check_variable(what: &'static str, name: &str) -> Result<()> {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts_well && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(());
    }
    Err(invalid("not the name of an environment variable", what, name)
        .hint("use A-Z a-z 0-9 _ and do not start with a digit"))
}

fn check_key(key: &str) -> Result<()> {
    let well_formed = key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if well_formed && !matches!(key, "" | "." | "..") && key.len() <= 253 {
        return Ok(());
    }
    Err(invalid("not a key of a Kubernetes Secret", "key", key)
        .hint("use up to 253 of A-Z a-z 0-9 - . _"))
}

fn check_mount_path(path: &str) -> Result<()> {
    let relative = path.strip_prefix('/').unwrap_or_default();
    if !path.contains(':') && check_relative_path(relative).is_ok() {
        return Ok(());
    }
    Err(invalid("not a path to mount at", "path", path)
        .hint("use an absolute path below / without `..` and `:`"))
}

fn check_relative_path(path: &str) -> Result<()> {
    let ends_inside = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if ends_inside && !path.contains(char::is_control) {
        return Ok(());
    }
    Err(invalid("not a path below the mount", "path", path)
        .hint("use a relative path without empty, `.` or `..` parts"))
}

fn is_dns_subdomain(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests;
