//! The trait implementation, thin.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use pipe_core::identity::ServiceAuthRequest;
use pipe_core::pod::{EnvInjection, PodFragment, SecretMount};
use pipe_core::rbac::KubernetesUser;
use pipe_core::secrets::{
    ListQuery, Secret, SecretStream, SecretVersion, SecretsCapabilities, WriteOutcome, WriterTurn,
    WriterTurns,
};
use pipe_core::{
    ConfigFaults, Error, ErrorKind, Health, IdentityPlugin, Namespace, Plugin, Result, SecretData,
    SecretRef, SecretsPlugin,
};

use crate::access::AccessReport;
use crate::apply::{Only, SecretOptions};
use crate::client::{Client, impersonating};
use crate::config::{Impersonation, KubernetesConfig};
use crate::connect::{Connected, connect};
use crate::names::{check_keys, namespace_or, object_name};
use crate::object::Place;
use crate::token::{ServiceAccountToken, ServiceAccountTokenRequest};
use crate::watch::Watches;

/// The server's own limit: decoded values, summed.
const MAX_SECRET_BYTES: usize = 1 << 20;
/// The server counts no keys, but etcd takes no object above 1.5 MiB, and each key is in it twice:
/// this many of the longest keys fit beside 1 MiB of values.
const MAX_KEYS: usize = 512;

/// The Secrets of a Kubernetes cluster as a [`SecretsPlugin`]. Clones share connections and watches.
#[derive(Clone)]
pub struct Kubernetes(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) client: Client,
    /// The namespace of references that name none.
    pub(crate) namespace: String,
    pub(crate) field_manager: String,
    pub(crate) page_size: u32,
    pub(crate) watches: Watches,
    /// Writers of one Secret in this process take turns: each would else make the read of all
    /// others stale. Writers elsewhere are met by trying again.
    turns: Arc<WriterTurns>,
}

impl Kubernetes {
    /// A plugin for this cluster. It reads the files that the settings name, and does not talk to
    /// the server yet.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming all settings that are wrong.
    pub fn new(config: KubernetesConfig) -> Result<Self> {
        Self::build(config, None)
    }

    /// A plugin that shows the API server bearer tokens of an identity plugin, such as an OIDC
    /// client (REQ 002-46). The cluster has to trust their issuer (`AuthenticationConfiguration`).
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_identity(
        config: KubernetesConfig,
        identity: Arc<dyn IdentityPlugin>,
        request: ServiceAuthRequest,
    ) -> Result<Self> {
        Self::build(config, Some((identity, request)))
    }

    fn build(
        config: KubernetesConfig,
        identity: Option<(Arc<dyn IdentityPlugin>, ServiceAuthRequest)>,
    ) -> Result<Self> {
        let Connected { client, namespace } = connect(&config, identity)?;
        Ok(Self(Arc::new(Inner {
            turns: Arc::new(WriterTurns::new(client.timeout)),
            client,
            namespace,
            name: config.name,
            field_manager: config.field_manager,
            page_size: config.page_size,
            watches: Watches::default(),
        })))
    }

    /// The same cluster on behalf of a caller (REQ 002-49), as RBAC lets that caller do it, and until
    /// what is known of the caller ends. What it returns is cheap to make and to drop: it shares
    /// connections, our own credentials and the turns of writers, and has watches of its own. Our
    /// own identity needs the right to act for the caller's user and groups
    /// ([`GroupRights::impersonator`](pipe_core::rbac::GroupRights::impersonator)).
    ///
    /// Decorators go around it, not around what it is made of: a cache that serves several callers
    /// would serve one what only another may read.
    ///
    /// # Errors
    /// `ConfigInvalid` where the instance acts on somebody's behalf already (`impersonate`, the
    /// kubeconfig's `as`, another caller): nobody may change from one caller to another.
    pub fn as_caller(&self, caller: &KubernetesUser) -> Result<Self> {
        let client = self.0.acting_for(caller).map_err(|error| self.locate(error, "as_caller"))?;
        Ok(Self(Arc::new(Inner {
            name: self.0.name.clone(),
            client,
            namespace: self.0.namespace.clone(),
            field_manager: self.0.field_manager.clone(),
            page_size: self.0.page_size,
            watches: self.0.watches.beside(),
            turns: Arc::clone(&self.0.turns),
        })))
    }

    /// The name of the Kubernetes Secret that holds this secret: its own where Kubernetes allows
    /// it, else a readable slug with 128 bits of its hash. Pod fragments, and `resourceNames` of
    /// Roles, use this name.
    #[must_use]
    pub fn object_name(secret: &SecretRef) -> String {
        object_name(&secret.name)
    }

