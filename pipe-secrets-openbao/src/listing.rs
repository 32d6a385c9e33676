//! Listing a KV v2 engine: all folders, page by page, without what was deleted.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use pipe_core::secrets::{ListQuery, SecretVersion};
use pipe_core::{Error, ErrorKind, Namespace, Result, SecretName, SecretRef};
use serde::Deserialize;
use vaultrs::api::kv2::requests::ReadSecretMetadataRequest;

use crate::client::{Client, Policy};
use crate::error::{Asked, Fault};
use crate::kv::{Kv, Place, time};
use crate::transport::Call;

impl Kv {
    /// Walks through all folders. What was deleted, and names that no [`SecretName`] can be, are
    /// left out: neither can be read.
    pub(crate) async fn list(&self, client: &Client, query: &ListQuery) -> Result<Vec<SecretRef>> {
        let mut found = Vec::new();
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
                let page = self.page(client, namespace, &folder, &after, &mut way).await?;
                let Some((last, _)) = page.last_key_value() else { break };
                // A server that ignores `after` would never come to an end.
                if *last <= after {
                    return Err(Error::new(ErrorKind::Unexpected, "the server repeats a page"));
                }
                after = last.clone();
                for (name, readable) in page {
                    let path = format!("{folder}{name}");
                    if name.ends_with('/') {
                        folders.push(path);
                    } else if readable {
                        match SecretName::new(&path) {
                            Ok(name) => found.push(refer(name, query.namespace.as_ref())),
                            Err(_) => tracing::debug!(folder, "a name cannot be addressed"),
                        }
                    }
                    if found.len() > query.limit || folders.len() > budget {
                        return Err(query.too_many());
                    }
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// The names after `after` in a folder, and whether each can be read; empty at the end.
    async fn page(
        &self,
        client: &Client,
        namespace: Option<&Namespace>,
        folder: &str,
        after: &str,
        way: &mut ListWay,
    ) -> Result<BTreeMap<String, bool>> {
        let page = self.fetch(client, namespace, folder, after, way).await?;
        let mut names = BTreeMap::new();
        for name in page.keys {
            let readable = if name.ends_with('/') {
                true
            } else if way.detailed {
                page.key_info.get(&name).is_some_and(Metadata::is_readable)
            } else {
                let path = format!("{folder}{name}");
                SecretName::new(&path).is_ok() && self.is_readable(client, namespace, &path).await?
            };
            names.insert(name, readable);
        }
        Ok(names)
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
                Fault::Absent => {
                    self.check_mount(client, namespace).await?;
                    return Ok(Page::default());
                }
                Fault::Denied | Fault::PathUnsupported if !way.is_last() => way.step_down(),
                _ => {
                    let place = Place { namespace, kind, name: folder };
                    return Err(self.fault(client, &answer, &place, "list"));
                }
            }
        }
    }

    /// Whether this version is the one that is read now; what the policy hides is not known to be.
    pub(crate) async fn is_current(
        &self,
        client: &Client,
        secret: &SecretRef,
        version: Option<SecretVersion>,
    ) -> Result<bool> {
        if self.metadata_is_hidden.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let request = || ReadSecretMetadataRequest {
            mount: self.mount.to_string(),
            path: secret.name.to_string(),
        };
        let answer = client.send(secret.namespace.as_ref(), Policy::Accept, request).await?;
        if answer.0.error_kind().is_none() {
            let metadata = answer.data::<Metadata>()?;
            let current = SecretVersion::new(metadata.current_version);
            return Ok(version == Some(current) && metadata.is_readable());
        }
        match Fault::of(&answer.0, Asked::Work) {
            Fault::Absent => Ok(false),
            Fault::Denied => {
                self.metadata_is_hidden.store(true, Ordering::Relaxed);
                Ok(false)
            }
            _ => {
                let place = Place {
                    namespace: secret.namespace.as_ref(),
                    kind: "metadata",
                    name: secret.name.as_str(),
                };
                Err(self.fault(client, &answer, &place, "read"))
            }
        }
    }

    async fn is_readable(
        &self,
        client: &Client,
        namespace: Option<&Namespace>,
        name: &str,
    ) -> Result<bool> {
        let request =
            || ReadSecretMetadataRequest { mount: self.mount.to_string(), path: name.to_owned() };
        let answer = client.send(namespace, Policy::Reconsider, request).await?;
        if answer.0.error_kind().is_none() {
            let metadata = answer.data::<Metadata>()?;
            return Ok(metadata.is_readable());
        }
        match Fault::of(&answer.0, Asked::Work) {
            Fault::Absent => Ok(false),
            _ => {
                let place = Place { namespace, kind: "metadata", name };
                Err(self.fault(client, &answer, &place, "read"))
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
    key_info: BTreeMap<String, Metadata>,
}

/// The part of a secret's metadata that tells whether it can be read.
#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    current_version: u64,
    #[serde(default)]
    versions: BTreeMap<String, VersionState>,
}

#[derive(Deserialize)]
struct VersionState {
    deletion_time: String,
    destroyed: bool,
}

impl Metadata {
    fn is_readable(&self) -> bool {
        self.versions.get(&self.current_version.to_string()).is_some_and(|version| {
            // A time in the future is a planned delete.
            let deleted = time(&version.deletion_time).is_some_and(|at| at <= SystemTime::now());
            !version.destroyed && !deleted
        })
    }
}

fn refer(name: SecretName, namespace: Option<&Namespace>) -> SecretRef {
    let secret = SecretRef::from(name);
    match namespace {
        Some(namespace) => secret.with_namespace(namespace.clone()),
        None => secret,
    }
}
