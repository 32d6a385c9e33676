//! The KV v2 engine: reading with version and metadata in one call, writing with check-and-set,
//! soft delete.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use pipe_core::secrets::{Change, Secret, SecretVersion, WriteOutcome};
use pipe_core::{Error, ErrorKind, Namespace, Result, SecretData, SecretName, SecretRef};
use serde::{Deserialize, Serialize};
use vaultrs::api::kv2::requests::{DeleteLatestSecretVersionRequest, ReadSecretRequest};
use zeroize::Zeroizing;

use crate::client::{Client, Policy};
use crate::error::{Asked, Fault};
use crate::transport::{Answer, Call};
use crate::value::{Incoming, Outgoing};

/// How often a write is tried again when others write the same secret.
const WRITE_ATTEMPTS: u32 = 10;
const NAMESPACES_REMEMBERED: usize = 1024;

/// A KV v2 engine.
#[derive(Debug)]
pub(crate) struct Kv {
    pub(crate) mount: SecretName,
    pub(crate) page_size: u32,
    /// The namespaces whose mount is known to be a KV v2 engine.
    checked: Mutex<HashSet<Option<Namespace>>>,
    /// Whether the policy turned out not to show metadata.
    pub(crate) metadata_is_hidden: AtomicBool,
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
    data: Option<Incoming>,
    #[serde(borrow)]
    metadata: Version<'a>,
}

#[derive(Deserialize)]
struct Version<'a> {
    created_time: &'a str,
    version: u64,
}

impl Kv {
    pub(crate) fn new(mount: SecretName, page_size: u32) -> Self {
        Self {
            mount,
            page_size,
            checked: Mutex::default(),
            metadata_is_hidden: AtomicBool::new(false),
        }
    }

    pub(crate) fn path(&self, kind: &str, name: &str) -> String {
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
            mount: self.mount.as_str().to_owned(),
            path: secret.name.as_str().to_owned(),
            version: secret.version.map(SecretVersion::number),
        };
        let answer = client.send(secret.namespace.as_ref(), Policy::Reconsider, request).await?;
        if answer.0.error_kind().is_none() {
            let stored = answer.data::<Stored<'_>>()?;
            let found = Secret::new(stored.data.map(|data| data.0).unwrap_or_default());
            let found = found.with_version(SecretVersion::new(stored.metadata.version));
            return Ok(Found::Secret(match time(stored.metadata.created_time) {
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
                let version = answer.data::<Version<'_>>()?;
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

    /// Makes sure, once per namespace, that "nothing is there" comes from a KV v2 engine: KV v1
    /// and the cubbyhole say it too, and would store a write in another form.
    pub(crate) async fn check_mount(
        &self,
        client: &Client,
        namespace: Option<&Namespace>,
    ) -> Result<()> {
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

    /// The error, with the path and, for a denial, the policy that would have allowed it.
    pub(crate) fn fault(
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
pub(crate) struct Place<'a> {
    pub(crate) namespace: Option<&'a Namespace>,
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> Place<'a> {
    fn data(secret: &'a SecretRef) -> Self {
        Self { namespace: secret.namespace.as_ref(), kind: "data", name: secret.name.as_str() }
    }
}

pub(crate) fn time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}
