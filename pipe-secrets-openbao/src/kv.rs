//! The KV v2 engine: reading with version and metadata in one call, writing with check-and-set,
//! soft delete, listing page by page.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use pipe_core::secrets::{Change, ListQuery, Secret, SecretVersion, WriteOutcome};
use pipe_core::{Error, ErrorKind, Namespace, Result, SecretData, SecretName, SecretRef};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use vaultrs::api::kv2::requests::{
    DeleteLatestSecretVersionRequest, ReadSecretMetadataRequest, ReadSecretRequest,
};
use zeroize::Zeroizing;

use crate::client::{Client, Policy};
use crate::error::{Asked, Fault};
use crate::transport::{Answer, Call};
use crate::value::{Outgoing, incoming};

/// How often a write is tried again when others write the same secret.
const WRITE_ATTEMPTS: u32 = 10;
const NAMESPACES_REMEMBERED: usize = 1024;

/// A KV v2 engine.
#[derive(Debug)]
pub(crate) struct Kv {
    mount: SecretName,
    page_size: u32,
    /// The namespaces whose mount is known to be a KV v2 engine.
    checked: Mutex<HashSet<Option<Namespace>>>,
}

/// What a read found.
enum Found {
    Secret(Secret),
    /// Nothing, or nothing any more: then with the version of the delete.
    Nothing {
        last: u64,
    },
}

#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    data: Option<BTreeMap<String, &'a RawValue>>,
    metadata: Version,
}

#[derive(Deserialize)]
struct Version {
    created_time: String,
    version: u64,
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

#[derive(Default, Deserialize)]
struct Page {
    keys: Vec<String>,
    #[serde(default)]
    key_info: BTreeMap<String, Metadata>,
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

impl Kv {
    pub(crate) fn new(mount: SecretName, page_size: u32) -> Self {
        Self { mount, page_size, checked: Mutex::default() }
    }

    fn path(&self, kind: &str, name: &str) -> String {
        format!("{}/{kind}/{name}", self.mount)
    }

    pub(crate) async fn get(&self, client: &Client, secret: &SecretRef) -> Result<Option<Secret>> {
        match self.read(client, secret).await? {
            Found::Secret(secret) => Ok(Some(secret)),
            Found::Nothing { .. } => Ok(None),
        }
    }

    async fn read(&self, client: &Client, secret: &SecretRef) -> Result<Found> {
        // The server takes 0 for the current version, and refuses what its numbers cannot hold.
        let never =
            |version: SecretVersion| i64::try_from(version.number()).map_or(true, |v| v == 0);
        if secret.version.is_some_and(never) {
            return Ok(Found::Nothing { last: 0 });
        }
        let request = || ReadSecretRequest {
            mount: self.mount.to_string(),
            path: secret.name.to_string(),
            version: secret.version.map(SecretVersion::number),
        };
        let answer = client.send(secret.namespace.as_ref(), Policy::Reconsider, request).await?;
        if answer.0.error_kind().is_none() {
            let stored = answer.data::<Stored<'_>>()?;
            let found = Secret::new(stored.data.as_ref().map(incoming).unwrap_or_default());
            let found = found.with_version(SecretVersion::new(stored.metadata.version));
            return Ok(Found::Secret(match time(&stored.metadata.created_time) {
                Some(at) => found.with_written_at(at),
                None => found,
            }));
        }
        match Fault::of(&answer.0, Asked::Work) {
            // A deleted or destroyed version is told apart by its metadata.
            Fault::Absent => {
                if let Ok(deleted) = answer.data::<Stored<'_>>() {
                    return Ok(Found::Nothing { last: deleted.metadata.version });
                }
                self.check_mount(client, secret.namespace.as_ref()).await?;
                Ok(Found::Nothing { last: 0 })
            }
            _ => Err(self.fault(client, &answer, &Place::data(secret), "read")),
        }
    }

