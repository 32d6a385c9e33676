//! How a defective store writes and deletes.

use super::*;

impl Defective {
    pub(super) async fn create(
        &self,
        secret: &SecretRef,
        data: SecretData,
    ) -> Result<WriteOutcome> {
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

    pub(super) async fn delete(&self, secret: &SecretRef) -> Result<bool> {
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
}
