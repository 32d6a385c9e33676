//! Finding secrets by their names and by what was noted on them.

use std::collections::BTreeMap;

use pipe_core::secrets::ListQuery;
use pipe_core::{Error, ErrorKind, Result, SecretName, SecretRef};
use serde::Deserialize;

use super::listing::refer;
use super::metadata::Told;
use super::{Kv, SecretMetadata};
use crate::client::{Client, Policy};
use crate::error::{Asked, Fault};
use crate::transport::Call;

/// Which secrets to find: those that meet all of this, whether or not they are deleted.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FindQuery {
    /// Where to look, and how many to find at most.
    pub list: ListQuery,
    /// A part of the last segment of the name.
    pub name_contains: Option<String>,
    /// What was noted on them (`custom_metadata`), value for value.
    pub tags: BTreeMap<String, String>,
}

impl FindQuery {
    /// All secrets of the plugin's own namespace, up to 10,000.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where to look, and how many to find at most.
    #[must_use]
    pub fn with_list(self, list: ListQuery) -> Self {
        Self { list, ..self }
    }

    /// Only secrets whose last segment has this in it.
    #[must_use]
    pub fn with_name_containing(self, part: impl Into<String>) -> Self {
        Self { name_contains: Some(part.into()), ..self }
    }

    /// Only secrets on which this was noted.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    fn fits(&self, name: &SecretName, metadata: &SecretMetadata) -> bool {
        let last = name.segments().last().unwrap_or_default();
        self.name_contains.as_ref().is_none_or(|part| last.contains(part))
            && self.tags.iter().all(|(key, value)| metadata.custom.get(key) == Some(value))
    }
}

/// A secret that was found. Its values were not read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundSecret {
    /// Which one.
    pub secret: SecretRef,
    /// Its metadata.
    pub metadata: SecretMetadata,
}

impl Kv {
    /// In one call where the policy grants `scan`, else folder by folder and page by page.
    pub(crate) async fn find(
        &self,
        client: &Client,
        query: &FindQuery,
    ) -> Result<Vec<FoundSecret>> {
        self.only_v2(client, query.list.namespace.as_ref()).await?;
        let mut found = Vec::new();
        let mut keep = |name: SecretName, metadata: SecretMetadata| {
            if query.fits(&name, &metadata) {
                let secret = refer(name, query.list.namespace.as_ref());
                found.push(FoundSecret { secret, metadata });
            }
            match found.len() > query.list.limit {
                true => Err(query.list.too_many()),
                false => Ok(()),
            }
        };
        match self.scan(client, query).await? {
            Some(all) => {
                for (name, metadata) in all {
                    keep(name, metadata)?;
                }
            }
            None => self.walk(client, &query.list, keep).await?,
        }
        found.sort_by(|one, other| one.secret.cmp(&other.secret));
        Ok(found)
    }

    /// All names and metadata below the prefix; `None` where the server or the policy does not
    /// tell them in one call.
    async fn scan(
        &self,
        client: &Client,
        query: &FindQuery,
    ) -> Result<Option<Vec<(SecretName, SecretMetadata)>>> {
        #[derive(Deserialize)]
        struct Scanned {
            #[serde(default)]
            key_info: BTreeMap<String, Told>,
        }
        let folder = query.list.prefix.as_ref().map(|p| format!("{p}/")).unwrap_or_default();
        let path = self.path("detailed-metadata", &folder);
        let call = Call::get_with(path, "scan=true".to_owned());
        let namespace = query.list.namespace.as_ref();
        let answer = match client.send(namespace, Policy::Accept, || call.clone()).await {
            Ok(answer) => answer,
            // Longer than `max_body`: pages are not.
            Err(error) if is_too_long(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if answer.0.error_kind().is_some() {
            return match Fault::of(&answer.0, Asked::Work) {
                Fault::Denied | Fault::PathUnsupported | Fault::Absent => Ok(None),
                fault => Err(fault.error(&answer.0)),
            };
        }
        let scanned = answer.data::<Scanned>()?;
        let named = scanned.key_info.into_iter().filter_map(|(name, told)| {
            let name = SecretName::new(format!("{folder}{name}"));
            // What cannot be addressed cannot be read either.
            Some((name.ok()?, told.into()))
        });
        Ok(Some(named.collect()))
    }
}

fn is_too_long(error: &Error) -> bool {
    error.kind() == ErrorKind::Unexpected && error.context("max_body").is_some()
}
