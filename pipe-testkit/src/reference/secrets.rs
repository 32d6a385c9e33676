//! A store of secrets in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::stream;
use pipe_core::secrets::{
    Change, ListQuery, Secret, SecretEvent, SecretStream, SecretVersion, SecretsCapabilities,
    WriteOutcome,
};
use pipe_core::{
    Error, ErrorKind, Health, Namespace, Plugin, Result, SecretData, SecretName, SecretRef,
    SecretsPlugin,
};
use tokio::sync::watch;

/// How many versions of a secret are kept.
const VERSIONS_KEPT: usize = 10;

/// A [`SecretsPlugin`] in memory, with every power that the contract knows. Clones share the store.
///
/// ```
/// use pipe_core::{SecretData, SecretRef, SecretsPlugin, SecretsPluginExt};
/// use pipe_testkit::reference::InMemorySecrets;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let secrets = InMemorySecrets::new();
/// let db = SecretRef::new("apps/db")?;
/// secrets.create_secret(&db, SecretData::new().with("password", "hunter2")).await?;
/// assert_eq!(secrets.require_key(&db, "password").await?.expose(), b"hunter2");
/// # Ok::<(), pipe_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct InMemorySecrets {
    name: Arc<str>,
    capabilities: SecretsCapabilities,
    store: Arc<Store>,
}

struct Store {
    secrets: Mutex<BTreeMap<Place, History>>,
    /// Counts changes; watchers wait for it.
    changes: watch::Sender<u64>,
    failing: Mutex<Option<ErrorKind>>,
}

type Place = (Option<Namespace>, SecretName);

/// The newest versions of a secret, the current one last; `None` marks a delete.
#[derive(Default)]
struct History {
    versions: Vec<(SecretVersion, Option<Secret>)>,
}

impl History {
    fn current(&self) -> Option<&Secret> {
        self.versions.last().and_then(|(_, secret)| secret.as_ref())
    }

    fn at(&self, version: SecretVersion) -> Option<&Secret> {
        self.versions
            .iter()
            .find(|(number, _)| *number == version)
            .and_then(|(_, secret)| secret.as_ref())
    }

    fn push(&mut self, data: Option<SecretData>) -> SecretVersion {
        let last = self.versions.last().map_or(0, |(version, _)| version.number());
        let version = SecretVersion::new(last + 1);
        let secret = data
            .map(|data| Secret::new(data).with_version(version).with_written_at(SystemTime::now()));
        self.versions.push((version, secret));
        if self.versions.len() > VERSIONS_KEPT {
            self.versions.remove(0);
        }
        version
    }
}

impl InMemorySecrets {
    /// An empty store.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "`new` reads better where a store is made")]
    pub fn new() -> Self {
        let capabilities = SecretsCapabilities::READ_ONLY
            .with_write()
            .with_delete()
            .with_list()
            .with_watch()
            .with_versions()
            .with_namespaces()
            .with_hierarchy()
            .with_binary()
            .with_limits(1 << 20, 1_000);
        let store = Store {
            secrets: Mutex::default(),
            changes: watch::Sender::new(0),
            failing: Mutex::default(),
        };
        Self { name: "in-memory".into(), capabilities, store: Arc::new(store) }
    }

    /// Under another instance name.
    #[must_use]
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// With fewer powers or other limits. What is not declared is refused.
    #[must_use]
    pub fn with_capabilities(self, capabilities: SecretsCapabilities) -> Self {
        Self { capabilities, ..self }
    }

    /// Makes every call to the store fail with this kind, until `None` heals it: for tests of code
    /// that uses secrets.
    pub fn fail_with(&self, kind: impl Into<Option<ErrorKind>>) {
        *self.store.failing.lock().unwrap_or_else(PoisonError::into_inner) = kind.into();
    }