    /// Creates or updates a secret with labels, annotations or a type.
    ///
    /// # Errors
    /// As for [`create_secret`](SecretsPlugin::create_secret).
    pub async fn apply_secret(
        &self,
        secret: &SecretRef,
        data: SecretData,
        options: &SecretOptions,
    ) -> Result<WriteOutcome> {
        self.write(secret, &data, options, Only::Always, "apply_secret").await
    }

    /// Creates a secret that must not exist yet.
    ///
    /// # Errors
    /// `Conflict` when it exists, else as for [`create_secret`](SecretsPlugin::create_secret).
    pub async fn create_secret_only(
        &self,
        secret: &SecretRef,
        data: SecretData,
        options: &SecretOptions,
    ) -> Result<WriteOutcome> {
        self.write(secret, &data, options, Only::IfAbsent, "create_secret_only").await
    }

    /// Replaces a secret that must still be in the state that was read: the same object, and the
    /// `version` that [`get_secret`](SecretsPlugin::get_secret) told.
    ///
    /// # Errors
    /// `Conflict` when it was changed, deleted or replaced meanwhile, else as for
    /// [`create_secret`](SecretsPlugin::create_secret). Read again, and decide again.
    pub async fn replace_secret_if(
        &self,
        secret: &SecretRef,
        data: SecretData,
        version: SecretVersion,
        options: &SecretOptions,
    ) -> Result<WriteOutcome> {
        self.write(secret, &data, options, Only::If(version), "replace_secret_if").await
    }

    /// Deletes a secret that must still have this version; `false` when nothing is stored there.
    ///
    /// # Errors
    /// `Conflict` when it was changed meanwhile, else as for
    /// [`delete_secret`](SecretsPlugin::delete_secret).
    pub async fn delete_secret_if(
        &self,
        secret: &SecretRef,
        version: SecretVersion,
    ) -> Result<bool> {
        let deleted = self.delete(secret, Some(version)).await;
        deleted.map_err(|error| self.at(error, secret, "delete_secret_if"))
    }

    /// Asks which verbs on Secrets are granted to us, in our own namespace or another (REQ 002-50).
    ///
    /// # Errors
    /// `InvalidArgument` for a namespace that Kubernetes would refuse, `Unauthenticated` when the
    /// server does not know us, and as for [`get_secret`](SecretsPlugin::get_secret).
    pub async fn check_access(&self, namespace: Option<&Namespace>) -> Result<AccessReport> {
        let checked = async {
            let namespace = namespace_or(namespace, &self.0.namespace)?;
            self.0.check_access(namespace, "").await
        };
        checked.await.map_err(|error| self.locate(error, "check_access"))
    }

    /// Asks which verbs on this one Secret are granted to us, as a Role with `resourceNames` does.
    ///
    /// # Errors
    /// As for [`check_access`](Self::check_access).
    pub async fn check_access_to(&self, secret: &SecretRef) -> Result<AccessReport> {
        let checked = async {
            let place = Place::of(secret, &self.0.namespace)?;
            self.0.check_access(place.namespace, &place.object).await
        };
        checked.await.map_err(|error| self.at(error, secret, "check_access_to"))
    }

    /// Mints a token of a service account, for an audience, with an end.
    ///
    /// # Errors
    /// `InvalidArgument` for a lifetime below ten minutes or above 2^32 seconds, and for names that
    /// Kubernetes would refuse; `NotFound` when the service account, or what the token is to be
    /// bound to, does not exist; `PermissionDenied`, naming the rule.
    pub async fn service_account_token(
        &self,
        request: &ServiceAccountTokenRequest,
    ) -> Result<ServiceAccountToken> {
        let minted = crate::token::mint(&self.0.client, &self.0.namespace, request).await;
        minted.map_err(|error| self.locate(error, "service_account_token"))
    }

    async fn write(
        &self,
        secret: &SecretRef,
        data: &SecretData,
        options: &SecretOptions,
        only: Only,
        operation: &'static str,
    ) -> Result<WriteOutcome> {
        let written = async {
            current_only(secret)?;
            self.capabilities().check(data)?;
            check_keys(data)?;
            options.check(data)?;
            let place = Place::of(secret, &self.0.namespace)?;
            let _turn = self.turn(&place).await?;
            self.0.write(&place, data, options, only).await
        };
        written.await.map_err(|error| self.at(error, secret, operation))
    }

