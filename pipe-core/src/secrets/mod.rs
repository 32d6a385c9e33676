//! Reading and writing secrets, and saying how they reach a pod.

mod artifact;
mod broker;
mod capabilities;
mod ext;
mod network;
mod polling;
mod reference;
mod schema;
mod stored;
mod text;
mod turns;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::artifact::{AppId, ArtifactPath, SecretId};
pub use self::broker::{ResolvedSecret, SecretBroker, SecretPlace};
pub use self::capabilities::SecretsCapabilities;
pub use self::ext::SecretsPluginExt;
pub use self::network::{Fqdn, NetworkAccess, Outbound, OutboundHost};
pub use self::polling::{PolledStore, Pollers};
pub use self::reference::{ListQuery, SecretRef};
pub use self::schema::{Environment, LogicalKey, SecretDeclaration, SecretSchema, SecretScope};
pub use self::stored::{Change, Secret, SecretVersion, WriteOutcome};
pub use self::text::StoredText;
pub use self::turns::{WriterTurn, WriterTurns};
pub use self::watch::{SecretEvent, SecretStream};
use crate::pod::{EnvInjection, PodFragment, SecretMount};
use crate::{Error, Plugin, Result, SecretData};

/// A store of secrets (REQ 004-76).
///
/// # What callers may rely on
/// - Absence is an answer: [`get_secret`](Self::get_secret) returns `Ok(None)`. Denied,
///   unavailable and malformed are errors, and are never turned into absence.
/// - [`create_secret`](Self::create_secret) is idempotent, and after it returned, a read through
///   the same plugin sees the data.
/// - Dropping a future leaves nothing half-done, and leaves the plugin usable.
/// - A power that [`capabilities`](Self::capabilities) does not declare answers `Unsupported`.
/// - No value appears in any error, log line, `Debug` output or pod fragment.
///
/// # What implementors keep
/// - One attempt per call, bounded by a deadline: retrying, caching and observing are the
///   decorators' work.
/// - What the backend could not store unchanged is refused with `InvalidArgument` *before* any
///   request. Nothing is trimmed, re-encoded visibly or cut.
/// - `pipe_testkit::secrets_compliance!` passes.
#[async_trait]
pub trait SecretsPlugin: Plugin {
    /// What this plugin offers beyond reading, and its limits. Constant for the instance's life.
    fn capabilities(&self) -> SecretsCapabilities;

    /// Reads a secret; `Ok(None)` when nothing is stored there.
    ///
    /// # Errors
    /// Only when it could not be found out: `PermissionDenied`, `Unauthenticated`, `Unavailable`,
    /// `Timeout`, `RateLimited`, `Unexpected`; `Unsupported` for a version or a namespace that
    /// this plugin cannot address.
    async fn get_secret(&self, secret: &SecretRef) -> Result<Option<Secret>>;

    /// Creates or updates a secret. Storing the same data again is a success: `Unchanged`.
    ///
    /// The data replaces what was stored; keys that are not in it are gone.
    ///
    /// # Errors
    /// `InvalidArgument` before any request when the name, a key or a value cannot be stored as
    /// it is; `Conflict` when others kept writing; `Unsupported` when the plugin only reads.
    async fn create_secret(&self, secret: &SecretRef, data: SecretData) -> Result<WriteOutcome>;

    /// How a pod gets these secrets as environment variables. Names only, never values.
    ///
    /// # Errors
    /// `InvalidArgument` for names that Kubernetes would refuse, and for collisions.
    fn inject_env_vars(&self, injection: &EnvInjection) -> Result<PodFragment> {
        injection.fragment()
    }

    /// How a pod mounts a secret, as a volume or as `envFrom`. Names only, never values.
    ///
    /// # Errors
    /// `InvalidArgument` for names and paths that Kubernetes would refuse.
    fn generate_secret_mounts(&self, mount: &SecretMount) -> Result<PodFragment> {
        mount.fragment()
    }

    /// Deletes a secret; `false` when nothing was stored there.
    ///
    /// # Errors
    /// As for [`get_secret`](Self::get_secret); `Unsupported` unless declared.
    async fn delete_secret(&self, secret: &SecretRef) -> Result<bool> {
        let _ = secret;
        Err(Error::unsupported(self.name(), "delete_secret"))
    }

    /// Lists the secrets that match, sorted by name, complete or not at all.
    ///
    /// # Errors
    /// As for [`get_secret`](Self::get_secret); `InvalidArgument` when there are more than
    /// [`ListQuery::limit`]; `Unsupported` unless declared.
    async fn list_secrets(&self, query: &ListQuery) -> Result<Vec<SecretRef>> {
        let _ = query;
        Err(Error::unsupported(self.name(), "list_secrets"))
    }

    /// Follows a secret: its state now, then every later one.
    ///
    /// # Errors
    /// When the watch cannot start; `Unsupported` unless declared.
    async fn watch_secret(&self, secret: &SecretRef) -> Result<SecretStream> {
        let _ = secret;
        Err(Error::unsupported(self.name(), "watch_secret"))
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: SecretsPlugin + ?Sized> SecretsPlugin for $pointer {
            fn capabilities(&self) -> SecretsCapabilities {
                (**self).capabilities()
            }
            async fn get_secret(&self, secret: &SecretRef) -> Result<Option<Secret>> {
                (**self).get_secret(secret).await
            }
            async fn create_secret(&self, secret: &SecretRef, data: SecretData) -> Result<WriteOutcome> {
                (**self).create_secret(secret, data).await
            }
            fn inject_env_vars(&self, injection: &EnvInjection) -> Result<PodFragment> {
                (**self).inject_env_vars(injection)
            }
            fn generate_secret_mounts(&self, mount: &SecretMount) -> Result<PodFragment> {
                (**self).generate_secret_mounts(mount)
            }
            async fn delete_secret(&self, secret: &SecretRef) -> Result<bool> {
                (**self).delete_secret(secret).await
            }
            async fn list_secrets(&self, query: &ListQuery) -> Result<Vec<SecretRef>> {
                (**self).list_secrets(query).await
            }
            async fn watch_secret(&self, secret: &SecretRef) -> Result<SecretStream> {
                (**self).watch_secret(secret).await
            }
        }
    )*};
}
forward!(Arc<P>, Box<P>);
