//! What the engine of version 2 knows of a secret besides its values.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use pipe_core::secrets::{Secret, SecretVersion};
use pipe_core::{Error, ErrorKind, Namespace, Result, SecretRef};
use serde::{Deserialize, Serialize};
use serde_json::json;
use vaultrs::api::kv2::requests::ReadSecretMetadataRequest;

use super::{Form, Found, Kv, OWNER, Place, Version, time, wait_for_turn};
use crate::client::{Client, Policy};
use crate::engine::body;
use crate::error::{Asked, Fault};
use crate::transport::Call;

/// What a secret is just now. Absent, deleted and destroyed are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretState {
    /// Nothing is there, and nothing was.
    Absent,
    /// It can be read.
    Present(Secret),
    /// Its newest version was deleted, and can be brought back.
    Deleted {
        /// The version.
        version: SecretVersion,
        /// When, by the server's clock.
        at: Option<SystemTime>,
    },
    /// Its newest version was destroyed, for ever.
    Destroyed {
        /// The version.
        version: SecretVersion,
    },
}

impl SecretState {
    /// The version that the next write is based on.
    pub(super) fn last(&self) -> u64 {
        match self {
            Self::Absent => 0,
            Self::Present(secret) => secret.version.map_or(0, SecretVersion::number),
            Self::Deleted { version, .. } | Self::Destroyed { version } => version.number(),
        }
    }
}

/// The metadata of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecretMetadata {
    /// The newest version; `None` when nothing was stored yet.
    pub current_version: Option<SecretVersion>,
    /// When the secret was first stored.
    pub created_at: Option<SystemTime>,
    /// When it last changed.
    pub updated_at: Option<SystemTime>,
    /// How many versions are kept; `None` for the mount's own number.
    pub max_versions: Option<u64>,
    /// Whether writes have to say what they are based on.
    pub cas_required: bool,
    /// What was noted on it.
    pub custom: BTreeMap<String, String>,
    /// The versions that are kept.
    pub versions: BTreeMap<SecretVersion, VersionInfo>,
}

/// One version of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionInfo {
    /// When it was stored.
    pub created_at: Option<SystemTime>,
    /// Whether it can be read.
    pub state: VersionState,
}

/// Whether a version can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VersionState {
    /// It can.
    Readable {
        /// When it is going to be deleted, where that is planned.
        until: Option<SystemTime>,
    },
    /// It was deleted, and can be brought back.
    Deleted {
        /// When.
        at: SystemTime,
    },
    /// It is gone for ever.
    Destroyed,
}

impl VersionState {
    /// A time in the future is a planned delete.
    fn of(deletion_time: &str, destroyed: bool) -> Self {
        match time(deletion_time) {
            _ if destroyed => Self::Destroyed,
            Some(at) if at <= SystemTime::now() => Self::Deleted { at },
            until => Self::Readable { until },
        }
    }
}

impl SecretMetadata {
    /// Whether the newest version can be read.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        let current = self.current_version.and_then(|current| self.versions.get(&current));
        current.is_some_and(|version| matches!(version.state, VersionState::Readable { .. }))
    }

    /// Whose it is, as [`OpenBaoConfig::owner`](crate::OpenBaoConfig::owner) has it noted.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.custom.get(OWNER).map(String::as_str)
    }
}

impl Version<'_> {
    /// What has become of a version that cannot be read.
    pub(super) fn gone(&self) -> SecretState {
        let version = SecretVersion::new(self.version);
        match self.destroyed {
            true => SecretState::Destroyed { version },
            false => SecretState::Deleted { version, at: time(self.deletion_time) },
        }
    }
}

/// As the server tells it.
#[derive(Deserialize)]
pub(super) struct Told {
    #[serde(default)]
    current_version: u64,
    #[serde(default)]
    current_metadata_version: u64,
    #[serde(default)]
    created_time: String,
    #[serde(default)]
    updated_time: String,
    #[serde(default)]
    max_versions: u64,
    #[serde(default)]
    cas_required: bool,
    #[serde(default)]
    custom_metadata: Option<BTreeMap<String, String>>,
    #[serde(default)]
    versions: BTreeMap<u64, ToldVersion>,
}

#[derive(Deserialize)]
struct ToldVersion {
    #[serde(default)]
    created_time: String,
    deletion_time: String,
    destroyed: bool,
}

impl From<Told> for SecretMetadata {
    fn from(told: Told) -> Self {
        let versions = told.versions.into_iter().map(|(number, version)| {
            let state = VersionState::of(&version.deletion_time, version.destroyed);
            let created_at = time(&version.created_time);
            (SecretVersion::new(number), VersionInfo { created_at, state })
        });
        Self {
            versions: versions.collect(),
            current_version: (told.current_version > 0)
                .then(|| SecretVersion::new(told.current_version)),
            created_at: time(&told.created_time),
            updated_at: time(&told.updated_time),
            max_versions: (told.max_versions > 0).then_some(told.max_versions),
            cas_required: told.cas_required,
            custom: told.custom_metadata.unwrap_or_default(),
        }
    }
}

