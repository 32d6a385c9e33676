//! Writing: read, compare, apply on the state that was read.
//!
//! An apply is never forced, and always says what it is based on, so that its answer is exact
//! whoever else writes: nothing was there, or this state was.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::{HeaderValue, Method, header};
use kube::core::params::GetParams;
use pipe_core::secrets::{Change, SecretVersion, WriteOutcome};
use pipe_core::{Error, ErrorKind, Result, SecretData};

use crate::client::{built, with_body};
use crate::error::{Asked, Fault, malformed};
use crate::names::{NAME_ANNOTATION, is_label_value, is_qualified_name};
use crate::object::Place;
use crate::plugin::Inner;
use crate::secret::{Applied, Before, ManagedFields, Precondition, Stored, version};

/// How often a write is tried again when others write the same Secret.
const WRITE_ATTEMPTS: u32 = 10;
/// The server's limit for all annotations of an object, with room for the one of ours.
const ANNOTATION_BYTES: usize = (256 << 10) - 1024;

/// What a write sets besides the data. What is not set stays as it was.
///
/// ```
/// use pipe_secrets_k8s::SecretOptions;
///
/// let options = SecretOptions::new()
///     .with_label("app.kubernetes.io/part-of", "bots")
///     .with_type("kubernetes.io/tls");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecretOptions {
    /// Labels that our field manager owns from then on; those of ours that are not in it are
    /// removed. `None` leaves all as they are.
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations, as with [`labels`](Self::labels).
    pub annotations: Option<BTreeMap<String, String>>,
    /// The type, such as `Opaque`, `kubernetes.io/tls` or `kubernetes.io/dockerconfigjson`. It
    /// cannot be changed later.
    pub secret_type: Option<String>,
    /// Whether the data can never be changed again.
    pub immutable: Option<bool>,
}

impl SecretOptions {
    /// Nothing but the data.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a label.
    #[must_use]
    pub fn with_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.get_or_insert_default().insert(name.into(), value.into());
        self
    }

    /// Adds an annotation. It is not secret.
    #[must_use]
    pub fn with_annotation(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.get_or_insert_default().insert(name.into(), value.into());
        self
    }

    /// The type.
    #[must_use]
    pub fn with_type(self, secret_type: impl Into<String>) -> Self {
        Self { secret_type: Some(secret_type.into()), ..self }
    }

    /// The data can never be changed again; the Secret can be deleted.
    #[must_use]
    pub fn immutable(self) -> Self {
        Self { immutable: Some(true), ..self }
    }

    pub(crate) fn check(&self, data: &SecretData) -> Result<()> {
        let fault = |message: &'static str, name: &str, hint: &'static str| {
            Err(Error::new(ErrorKind::InvalidArgument, message)
                .with("name", format_args!("{name:?}"))
                .hint(hint))
        };
        for (name, value) in self.labels.iter().flatten() {
            if !is_qualified_name(name) || !is_label_value(value) {
                let hint = "use up to 63 of A-Z a-z 0-9 - _ . with a letter or digit at both ends, for a name \
                            also a DNS prefix and a slash before";
                return fault("not a label of Kubernetes", name, hint);
            }
        }
        let annotations = self.annotations.iter().flatten();
        for (name, _) in annotations.clone() {
            if !is_qualified_name(&name.to_ascii_lowercase()) {
                let hint = "use up to 63 of A-Z a-z 0-9 - _ ., also after a DNS prefix and a slash";
                return fault("not an annotation of Kubernetes", name, hint);
            }
            if name == NAME_ANNOTATION {
                return fault("the annotation is the plugin's own", name, "use another name");
            }
        }
        if annotations.map(|(name, value)| name.len() + value.len()).sum::<usize>()
            > ANNOTATION_BYTES
        {
            return fault("the annotations are too large", "", "keep them below 255 KiB together");
        }
        self.secret_type.as_deref().map_or(Ok(()), |kind| check_type(kind, data))
    }
}

