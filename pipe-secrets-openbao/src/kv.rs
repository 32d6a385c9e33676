//! The KV engines. Version 2: reading with version and metadata in one call, writing with
//! check-and-set, soft delete. Version 1 has none of it, and is found out by itself.

mod find;
mod listing;
mod metadata;
mod modify;
mod mount;
mod v1;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use pipe_core::secrets::{Change, ListQuery, Secret, SecretVersion, WriteOutcome};
use pipe_core::{Error, ErrorKind, Namespace, Result, SecretData, SecretName, SecretRef};
use serde::{Deserialize, Serialize};
use vaultrs::api::kv2::requests::{DeleteLatestSecretVersionRequest, ReadSecretRequest};
use zeroize::Zeroizing;

pub use self::find::{FindQuery, FoundSecret};
pub use self::metadata::{SecretMetadata, SecretState, VersionInfo, VersionState};
pub use self::modify::KeyChanges;
use self::mount::Mounts;
use crate::client::{Client, Policy};
use crate::error::{Asked, Fault};
use crate::transport::{Answer, Call};
use crate::value::{Incoming, Outgoing};

/// How often a write is tried again when others write the same secret.
const WRITE_ATTEMPTS: u32 = 10;
/// The custom metadata that says whose a secret is, as the External Secrets Operator has it.
const OWNER: &str = "managed-by";

/// Which KV engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    V1,
    V2,
}

impl Form {
    const fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

/// A KV engine.
#[derive(Debug)]
pub(crate) struct Kv {
    pub(crate) mount: SecretName,
    pub(crate) page_size: u32,
    /// The one that is configured; else it is found out.
    version: Option<Form>,
    owner: Option<String>,
    mounts: Mounts,
    /// Whether the policy turned out not to show metadata.
    metadata_is_hidden: AtomicBool,
}

/// What a read found.
enum Found {
    Secret(Secret, Owner),
    /// Nothing, or nothing any more.
    Nothing(SecretState, Owner),
}

/// Whose a secret is, as its custom metadata say.
type Owner = Option<String>;

#[derive(Deserialize)]
struct Stored<'a> {
    data: Option<Incoming>,
    #[serde(borrow)]
    metadata: Version<'a>,
}

#[derive(Deserialize)]
struct Version<'a> {
    created_time: &'a str,
    #[serde(default)]
    deletion_time: &'a str,
    #[serde(default)]
    destroyed: bool,
    version: u64,
    #[serde(default)]
    custom_metadata: Option<BTreeMap<String, String>>,
}

impl Kv {
    pub(crate) fn new(
        mount: SecretName,
        page_size: u32,
        version: Option<Form>,
        owner: Option<String>,
    ) -> Self {
        let metadata_is_hidden = AtomicBool::new(false);
        Self { mount, page_size, version, owner, mounts: Mounts::default(), metadata_is_hidden }
    }

    /// Whether old versions can be read, as far as the settings tell.
    pub(crate) fn has_versions(&self) -> bool {
        self.version != Some(Form::V1)
    }

    pub(crate) fn path(&self, kind: &str, name: &str) -> String {
        format!("{}/{kind}/{name}", self.mount)
    }

    /// Where a secret is, as policies have it.
    pub(crate) fn data_path(&self, secret: &SecretRef) -> String {
        match self.form(secret.namespace.as_ref()) {
            Form::V1 => format!("{}/{}", self.mount, secret.name),
            Form::V2 => self.path("data", secret.name.as_str()),
        }
    }

    /// Where the owner of a secret is noted, where one is.
    pub(crate) fn mark_path(&self, secret: &SecretRef) -> Option<String> {
        let is_noted = self.owner.is_some() && self.form(secret.namespace.as_ref()) == Form::V2;
        is_noted.then(|| self.path("metadata", secret.name.as_str()))
    }

    /// Where secrets are listed first, as policies have it.
    pub(crate) fn list_path(&self, query: &ListQuery) -> String {
        let folder = query.prefix.as_ref().map(|p| format!("{p}/")).unwrap_or_default();
        match self.form(query.namespace.as_ref()) {
            Form::V1 => format!("{}/{folder}", self.mount),
            Form::V2 => self.path("detailed-metadata", &folder),
        }
    }

    pub(crate) async fn get(&self, client: &Client, secret: &SecretRef) -> Result<Option<Secret>> {
        match self.read(client, secret).await? {
            Found::Secret(secret, _) => Ok(Some(secret)),
            Found::Nothing(..) => Ok(None),
        }
    }

