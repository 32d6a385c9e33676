//! Defective stores of secrets.

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
        let name = secret.name.as_str();
        if self.has("long_names_stay_apart") && name.len() == 300 {
            return self.inner.get_secret(&renamed(secret, &name[..255])).await;
        }
        if self.has_at("a_dropped_read_leaves_the_plugin_usable", secret, "dropped-read") {
            // A lock that a dropped caller never gives back.
            if self.closed.fetch_add(1, Ordering::Relaxed) > 0 {
                return Err(Error::new(ErrorKind::Unavailable, "locked"));
            }
            tokio::task::yield_now().await;
            self.closed.store(0, Ordering::Relaxed);
        }
        if self.has_at("an_unavailable_backend_holds_up_nobody", secret, "holds-up")
            || self.has_at("capabilities_are_constant", secret, "constant")
        {
            self.closed.fetch_add(100, Ordering::Relaxed);
        }
        if self.has_at("get_of_a_missing_secret_is_none", secret, "missing") {
            return Err(Error::new(ErrorKind::NotFound, "no such secret"));
        }
        if self.has("a_name_with_segments_is_supported_or_refused_undeclared") && name.contains('/')
        {
            let flat = renamed(secret, &name.replace('/', "-"));
            return self.inner.get_secret(&flat).await;
        }
        if self.has("old_versions_are_readable_or_unsupported_undeclared") {
            return self.inner.get_secret(&renamed(secret, name)).await;
        }
        if self.has("namespaces_are_isolated_or_unsupported_undeclared") {
            let mut elsewhere = secret.clone();
            elsewhere.namespace = None;
            return self.inner.get_secret(&elsewhere).await;
        }
        let mut found = self.inner.get_secret(secret).await;
        match self.defect {
            "a_denied_read_is_not_absence" if name.contains("denied-read") => return Ok(None),
            "an_unavailable_backend_is_not_absence" if name.contains("unavailable") => {
                return Ok(None);
            }
            "an_unavailable_backend_is_retryable" => {
                found = found.map_err(|error| {
                    if error.kind() == ErrorKind::Unavailable { error.exhausted() } else { error }
                });
            }
            "a_denied_call_is_not_retryable" if name.contains("denied-retry") => {
                return Err(Error::new(ErrorKind::Unavailable, "try again"));
            }
            "old_versions_are_readable_or_unsupported" if name.contains("testkit/old-version-") => {
                return self.inner.get_secret(&renamed(secret, name)).await;
            }
            "a_version_that_never_was_is_none" if secret.version.is_some() => {
                let current = SecretRef::from(secret.name.clone());
                if found.as_ref().is_ok_and(Option::is_none) {
                    return self.inner.get_secret(&current).await;
                }
            }
            _ => {}
        }
        let Some(stored) = found? else {
            if self.has_at("get_of_a_folder_is_none", secret, "folder") {
                let query = ListQuery::new().with_prefix(secret.name.clone());
                let below = self.inner.list_secrets(&query).await?;
                return Ok((!below.is_empty()).then(|| Secret::new(SecretData::new())));
            }
            if self.has_at("get_below_a_secret_is_none", secret, "leaf")
                && let Some((parent, _)) = name.rsplit_once('/')
            {
                return self.inner.get_secret(&renamed(secret, parent)).await;
            }
            return Ok(None);
        };
        let data = match self.defect {
            "an_empty_value_is_not_absent" => {
                stored.data.iter().filter(|(_, value)| !value.is_empty()).collect_pairs()
            }
            "a_secret_without_keys_is_kept_or_refused" if stored.data.is_empty() => {
                return Ok(None);
            }
            "the_time_of_a_write_is_about_now" if name.contains("testkit/time-") => {
                return Ok(Some(stored.with_written_at(SystemTime::UNIX_EPOCH)));
            }
            "a_read_after_a_change_is_never_stale" if name.contains("testkit/stale-") => {
                let mut memory = self.memory.lock().expect("lock");
                return Ok(Some(memory.get_or_insert(stored).clone()));
            }
            "a_read_tells_the_version_that_was_written" if name.contains("read-version") => {
                return Ok(Some(stored.with_version(SecretVersion::new(77))));
            }
            "readers_never_see_half_a_write" if name.contains("torn") => {
                stored.data.clone().with("left", "-1")
            }
            "the_last_of_many_writers_wins_as_a_whole" if name.contains("race") => {
                stored.data.clone().with("left", "-1")
            }
            _ => stored.data.clone(),
        };
        let version = stored.version;
        let changed = Secret::new(data);
        Ok(Some(match version {
            Some(version) => changed.with_version(version),
            None => changed,
        }))
    }

    async fn create_secret(&self, secret: &SecretRef, data: SecretData) -> Result<WriteOutcome> {
        let name = secret.name.as_str();
        let created = Ok(WriteOutcome::new(Change::Created).with_version(SecretVersion::new(1)));
        let unchecked = || Error::new(ErrorKind::InvalidArgument, "refused by the backend");
        match self.defect {
            "a_write_is_supported_or_refused" if name.contains("testkit/write-") => return created,
            "a_write_is_supported_or_refused_undeclared" if name.contains("testkit-write-") => {
                return created;
            }
            "a_denied_write_is_an_error" if name.contains("denied-write") => return created,
            "bad_input_is_refused_without_asking_the_backend" if name.contains("refused") => {
                let empty = SecretData::new();
                self.inner.create_secret(secret, empty).await?;
                return Err(unchecked());
            }
            "a_denied_call_shows_no_value" | "an_unavailable_backend_shows_no_value"
                if name.contains("canary") =>
            {
                // Only when it failed, and only in the case that has this defect's fault.
                let result = self.inner.create_secret(secret, data.clone()).await;
                let kind = result.as_ref().err().map(Error::kind);
                let wanted = if self.has("a_denied_call_shows_no_value") {
                    ErrorKind::PermissionDenied
                } else {
                    ErrorKind::Unavailable
                };
                if kind == Some(wanted) {
                    let body = data.get("password").and_then(SecretValue::expose_str);
                    return Err(Error::new(wanted, body.unwrap_or_default().to_owned()));
                }
                return result;
            }
            "no_value_appears_in_logs_errors_or_manifests" if name.contains("canary") => {
                let result = self.inner.create_secret(secret, data.clone()).await;
                if result.is_ok() {
                    let body = data.get("password").map(SecretValue::expose);
                    tracing::trace!(?body, "stored");
                }
                return result;
            }
            "a_name_with_segments_is_supported_or_refused" if name.contains("deep") => {
                let parent = name.rsplit_once('/').map_or(name, |(parent, _)| parent);
                return self.inner.create_secret(&renamed(secret, parent), data).await;
            }
            "a_name_with_segments_is_supported_or_refused_undeclared" => {
                let mut flat = secret.clone();
                flat.name = SecretName::new(name.replace('/', "-"))?;
                return self.inner.create_secret(&flat, data).await;
            }
            "namespaces_are_isolated_or_unsupported"
            | "namespaces_are_isolated_or_unsupported_undeclared"
                if name.contains("isolated") =>
            {
                return self.inner.create_secret(&SecretRef::from(secret.name.clone()), data).await;
            }
            "an_old_version_cannot_be_written_or_deleted" if name.contains("testkit/history-") => {
                return self.inner.create_secret(&renamed(secret, name), data).await;
            }
            "a_write_that_only_drops_a_key_is_an_update"
                if name.contains("testkit/fewer-") && data.len() == 1 =>
            {
                let outcome = self.inner.create_secret(secret, data).await?;
                return Ok(with_change(outcome, Change::Unchanged));
            }
            "similar_keys_stay_apart" if name.contains("testkit/close-keys-") => {
                let pairs = data.iter().map(|(key, value)| (key.to_lowercase(), value.clone()));
                return self.inner.create_secret(secret, pairs.collect()).await;
            }
            "text_with_nul_round_trips_or_is_refused" if name.contains("testkit/nul-") => {
                let cut = map(&data, text(|t| t.split('\0').next().unwrap_or_default().to_owned()));
                return self.inner.create_secret(secret, cut).await;
            }
            "odd_names_round_trip_or_are_refused" if name.contains("odd-") => {
                let lower = name.trim_matches(['.', '-']).replace("..", ".");
                return self.inner.create_secret(&renamed(secret, &lower), data).await;
            }
            "long_names_stay_apart" if name.len() == 300 => {
                return self.inner.create_secret(&renamed(secret, &name[..255]), data).await;
            }
            "similar_names_stay_apart" if name.contains("similar") => {
                let lower = name.to_lowercase();
                let outcome =
                    self.inner.create_secret(&renamed(secret, &lower), data.clone()).await;
                self.inner.create_secret(secret, data).await?;
                return outcome;
            }
            "more_keys_than_declared_are_refused" if name.contains("too-many-keys") => {
                let fitting = data.iter().take(self.capabilities().max_keys).collect_pairs();
                return self.inner.create_secret(secret, fitting).await;
            }
            "a_secret_past_the_declared_limit_is_refused" if name.contains("past-limit") => {
                return self.inner.create_secret(secret, SecretData::new().with("cut", "x")).await;
            }
            "a_secret_at_the_declared_limit_round_trips" if name.contains("at-limit") => {
                return Err(unchecked());
            }
            "many_keys_round_trip" if name.contains("keys-twice") => {
                let fitting = data.iter().skip(1).collect_pairs();
                return self.inner.create_secret(secret, fitting).await;
            }
            "binary_values_round_trip_or_are_refused_undeclared" if name.contains("binary") => {
                let lossy = map(&data, |_, v| String::from_utf8_lossy(v).into_owned().into_bytes());
                return self.inner.create_secret(secret, lossy).await;
            }
            "an_update_replaces_all_keys" if name.contains("replaced") => {
                let before = self.inner.get_secret(secret).await?.map(|stored| stored.data);
                let mut merged = before.unwrap_or_default();
                for (key, value) in data.iter() {
                    merged = merged.with(key, value.clone());
                }
                return self.inner.create_secret(secret, merged).await;
            }
            "the_first_write_is_reported_as_created" if name.contains("testkit/created") => {
                let outcome = self.inner.create_secret(secret, data).await?;
                return Ok(with_change(outcome, Change::Updated));
            }
            "another_value_is_reported_as_updated" if name.contains("testkit/updated") => {
                let outcome = self.inner.create_secret(secret, data).await?;
                return Ok(with_change(outcome, Change::Created));
            }
            "the_same_write_twice_is_unchanged" if name.contains("testkit/twice") => {
                let outcome = self.inner.create_secret(secret, data).await?;
                let updated = outcome.change == Change::Unchanged;
                let change = if updated { Change::Updated } else { outcome.change };
                return Ok(with_change(outcome, change));
            }
            "the_same_write_at_once_is_a_success_for_all" if name.contains("at-once") => {
                let outcome = self.inner.create_secret(secret, data).await?;
                return Ok(with_change(outcome, Change::Created));
            }
            "a_write_after_a_delete_is_created" if name.contains("reborn") => {
                let outcome = self.inner.create_secret(secret, data).await?;
                return Ok(with_change(outcome, Change::Updated));
            }
            "versions_grow_with_every_change" if name.contains("testkit/versions") => {
                let outcome = self.inner.create_secret(secret, data).await?;
                return Ok(outcome.with_version(SecretVersion::new(1)));
            }
            "an_unchanged_write_keeps_the_version" if name.contains("same-version") => {
                let outcome = self.inner.create_secret(secret, data).await?;
                let count = self.closed.fetch_add(1, Ordering::Relaxed);
                return Ok(outcome.with_version(SecretVersion::new(u64::from(count) + 1)));
            }
            "writers_of_different_secrets_do_not_mix" if name.contains("mine-7-") => {
                let foreign = map(&data, |_, _| b"8".to_vec());
                return self.inner.create_secret(secret, foreign).await;
            }
            "a_dropped_write_happened_or_did_not" if name.contains("testkit/dropped-write") => {
                let half = data.iter().take(1).collect_pairs();
                self.inner.create_secret(secret, half).await?;
                tokio::task::yield_now().await;
            }
            _ => {}
        }
        let stored = match self.defect {
            "a_stored_secret_is_read_back" if name.contains("plain") => {
                data.iter().take(1).collect_pairs()
            }
            "utf8_text_round_trips" => map(&data, text(|t| t.replace("e\u{301}", "\u{e9}"))),
            "binary_values_round_trip_or_are_refused" => {
                map(&data, |_, v| String::from_utf8_lossy(v).into_owned().into_bytes())
            }
            "whitespace_at_the_edges_round_trips" => {
                map(&data, text(|t| t.trim_matches([' ', '\t']).to_owned()))
            }
            "line_breaks_round_trip" => map(&data, text(|t| t.trim_end_matches('\n').to_owned())),
            "text_that_looks_like_something_else_round_trips" => {
                map(&data, text(|t| if t == "null" { String::new() } else { t.to_owned() }))
            }
            "large_numbers_round_trip_as_text" => map(
                &data,
                text(|t| match t.parse::<f64>() {
                    Ok(number) if t.len() > 9 => number.to_string(),
                    _ => t.to_owned(),
                }),
            ),
            "odd_keys_round_trip_or_are_refused" => {
                data.iter().map(|(key, value)| (key.replace(' ', "_"), value.clone())).collect()
            }
            _ => data,
        };
        self.inner.create_secret(secret, stored).await
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
        let name = secret.name.as_str();
        match self.defect {
            "delete_is_supported_or_refused" if name.contains("testkit/delete-") => {
                return Err(Error::unsupported(self.name(), "delete_secret"));
            }
            "delete_is_supported_or_refused_undeclared" => return Ok(false),
            "delete_removes_the_secret"
                if name.contains("testkit/deleted-") && !name.contains("twice") =>
            {
                return Ok(true);
            }
            "delete_of_a_missing_secret_is_false" if name.contains("never-there") => {
                return Err(Error::new(ErrorKind::NotFound, "no such secret"));
            }
            "delete_twice_is_false_the_second_time" if name.contains("deleted-twice") => {
                return self.inner.delete_secret(secret).await.map(|_| true);
            }
            "delete_leaves_neighbours" if name.contains("testkit/neighbours-") => {
                let query = ListQuery::new();
                for neighbour in self.inner.list_secrets(&query).await? {
                    if neighbour.name.as_str().starts_with(name) && neighbour != *secret {
                        self.inner.delete_secret(&neighbour).await?;
                    }
                }
            }
            "a_denied_call_says_where_and_what_to_change" if name.contains("denied-where") => {
                let deleted = self.inner.delete_secret(secret).await;
                return deleted.map_err(|error| Error::new(error.kind(), "something went wrong"));
            }
            "a_denied_delete_is_an_error" if name.contains("denied-delete") => return Ok(false),
            _ => {}
        }
        self.inner.delete_secret(secret).await
    }

    async fn list_secrets(&self, query: &ListQuery) -> Result<Vec<SecretRef>> {
        let prefix = query.prefix.as_ref().map_or("", |prefix| prefix.as_str());
        match self.defect {
            "list_is_supported_or_refused" if prefix.is_empty() && query.namespace.is_none() => {
                // Only where nothing is stored yet.
                let listed = self.inner.list_secrets(query).await?;
                return match listed.as_slice() {
                    [] => Err(Error::unsupported(self.name(), "list_secrets")),
                    _ => Ok(listed),
                };
            }
            "list_is_supported_or_refused_undeclared" => return Ok(Vec::new()),
            "list_is_sorted_and_complete" => {
                // Only the first page.
                let mut found = self.inner.list_secrets(query).await?;
                found.truncate(20);
                return Ok(found);
            }
            "list_prefix_ends_at_a_segment_border" if prefix.contains("border") => {
                let all = self.inner.list_secrets(&ListQuery::new()).await?;
                let starts = |secret: &SecretRef| secret.name.as_str().starts_with(prefix);
                return Ok(all.into_iter().filter(starts).collect());
            }
            "list_of_an_empty_folder_is_empty" => {
                let found = self.inner.list_secrets(query).await?;
                if found.is_empty() && prefix.contains("nothing-here") {
                    return Err(Error::new(ErrorKind::NotFound, "no such folder"));
                }
                return Ok(found);
            }
            "list_past_the_limit_is_an_error" => {
                let mut found = self.inner.list_secrets(&query.clone().with_limit(9_999)).await?;
                found.truncate(query.limit);
                return Ok(found);
            }
            "a_deleted_secret_is_not_listed" if prefix.contains("list-deleted") => {
                let mut found = self.inner.list_secrets(query).await?;
                found.push(SecretRef::new(format!("{prefix}/gone"))?);
                return Ok(found);
            }
            "listed_secrets_can_be_read" if prefix.contains("list-read") => {
                return SecretRef::new(format!("{prefix}/one/x")).map(|secret| vec![secret]);
            }
            "a_list_is_of_its_namespace" if prefix.contains("list-space") => {
                let mut everywhere = query.clone();
                everywhere.namespace = None;
                return self.inner.list_secrets(&everywhere).await;
            }
            "an_unavailable_call_says_where" if prefix.contains("outage-where") => {
                let listed = self.inner.list_secrets(query).await;
                return listed.map_err(|error| Error::new(error.kind(), "something went wrong"));
            }
            "a_denied_list_is_an_error" if prefix.is_empty() => {
                let listed = self.inner.list_secrets(query).await;
                return listed.or_else(|error| match error.kind() {
                    ErrorKind::PermissionDenied => Ok(Vec::new()),
                    _ => Err(error),
                });
            }
            _ => {}
        }
        self.inner.list_secrets(query).await
    }

    async fn watch_secret(&self, secret: &SecretRef) -> Result<SecretStream> {
        let name = secret.name.as_str();
        match self.defect {
            "a_watch_is_supported_or_refused" if name.contains("testkit/watch-") => {
                Err(Error::unsupported(self.name(), "watch_secret"))
            }
            "a_watch_is_supported_or_refused_undeclared" => Ok(SecretStream::new(stream::empty())),
            "a_watch_shows_the_state_and_then_the_change" if name.contains("testkit/watched-") => {
                if name.contains("watched-delete") {
                    return self.inner.watch_secret(secret).await;
                }
                Ok(SecretStream::new(stream::empty()))
            }
            "a_watch_begins_with_the_current_state" if name.contains("testkit/first-state-") => {
                let states = self.inner.watch_secret(secret).await?;
                let stale = stream::iter([Ok(SecretEvent::Absent)]);
                Ok(SecretStream::new(stale.chain(states)))
            }
            "a_watch_tells_the_version_that_was_written"
                if name.contains("testkit/event-version-") =>
            {
                let states = self.inner.watch_secret(secret).await?;
                Ok(SecretStream::new(states.map(|state| {
                    state.map(|event| match event {
                        SecretEvent::Present(secret) => {
                            SecretEvent::Present(Secret::new(secret.data))
                        }
                        other => other,
                    })
                })))
            }
            "a_watch_goes_on_after_a_delete" if name.contains("testkit/goes-on-") => {
                let states = self.inner.watch_secret(secret).await?;
                let mut over = false;
                Ok(SecretStream::new(states.take_while(move |state| {
                    let goes_on = !over;
                    over = matches!(state, Ok(SecretEvent::Absent));
                    std::future::ready(goes_on)
                })))
            }
            "a_watch_is_of_its_namespace" if name.contains("testkit/namespace-watch-") => {
                self.inner.watch_secret(&SecretRef::from(secret.name.clone())).await
            }
            "a_denied_watch_is_an_error" if name.contains("denied-watch") => {
                Ok(SecretStream::new(stream::empty()))
            }
            "a_watch_shows_a_delete" if name.contains("watched-delete") => {
                Ok(SecretStream::new(stream::empty()))
            }
            _ => self.inner.watch_secret(secret).await,
        }
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
