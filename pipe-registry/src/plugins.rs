//! The plugins that a document made.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use pipe_core::identity::UserLogin;
use pipe_core::{
    Error, ErrorKind, GovernanceMemory, Health, HealthStatus, IdentityPlugin, Plugin, Result,
    SecretsPlugin,
};

/// The instance of an entry that has no name of its own.
pub(crate) const DEFAULT: &str = "default";

/// The plugins of a document by the names of their instances. Clones share the plugins, and there
/// is no global one (REQ 000-47): whoever needs a plugin is given it.
#[derive(Clone, Debug, Default)]
pub struct Plugins {
    pub(crate) secrets: BTreeMap<String, Arc<dyn SecretsPlugin>>,
    pub(crate) identity: BTreeMap<String, Arc<dyn IdentityPlugin>>,
    pub(crate) memory: BTreeMap<String, Arc<dyn GovernanceMemory>>,
    pub(crate) login: BTreeMap<String, Arc<dyn UserLogin>>,
}

/// How all plugins are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PluginsHealth {
    /// That of the worst plugin; healthy when there is none.
    pub status: HealthStatus,
    /// Each plugin's own answer, by section and instance: `secrets.default`.
    pub plugins: BTreeMap<String, Health>,
}

impl Plugins {
    /// The secrets plugin of this instance; `default` when the section is a single entry.
    ///
    /// # Errors
    /// `NotFound`, naming the instances that there are.
    pub fn secrets(&self, instance: &str) -> Result<Arc<dyn SecretsPlugin>> {
        find(&self.secrets, "secrets", instance)
    }

    /// The identity plugin of this instance; `default` when the section is a single entry.
    ///
    /// # Errors
    /// `NotFound`, naming the instances that there are.
    pub fn identity(&self, instance: &str) -> Result<Arc<dyn IdentityPlugin>> {
        find(&self.identity, "identity", instance)
    }

    /// The memory of this instance; `default` when the section is a single entry.
    ///
    /// # Errors
    /// `NotFound`, naming the instances that there are.
    pub fn memory(&self, instance: &str) -> Result<Arc<dyn GovernanceMemory>> {
        find(&self.memory, "memory", instance)
    }

    /// The login of this instance; `default` when the section is a single entry.
    ///
    /// # Errors
    /// `NotFound`, naming the instances that there are.
    pub fn login(&self, instance: &str) -> Result<Arc<dyn UserLogin>> {
        find(&self.login, "login", instance)
    }

    /// All secrets plugins with the names of their instances, in the order of these.
    pub fn all_secrets(&self) -> impl ExactSizeIterator<Item = (&str, &Arc<dyn SecretsPlugin>)> {
        self.secrets.iter().map(|(name, plugin)| (name.as_str(), plugin))
    }

    /// All identity plugins with the names of their instances, in the order of these.
    pub fn all_identity(&self) -> impl ExactSizeIterator<Item = (&str, &Arc<dyn IdentityPlugin>)> {
        self.identity.iter().map(|(name, plugin)| (name.as_str(), plugin))
    }

    /// All memories with the names of their instances, in the order of these.
    pub fn all_memory(&self) -> impl ExactSizeIterator<Item = (&str, &Arc<dyn GovernanceMemory>)> {
        self.memory.iter().map(|(name, plugin)| (name.as_str(), plugin))
    }

    /// All logins with the names of their instances, in the order of these.
    pub fn all_logins(&self) -> impl ExactSizeIterator<Item = (&str, &Arc<dyn UserLogin>)> {
        self.login.iter().map(|(name, plugin)| (name.as_str(), plugin))
    }

    /// Asks all plugins at once how they are (REQ 001-104). It takes as long as the slowest answer.
    pub async fn health(&self) -> PluginsHealth {
        let asked = self.all().map(async |(place, plugin)| (place, plugin.health().await));
        let plugins: BTreeMap<_, _> = join_all(asked).await.into_iter().collect();
        let worst = plugins.values().map(|health| health.status).max();
        PluginsHealth { status: worst.unwrap_or(HealthStatus::Healthy), plugins }
    }

    /// Closes all plugins at once, whichever of them fail.
    ///
    /// # Errors
    /// The first failure, naming all instances that could not be closed.
    pub async fn close(&self) -> Result<()> {
        let closed = self.all().map(async |(place, plugin)| (place, plugin.close().await));
        let failed: Vec<_> = join_all(closed)
            .await
            .into_iter()
            .filter_map(|(place, result)| Some((place, result.err()?)))
            .collect();
        let places: Vec<_> = failed.iter().map(|(place, _)| place.as_str()).collect();
        match failed.first() {
            None => Ok(()),
            Some((_, error)) => Err(error.clone().with("instances", places.join(" "))),
        }
    }

    fn all(&self) -> impl Iterator<Item = (String, &dyn Plugin)> {
        macro_rules! of {
            ($section:ident) => {
                self.$section.iter().map(|(name, plugin)| {
                    let plugin: &dyn Plugin = &**plugin;
                    (format!("{}.{name}", stringify!($section)), plugin)
                })
            };
        }
        of!(secrets).chain(of!(identity)).chain(of!(memory)).chain(of!(login))
    }
}

impl PluginsHealth {
    /// Whether calls to every plugin can be expected to succeed.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.status < HealthStatus::Unhealthy
    }
}

fn find<P: ?Sized>(
    plugins: &BTreeMap<String, Arc<P>>,
    section: &'static str,
    instance: &str,
) -> Result<Arc<P>> {
    plugins.get(instance).cloned().ok_or_else(|| {
        let known: Vec<_> = plugins.keys().map(String::as_str).collect();
        let hint = match &*known {
            [] => format!("add an entry to `{section}` of the document"),
            known => format!("use one of {}, or add an entry to `{section}`", known.join(", ")),
        };
        Error::new(ErrorKind::NotFound, "no plugin has this instance name")
            .with("section", section)
            .with("instance", instance)
            .hint(hint)
    })
}
