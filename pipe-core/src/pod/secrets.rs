//! Secrets as environment variables and as mounts (REQ 004-79, 004-80).

use std::collections::{BTreeMap, HashMap};

use super::model::{
    EnvFromSource, EnvVar, EnvVarSource, KeyToPath, SecretEnvSource, SecretKeySelector,
    SecretVolumeSource, Volume, VolumeMount, VolumeSource,
};
use super::naming::{DEFAULT_MODE, is_dns_subdomain, kubernetes_secret_name, volume_name};
use super::paths::{check_apart, check_item_path, check_mount_path};
use super::{PodFragment, invalid, taken};
use crate::Result;
use crate::secrets::SecretRef;

/// Which secrets a container gets as environment variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvInjection {
    pub(super) variables: Vec<Variable>,
    pub(super) whole: Vec<Whole>,
    pub(super) optional: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) secret: SecretRef,
    pub(super) key: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    prefix: String,
    pub(super) secret: SecretRef,
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

    /// The fragment, with each Kubernetes Secret named by [`kubernetes_secret_name`].
    ///
    /// # Errors
    /// `InvalidArgument` for a variable, prefix or key that Kubernetes would refuse and for a
    /// reference to an old version, which no pod can be given; `Conflict` when one variable is
    /// given two values.
    pub fn fragment(&self) -> Result<PodFragment> {
        self.fragment_with(|secret| Ok(kubernetes_secret_name(secret)))
    }

    /// The fragment, for a plugin that names Kubernetes Secrets in its own way.
    ///
    /// # Errors
    /// As for [`fragment`](Self::fragment), whatever `name_of` returns, and `InvalidArgument` for
    /// a name that is no RFC 1123 subdomain.
    pub fn fragment_with(
        &self,
        name_of: impl Fn(&SecretRef) -> Result<String>,
    ) -> Result<PodFragment> {
        let mut env: Vec<EnvVar> = Vec::with_capacity(self.variables.len());
        let mut known = HashMap::with_capacity(self.variables.len());
        for Variable { name, secret, key } in &self.variables {
            check_variable("environment variable", name)?;
            check_key(key)?;
            let variable = EnvVar {
                name: name.clone(),
                value_from: EnvVarSource {
                    secret_key_ref: SecretKeySelector {
                        name: carrier(secret, &name_of)?,
                        key: key.clone(),
                        optional: self.optional,
                    },
                },
            };
            match known.insert(name, env.len()) {
                None => env.push(variable),
                Some(at) if env[at] == variable => drop(known.insert(name, at)),
                Some(_) => return Err(taken("environment variable", name)),
            }
        }
        let mut prefixes = BTreeMap::new();
        for Whole { prefix, secret } in &self.whole {
            if !prefix.is_empty() {
                check_variable("prefix", prefix)?;
            }
            // Two Secrets under one prefix: the later would silently win where keys are equal.
            let name = carrier(secret, &name_of)?;
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
    pub(super) secret: SecretRef,
    pub(super) env_prefix: Option<String>,
    path: Option<String>,
    mode: Option<u32>,
    pub(super) items: Vec<KeyToPath>,
    pub(super) optional: bool,
}

impl SecretMount {
    /// A read-only volume with files of mode 0440, at `/var/run/secrets/pipe/<secret>`.
    #[must_use]
    pub fn volume(secret: SecretRef) -> Self {
        Self {
            secret,
            env_prefix: None,
            path: None,
            mode: None,
            items: Vec::new(),
            optional: false,
        }
    }

    /// `envFrom` instead of files; it has neither a path nor a mode nor items.
    #[must_use]
    pub fn env_from(secret: SecretRef, prefix: impl Into<String>) -> Self {
        Self { env_prefix: Some(prefix.into()), ..Self::volume(secret) }
    }

    /// The volume's absolute path in the container: up to 1024 printable ASCII characters, and
    /// nothing that the container needs, such as `/etc` or its own service account token.
    #[must_use]
    pub fn at(self, mount_path: impl Into<String>) -> Self {
        Self { path: Some(mount_path.into()), ..self }
    }

    /// The mode of the volume's files: 0440 (the default) or 0400.
    #[must_use]
    pub fn with_mode(self, file_mode: u32) -> Self {
        Self { mode: Some(file_mode), ..self }
    }

    /// Only this key appears, as the file `path` below the mount; may be repeated.
    #[must_use]
    pub fn with_item(mut self, key: impl Into<String>, path: impl Into<String>) -> Self {
        self.items.push(KeyToPath { key: key.into(), path: path.into(), mode: None });
        self
    }

    /// Only this key appears, as the file `path` below the mount, of a mode of its own: 0440 or
    /// 0400; may be repeated.
    #[must_use]
    pub fn with_item_of_mode(
        mut self,
        key: impl Into<String>,
        path: impl Into<String>,
        file_mode: u32,
    ) -> Self {
        self.items.push(KeyToPath { key: key.into(), path: path.into(), mode: Some(file_mode) });
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

    /// The fragment, with the Kubernetes Secret named by [`kubernetes_secret_name`].
    ///
    /// Two mounts of one secret that differ in mode, items or optionality are two volumes.
    ///
    /// # Errors
    /// `InvalidArgument` for a path, mode, key or prefix that Kubernetes would refuse, that would
    /// open the files to others or hide what the container needs, for a path, mode or item of
    /// `envFrom`, and for a reference to an old version; `Conflict` when the path of one item is
    /// or contains that of another.
    pub fn fragment(&self) -> Result<PodFragment> {
        self.fragment_with(|secret| Ok(kubernetes_secret_name(secret)))
    }

    /// The fragment, for a plugin that names Kubernetes Secrets in its own way.
    ///
    /// # Errors
    /// As for [`fragment`](Self::fragment), whatever `name_of` returns, and `InvalidArgument` for
    /// a name that is no RFC 1123 subdomain.
    pub fn fragment_with(
        &self,
        name_of: impl Fn(&SecretRef) -> Result<String>,
    ) -> Result<PodFragment> {
        let Some(prefix) = &self.env_prefix else {
            return self.volume_fragment(carrier(&self.secret, name_of)?);
        };
        if self.path.is_some() || self.mode.is_some() || !self.items.is_empty() {
            return Err(invalid("only a volume has a path, a mode or items", "prefix", prefix)
                .hint("use `SecretMount::volume`, or leave them out"));
        }
        let mut injection = EnvInjection::new().with_env_from(prefix, self.secret.clone());
        injection.optional = self.optional;
        injection.fragment_with(name_of)
    }

    fn volume_fragment(&self, secret_name: String) -> Result<PodFragment> {
        let default_path = || format!("/var/run/secrets/pipe/{secret_name}");
        let mount_path = self.path.clone().unwrap_or_else(default_path);
        check_mount_path(&mount_path)?;
        let mode = self.mode.unwrap_or(DEFAULT_MODE);
        check_mode(mode)?;
        for (i, item) in self.items.iter().enumerate() {
            check_key(&item.key)?;
            check_item_path(&item.path)?;
            item.mode.map_or(Ok(()), check_mode)?;
            let others = self.items.iter().take(i).map(|other| other.path.as_str());
            check_apart("item path", &item.path, others)?;
        }
        let secret = SecretVolumeSource {
            secret_name,
            default_mode: mode,
            optional: self.optional,
            items: self.items.clone(),
        };
        let name = volume_name(&secret);
        Ok(PodFragment {
            volume_mounts: vec![VolumeMount { name: name.clone(), mount_path, read_only: true }],
            volumes: vec![Volume { name, source: VolumeSource::Secret(secret) }],
            ..PodFragment::default()
        })
    }
}

fn carrier(secret: &SecretRef, name_of: impl Fn(&SecretRef) -> Result<String>) -> Result<String> {
    if secret.version.is_some() {
        return Err(invalid(
            "a pod always gets the current version",
            "secret",
            &secret.to_string(),
        )
        .hint("leave the version out of the reference"));
    }
    let name = name_of(secret)?;
    if is_dns_subdomain(&name) {
        return Ok(name);
    }
    Err(invalid("not the name of a Kubernetes Secret", "name", &name)
        .hint("use up to 253 of a-z 0-9 - . as RFC 1123 wants them"))
}

fn check_mode(mode: u32) -> Result<()> {
    if matches!(mode, 0o400 | 0o440) {
        return Ok(());
    }
    Err(invalid("the files would be open to others", "mode", &format!("{mode:04o}"))
        .hint("use mode 0400 or 0440"))
}

/// The strictest rule of any supported server: a C identifier.
fn check_variable(what: &'static str, name: &str) -> Result<()> {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts_well
        && name.len() <= 253
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    {
        return Ok(());
    }
    Err(invalid("not the name of an environment variable", what, name)
        .hint("use up to 253 of A-Z a-z 0-9 _ and do not start with a digit"))
}

fn check_key(key: &str) -> Result<()> {
    let well_formed = key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    // Kubernetes' own rule: `..data` is the name by which the kubelet swaps all files at once.
    let reserved = matches!(key, "" | ".") || key.starts_with("..");
    if well_formed && !reserved && key.len() <= 253 {
        return Ok(());
    }
    Err(invalid("not a key of a Kubernetes Secret", "key", key)
        .hint("use up to 253 of A-Z a-z 0-9 - . _ and do not begin with `..`"))
}

#[cfg(test)]
mod tests;