/// The types that Kubernetes knows need certain keys.
fn check_type(kind: &str, data: &SecretData) -> Result<()> {
    let needed: &[&[&str]] = match kind {
        "kubernetes.io/tls" => &[&["tls.crt"], &["tls.key"]],
        "kubernetes.io/dockerconfigjson" => &[&[".dockerconfigjson"]],
        "kubernetes.io/dockercfg" => &[&[".dockercfg"]],
        "kubernetes.io/basic-auth" => &[&["username", "password"]],
        "kubernetes.io/ssh-auth" => &[&["ssh-privatekey"]],
        _ => &[],
    };
    let fault = |message: &'static str, hint: String| {
        Err(Error::new(ErrorKind::InvalidArgument, message)
            .with("type", format_args!("{kind:?}"))
            .hint(hint))
    };
    if kind == "kubernetes.io/service-account-token" {
        let hint = "request a token with `Kubernetes::service_account_token` instead".to_owned();
        return fault("tokens of this type never expire and are not made here", hint);
    }
    if kind.is_empty() || kind.len() > 253 || !kind.bytes().all(|b| b.is_ascii_graphic()) {
        return fault("not a type of a Secret", "use printable ASCII, as Opaque".to_owned());
    }
    match needed.iter().find(|keys| !keys.iter().any(|key| data.get(key).is_some())) {
        None => {}
        Some(keys) => {
            return fault(
                "a key that the type needs is missing",
                format!("add {}", keys.join(" or ")),
            );
        }
    }
    let json = [".dockerconfigjson", ".dockercfg"].iter().filter_map(|key| data.get(key));
    let is_object = |value: &pipe_core::SecretValue| {
        serde_json::from_slice::<BTreeMap<String, serde::de::IgnoredAny>>(value.expose()).is_ok()
    };
    if kind.starts_with("kubernetes.io/docker") && !json.into_iter().all(is_object) {
        let hint = "store what `docker login` writes".to_owned();
        return fault("the value that the type needs is no JSON object", hint);
    }
    Ok(())
}

/// Whether, and on what, a write is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Only {
    Always,
    IfAbsent,
    If(SecretVersion),
}

