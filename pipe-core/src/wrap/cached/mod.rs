//! Answers that are asked for once.

mod entry;
mod flights;
mod identity;
mod roles;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;

use self::entry::Kind;
use self::identity::TokenKey;
pub use self::roles::CachedRoles;
use self::store::{Fetch, Store};
use super::CachePolicy;
use crate::identity::{ServiceAuthRequest, ServiceCredentials};
use crate::pod::{EnvInjection, PodFragment, SecretMount};
use crate::secrets::{ListQuery, Secret, SecretStream, SecretsCapabilities, WriteOutcome};
use crate::{
    Clock, Error, ErrorKind, Health, Plugin, Result, SecretData, SecretRef, SecretsPlugin,
    SecurityContext,
};

/// Remembers answers for a while, and asks once for all who ask at the same time.
///
/// # Secrets
///
/// - An answer is served for [`ttl`](CachePolicy::ttl); "nothing is there" for
///   [`absent_ttl`](CachePolicy::absent_ttl). Errors are never remembered.
/// - An answer that is still asked for is renewed in the background before its time is over.
/// - When the backend cannot be asked (`Unavailable`, `Timeout`, `RateLimited`), an answer is served
///   up to [`stale_if_error`](CachePolicy::stale_if_error) longer: a service survives an outage without a failed read.
///   Any other error of a read ends an answer's time at once, and so does a denial wherever it comes up.
/// - Writes and deletes through this plugin, and the events of its watches, forget the answer before
///   their own caller learns of them. What other processes write is seen after `ttl` at the latest;
///   [`refresh`](Self::refresh) asks now.
/// - What can no longer be served is wiped with one of the next reads, and all of it by `close`.
/// - Reads of a version by its number go to the backend: they are rare, and a write elsewhere may
///   destroy them.
///
/// # Identities
///
/// - Checked tokens are remembered, keyed by a digest of the token and of all that was expected of
///   it, for at most `ttl` and never past their end. A revoked token is accepted so long: choose
///   `ttl` by that. Tokens with a DPoP proof, which is good for one request, are checked each time.
///   Refusals are not remembered, and nothing is served past its time.
/// - Credentials are served until [`refresh_ahead`](CachePolicy::refresh_ahead) percent of their own life, then renewed in the background, and still served
///   until they end when that fails.
/// - Signed tokens and resolved contexts are never remembered: each is one of a kind, or has to be of now.
///
/// # Place and cancellation
///
/// It belongs around [`Retry`](super::Retry) and inside of [`Observed`](super::Observed). All callers
/// share its answers, so a backend that decides by the *caller* of a read must not be wrapped in it.
/// Those who wait for the same answer share one call: it goes on as long as one of them waits, whoever
/// began it, and is dropped with the last. It runs with the context of the one who began it.
///
/// ```
/// use pipe_core::SecretsPlugin;
/// use pipe_core::wrap::{CachePolicy, Cached, Retry};
///
/// fn right(backend: impl SecretsPlugin) -> impl SecretsPlugin {
///     Cached::new(Retry::new(backend), CachePolicy::new())
/// }
///
/// fn wrong(backend: impl SecretsPlugin) -> impl SecretsPlugin {
///     // Everyone who waits for the same answer tries again on his own.
///     Retry::new(Cached::new(backend, CachePolicy::new()))
/// }
/// ```
///
/// Clones share what is remembered.
#[derive(Clone)]
pub struct Cached<P>(Arc<Inner<P>>);

struct Inner<P> {
    plugin: Arc<P>,
    secrets: Store<SecretRef, Option<Secret>>,
    tokens: Store<TokenKey, SecurityContext>,
    credentials: Store<ServiceAuthRequest, ServiceCredentials>,
}

impl<P> Inner<P> {
    /// A denial that came up where nothing is remembered.
    fn heed(&self, error: &Error, secret: &SecretRef) {
        if error.kind() == ErrorKind::PermissionDenied {
            self.secrets.forget(&current(secret));
        }
    }
}

impl<P> Cached<P> {
    /// Remembers as the policy says. [`CachePolicy::check`] tells whether it makes sense; a number
    /// out of its bounds counts as the nearest one within.
    #[must_use]
    pub fn new(plugin: P, policy: CachePolicy) -> Self {
        Self::with_clock(plugin, policy, &Clock::default())
    }

    /// The same, with a clock of the caller's own: tokens and credentials end by it.
    #[must_use]
    pub fn with_clock(plugin: P, policy: CachePolicy, clock: &Clock) -> Self {
        let policy = policy.within_bounds();
        Self(Arc::new(Inner {
            plugin: Arc::new(plugin),
            secrets: Store::new(&policy, Kind::Secret, clock),
            tokens: Store::new(&policy, Kind::Token, clock),
            credentials: Store::new(&policy, Kind::Credentials, clock),
        }))
    }

