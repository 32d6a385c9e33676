//! Defective stores of secrets.

mod list;
mod read;
mod write;

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use pipe_core::pod::{EnvInjection, PodFragment, SecretMount, VolumeSource};
use pipe_core::secrets::{
    Change, ListQuery, Secret, SecretEvent, SecretStream, SecretVersion, SecretsCapabilities,
    WriteOutcome,
};
use pipe_core::{
    Error, ErrorKind, Health, Plugin, Result, SecretData, SecretName, SecretRef, SecretValue,
    SecretsPlugin,
};
use pipe_testkit::Needs;
use pipe_testkit::reference::InMemorySecrets;

/// The defects of plugins that answer where they should say `Unsupported`.
pub(crate) const UNDECLARED: [&str; 8] = [
    "a_name_with_segments_is_supported_or_refused_undeclared",
    "a_watch_is_supported_or_refused_undeclared",
    "a_write_is_supported_or_refused_undeclared",
    "binary_values_round_trip_or_are_refused_undeclared",
    "delete_is_supported_or_refused_undeclared",
    "list_is_supported_or_refused_undeclared",
    "namespaces_are_isolated_or_unsupported_undeclared",
    "old_versions_are_readable_or_unsupported_undeclared",
];

/// A store that is right in everything but one defect, which is called after the case that has to
/// find it.
pub(crate) struct Defective {
    defect: &'static str,
    inner: InMemorySecrets,
    closed: AtomicU32,
    /// What a case put there to be found again.
    memory: Mutex<Option<Secret>>,
}

impl Defective {
    pub(crate) fn new(defect: &'static str, needs: Needs) -> Self {
        let mut inner = InMemorySecrets::new();
        if defect == "the_name_is_stable" {
            inner = inner.named("two words");
        }
        let all = inner.capabilities();
        inner = inner.with_capabilities(match defect {
            "a_write_is_supported_or_refused_undeclared" => SecretsCapabilities::READ_ONLY,
            _ if UNDECLARED.contains(&defect) => SecretsCapabilities::READ_ONLY.with_write(),
            _ => all,
        });
        match needs {
            Needs::Denied => inner.fail_with(ErrorKind::PermissionDenied),
            Needs::Unavailable => inner.fail_with(ErrorKind::Unavailable),
            _ => {}
        }
        Self { defect, inner, closed: AtomicU32::new(0), memory: Mutex::default() }
    }

    fn has(&self, defect: &str) -> bool {
        self.defect == defect
    }

    /// The defect shows only where its case looks, so that no other case sees it.
    fn has_at(&self, defect: &str, secret: &SecretRef, label: &str) -> bool {
        let last = secret.name.as_str().strip_prefix("pipe-testkit").unwrap_or_default();
        let marked = last.get(1..).is_some_and(|last| last.starts_with(label));
        self.has(defect) && marked
    }
}

impl fmt::Debug for Defective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Defective")
    }
}

fn map(data: &SecretData, change: impl Fn(&str, &[u8]) -> Vec<u8>) -> SecretData {
    data.iter().map(|(key, value)| (key, change(key, value.expose()))).collect()
}

fn text(change: impl Fn(&str) -> String) -> impl Fn(&str, &[u8]) -> Vec<u8> {
    move |_, value| match std::str::from_utf8(value) {
        Ok(text) => change(text).into_bytes(),
        Err(_) => value.to_vec(),
    }
}

fn renamed(secret: &SecretRef, name: &str) -> SecretRef {
    let other = SecretRef::new(name).expect("legal");
    match &secret.namespace {
        Some(namespace) => other.with_namespace(namespace.clone()),
        None => other,
    }
}

#[async_trait]
impl Plugin for Defective {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn health(&self) -> Health {
        if self.has("a_working_plugin_says_that_it_serves") {
            return Health::unhealthy("never well", "nothing helps");
        }
        if self.has("an_unavailable_backend_is_told_by_health") {
            return Health::healthy();
        }
        if self.has("an_unavailable_backend_holds_up_nobody")
            && self.closed.load(Ordering::Relaxed) >= 100
        {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        self.inner.health().await
    }

