//! Reading and listing. Whatever is not there is told from what we mistyped or may not see.

use std::collections::{BTreeMap, BTreeSet};

use http::HeaderValue;
use http::header::ETAG;
use pipe_core::secrets::ListQuery;
use pipe_core::{Error, ErrorKind, Result, SecretData, SecretRef};
use pipe_http::HttpResponse;
use url::form_urlencoded::Serializer;

use crate::api::{Call, Version};
use crate::error::{Asked, Fault, malformed, refusal};
use crate::names;
use crate::place::Place;
use crate::plugin::Inner;
use crate::row::{self, Listing};

/// A secret that nobody has, whose absence tells that its environment is there.
const NOBODYS: &str = "PIPE_IS_ANYBODY_THERE";

/// Which secrets to find besides what a [`ListQuery`] says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecretFilter {
    /// Only with one of these tags, by their slugs; with or without tags when empty.
    pub tags: BTreeSet<String>,
    /// Only with all of this metadata, on one of their keys. Servers before 2025 do not know it.
    pub metadata: BTreeMap<String, String>,
}

impl SecretFilter {
    /// All secrets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only with this tag, or another that is asked for.
    #[must_use]
    pub fn with_tag(mut self, slug: impl Into<String>) -> Self {
        self.tags.insert(slug.into());
        self
    }

    /// Only with this metadata, and all other that is asked for.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// As a query has them, each with `&` in front.
    fn switches(&self) -> Result<String> {
        let texts = self.metadata.iter().flat_map(|(key, value)| [key, value]).chain(&self.tags);
        if let Some(text) = texts.into_iter().find(|text| text.contains([',', '|', '='])) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the filter has `,`, `|` or `=` in it",
            )
            .with("text", format_args!("{text:?}"))
            .hint("filter by tags and metadata without these characters"));
        }
        if *self == Self::default() {
            return Ok(String::new());
        }
        let mut switches = Serializer::for_suffix("&".to_owned(), 1);
        if !self.tags.is_empty() {
            let tags: Vec<_> = self.tags.iter().map(String::as_str).collect();
            switches.append_pair("tagSlugs", &tags.join(","));
        }
        if !self.metadata.is_empty() {
            let pair = |(key, value): (&String, &String)| format!("key={key},value={value}");
            let pairs: Vec<_> = self.metadata.iter().map(pair).collect();
            switches.append_pair("metadataFilter", &pairs.join("|"));
        }
        Ok(switches.finish())
    }
}

/// The value of a secret with the tag by which the server knows it.
#[derive(Clone)]
pub(crate) struct Kept {
    tag: HeaderValue,
    data: SecretData,
}

impl Inner {
    /// What is stored in a folder; `None` when nothing is.
    pub(crate) async fn read(&self, place: &Place) -> Result<Option<SecretData>> {
        let kept = self.kept.as_ref().and_then(|kept| kept.get(place));
        let tag = kept.as_ref().map(|kept| kept.tag.clone());
        let answer = self.api.send(|version| Ok(self.list(version, place, tag.clone()))).await?;
        if let (304, Some(kept)) = (answer.status, kept) {
            return Ok(Some(kept.data));
        }
        let data = self.decode(&answer)?;
        let Some(data) = data.filter(|data| !data.is_empty()) else {
            self.forget(place);
            self.check_environment(place).await?;
            return Ok(None);
        };
        self.know(place);
        if let (Some(kept), Some(tag)) = (&self.kept, answer.headers.get(ETAG)) {
            kept.insert(place.clone(), Kept { tag: tag.clone(), data: data.clone() });
        }
        Ok(Some(data))
    }

    fn list(&self, version: Version, place: &Place, tag: Option<HeaderValue>) -> Call {
        let query = version.query(place, &self.switches);
        Call::get(version.secrets(), query).if_changed_from(tag)
    }

