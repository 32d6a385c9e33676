//! The trait implementation, thin.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use pipe_core::identity::ServiceAuthRequest;
use pipe_core::secrets::{
    ListQuery, Pollers, Secret, SecretStream, SecretsCapabilities, WriteOutcome, WriterTurn,
    WriterTurns,
};
use pipe_core::{
    Error, ErrorKind, Health, IdentityPlugin, Plugin, Result, SecretData, SecretRef, SecretsPlugin,
};

use crate::client::Client;
use crate::config::OpenBaoConfig;
use crate::kv::Kv;
use crate::login::ServerLogin;
use crate::raw::{self, ReadSecret};
use crate::transport::Transport;
use crate::value::stored_size;

/// OpenBao refuses requests of more than 1,000 strings: with check-and-set, 498 pairs fit.
const MAX_KEYS: usize = 498;
/// In base64 still below the 1 MiB that an entry of raft storage may have.
const MAX_SECRET_BYTES: usize = 512 << 10;

const MAX_KEY_BYTES: usize = 512;

/// OpenBao as a [`SecretsPlugin`]. Clones share the login.
#[derive(Clone)]
pub struct OpenBao(Arc<Inner>);

pub(crate) struct Inner {
    name: String,
    pub(crate) client: Client,
    pub(crate) kv: Kv,
    pollers: Pollers<Self>,
    /// Writers of one secret in this process take turns: the check-and-set of each would else fail
    /// all others. Writers elsewhere are met by trying again.
    turns: WriterTurns,
}

impl OpenBao {
    /// A plugin for this server. It does not talk to the server yet: a server that is down or
    /// sealed is met by the first call.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming all settings that are wrong.
    pub fn new(config: OpenBaoConfig) -> Result<Self> {
        Self::build(config, None)
    }

    /// A plugin that logs in by [`JwtAuth`](crate::JwtAuth) with tokens of an identity plugin.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_identity(
        config: OpenBaoConfig,
        identity: Arc<dyn IdentityPlugin>,
        request: ServiceAuthRequest,
    ) -> Result<Self> {
        Self::build(config, Some((identity, request)))
    }

    fn build(
        config: OpenBaoConfig,
        identity: Option<(Arc<dyn IdentityPlugin>, ServiceAuthRequest)>,
    ) -> Result<Self> {
        let locate = |error: Error| error.at(&config.name, "new");
        let checked = config.check().map_err(locate)?;
        let transport = Transport::new(checked.http, checked.others);
        let timeout = config.http.timeout;
        let home = checked.auth_namespace.as_ref();
        let login = |identity| ServerLogin::new(transport.clone(), home, &config.auth, identity);
        let inline = match config.inline_auth {
            true => Some(login(identity.clone()).map_err(locate)?),
            false => None,
        };
        let login = login(identity).map_err(locate)?;
        let client = Client::new(
            transport.clone(),
            checked.namespace,
            home,
            login,
            inline,
            &config.auth,
            timeout,
        );
        Ok(Self(Arc::new(Inner {
            kv: Kv::new(checked.mount, config.page_size, checked.kv_version, config.owner),
            client,
            turns: WriterTurns::new(timeout),
            pollers: Pollers::new(&config.name, config.poll_interval),
            name: config.name,
        })))
    }

    /// Reads any path of the server, such as `secret/data/apps/db` or `kv1/apps/db`, in the
    /// plugin's namespace; `None` when nothing is there.
    ///
    /// A KV v2 answer is unwrapped to its data and version. Reading a path that makes credentials
    /// makes them: the lease is in the answer, and ends by itself unless it is renewed.
    ///
    /// # Errors
    /// `InvalidArgument` for a path that leaves its folder, and as for
    /// [`get_secret`](SecretsPlugin::get_secret).
    pub async fn read_secret(&self, path: &str) -> Result<Option<ReadSecret>> {
        raw::read(&self.0.client, path).await.map_err(|error| self.locate(error, "read_secret"))
    }

    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    pub(crate) fn name_of_instance(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn kv(&self) -> &Kv {
        &self.0.kv
    }

    /// Writers of one secret in this process take turns.
    pub(crate) async fn turn(&self, secret: &SecretRef) -> Result<WriterTurn<'_>> {
        self.0.turns.take(secret).await
    }

    /// Whoever follows the secret looks at it at once: we may have changed it.
    pub(crate) fn wake(&self, secret: &SecretRef) {
        self.0.pollers.wake(secret);
    }

    pub(crate) fn locate(&self, error: Error, operation: &'static str) -> Error {
        error.at(&self.0.name, operation)
    }

    async fn create(&self, secret: &SecretRef, data: &SecretData) -> Result<WriteOutcome> {
        current_only(secret)?;
        self.capabilities().check(data)?;
        check_keys(data)?;
        let _turn = self.turn(secret).await?;
        let outcome = self.0.kv.create(&self.0.client, secret, data).await;
        // Whatever the answer, something may have been written.
        self.wake(secret);
        outcome
    }

    async fn delete(&self, secret: &SecretRef) -> Result<bool> {
        current_only(secret)?;
        let _turn = self.turn(secret).await?;
        let deleted = self.0.kv.delete(&self.0.client, secret).await;
        self.wake(secret);
        deleted
    }
}