impl Inner {
    pub(crate) async fn write(
        &self,
        place: &Place<'_>,
        data: &SecretData,
        options: &SecretOptions,
        only: Only,
    ) -> Result<WriteOutcome> {
        let mut attempt = 0;
        loop {
            match self.write_once(place, data, options, only).await? {
                Written::Done(outcome) => return Ok(outcome),
                // Compare-and-set is for the caller to repeat, with data based on the new state.
                Written::Stale(error) if only != Only::Always || attempt >= WRITE_ATTEMPTS => {
                    return Err(error);
                }
                Written::Stale(_) => {
                    attempt += 1;
                    let longest = 5_u64 << attempt.min(5);
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=longest))).await;
                }
            }
        }
    }

    async fn write_once(
        &self,
        place: &Place<'_>,
        data: &SecretData,
        options: &SecretOptions,
        only: Only,
    ) -> Result<Written> {
        let before = self.before(place).await?;
        let stale = || {
            let error = Error::new(ErrorKind::Conflict, "the Secret is not in the expected state");
            Err(error.hint("read the current state, then decide whether to write again"))
        };
        let Some(before) = before else {
            return match only {
                Only::If(_) => stale(),
                Only::Always | Only::IfAbsent => {
                    self.apply(place, data, &Owned::of_new(place, options), None).await
                }
            };
        };
        match only {
            Only::IfAbsent => {
                return Err(Error::new(ErrorKind::Conflict, "the Secret exists already")
                    .hint("read it, then decide whether to write again"));
            }
            Only::If(expected) if version(&before.metadata.resource_version) != Some(expected) => {
                return stale();
            }
            Only::Always | Only::If(_) => {}
        }
        check_type_kept(&before, options)?;
        let stored = before.data.as_ref().map(|data| data.0.clone()).unwrap_or_default();
        let owned = Owned::of(&before, place, options, &self.field_manager);
        if stored == *data && owned.is_there(&before) {
            let outcome = WriteOutcome::new(Change::Unchanged);
            let version = version(&before.metadata.resource_version);
            return Ok(Written::Done(match version {
                Some(version) => outcome.with_version(version),
                None => outcome,
            }));
        }
        if before.immutable == Some(true) && stored != *data {
            return Err(Error::new(ErrorKind::Conflict, "the Secret is immutable")
                .hint("delete it and create it anew, or write under another name"));
        }
        self.check_ownership(&before, &stored, data)?;
        self.apply(place, data, &owned, Some(&before)).await
    }

    async fn before(&self, place: &Place<'_>) -> Result<Option<Before>> {
        let asked = Asked::secret(&["get"], place.namespace, &place.object);
        let secrets = place.secrets(&self.client);
        let answer =
            self.client.send(|| built(secrets.get(&place.object, &GetParams::default()))).await?;
        if answer.error_kind().is_none() {
            let before = serde_json::from_slice(&answer.body);
            return before.map(Some).map_err(|_| malformed(&answer));
        }
        match Fault::of(&answer, &asked) {
            Fault::Absent => Ok(None),
            fault => Err(fault.error(&answer, &asked)),
        }
    }

    /// An apply takes away the keys that only we own. Keys of others would stay, and the write
    /// would be half of what was asked for; so it is refused before. So is what the server would
    /// refuse, because it is known here who the other is.
    fn check_ownership(
        &self,
        before: &Before,
        stored: &SecretData,
        data: &SecretData,
    ) -> Result<()> {
        let differs = |key: &&str| stored.get(key) != data.get(key);
        for key in stored.keys().filter(differs) {
            let field = format!("f:{key}");
            let mut others = self.others(before).filter(|other| other.owns(["f:data", &field]));
            let ours = self.ours(before).is_some_and(|ours| ours.owns(["f:data", &field]));
            let other = others.next();
            if other.is_some() || !ours {
                let error = Error::new(ErrorKind::Conflict, "another field manager owns the field")
                    .with("field", format_args!("data.{key}"))
                    .with("manager", other.map_or("unknown", |other| &other.manager));
                return Err(error.hint(
                    "let one of the two write the key; to take the Secret over, delete it and create it anew, or \
                     set `field_manager` to the other's name where both are the same program",
                ));
            }
        }
        Ok(())
    }

    fn ours<'a>(&self, before: &'a Before) -> Option<&'a ManagedFields> {
        before.metadata.managed_fields.iter().flatten().find(|fields| self.is_ours(fields))
    }

    fn others<'a>(&self, before: &'a Before) -> impl Iterator<Item = &'a ManagedFields> {
        before.metadata.managed_fields.iter().flatten().filter(|fields| !self.is_ours(fields))
    }

    fn is_ours(&self, fields: &ManagedFields) -> bool {
        is_ours(fields, &self.field_manager)
    }

    async fn apply(
        &self,
        place: &Place<'_>,
        data: &SecretData,
        owned: &Owned,
        before: Option<&Before>,
    ) -> Result<Written> {
        let (precondition, verbs): (_, &[&str]) = match before {
            // An apply that creates needs both verbs, and can be allowed for single names.
            None => (Precondition::Absent, &["patch", "create"]),
            Some(Before { metadata, .. }) => {
                let (uid, resource_version) = (&*metadata.uid, &*metadata.resource_version);
                (Precondition::Is { uid, resource_version }, &["patch"])
            }
        };
        let applied = Applied {
            name: &place.object,
            precondition,
            data,
            labels: &owned.labels,
            annotations: &owned.annotations,
            kind: owned.kind.as_deref(),
            immutable: owned.immutable,
        };
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("fieldManager", &self.field_manager)
            .finish();
        let url = format!("{}/{}?{query}", place.url(&self.client), place.object);
        let answer = self
            .client
            .send(|| {
                let body = applied.body().ok_or_else(|| {
                    Error::new(ErrorKind::InvalidArgument, "the secret cannot be written as JSON")
                })?;
                let mut request = with_body(Method::PATCH, url.clone(), body)?;
                let form = HeaderValue::from_static("application/apply-patch+yaml");
                request.headers_mut().insert(header::CONTENT_TYPE, form);
                Ok(request)
            })
            .await?;
        let asked = Asked::secret(verbs, place.namespace, &place.object);
        if answer.error_kind().is_some() {
            let fault = Fault::of(&answer, &asked);
            let error = fault.error(&answer, &asked);
            return match fault {
                Fault::Stale | Fault::AlreadyExists => Ok(Written::Stale(error)),
                _ => Err(error),
            };
        }
        let stored = serde_json::from_slice::<Stored<'_>>(&answer.body);
        let stored = stored.map_err(|_| malformed(&answer))?;
        let change = match answer.status {
            201 => Change::Created,
            _ => Change::Updated,
        };
        let outcome = WriteOutcome::new(change);
        Ok(Written::Done(match version(&stored.metadata.resource_version) {
            Some(version) => outcome.with_version(version),
            None => outcome,
        }))
    }
}