    /// Writes what is not there yet, based on the version that was just read, so that nobody's
    /// write is lost unseen.
    pub(crate) async fn create(
        &self,
        client: &Client,
        secret: &SecretRef,
        data: &SecretData,
    ) -> Result<WriteOutcome> {
        let mut attempt = 0;
        loop {
            let (change, based_on) = match self.read(client, secret).await? {
                Found::Secret(stored) => {
                    let version = stored.version.unwrap_or(SecretVersion::new(0));
                    if stored.data == *data {
                        return Ok(WriteOutcome::new(Change::Unchanged).with_version(version));
                    }
                    (Change::Updated, version.number())
                }
                Found::Nothing { last } => (Change::Created, last),
            };
            let answer = self.write(client, secret, data, based_on).await?;
            if answer.0.error_kind().is_none() {
                let version = answer.data::<Version>()?;
                let version = SecretVersion::new(version.version);
                return Ok(WriteOutcome::new(change).with_version(version));
            }
            match Fault::of(&answer.0, Asked::Work) {
                Fault::CasMismatch if attempt < WRITE_ATTEMPTS => {
                    attempt += 1;
                    let longest = 5_u64 << attempt.min(5);
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=longest))).await;
                }
                _ => {
                    let place = Place::data(secret);
                    return Err(self.fault(client, &answer, &place, "create` and `update"));
                }
            }
        }
    }

    async fn write(
        &self,
        client: &Client,
        secret: &SecretRef,
        data: &SecretData,
        based_on: u64,
    ) -> Result<Answer> {
        #[derive(Serialize)]
        struct Body<'a> {
            data: Outgoing<'a>,
            options: Options,
        }
        #[derive(Serialize)]
        struct Options {
            cas: u64,
        }
        // Room for most secrets at once: growing would leave copies behind.
        let mut body = Zeroizing::new(Vec::with_capacity(data.size() * 2 + data.len() * 64 + 1024));
        let content = Body { data: Outgoing(data), options: Options { cas: based_on } };
        serde_json::to_writer(&mut *body, &content).map_err(|_| {
            Error::new(ErrorKind::InvalidArgument, "the secret cannot be written as JSON")
        })?;
        let call = Call::post(self.path("data", secret.name.as_str()), body);
        client.send(secret.namespace.as_ref(), Policy::Reconsider, || call.clone()).await
    }

    /// Soft delete of the current version; older ones stay readable by their number.
    pub(crate) async fn delete(&self, client: &Client, secret: &SecretRef) -> Result<bool> {
        if let Found::Nothing { .. } = self.read(client, secret).await? {
            return Ok(false);
        }
        let request = || DeleteLatestSecretVersionRequest {
            mount: self.mount.to_string(),
            path: secret.name.to_string(),
        };
        let answer = client.send(secret.namespace.as_ref(), Policy::Reconsider, request).await?;
        match answer.0.error_kind() {
            None => Ok(true),
            Some(_) => Err(self.fault(client, &answer, &Place::data(secret), "delete")),
        }
    }

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

    /// Makes sure, once per namespace, that "nothing is there" comes from a KV v2 engine: KV v1
    /// and the cubbyhole say it too, and would store a write in another form.
    async fn check_mount(&self, client: &Client, namespace: Option<&Namespace>) -> Result<()> {
        #[derive(Deserialize)]
        struct Mount {
            r#type: String,
            path: String,
            options: Option<BTreeMap<String, String>>,
        }
        let namespace = namespace.cloned();
        if self.checked().contains(&namespace) {
            return Ok(());
        }
        let call = Call::get(format!("sys/internal/ui/mounts/{}", self.mount));
        let answer = client.send(namespace.as_ref(), Policy::Accept, || call.clone()).await?;
        if answer.0.error_kind().is_none() {
            let mount = answer.data::<Mount>()?;
            let version = mount.options.as_ref().and_then(|options| options.get("version"));
            let is_kv2 = mount.r#type == "kv" && version.is_some_and(|version| version == "2");
            if !is_kv2 || mount.path.trim_end_matches('/') != self.mount.as_str() {
                let error = Error::new(ErrorKind::ConfigInvalid, "the mount is no KV v2 engine");
                return Err(error
                    .with("mount", &self.mount)
                    .hint("set `mount` to the mount of a KV v2 engine"));
            }
        } else {
            let error = Fault::of(&answer.0, Asked::Work).error(&answer.0);
            if error.is_retryable() {
                return Err(error);
            }
            // Whoever may do nothing at the mount is not told what it is.
        }
        let mut checked = self.checked();
        if checked.len() >= NAMESPACES_REMEMBERED {
            checked.clear();
        }
        checked.insert(namespace);
        Ok(())
    }

    fn checked(&self) -> MutexGuard<'_, HashSet<Option<Namespace>>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The error, with the path and, for a denial, the policy that would have allowed it.
    fn fault(
        &self,
        client: &Client,
        answer: &Answer,
        place: &Place<'_>,
        capability: &str,
    ) -> Error {
        let fault = Fault::of(&answer.0, Asked::Work);
        let mut path = self.path(place.kind, place.name);
        // A policy of the token's namespace names the namespaces below it.
        if let Some(namespace) = place.namespace {
            path = format!("{namespace}/{path}");
        }
        let error = fault.error(&answer.0);
        let error = match fault {
            Fault::Denied => error.hint(format!(
                "grant `{capability}` on \"{path}\" in a policy of {}",
                client.identity()
            )),
            _ => error,
        };
        error.with("path", path)
    }
}

/// Where in the engine a request went.
struct Place<'a> {
    namespace: Option<&'a Namespace>,
    kind: &'a str,
    name: &'a str,
}

impl<'a> Place<'a> {
    fn data(secret: &'a SecretRef) -> Self {
        Self { namespace: secret.namespace.as_ref(), kind: "data", name: secret.name.as_str() }
    }
}

fn refer(name: SecretName, namespace: Option<&Namespace>) -> SecretRef {
    let secret = SecretRef::from(name);
    match namespace {
        Some(namespace) => secret.with_namespace(namespace.clone()),
        None => secret,
    }
}

fn time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}