pub(crate) fn current_only(secret: &SecretRef) -> Result<()> {
    match secret.version {
        None => Ok(()),
        Some(_) => Err(Error::new(ErrorKind::InvalidArgument, "an old version cannot be changed")
            .with("secret", secret)
            .hint("leave the version out of the reference")),
    }
}

/// Keys take room in the entry too; with this bound, all of them fit beside the values.
pub(crate) fn check_keys(data: &SecretData) -> Result<()> {
    match data.keys().find(|key| stored_size(key) > MAX_KEY_BYTES) {
        None => Ok(()),
        Some(key) => Err(Error::new(ErrorKind::InvalidArgument, "the key is too long")
            .with("key", key)
            .with("limit", MAX_KEY_BYTES)
            .hint("use a shorter key")),
    }
}

impl fmt::Debug for OpenBao {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenBao")
            .field("name", &self.0.name)
            .field("client", &self.0.client)
            .field("kv", &self.0.kv)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Plugin for OpenBao {
    fn name(&self) -> &str {
        &self.0.name
    }

    async fn health(&self) -> Health {
        crate::health::check(&self.0.client).await
    }

    async fn close(&self) -> Result<()> {
        self.0.pollers.close();
        self.0.client.close().await.map_err(|error| self.locate(error, "close"))
    }
}

#[async_trait]
impl SecretsPlugin for OpenBao {
    fn capabilities(&self) -> SecretsCapabilities {
        let capabilities = match self.0.kv.has_versions() {
            true => SecretsCapabilities::READ_ONLY.with_versions(),
            false => SecretsCapabilities::READ_ONLY,
        };
        capabilities
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
        let found = self.0.kv.get(&self.0.client, secret).await;
        found.map_err(|error| self.locate(error.with("secret", secret), "get_secret"))
    }

    async fn create_secret(&self, secret: &SecretRef, data: SecretData) -> Result<WriteOutcome> {
        let outcome = self.create(secret, &data).await;
        outcome.map_err(|error| self.locate(error.with("secret", secret), "create_secret"))
    }

    async fn delete_secret(&self, secret: &SecretRef) -> Result<bool> {
        let deleted = self.delete(secret).await;
        deleted.map_err(|error| self.locate(error.with("secret", secret), "delete_secret"))
    }

    async fn list_secrets(&self, query: &ListQuery) -> Result<Vec<SecretRef>> {
        let found = self.0.kv.list(&self.0.client, query).await;
        found.map_err(|error| self.locate(error, "list_secrets"))
    }

    async fn watch_secret(&self, secret: &SecretRef) -> Result<SecretStream> {
        let watched = async {
            if secret.version.is_some() {
                return Err(Error::new(ErrorKind::Unsupported, "an old version does not change")
                    .hint("leave the version out of the reference"));
            }
            self.0.pollers.follow(&self.0, secret.clone()).await
        };
        watched.await.map_err(|error| self.locate(error.with("secret", secret), "watch_secret"))
    }
}