    async fn delete(&self, secret: &SecretRef, version: Option<SecretVersion>) -> Result<bool> {
        current_only(secret)?;
        let place = Place::of(secret, &self.0.namespace)?;
        let _turn = self.turn(&place).await?;
        self.0.delete(&place, version).await
    }

    fn locate(&self, error: Error, operation: &'static str) -> Error {
        error.at(&self.0.name, operation)
    }

    fn at(&self, error: Error, secret: &SecretRef, operation: &'static str) -> Error {
        self.locate(error.with("secret", secret), operation)
    }

    fn one_namespace<'a>(&self, secrets: impl Iterator<Item = &'a SecretRef>) -> Result<()> {
        let namespaces =
            secrets.map(|secret| namespace_or(secret.namespace.as_ref(), &self.0.namespace));
        let namespaces = namespaces.collect::<Result<std::collections::BTreeSet<_>>>()?;
        if namespaces.len() < 2 {
            return Ok(());
        }
        let error = "the secrets are in different namespaces";
        Err(Error::new(ErrorKind::InvalidArgument, error)
            .hint("a pod gets Secrets of its own namespace only: keep them there, or read them at runtime"))
    }

    async fn turn(&self, place: &Place<'_>) -> Result<WriterTurn<'_>> {
        self.0.turns.take(&(place.namespace, &place.object)).await
    }
}

impl Inner {
    fn acting_for(&self, caller: &KubernetesUser) -> Result<Client> {
        if self.client.impersonates() {
            let reason = Error::new(
                ErrorKind::ConfigInvalid,
                "the instance acts on somebody's behalf already",
            );
            let hint = "leave it out of an instance that acts for its callers, and make each of them of that";
            return Err(ConfigFaults::about("impersonate", reason.hint(hint)));
        }
        let headers = impersonating(&Impersonation::from(caller))?;
        Ok(self.client.acting_for(headers, caller.expires_at()))
    }
}

fn current_only(secret: &SecretRef) -> Result<()> {
    match secret.version {
        None => Ok(()),
        Some(_) => Err(Error::new(ErrorKind::InvalidArgument, "an old version cannot be changed")
            .hint("leave the version out of the reference")),
    }
}

impl fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubernetes")
            .field("name", &self.0.name)
            .field("client", &self.0.client)
            .field("namespace", &self.0.namespace)
            .field("field_manager", &self.0.field_manager)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Plugin for Kubernetes {
    fn name(&self) -> &str {
        &self.0.name
    }

    /// Which verbs on Secrets of our own namespace are granted to us.
    async fn health(&self) -> Health {
        self.0.health().await
    }

    async fn close(&self) -> Result<()> {
        self.0.watches.close();
        Ok(())
    }
}

#[async_trait]
impl SecretsPlugin for Kubernetes {
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
        let found = self.0.get(secret).await;
        found.map_err(|error| self.at(error, secret, "get_secret"))
    }

    async fn create_secret(&self, secret: &SecretRef, data: SecretData) -> Result<WriteOutcome> {
        self.write(secret, &data, &SecretOptions::new(), Only::Always, "create_secret").await
    }

    /// A namespace of a reference is no part of the name: it is where the pod has to run, because a
    /// pod gets Secrets of its own namespace only.
    fn inject_env_vars(&self, injection: &EnvInjection) -> Result<PodFragment> {
        let located = |error| self.locate(error, "inject_env_vars");
        self.one_namespace(injection.secrets()).map_err(located)?;
        injection.fragment_with(|secret| Ok(object_name(&secret.name))).map_err(located)
    }

    /// A namespace of a reference is no part of the name, as with
    /// [`inject_env_vars`](Self::inject_env_vars).
    fn generate_secret_mounts(&self, mount: &SecretMount) -> Result<PodFragment> {
        let fragment = mount.fragment_with(|secret| Ok(object_name(&secret.name)));
        fragment.map_err(|error| self.locate(error, "generate_secret_mounts"))
    }

    async fn delete_secret(&self, secret: &SecretRef) -> Result<bool> {
        let deleted = self.delete(secret, None).await;
        deleted.map_err(|error| self.at(error, secret, "delete_secret"))
    }

    async fn list_secrets(&self, query: &ListQuery) -> Result<Vec<SecretRef>> {
        let found = self.0.list(query).await;
        found.map_err(|error| self.locate(error, "list_secrets"))
    }

    async fn watch_secret(&self, secret: &SecretRef) -> Result<SecretStream> {
        let watched = crate::watch::watch(&self.0, secret).await;
        watched.map_err(|error| self.at(error, secret, "watch_secret"))
    }
}