impl Kv {
    /// What the secret is just now.
    pub(crate) async fn state(&self, client: &Client, secret: &SecretRef) -> Result<SecretState> {
        Ok(match self.read(client, secret).await? {
            Found::Secret(found, _) => SecretState::Present(found),
            Found::Nothing(state, _) => state,
        })
    }

    /// The metadata; `None` when there are none.
    pub(crate) async fn metadata(
        &self,
        client: &Client,
        secret: &SecretRef,
    ) -> Result<Option<SecretMetadata>> {
        self.only_v2(client, secret.namespace.as_ref()).await?;
        self.metadata_of(client, secret, Policy::Reconsider).await
    }

    pub(super) async fn metadata_of(
        &self,
        client: &Client,
        secret: &SecretRef,
        policy: Policy,
    ) -> Result<Option<SecretMetadata>> {
        Ok(self.told(client, secret, policy).await?.map(SecretMetadata::from))
    }

    async fn told(
        &self,
        client: &Client,
        secret: &SecretRef,
        policy: Policy,
    ) -> Result<Option<Told>> {
        let request = || ReadSecretMetadataRequest {
            mount: self.mount.to_string(),
            path: secret.name.to_string(),
        };
        let answer = client.send(secret.namespace.as_ref(), policy, request).await?;
        if answer.0.error_kind().is_none() {
            return answer.data::<Told>().map(Some);
        }
        match Fault::of(&answer.0, Asked::Work) {
            Fault::Absent => Ok(None),
            _ => Err(self.fault(client, &answer, &Place::metadata(secret), "read")),
        }
    }