    /// The store, if it can be reached just now.
    fn reach(&self, at: &impl fmt::Display) -> Result<MutexGuard<'_, BTreeMap<Place, History>>> {
        self.store.reach(at)
    }

    fn place(&self, secret: &SecretRef) -> Result<Place> {
        let SecretRef { namespace, name, version, .. } = secret;
        self.check_namespace(namespace.as_ref())?;
        if version.is_some() && !self.capabilities.versions {
            return Err(Error::new(ErrorKind::Unsupported, "versions cannot be addressed"));
        }
        if !self.capabilities.hierarchy && name.segments().nth(1).is_some() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the name has more than one segment",
            )
            .with("secret", name)
            .hint("use a name without `/`"));
        }
        Ok((namespace.clone(), name.clone()))
    }

    fn check_namespace(&self, namespace: Option<&Namespace>) -> Result<()> {
        match namespace {
            Some(namespace) if !self.capabilities.namespaces => {
                Err(Error::new(ErrorKind::Unsupported, "namespaces cannot be addressed")
                    .with("namespace", namespace))
            }
            _ => Ok(()),
        }
    }

    /// A write goes to the current version; there is nothing else to write to.
    fn place_to_write(&self, secret: &SecretRef) -> Result<Place> {
        match secret.version {
            None => self.place(secret),
            Some(_) => {
                Err(Error::new(ErrorKind::InvalidArgument, "an old version cannot be changed")
                    .with("secret", secret)
                    .hint("leave the version out of the reference"))
            }
        }
    }

    fn read(&self, secret: &SecretRef) -> Result<Option<Secret>> {
        let place = self.place(secret)?;
        let secrets = self.reach(secret)?;
        let history = secrets.get(&place);
        Ok(match secret.version {
            None => history.and_then(History::current),
            Some(version) => history.and_then(|history| history.at(version)),
        }
        .cloned())
    }

    fn write(&self, secret: &SecretRef, data: SecretData) -> Result<WriteOutcome> {
        let place = self.place_to_write(secret)?;
        self.capabilities.check(&data)?;
        let mut secrets = self.reach(secret)?;
        let history = secrets.entry(place).or_default();
        let change = match history.current() {
            Some(stored) if stored.data == data => {
                let outcome = WriteOutcome::new(Change::Unchanged);
                return Ok(stored.version.map_or(outcome, |version| outcome.with_version(version)));
            }
            Some(_) => Change::Updated,
            None => Change::Created,
        };
        let version = history.push(Some(data));
        drop(secrets);
        self.store.changes.send_modify(|count| *count += 1);
        Ok(WriteOutcome::new(change).with_version(version))
    }

    fn delete(&self, secret: &SecretRef) -> Result<bool> {
        let place = self.place_to_write(secret)?;
        let mut secrets = self.reach(secret)?;
        let Some(history) = secrets.get_mut(&place).filter(|history| history.current().is_some())
        else {
            return Ok(false);
        };
        history.push(None);
        drop(secrets);
        self.store.changes.send_modify(|count| *count += 1);
        Ok(true)
    }

    fn list(&self, query: &ListQuery) -> Result<Vec<SecretRef>> {
        self.check_namespace(query.namespace.as_ref())?;
        let secrets = self.reach(&"*")?;
        let below =
            |name: &SecretName| query.prefix.as_ref().is_none_or(|prefix| name.is_below(prefix));
        let found: Vec<_> = secrets
            .iter()
            .filter(|((namespace, name), history)| {
                *namespace == query.namespace && below(name) && history.current().is_some()
            })
            .map(|((namespace, name), _)| {
                let secret = SecretRef::from(name.clone());
                namespace
                    .clone()
                    .map_or(secret.clone(), |namespace| secret.with_namespace(namespace))
            })
            .collect();
        if found.len() > query.limit { Err(query.too_many()) } else { Ok(found) }
    }

    fn declared(&self, declared: bool, operation: &'static str) -> Result<()> {
        if declared { Ok(()) } else { Err(Error::unsupported(&self.name, operation)) }
    }
}

impl Store {
    fn reach(&self, at: &impl fmt::Display) -> Result<MutexGuard<'_, BTreeMap<Place, History>>> {
        match *self.failing.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(kind) => Err(Error::new(kind, "the store was told to fail")
                .with("secret", at)
                .hint("call fail_with(None) to heal the store")),
            None => Ok(self.secrets.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

impl fmt::Debug for InMemorySecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemorySecrets").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Plugin for InMemorySecrets {
    fn name(&self) -> &str {
        &self.name
    }

    async fn health(&self) -> Health {
        self.reach(&"*").map_or_else(|error| Health::from(&error), |_| Health::healthy())
    }
}

#[async_trait]
impl SecretsPlugin for InMemorySecrets {
    fn capabilities(&self) -> SecretsCapabilities {
        self.capabilities
    }

    async fn get_secret(&self, secret: &SecretRef) -> Result<Option<Secret>> {
        self.read(secret).map_err(|error| error.at(&self.name, "get_secret"))
    }

    async fn create_secret(&self, secret: &SecretRef, data: SecretData) -> Result<WriteOutcome> {
        self.declared(self.capabilities.write, "create_secret")?;
        self.write(secret, data).map_err(|error| error.at(&self.name, "create_secret"))
    }

    async fn delete_secret(&self, secret: &SecretRef) -> Result<bool> {
        self.declared(self.capabilities.delete, "delete_secret")?;
        self.delete(secret).map_err(|error| error.at(&self.name, "delete_secret"))
    }

    async fn list_secrets(&self, query: &ListQuery) -> Result<Vec<SecretRef>> {
        self.declared(self.capabilities.list, "list_secrets")?;
        self.list(query).map_err(|error| error.at(&self.name, "list_secrets"))
    }

    async fn watch_secret(&self, secret: &SecretRef) -> Result<SecretStream> {
        self.declared(self.capabilities.watch, "watch_secret")?;
        let changes = self.store.changes.subscribe();
        self.read(secret).map_err(|error| error.at(&self.name, "watch_secret"))?;
        let (plugin, secret) = (self.clone(), secret.clone());
        let states = stream::unfold((changes, None), move |(mut changes, last)| {
            let (plugin, secret) = (plugin.clone(), secret.clone());
            async move {
                loop {
                    changes.borrow_and_update();
                    let state = match plugin.read(&secret) {
                        Ok(found) => found.map_or(SecretEvent::Absent, SecretEvent::Present),
                        Err(error) => {
                            let _ = changes.changed().await;
                            return Some((Err(error), (changes, last)));
                        }
                    };
                    if last.as_ref() != Some(&state) {
                        return Some((Ok(state.clone()), (changes, Some(state))));
                    }
                    changes.changed().await.ok()?;
                }
            }
        });
        Ok(SecretStream::new(states))
    }
}