    /// Forgets a secret: the next read asks the backend.
    pub fn invalidate(&self, secret: &SecretRef) {
        self.0.secrets.forget(&current(secret));
    }

    /// Forgets everything, and stops what is done in the background.
    pub fn clear(&self) {
        self.0.secrets.clear();
        self.0.tokens.clear();
        self.0.credentials.clear();
    }
}

impl<P: SecretsPlugin> Cached<P> {
    /// Asks the backend now, whatever is remembered (REQ 004-77.5). The answer is remembered; an
    /// error leaves what was remembered, as far as it may still be served.
    ///
    /// # Errors
    /// As for [`get_secret`](SecretsPlugin::get_secret).
    pub async fn refresh(&self, secret: &SecretRef) -> Result<Option<Secret>> {
        if secret.version.is_some() {
            return self.0.plugin.get_secret(secret).await;
        }
        self.0.secrets.fetch_anew(secret, || self.read(secret)).await
    }

    fn read(&self, secret: &SecretRef) -> Fetch<Option<Secret>> {
        let (plugin, secret) = (Arc::clone(&self.0.plugin), secret.clone());
        Box::pin(async move { plugin.get_secret(&secret).await })
    }
}

/// The current version, which is what a write changes.
fn current(secret: &SecretRef) -> SecretRef {
    SecretRef { version: None, ..secret.clone() }
}

/// Forgets before and after a change: what is read meanwhile may be either, and what is read after
/// it may not be from before.
struct Changing<'a, P> {
    cache: &'a Cached<P>,
    secret: &'a SecretRef,
}

impl<'a, P> Changing<'a, P> {
    fn new(cache: &'a Cached<P>, secret: &'a SecretRef) -> Self {
        cache.invalidate(secret);
        Self { cache, secret }
    }
}

impl<P> Drop for Changing<'_, P> {
    fn drop(&mut self) {
        self.cache.invalidate(self.secret);
    }
}

impl<P: fmt::Debug> fmt::Debug for Cached<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").field("plugin", &self.0.plugin).finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: Plugin> Plugin for Cached<P> {
    fn name(&self) -> &str {
        self.0.plugin.name()
    }

    /// Never from memory.
    async fn health(&self) -> Health {
        self.0.plugin.health().await
    }

    async fn close(&self) -> Result<()> {
        self.clear();
        self.0.plugin.close().await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: SecretsPlugin> SecretsPlugin for Cached<P> {
    fn capabilities(&self) -> SecretsCapabilities {
        self.0.plugin.capabilities()
    }

    async fn get_secret(&self, secret: &SecretRef) -> Result<Option<Secret>> {
        if secret.version.is_some() {
            let answer = self.0.plugin.get_secret(secret).await;
            return answer.inspect_err(|error| self.0.heed(error, secret));
        }
        self.0.secrets.get(secret, || self.read(secret)).await
    }

    async fn create_secret(&self, secret: &SecretRef, data: SecretData) -> Result<WriteOutcome> {
        let _changing = Changing::new(self, secret);
        self.0.plugin.create_secret(secret, data).await
    }

    fn inject_env_vars(&self, injection: &EnvInjection) -> Result<PodFragment> {
        self.0.plugin.inject_env_vars(injection)
    }

    fn generate_secret_mounts(&self, mount: &SecretMount) -> Result<PodFragment> {
        self.0.plugin.generate_secret_mounts(mount)
    }

    async fn delete_secret(&self, secret: &SecretRef) -> Result<bool> {
        let _changing = Changing::new(self, secret);
        self.0.plugin.delete_secret(secret).await
    }

    async fn list_secrets(&self, query: &ListQuery) -> Result<Vec<SecretRef>> {
        self.0.plugin.list_secrets(query).await
    }

    async fn watch_secret(&self, secret: &SecretRef) -> Result<SecretStream> {
        let stream = self.0.plugin.watch_secret(secret).await;
        let stream = stream.inspect_err(|error| self.0.heed(error, secret))?;
        // Does not keep the plugin alive: the stream may outlive it.
        let (cache, secret) = (Arc::downgrade(&self.0), current(secret));
        Ok(SecretStream::new(stream.inspect(move |event| match (event, cache.upgrade()) {
            (Ok(_), Some(cache)) => cache.secrets.forget(&secret),
            (Err(error), Some(cache)) => cache.heed(error, &secret),
            (_, None) => {}
        })))
    }
}
