//! The kinds that a document may ask for, and the way from the document to the plugins.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use pipe_core::identity::UserLogin;
use pipe_core::wrap::Observer;
use pipe_core::{GovernanceMemory, IdentityPlugin, Result, SecretsPlugin};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::decorators::{around_identity, around_login, around_memory, around_secrets};
use crate::document::{self, Format};
use crate::kind::{Kind, Kinds};
use crate::section::Document;
use crate::{Fault, Faults, Plugins};

/// The kinds of plugins that a document may ask for.
///
/// A kind is a name, the type of its settings and the function that makes a plugin from them. A
/// kind that is registered again replaces the earlier one.
#[derive(Default)]
pub struct Registry {
    pub(crate) secrets: Kinds<dyn SecretsPlugin>,
    pub(crate) identity: Kinds<dyn IdentityPlugin>,
    pub(crate) memory: Kinds<dyn GovernanceMemory>,
    pub(crate) login: Kinds<dyn UserLogin>,
    observer: Option<Arc<dyn Observer>>,
}

impl Registry {
    /// No kinds yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind of secrets plugin.
    #[must_use]
    pub fn with_secrets_kind<C, P, F>(mut self, kind: impl Into<String>, make: F) -> Self
    where
        C: DeserializeOwned + JsonSchema,
        P: SecretsPlugin,
        F: Fn(C) -> Result<P> + Send + Sync + 'static,
    {
        let make = move |config| make(config).map(|plugin| Arc::new(plugin) as Arc<_>);
        self.secrets.insert(kind.into(), Kind::new::<C>(make));
        self
    }

    /// Adds a kind of identity plugin.
    #[must_use]
    pub fn with_identity_kind<C, P, F>(mut self, kind: impl Into<String>, make: F) -> Self
    where
        C: DeserializeOwned + JsonSchema,
        P: IdentityPlugin,
        F: Fn(C) -> Result<P> + Send + Sync + 'static,
    {
        let make = move |config| make(config).map(|plugin| Arc::new(plugin) as Arc<_>);
        self.identity.insert(kind.into(), Kind::new::<C>(make));
        self
    }

    /// Adds a kind of memory.
    #[must_use]
    pub fn with_memory_kind<C, P, F>(mut self, kind: impl Into<String>, make: F) -> Self
    where
        C: DeserializeOwned + JsonSchema,
        P: GovernanceMemory,
        F: Fn(C) -> Result<P> + Send + Sync + 'static,
    {
        let make = move |config| make(config).map(|plugin| Arc::new(plugin) as Arc<_>);
        self.memory.insert(kind.into(), Kind::new::<C>(make));
        self
    }

    /// Adds a kind of login.
    #[must_use]
    pub fn with_login_kind<C, P, F>(mut self, kind: impl Into<String>, make: F) -> Self
    where
        C: DeserializeOwned + JsonSchema,
        P: UserLogin,
        F: Fn(C) -> Result<P> + Send + Sync + 'static,
    {
        let make = move |config| make(config).map(|plugin| Arc::new(plugin) as Arc<_>);
        self.login.insert(kind.into(), Kind::new::<C>(make));
        self
    }

    /// Tells this observer of every call to every plugin, around all other decorators.
    #[must_use]
    pub fn with_observer(self, observer: impl Observer) -> Self {
        Self { observer: Some(Arc::new(observer)), ..self }
    }

    /// Makes the plugins of a document. Touches no network, as no constructor does.
    ///
    /// # Errors
    /// Everything that is wrong with the document, at once.
    pub fn load(&self, text: &str, format: Format) -> Result<Plugins, Faults> {
        let root = format.parse(text).map_err(|message| Fault::new("document", message))?;
        let mut document = Document::new(&root);
        let observer = self.observer.as_ref();
        let plugins = Plugins {
            secrets: document.section("secrets", &self.secrets, &|plugin, decorators| {
                around_secrets(plugin, decorators, observer)
            }),
            identity: document.section("identity", &self.identity, &|plugin, decorators| {
                around_identity(plugin, decorators, observer)
            }),
            memory: document.section("memory", &self.memory, &|plugin, decorators| {
                around_memory(plugin, decorators, observer)
            }),
            login: document.section("login", &self.login, &|plugin, decorators| {
                around_login(plugin, decorators, observer)
            }),
        };
        document.into_faults().map(|()| plugins)
    }

    /// Makes the plugins of a file: `.toml`, `.yaml`, `.yml` or `.json`, up to 1 MiB.
    ///
    /// # Errors
    /// Everything that is wrong with the document, at once, or that it cannot be read.
    pub fn load_file(&self, path: impl AsRef<Path>) -> Result<Plugins, Faults> {
        let path = path.as_ref();
        let fault = |what: &str| Fault::new("document", format!("{} {what}", path.display()));
        let format = Format::of(path)
            .ok_or_else(|| fault("has none of the extensions toml, yaml, yml, json"))?;
        let text = document::read(path).map_err(fault)?;
        self.load(&text, format)
    }
}

/// The names of the kinds.
impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("secrets", &self.secrets.keys().collect::<BTreeSet<_>>())
            .field("identity", &self.identity.keys().collect::<BTreeSet<_>>())
            .field("memory", &self.memory.keys().collect::<BTreeSet<_>>())
            .field("login", &self.login.keys().collect::<BTreeSet<_>>())
            .field("observer", &self.observer)
            .finish()
    }
}