enum Written {
    Done(WriteOutcome),
    /// The state that the write was based on is gone.
    Stale(Error),
}

/// What our manager owns after the write, besides the data: an apply gives up whatever it leaves
/// out, so what was ours and is not to change is sent again.
struct Owned {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    kind: Option<String>,
    immutable: Option<bool>,
    /// Whether a label or an annotation that was ours is given up.
    drops: bool,
}

impl Owned {
    fn of_new(place: &Place<'_>, options: &SecretOptions) -> Self {
        let mut annotations = options.annotations.clone().unwrap_or_default();
        annotations.extend(place.annotation());
        Self {
            labels: options.labels.clone().unwrap_or_default(),
            annotations,
            kind: options.secret_type.clone(),
            immutable: options.immutable,
            drops: false,
        }
    }

    fn of(before: &Before, place: &Place<'_>, options: &SecretOptions, manager: &str) -> Self {
        let metadata = &before.metadata;
        let ours = metadata.managed_fields.iter().flatten().find(|fields| is_ours(fields, manager));
        let kept = |stored: &Option<BTreeMap<String, String>>, part| {
            let path = ["f:metadata", part];
            let names: BTreeSet<_> =
                ours.into_iter().flat_map(|ours| ours.names(&path).collect::<Vec<_>>()).collect();
            let stored = stored.iter().flatten();
            let kept = stored.filter(|(name, _)| names.contains(name.as_str()));
            kept.map(|(name, value)| (name.clone(), value.clone())).collect::<BTreeMap<_, _>>()
        };
        let own_labels = kept(&metadata.labels, "f:labels");
        let own_annotations = kept(&metadata.annotations, "f:annotations");
        let labels = options.labels.clone().unwrap_or_else(|| own_labels.clone());
        let mut annotations =
            options.annotations.clone().unwrap_or_else(|| own_annotations.clone());
        annotations.extend(place.annotation());
        Self {
            drops: own_labels.keys().any(|name| !labels.contains_key(name))
                || own_annotations.keys().any(|name| !annotations.contains_key(name)),
            labels,
            annotations,
            kind: before.kind.clone().or_else(|| options.secret_type.clone()),
            immutable: options.immutable.or(before.immutable.filter(|immutable| *immutable)),
        }
    }

    /// Whether the object has all of it already.
    fn is_there(&self, before: &Before) -> bool {
        let has = |stored: &Option<BTreeMap<String, String>>, wanted: &BTreeMap<String, String>| {
            wanted.iter().all(|(name, value)| {
                stored.as_ref().is_some_and(|stored| stored.get(name) == Some(value))
            })
        };
        !self.drops
            && has(&before.metadata.labels, &self.labels)
            && has(&before.metadata.annotations, &self.annotations)
            && self.kind.as_ref().is_none_or(|kind| before.kind.as_ref() == Some(kind))
            && self.immutable.is_none_or(|wanted| before.immutable.unwrap_or(false) == wanted)
    }
}

fn is_ours(fields: &ManagedFields, manager: &str) -> bool {
    fields.operation == "Apply" && fields.manager == manager && fields.subresource.is_empty()
}

/// A type cannot be changed, and the server would say so in terms of a field.
fn check_type_kept(before: &Before, options: &SecretOptions) -> Result<()> {
    match (&before.kind, &options.secret_type) {
        (Some(stored), Some(wanted)) if stored != wanted => {
            Err(Error::new(ErrorKind::Conflict, "the type of a Secret cannot be changed")
                .with("stored", stored)
                .with("wanted", wanted)
                .hint("delete the Secret and create it anew"))
        }
        _ => Ok(()),
    }
}