    async fn close(&self) -> Result<()> {
        let before = self.closed.fetch_add(1, Ordering::Relaxed);
        let fails = match self.defect {
            "closing_twice_is_harmless" => before > 0,
            "an_unavailable_backend_does_not_stop_close" => true,
            _ => false,
        };
        // The one defect must not be found by the other's case.
        let reachable = self.inner.health().await.is_serving();
        if fails && reachable == self.has("closing_twice_is_harmless") {
            return Err(Error::new(ErrorKind::Unexpected, "closed already"));
        }
        Ok(())
    }
}

#[async_trait]
impl SecretsPlugin for Defective {
    fn capabilities(&self) -> SecretsCapabilities {
        let capabilities = self.inner.capabilities();
        if self.has("capabilities_are_constant") && self.closed.load(Ordering::Relaxed) >= 100 {
            return capabilities.with_limits(1, 1);
        }
        capabilities
    }

    async fn get_secret(&self, secret: &SecretRef) -> Result<Option<Secret>> {
        self.get(secret).await
    }

    async fn create_secret(&self, secret: &SecretRef, data: SecretData) -> Result<WriteOutcome> {
        self.create(secret, data).await
    }

    fn inject_env_vars(&self, injection: &EnvInjection) -> Result<PodFragment> {
        if self.has("bad_environment_variables_are_refused") {
            return Ok(injection.fragment().unwrap_or_default());
        }
        let mut fragment = self.inner.inject_env_vars(injection)?;
        let of_the_case = |secret: &SecretRef| secret.name.as_str().contains("testkit/manifest-");
        if self.has("environment_variables_name_the_secret_and_no_value")
            && injection.secrets().any(of_the_case)
        {
            for variable in &mut fragment.env {
                variable.value_from.secret_key_ref.name = "do-not-print-9f3c".to_owned();
            }
        }
        Ok(fragment)
    }

    fn generate_secret_mounts(&self, mount: &SecretMount) -> Result<PodFragment> {
        let mut fragment = self.inner.generate_secret_mounts(mount)?;
        for volume in &mut fragment.volumes {
            let VolumeSource::Secret(secret) = &mut volume.source else { continue };
            match self.defect {
                "mounts_name_the_secret_and_no_value"
                    if mount.secret().name.as_str().contains("testkit/manifest-") =>
                {
                    secret.default_mode = 0o644;
                }
                "a_mount_is_what_was_asked_for" => secret.default_mode = 0o440,
                _ => {}
            }
        }
        if self.has("manifests_have_legal_names") {
            for (volume, mount) in fragment.volumes.iter_mut().zip(&mut fragment.volume_mounts) {
                volume.name.push_str(".secret");
                mount.name.push_str(".secret");
            }
        }
        Ok(fragment)
    }

    async fn delete_secret(&self, secret: &SecretRef) -> Result<bool> {
        self.delete(secret).await
    }

    async fn list_secrets(&self, query: &ListQuery) -> Result<Vec<SecretRef>> {
        self.list(query).await
    }

    async fn watch_secret(&self, secret: &SecretRef) -> Result<SecretStream> {
        self.watch(secret).await
    }
}

fn with_change(outcome: WriteOutcome, change: Change) -> WriteOutcome {
    let changed = WriteOutcome::new(change);
    match outcome.version {
        Some(version) => changed.with_version(version),
        None => changed,
    }
}

trait CollectPairs {
    fn collect_pairs(self) -> SecretData;
}

impl<'a, I: Iterator<Item = (&'a str, &'a SecretValue)>> CollectPairs for I {
    fn collect_pairs(self) -> SecretData {
        self.map(|(key, value)| (key, value.clone())).collect()
    }
}
