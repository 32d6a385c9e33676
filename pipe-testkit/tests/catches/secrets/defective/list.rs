//! How a defective store lists and watches.

use super::*;

impl Defective {
    pub(super) async fn list(&self, query: &ListQuery) -> Result<Vec<SecretRef>> {
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

    pub(super) async fn watch(&self, secret: &SecretRef) -> Result<SecretStream> {
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
