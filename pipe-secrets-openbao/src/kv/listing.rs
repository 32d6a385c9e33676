//! Listing an engine: all folders, page by page, without what was deleted.

use std::collections::BTreeMap;

use pipe_core::secrets::ListQuery;
use pipe_core::{Error, ErrorKind, Namespace, Result, SecretName, SecretRef};
use serde::Deserialize;

use super::metadata::Told;
use super::{Form, Kv, Place, SecretMetadata};
use crate::client::{Client, Policy};
use crate::error::{Asked, Fault};
use crate::transport::Call;

impl Kv {
    /// Walks through all folders. What was deleted, and names that no [`SecretName`] can be, are
    /// left out: neither can be read.
    pub(crate) async fn list(&self, client: &Client, query: &ListQuery) -> Result<Vec<SecretRef>> {
        let mut found = Vec::new();
        let keep = |name: SecretName, metadata: Option<SecretMetadata>| {
            if metadata.is_none_or(|metadata| metadata.is_readable()) {
                found.push(refer(name, query.namespace.as_ref()));
            }
            match found.len() > query.limit {
                true => Err(query.too_many()),
                false => Ok(()),
            }
        };
        self.walk_all(client, query, keep).await?;
        found.sort();
        Ok(found)
    }

    /// As `walk_all`, of an engine that has metadata.
    pub(super) async fn walk(
        &self,
        client: &Client,
        query: &ListQuery,
        mut keep: impl FnMut(SecretName, SecretMetadata) -> Result<()> + Send,
    ) -> Result<()> {
        let keep = |name, metadata: Option<SecretMetadata>| match metadata {
            Some(metadata) => keep(name, metadata),
            None => Err(Error::new(ErrorKind::Unsupported, "the engine keeps no metadata")
                .with("mount", &self.mount)
                .hint("use a mount of KV version 2")),
        };
        self.walk_all(client, query, keep).await
    }

    async fn walk_all(
        &self,
        client: &Client,
        query: &ListQuery,
        mut keep: impl FnMut(SecretName, Option<SecretMetadata>) -> Result<()> + Send,
    ) -> Result<()> {
        let mut folders = vec![query.prefix.as_ref().map(|p| format!("{p}/")).unwrap_or_default()];
        let mut way = ListWay::first();
        // Folders that hold nothing readable must not make this endless.
        let mut budget = query.limit.saturating_add(10_000);
        while let Some(folder) = folders.pop() {
            budget = budget.checked_sub(1).ok_or_else(|| query.too_many())?;
            let mut after = String::new();
            // Whether a page is the last one does not show in its length: a policy may cut it.
            loop {
                let namespace = query.namespace.as_ref();
                let mut page = self.fetch(client, namespace, &folder, &after, &mut way).await?;
                page.keys.sort();
                let Some(last) = page.keys.last().cloned() else { break };
                // A server that ignores `after` would never come to an end.
                if last <= after {
                    return Err(Error::new(ErrorKind::Unexpected, "the server repeats a page"));
                }
                after = last;
                for name in page.keys {
                    let path = format!("{folder}{name}");
                    if name.ends_with('/') {
                        folders.push(path);
                        if folders.len() > budget {
                            return Err(query.too_many());
                        }
                        continue;
                    }
                    let Ok(path) = SecretName::new(&path) else {
                        tracing::debug!(folder, "a name cannot be addressed");
                        continue;
                    };
                    let told = page.key_info.remove(&name);
                    let metadata = match (told, page.is_whole) {
                        (told, true) => told.map(SecretMetadata::from),
                        (Some(told), _) => Some(told.into()),
                        (None, _) => {
                            let secret = refer(path.clone(), namespace);
                            let found = self.metadata_of(client, &secret, Policy::Reconsider);
                            match found.await? {
                                Some(metadata) => Some(metadata),
                                // Gone since the list was made.
                                None => continue,
                            }
                        }
                    };
                    keep(path, metadata)?;
                }
                if page.is_whole {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn fetch(
        &self,
        client: &Client,
        namespace: Option<&Namespace>,
        folder: &str,
        after: &str,
        way: &mut ListWay,
    ) -> Result<Page> {
        loop {
            if self.form(namespace) == Form::V1 {
                return self.fetch_v1(client, namespace, folder).await;
            }
            let kind = if way.detailed { "detailed-metadata" } else { "metadata" };
            let limit = way.limited.then(|| ("limit", self.page_size.to_string()));
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("after", after)
                .extend_pairs(limit)
                .finish();
            let call = Call::list(self.path(kind, folder), query);
            // Only the last denial is final, and worth another login.
            let policy = if way.is_last() { Policy::Reconsider } else { Policy::Accept };
            let answer = client.send(namespace, policy, || call.clone()).await?;
            if answer.0.error_kind().is_none() {
                return answer.data::<Page>();
            }
            match Fault::of(&answer.0, Asked::Work) {
                Fault::Absent => match self.detect(client, namespace).await? {
                    Form::V1 => {}
                    Form::V2 => return Ok(Page::default()),
                },
                // An engine of version 1 knows none of these paths.
                Fault::Denied | Fault::PathUnsupported
                    if self.detect(client, namespace).await? == Form::V1 => {}
                Fault::Denied | Fault::PathUnsupported if !way.is_last() => way.step_down(),
                _ => {
                    let place = Place { namespace, kind, name: folder };
                    return Err(self.fault(client, &answer, &place, "list"));
                }
            }
        }
    }
}

impl Kv {
    async fn fetch_v1(
        &self,
        client: &Client,
        namespace: Option<&Namespace>,
        folder: &str,
    ) -> Result<Page> {
        let call = Call::list(format!("{}/{folder}", self.mount), String::new());
        let answer = client.send(namespace, Policy::Reconsider, || call.clone()).await?;
        if answer.0.error_kind().is_none() {
            return Ok(Page { is_whole: true, ..answer.data::<Page>()? });
        }
        match Fault::of(&answer.0, Asked::Work) {
            Fault::Absent => {
                self.detect(client, namespace).await?;
                Ok(Page::default())
            }
            _ => {
                let place = Place { namespace, kind: "", name: folder };
                Err(self.fault(client, &answer, &place, "list"))
            }
        }
    }
}

/// How to ask for a list; the next way is tried when one is denied.
///
/// A detailed list tells names and states in one call, and needs a policy of its own. A `limit`
/// above a policy's `pagination_limit` is denied; without one the policy cuts the page instead.
struct ListWay {
    detailed: bool,
    limited: bool,
}

impl ListWay {
    fn first() -> Self {
        Self { detailed: true, limited: true }
    }

    fn step_down(&mut self) {
        let detailed = self.detailed && self.limited;
        *self = Self { detailed, limited: !self.limited };
    }

    fn is_last(&self) -> bool {
        !self.detailed && !self.limited
    }
}

#[derive(Default, Deserialize)]
struct Page {
    keys: Vec<String>,
    #[serde(default)]
    key_info: BTreeMap<String, Told>,
    /// The engine of version 1 knows no pages and no metadata.
    #[serde(skip)]
    is_whole: bool,
}

pub(super) fn refer(name: SecretName, namespace: Option<&Namespace>) -> SecretRef {
    let secret = SecretRef::from(name);
    match namespace {
        Some(namespace) => secret.with_namespace(namespace.clone()),
        None => secret,
    }
}
