//! The trait implementation, thin.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use pipe_core::identity::ServiceAuthRequest;
use pipe_core::secrets::{
    ListQuery, Pollers, Secret, SecretStream, SecretVersion, SecretsCapabilities, WriteOutcome,
    WriterTurns,
};
use pipe_core::{
    Error, ErrorKind, Health, IdentityPlugin, Plugin, Result, SecretData, SecretRef, SecretValue,
    SecretsPlugin, in_current_context,
};
use quick_cache::sync::Cache;

use crate::api::Api;
use crate::config::InfisicalConfig;
use crate::entry::WriteOptions;
use crate::login::InfisicalLogin;
use crate::names::check_key;
use crate::place::{Home, Place};
use crate::read::{Kept, SecretFilter, switches};

/// In base64 still below the 1 MiB that the server takes.
const MAX_SECRET_BYTES: usize = 512 << 10;
const MAX_KEYS: usize = 500;
/// Of how many environments it is remembered that they are there.
const MAX_ENVIRONMENTS: usize = 1000;

/// Infisical as a [`SecretsPlugin`]. Clones share the login.
#[derive(Clone)]
pub struct Infisical(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) api: Api,
    pub(crate) home: Home,
    /// What is asked of a folder when a secret is read.
    pub(crate) switches: String,
    pub(crate) kept: Option<Cache<Place, Kept>>,
    watches: Pollers<Self>,
    /// Whether the server turned out not to create what it is told to update.
    pub(crate) no_upsert: AtomicBool,
    /// The environments that are there, by project.
    environments: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// Writers of one secret in this process take turns: the server keeps both rows of a key that
    /// two create at once.
    turns: WriterTurns,
}

impl Infisical {
    /// A plugin for this server. It does not talk to the server yet: a server that is down is met
    /// by the first call.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming all settings that are wrong.
    pub fn new(config: InfisicalConfig) -> Result<Self> {
        Self::build(config, None)
    }

    /// A plugin that logs in by `oidc` or `jwt` with tokens of an identity plugin.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_identity(
        config: InfisicalConfig,
        identity: Arc<dyn IdentityPlugin>,
        request: ServiceAuthRequest,
    ) -> Result<Self> {
        Self::build(config, Some((identity, request)))
    }

    fn build(
        config: InfisicalConfig,
        identity: Option<(Arc<dyn IdentityPlugin>, ServiceAuthRequest)>,
    ) -> Result<Self> {
        let locate = |error: Error| error.at(&config.name, "new");
        let checked = config.check().map_err(locate)?;
        let timeout = config.http.timeout;
        let login = InfisicalLogin::new(checked.http.clone(), config.auth.clone(), identity);
        let login = login.map_err(locate)?;
        Ok(Self(Arc::new(Inner {
            api: Api::new(checked.http, login, timeout),
            home: Home {
                project: config.project,
                environment: config.environment,
                folder: checked.folder,
            },
            switches: switches(config.imports, config.expand_references),
            kept: (config.revalidated > 0).then(|| Cache::new(config.revalidated)),
            watches: Pollers::new(&config.name, config.poll_interval),
            no_upsert: AtomicBool::new(false),
            environments: Mutex::default(),
            turns: WriterTurns::new(timeout),
            name: config.name,
        })))
    }

    /// Stores a secret as [`create_secret`](SecretsPlugin::create_secret) does, with a comment,
    /// tags or metadata on each of its keys.
    ///
    /// # Errors
    /// As for [`create_secret`](SecretsPlugin::create_secret).
    pub async fn create_secret_with(
        &self,
        secret: &SecretRef,
        data: SecretData,
        options: WriteOptions,
    ) -> Result<WriteOutcome> {
        let outcome = self.store(secret, data, options).await;
        outcome.map_err(|error| self.locate(error.with("secret", secret), "create_secret"))
    }

    /// Reads one version of one key; `None` when there is none. Versions count from 1, and a key
    /// that was deleted and created again begins anew.
    ///
    /// # Errors
    /// `Unsupported` on a server of 2024, which gives the current version whichever is asked for;
    /// else as for [`get_secret`](SecretsPlugin::get_secret).
    pub async fn read_version(
        &self,
        secret: &SecretRef,
        key: &str,
        version: SecretVersion,
    ) -> Result<Option<SecretValue>> {
        let found = self.0.read_version(secret, key, version).await;
        found.map_err(|error| self.locate(error.with("secret", secret), "read_version"))
    }

    /// Lists secrets with certain tags or metadata.
    ///
    /// # Errors
    /// As for [`list_secrets`](SecretsPlugin::list_secrets).
    pub async fn find_secrets(
        &self,
        query: &ListQuery,
        filter: &SecretFilter,
    ) -> Result<Vec<SecretRef>> {
        let found = self.0.find(query, filter).await;
        found.map_err(|error| self.locate(error, "find_secrets"))
    }

    fn locate(&self, error: Error, operation: &'static str) -> Error {
        error.at(&self.0.name, operation)
    }

    async fn store(
        &self,
        secret: &SecretRef,
        data: SecretData,
        options: WriteOptions,
    ) -> Result<WriteOutcome> {
        current_only(secret)?;
        self.capabilities().check(&data)?;
        data.keys().try_for_each(check_key)?;
        if data.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "a secret without keys is no folder",
            )
            .hint("store at least one key, or delete the secret"));
        }
        let place = self.0.home.place(secret)?;
        let inner = Arc::clone(&self.0);
        whole(async move {
            let _turn = inner.turns.take(&place).await?;
            let outcome = inner.store(&place, &data, &options).await;
            inner.changed(&place);
            outcome
        })
        .await
    }

    async fn delete(&self, secret: &SecretRef) -> Result<bool> {
        current_only(secret)?;
        let place = self.0.home.place(secret)?;
        let inner = Arc::clone(&self.0);
        whole(async move {
            let _turn = inner.turns.take(&place).await?;
            let deleted = inner.delete(&place).await;
            inner.changed(&place);
            deleted
        })
        .await
    }
}