    async fn read(&self, client: &Client, secret: &SecretRef) -> Result<Found> {
        // The server takes 0 for the current version, and refuses what its numbers cannot hold.
        let never =
            |version: SecretVersion| i64::try_from(version.number()).map_or(true, |v| v == 0);
        if secret.version.is_some_and(never) {
            return Ok(Found::Nothing(SecretState::Absent, None));
        }
        if self.form(secret.namespace.as_ref()) == Form::V1 {
            return self.read_v1(client, secret).await;
        }
        let request = || ReadSecretRequest {
            mount: self.mount.as_str().to_owned(),
            path: secret.name.as_str().to_owned(),
            version: secret.version.map(SecretVersion::number),
        };
        let answer = client.send(secret.namespace.as_ref(), Policy::Reconsider, request).await?;
        if answer.0.error_kind().is_none() {
            let stored = match answer.data::<Stored<'_>>() {
                Ok(stored) => stored,
                // An engine of version 1 has its own idea of what `data/` is.
                Err(odd) => {
                    self.forget(secret.namespace.as_ref());
                    return match self.detect(client, secret.namespace.as_ref()).await? {
                        Form::V1 => self.read_v1(client, secret).await,
                        Form::V2 => Err(odd),
                    };
                }
            };
            let owner = stored.metadata.custom_metadata.and_then(|mut all| all.remove(OWNER));
            let found = Secret::new(stored.data.map(|data| data.0).unwrap_or_default());
            let found = found.with_version(SecretVersion::new(stored.metadata.version));
            let found = match time(stored.metadata.created_time) {
                Some(at) => found.with_written_at(at),
                None => found,
            };
            return Ok(Found::Secret(found, owner));
        }
        match Fault::of(&answer.0, Asked::Work) {
            // A deleted or destroyed version is told apart by its metadata.
            Fault::Absent => {
                if let Ok(deleted) = answer.data::<Stored<'_>>() {
                    let state = deleted.metadata.gone();
                    let notes = deleted.metadata.custom_metadata;
                    let owner = notes.and_then(|mut all| all.remove(OWNER));
                    return Ok(Found::Nothing(state, owner));
                }
                match self.detect(client, secret.namespace.as_ref()).await? {
                    Form::V1 => self.read_v1(client, secret).await,
                    Form::V2 => Ok(Found::Nothing(SecretState::Absent, None)),
                }
            }
            Fault::NotKv2 => match self.detect(client, secret.namespace.as_ref()).await? {
                Form::V1 => self.read_v1(client, secret).await,
                Form::V2 => Err(self.fault(client, &answer, &Place::data(secret), "read")),
            },
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
            let (change, based_on, owner) = match self.read(client, secret).await? {
                Found::Secret(stored, owner) => {
                    self.check_owner(secret, owner.as_deref())?;
                    let version = stored.version.unwrap_or(SecretVersion::new(0));
                    if stored.data == *data {
                        self.mark(client, secret, owner.as_deref()).await?;
                        return Ok(outcome(Change::Unchanged, stored.version));
                    }
                    (Change::Updated, version.number(), owner)
                }
                Found::Nothing(state, owner) => {
                    self.check_owner(secret, owner.as_deref())?;
                    (Change::Created, state.last(), owner)
                }
            };
            if self.form(secret.namespace.as_ref()) == Form::V1 {
                self.write_v1(client, secret, data).await?;
                return Ok(outcome(change, None));
            }
            let answer = self.write(client, secret, data, based_on).await?;
            if answer.0.error_kind().is_none() {
                let version = answer.data::<Version<'_>>();
                // Another engine has come in the mount's place.
                let version = version.inspect_err(|_| self.forget(secret.namespace.as_ref()))?;
                let version = SecretVersion::new(version.version);
                self.mark(client, secret, owner.as_deref()).await?;
                return Ok(outcome(change, Some(version)));
            }
            match Fault::of(&answer.0, Asked::Work) {
                Fault::CasMismatch => {
                    let refused = || self.fault(client, &answer, &Place::data(secret), "update");
                    wait_for_turn(&mut attempt, refused).await?;
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
        match self.read(client, secret).await? {
            Found::Nothing(..) => return Ok(false),
            Found::Secret(_, owner) => self.check_owner(secret, owner.as_deref())?,
        }
        if self.form(secret.namespace.as_ref()) == Form::V1 {
            return self.delete_v1(client, secret).await;
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

    /// The error, with the path and, for a denial, the policy that would have allowed it.
    pub(crate) fn fault(
        &self,
        client: &Client,
        answer: &Answer,
        place: &Place<'_>,
        capability: &str,
    ) -> Error {
        let fault = Fault::of(&answer.0, Asked::Work);
        let mut path = match place.kind {
            // Of version 1.
            "" => format!("{}/{}", self.mount, place.name),
            kind => self.path(kind, place.name),
        };
        // A policy of the token's namespace names the namespaces below it.
        if let Some(namespace) = place.namespace {
            path = format!("{namespace}/{path}");
        }
        let error = fault.error(&answer.0);
        let error = match fault {
            Fault::Denied => error.hint(format!(
                "grant `{capability}` on \"{}\" in a policy of {}",
                client.policy_path(&path),
                client.identity()
            )),
            _ => error,
        };
        error.with("path", path)
    }
}

/// Waits a little after somebody else wrote meanwhile; gives up when that happens too often.
async fn wait_for_turn(attempt: &mut u32, refused: impl FnOnce() -> Error) -> Result<()> {
    if *attempt >= WRITE_ATTEMPTS {
        return Err(refused());
    }
    *attempt += 1;
    let longest = 5_u64 << (*attempt).min(5);
    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=longest))).await;
    Ok(())
}

fn outcome(change: Change, version: Option<SecretVersion>) -> WriteOutcome {
    let outcome = WriteOutcome::new(change);
    match version {
        Some(version) => outcome.with_version(version),
        None => outcome,
    }
}

/// Where in the engine a request went.
pub(crate) struct Place<'a> {
    pub(crate) namespace: Option<&'a Namespace>,
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> Place<'a> {
    fn metadata(secret: &'a SecretRef) -> Self {
        Self { kind: "metadata", ..Self::data(secret) }
    }

    fn data(secret: &'a SecretRef) -> Self {
        Self { namespace: secret.namespace.as_ref(), kind: "data", name: secret.name.as_str() }
    }
}

pub(crate) fn time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}