    /// The data of an answer; `None` where the folder is missing.
    pub(crate) fn decode(&self, answer: &HttpResponse) -> Result<Option<SecretData>> {
        if answer.error_kind().is_some() {
            return match Fault::of(answer, Asked::Work) {
                Fault::FolderMissing => Ok(None),
                fault => Err(fault.error(answer)),
            };
        }
        let listing = row::parse::<Listing<'_>>(answer);
        let data = listing.map(|listing| listing.data()).transpose()?.flatten();
        data.map(Some).ok_or_else(|| malformed(answer))
    }

    /// Makes sure that a place where nothing was found is in an environment that exists: older
    /// servers answer with an empty list whatever is asked for.
    pub(crate) async fn check_environment(&self, place: &Place) -> Result<()> {
        if self.is_known(place) {
            return Ok(());
        }
        let root = Place { path: "/".to_owned(), ..place.clone() };
        let switches = "viewSecretValue=false&expandSecretReferences=false&include_imports=false\
                        &includeImports=false";
        let call = |version: Version| {
            let query = version.query(&root, switches);
            Ok(Call::get(version.secrets(), query).about(NOBODYS))
        };
        let answer = self.api.send(call).await?;
        if answer.error_kind().is_some() {
            let fault = Fault::of(&answer, Asked::Work);
            if fault != Fault::SecretMissing {
                return Err(fault.error(&answer).with("environment", &place.environment));
            }
        }
        self.know(place);
        Ok(())
    }

    /// The secrets below a prefix that have what the filter asks for, without their values.
    pub(crate) async fn find(
        &self,
        query: &ListQuery,
        filter: &SecretFilter,
    ) -> Result<Vec<SecretRef>> {
        let root = self.home.root(query.namespace.as_ref())?;
        let place = match &query.prefix {
            Some(prefix) => {
                let path = names::folder(&self.home.folder, prefix)?;
                Place { path, ..root }
            }
            None => root,
        };
        let filter = filter.switches()?;
        let switches = format!(
            "viewSecretValue=false&expandSecretReferences=false&recursive=true\
             &include_imports=false&includeImports=false{filter}"
        );
        let call =
            |version: Version| Ok(Call::get(version.secrets(), version.query(&place, &switches)));
        let answer = self.api.send(call).await?;
        if answer.error_kind().is_some() {
            let fault = Fault::of(&answer, Asked::Work);
            if fault != Fault::FolderMissing {
                return Err(fault.error(&answer));
            }
            self.check_environment(&place).await?;
            return Ok(Vec::new());
        }
        let listing = row::parse::<Listing<'_>>(&answer).ok_or_else(|| malformed(&answer))?;
        if listing.secrets.is_empty() {
            self.check_environment(&place).await?;
        }
        let mut found = BTreeSet::new();
        for row in listing.secrets.iter().filter(|row| row.is_shared()) {
            let path = row.secret_path.as_deref().ok_or_else(|| malformed(&answer))?;
            let name = names::name_of(&self.home.folder, path);
            // A secret that is itself called as the prefix is not below it.
            let below = |name: &_| {
                query.prefix.as_ref().is_none_or(|p| pipe_core::SecretName::is_below(name, p))
            };
            found.extend(name.filter(below));
            if found.len() > query.limit {
                return Err(query.too_many());
            }
        }
        let namespaced = |name| match &query.namespace {
            None => SecretRef::from(name),
            Some(namespace) => SecretRef::from(name).with_namespace(namespace.clone()),
        };
        Ok(found.into_iter().map(namespaced).collect())
    }

    /// Forgets the value that was kept of a place.
    pub(crate) fn forget(&self, place: &Place) {
        if let Some(kept) = &self.kept {
            kept.remove(place);
        }
    }
}

/// What is asked of a folder besides its values, as a query has it.
pub(crate) fn switches(imports: bool, expand_references: bool) -> String {
    // Each version has its own spelling of imports, and ignores the other.
    format!(
        "viewSecretValue=true&expandSecretReferences={expand_references}&recursive=false\
         &include_imports={imports}&includeImports={imports}"
    )
}

/// The error of an answer that should have been a success.
pub(crate) fn expect_success(answer: &HttpResponse) -> Result<()> {
    match answer.error_kind() {
        None => Ok(()),
        Some(_) => Err(refusal(answer, Asked::Work)),
    }
}