/// A change takes several requests: a caller that goes away does not leave it half-done.
async fn whole<T: Send + 'static>(
    change: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    tokio::spawn(in_current_context(change)).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Unavailable, "the change ended with its runtime"))
    })
}

fn current_only(secret: &SecretRef) -> Result<()> {
    match secret.version {
        None => Ok(()),
        Some(_) => Err(Error::new(ErrorKind::Unsupported, "a secret has no versions as a whole")
            .with("secret", secret)
            .hint("leave the version out of the reference; `read_version` reads one key's")),
    }
}

impl Inner {
    /// We changed something, or may have.
    fn changed(&self, place: &Place) {
        self.forget(place);
        self.watches.wake(place);
    }

    /// The environment of this place is there.
    pub(crate) fn know(&self, place: &Place) {
        if self.is_known(place) {
            return;
        }
        let mut known = self.known();
        if known.values().map(BTreeSet::len).sum::<usize>() < MAX_ENVIRONMENTS {
            known.entry(place.project.clone()).or_default().insert(place.environment.clone());
        }
    }

    pub(crate) fn is_known(&self, place: &Place) -> bool {
        let known = self.known();
        known.get(&place.project).is_some_and(|slugs| slugs.contains(&place.environment))
    }

    pub(crate) fn unlearn(&self, place: &Place) {
        if let Some(slugs) = self.known().get_mut(&place.project) {
            slugs.remove(&place.environment);
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, BTreeSet<String>>> {
        self.environments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Infisical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Infisical")
            .field("name", &self.0.name)
            .field("api", &self.0.api)
            .field("home", &self.0.home)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Plugin for Infisical {
    fn name(&self) -> &str {
        &self.0.name
    }

    async fn health(&self) -> Health {
        crate::health::check(&self.0).await
    }

    async fn close(&self) -> Result<()> {
        self.0.watches.close();
        self.0.api.session.close().await.map_err(|error| self.locate(error, "close"))
    }
}

#[async_trait]
impl SecretsPlugin for Infisical {
    fn capabilities(&self) -> SecretsCapabilities {
        SecretsCapabilities::READ_ONLY
            .with_write()
            .with_delete()
            .with_list()
            .with_watch()
            .with_namespaces()
            .with_hierarchy()
            .with_binary()
            .with_limits(MAX_SECRET_BYTES, MAX_KEYS)
    }

    async fn get_secret(&self, secret: &SecretRef) -> Result<Option<Secret>> {
        let read = async {
            current_only(secret)?;
            let found = self.0.read(&self.0.home.place(secret)?).await?;
            Ok(found.map(Secret::new))
        };
        read.await.map_err(|error: Error| self.locate(error.with("secret", secret), "get_secret"))
    }

    async fn create_secret(&self, secret: &SecretRef, data: SecretData) -> Result<WriteOutcome> {
        self.create_secret_with(secret, data, WriteOptions::new()).await
    }

    async fn delete_secret(&self, secret: &SecretRef) -> Result<bool> {
        let deleted = self.delete(secret).await;
        deleted.map_err(|error| self.locate(error.with("secret", secret), "delete_secret"))
    }

    async fn list_secrets(&self, query: &ListQuery) -> Result<Vec<SecretRef>> {
        let found = self.0.find(query, &SecretFilter::new()).await;
        found.map_err(|error| self.locate(error, "list_secrets"))
    }

    async fn watch_secret(&self, secret: &SecretRef) -> Result<SecretStream> {
        let watched = async {
            current_only(secret)?;
            self.0.watches.follow(&self.0, self.0.home.place(secret)?).await
        };
        watched.await.map_err(|error| self.locate(error.with("secret", secret), "watch_secret"))
    }
}
