//! Reading, deleting and listing Secrets.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
use kube::Resource as _;
use kube::core::Request;
use kube::core::params::{DeleteParams, GetParams, ListParams, Preconditions};
use pipe_core::secrets::{ListQuery, Secret, SecretVersion};
use pipe_core::{Error, ErrorKind, Namespace, Result, SecretName, SecretRef};
use serde::Deserialize;

use crate::client::{Client, built};
use crate::error::{Asked, Fault, malformed};
use crate::names::{NAME_ANNOTATION, check_namespace, namespace_or, object_name, secret_name};
use crate::plugin::Inner;
use crate::secret::Stored;

/// Where a secret is in the cluster.
pub(crate) struct Place<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) object: String,
    name: &'a SecretName,
}

impl<'a> Place<'a> {
    /// The place of a current secret.
    pub(crate) fn of(secret: &'a SecretRef, own: &'a str) -> Result<Self> {
        let namespace = namespace_or(secret.namespace.as_ref(), own)?;
        Ok(Self { namespace, object: object_name(&secret.name), name: &secret.name })
    }

    pub(crate) fn secrets(&self, client: &Client) -> Request {
        Request::new(self.url(client))
    }

    pub(crate) fn url(&self, client: &Client) -> String {
        secrets_url(client, self.namespace)
    }

    /// What tells the name of a secret whose object is called otherwise.
    pub(crate) fn annotation(&self) -> Option<(String, String)> {
        let differs = self.object != self.name.as_str();
        differs.then(|| (NAME_ANNOTATION.to_owned(), self.name.to_string()))
    }
}

fn secrets_url(client: &Client, namespace: &str) -> String {
    client.url(&KubernetesSecret::url_path(&(), Some(namespace)))
}

impl Inner {
    pub(crate) async fn get(&self, secret: &SecretRef) -> Result<Option<Secret>> {
        if secret.version.is_some() {
            return Err(Error::new(ErrorKind::Unsupported, "Kubernetes keeps no old versions")
                .hint("leave the version out of the reference"));
        }
        let place = Place::of(secret, &self.namespace)?;
        let asked = Asked::secret(&["get"], place.namespace, &place.object);
        let secrets = place.secrets(&self.client);
        let answer =
            self.client.send(|| built(secrets.get(&place.object, &GetParams::default()))).await?;
        if answer.error_kind().is_none() {
            let stored = serde_json::from_slice::<Stored<'_>>(&answer.body);
            let stored = stored.map_err(|_| malformed(&answer))?;
            return Ok(Some(stored.into_secret()));
        }
        match Fault::of(&answer, &asked) {
            Fault::Absent => Ok(None),
            fault => Err(fault.error(&answer, &asked)),
        }
    }

    /// `expected` is the version that has to be there.
    pub(crate) async fn delete(
        &self,
        place: &Place<'_>,
        expected: Option<SecretVersion>,
    ) -> Result<bool> {
        let asked = Asked::secret(&["delete"], place.namespace, &place.object);
        let secrets = place.secrets(&self.client);
        let preconditions = expected.map(|version| Preconditions {
            resource_version: Some(version.to_string()),
            uid: None,
        });
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
        let answer = self.client.send(|| built(secrets.delete(&place.object, &parameters))).await?;
        if answer.error_kind().is_none() {
            return Ok(true);
        }
        match Fault::of(&answer, &asked) {
            Fault::Absent => Ok(false),
            fault => Err(fault.error(&answer, &asked)),
        }
    }

    /// Names only: no value is on the wire.
    pub(crate) async fn list(&self, query: &ListQuery) -> Result<Vec<SecretRef>> {
        if let Some(namespace) = &query.namespace {
            check_namespace(namespace.as_str())?;
        }
        let mut from_the_beginning = 0;
        loop {
            match self.list_once(query).await {
                // The list took longer than the server keeps its state: five minutes.
                Err(error) if is_expired(&error) && from_the_beginning < 3 => {
                    from_the_beginning += 1;
                }
                found => return found,
            }
        }
    }

    async fn list_once(&self, query: &ListQuery) -> Result<Vec<SecretRef>> {
        let namespace = query.namespace.as_ref();
        let at = namespace.map_or(&*self.namespace, Namespace::as_str);
        let asked = Asked::secret(&["list"], at, "");
        let secrets = Request::new(secrets_url(&self.client, at));
        let mut found = Vec::new();
        let mut parameters = ListParams::default().limit(self.page_size);
        loop {
            let answer =
                self.client.expect(&asked, || built(secrets.list_metadata(&parameters))).await;
            let answer = match (answer, parameters.limit) {
                // Metadata can be large, too: that of 250 objects may not fit.
                (Err(error), Some(2..)) if error.context("max_body").is_some() => {
                    parameters.limit = parameters.limit.map(|limit| limit / 2);
                    continue;
                }
                (answer, _) => answer?,
            };
            let page = serde_json::from_slice::<Page<'_>>(&answer.body);
            let page = page.map_err(|_| malformed(&answer))?;
            for item in page.items.iter().flatten() {
                let annotation = item.metadata.annotations.as_ref();
                let annotation = annotation.and_then(|all| all.get(NAME_ANNOTATION));
                let name = secret_name(&item.metadata.name, annotation.map(|name| &**name));
                let below = |name: &SecretName| {
                    query.prefix.as_ref().is_none_or(|prefix| name.is_below(prefix))
                };
                match name {
                    Some(name) if below(&name) => found.push(refer(name, namespace)),
                    Some(_) => {}
                    None => tracing::debug!(
                        namespace = at,
                        "a Secret has a name that no reference leads to"
                    ),
                }
                if found.len() > query.limit {
                    return Err(query.too_many());
                }
            }
            match page.metadata.next {
                Some(next) if next.is_empty() => break,
                Some(next) if parameters.continue_token.as_deref() == Some(&next) => {
                    return Err(Error::new(ErrorKind::Unexpected, "the server repeats a page"));
                }
                Some(next) => parameters.continue_token = Some(next.into_owned()),
                None => break,
            }
        }
        found.sort();
        Ok(found)
    }
}

fn is_expired(error: &Error) -> bool {
    error.context("status") == Some("410")
}

fn refer(name: SecretName, namespace: Option<&Namespace>) -> SecretRef {
    let secret = SecretRef::from(name);
    match namespace {
        Some(namespace) => secret.with_namespace(namespace.clone()),
        None => secret,
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    metadata: PageMetadata<'a>,
    /// `null` in an empty list of an old server.
    #[serde(borrow, default)]
    items: Option<Vec<Item<'a>>>,
}

#[derive(Deserialize)]
struct PageMetadata<'a> {
    #[serde(borrow, default, rename = "continue")]
    next: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    metadata: ItemMetadata<'a>,
}

#[derive(Deserialize)]
struct ItemMetadata<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    annotations: Option<BTreeMap<String, String>>,
}
