//! How a defective store reads.

use super::*;

impl Defective {
    pub(super) async fn get(&self, secret: &SecretRef) -> Result<Option<Secret>> {
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
}