    /// Whether this is what is read now; what the policy hides is not known to be.
    pub(crate) async fn is_current(
        &self,
        client: &Client,
        secret: &SecretRef,
        known: &Secret,
    ) -> Result<bool> {
        let is_hidden = &self.metadata_is_hidden;
        let Some(version) = known.version else { return Ok(false) };
        if is_hidden.load(Ordering::Relaxed) {
            return Ok(false);
        }
        match self.metadata_of(client, secret, Policy::Accept).await {
            Ok(found) => Ok(found.is_some_and(|metadata| {
                // A secret that was removed and made anew counts from one again.
                let made_at = metadata.versions.get(&version).and_then(|info| info.created_at);
                metadata.current_version == Some(version)
                    && made_at == known.written_at
                    && metadata.is_readable()
            })),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                is_hidden.store(true, Ordering::Relaxed);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Notes this on a secret that is there; what was noted otherwise stays. `None` takes a note
    /// away.
    pub(crate) async fn note(
        &self,
        client: &Client,
        secret: &SecretRef,
        notes: &BTreeMap<String, Option<String>>,
    ) -> Result<()> {
        for (key, value) in notes {
            // Of 1 to 128 and 1 to 512 characters, as the server wants them.
            let is_legal = |text: &str, limit| (1..=limit).contains(&text.len());
            if !is_legal(key, 128) || value.as_ref().is_some_and(|value| !is_legal(value, 512)) {
                let error = Error::new(ErrorKind::InvalidArgument, "the note is empty or too long");
                return Err(error.hint("use keys of 1 to 128 bytes and values of 1 to 512"));
            }
        }
        self.only_v2(client, secret.namespace.as_ref()).await?;
        if self.owner.is_some() {
            let metadata = self.metadata_of(client, secret, Policy::Reconsider).await?;
            let metadata = metadata.ok_or_else(|| Fault::Absent.alone().with("secret", secret))?;
            self.check_owner(secret, metadata.owner())?;
        }
        self.merge(client, secret, notes).await
    }

    async fn merge(
        &self,
        client: &Client,
        secret: &SecretRef,
        notes: &BTreeMap<String, Option<String>>,
    ) -> Result<()> {
        #[derive(Serialize)]
        struct Notes<'a> {
            custom_metadata: &'a BTreeMap<String, Option<String>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            metadata_cas: Option<u64>,
        }
        let namespace = secret.namespace.as_ref();
        let mut based_on = None;
        let mut attempt = 0;
        loop {
            let content = Notes { custom_metadata: notes, metadata_cas: based_on };
            let call = Call::patch(self.path("metadata", secret.name.as_str()), body(&content)?);
            let answer = client.send(namespace, Policy::Reconsider, || call.clone()).await?;
            if answer.0.error_kind().is_none() {
                return Ok(());
            }
            // Of a secret that is not there, the answer is empty.
            if answer.0.status == 404 && answer.0.body.is_empty() {
                return Err(Fault::Absent.alone().with("secret", secret));
            }
            let refused = || self.fault(client, &answer, &Place::metadata(secret), "patch");
            match Fault::of(&answer.0, Asked::Work) {
                // Where it is asked for, what the notes are merged into has to be named.
                Fault::CasRequired | Fault::CasMismatch => {
                    wait_for_turn(&mut attempt, refused).await?;
                    let told = self.told(client, secret, Policy::Reconsider).await?;
                    based_on = told.map(|told| told.current_metadata_version);
                }
                _ => return Err(refused()),
            }
        }
    }

    /// Brings deleted versions back. Tells which it brought back: the server says nothing of those
    /// that are not there.
    pub(crate) async fn undelete(
        &self,
        client: &Client,
        secret: &SecretRef,
        versions: &[SecretVersion],
    ) -> Result<Vec<SecretVersion>> {
        let deleted = |state: VersionState| matches!(state, VersionState::Deleted { .. });
        self.change_versions(client, secret, "undelete", versions, deleted).await
    }

    /// Destroys versions for ever. Tells which it destroyed.
    pub(crate) async fn destroy(
        &self,
        client: &Client,
        secret: &SecretRef,
        versions: &[SecretVersion],
    ) -> Result<Vec<SecretVersion>> {
        let there = |state: VersionState| state != VersionState::Destroyed;
        self.change_versions(client, secret, "destroy", versions, there).await
    }

    async fn change_versions(
        &self,
        client: &Client,
        secret: &SecretRef,
        operation: &'static str,
        versions: &[SecretVersion],
        is_meant: impl Fn(VersionState) -> bool,
    ) -> Result<Vec<SecretVersion>> {
        self.only_v2(client, secret.namespace.as_ref()).await?;
        let Some(metadata) = self.metadata_of(client, secret, Policy::Reconsider).await? else {
            return Ok(Vec::new());
        };
        self.check_owner(secret, metadata.owner())?;
        let meant = |version: &SecretVersion| {
            metadata.versions.get(version).is_some_and(|version| is_meant(version.state))
        };
        let meant: Vec<_> = versions.iter().copied().filter(meant).collect();
        if meant.is_empty() {
            return Ok(meant);
        }
        let content = json!({ "versions": meant });
        let call = Call::post(self.path(operation, secret.name.as_str()), body(&content)?);
        let namespace = secret.namespace.as_ref();
        let answer = client.send(namespace, Policy::Reconsider, || call.clone()).await?;
        match answer.0.error_kind() {
            None => Ok(meant),
            Some(_) => {
                let place = Place { namespace, kind: operation, name: secret.name.as_str() };
                Err(self.fault(client, &answer, &place, "update"))
            }
        }
    }

    /// Removes the secret with all versions and metadata. Tells whether there was one.
    pub(crate) async fn purge(&self, client: &Client, secret: &SecretRef) -> Result<bool> {
        self.only_v2(client, secret.namespace.as_ref()).await?;
        let Some(metadata) = self.metadata_of(client, secret, Policy::Reconsider).await? else {
            return Ok(false);
        };
        self.check_owner(secret, metadata.owner())?;
        let call = Call::delete(self.path("metadata", secret.name.as_str()));
        let namespace = secret.namespace.as_ref();
        let answer = client.send(namespace, Policy::Reconsider, || call.clone()).await?;
        match answer.0.error_kind() {
            None => Ok(true),
            Some(_) => Err(self.fault(client, &answer, &Place::metadata(secret), "delete")),
        }
    }

    /// Refuses to change what is somebody else's.
    pub(super) fn check_owner(&self, secret: &SecretRef, owner: Option<&str>) -> Result<()> {
        match (&self.owner, owner) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                Err(Error::new(ErrorKind::PermissionDenied, "the secret is somebody else's")
                    .with("secret", secret)
                    .with("owner", theirs)
                    .hint("let its owner change it, or take its `managed-by` metadata away"))
            }
            _ => Ok(()),
        }
    }

    /// Notes whose it is, unless that is noted.
    pub(super) async fn mark(
        &self,
        client: &Client,
        secret: &SecretRef,
        owner: Option<&str>,
    ) -> Result<()> {
        let Some(ours) = self.owner.as_ref().filter(|_| owner.is_none()) else { return Ok(()) };
        if self.form(secret.namespace.as_ref()) == Form::V1 {
            return Ok(());
        }
        let notes = BTreeMap::from([(OWNER.to_owned(), Some(ours.clone()))]);
        self.merge(client, secret, &notes).await.map_err(|error| {
            error.with("stored", "yes, and its owner is not noted: the next write does it")
        })
    }

    /// What versions and metadata there are depends on the engine.
    pub(super) async fn only_v2(
        &self,
        client: &Client,
        namespace: Option<&Namespace>,
    ) -> Result<()> {
        match self.detect(client, namespace).await? {
            Form::V2 => Ok(()),
            Form::V1 => {
                let error = Error::new(ErrorKind::Unsupported, "the engine keeps no versions");
                Err(error.with("mount", &self.mount).hint("use a mount of KV version 2"))
            }
        }
    }
}
