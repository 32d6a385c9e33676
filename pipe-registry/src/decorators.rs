//! What a document may put around a plugin.

use std::sync::Arc;
use std::time::Duration;

use pipe_core::wrap::{CachePolicy, Cached, Observed, Observer, Retry, RetryPolicy, Timeout};
use pipe_core::{Error, IdentityPlugin, SecretsPlugin};
use serde::Deserialize;

/// What to put around a plugin. From the inside out: a bound on each attempt, repetition, a cache.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Decorators {
    /// How long each attempt may take, such as `5s`.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    timeout: Option<Duration>,
    /// How often, and for how long, to try.
    retry: Option<RetryPolicy>,
    /// What to keep, and for how long.
    cache: Option<CachePolicy>,
}

impl Decorators {
    /// Each fault with the decorator and, where it has some, the setting.
    pub(crate) fn check(&self) -> Vec<(&'static str, Error)> {
        let timeout = self
            .timeout
            .is_some_and(|timeout| timeout.is_zero())
            .then(|| Error::new(pipe_core::ErrorKind::ConfigInvalid, "must be more than nothing"));
        let retry = self.retry.as_ref().and_then(|policy| policy.check().err());
        let cache = self.cache.as_ref().and_then(|policy| policy.check().err());
        let named = [("timeout", timeout), ("retry", retry), ("cache", cache)];
        named.into_iter().filter_map(|(name, error)| Some((name, error?))).collect()
    }
}

/// Puts the decorators around a plugin, the observer outermost: a hit of the cache is an access
/// too.
macro_rules! decorate {
    ($name:ident, $plugin:ident) => {
        pub(crate) fn $name(
            mut plugin: Arc<dyn $plugin>,
            decorators: &Decorators,
            observer: Option<&Arc<dyn Observer>>,
        ) -> Arc<dyn $plugin> {
            if let Some(limit) = decorators.timeout {
                plugin = Arc::new(Timeout::new(plugin, limit));
            }
            if let Some(policy) = &decorators.retry {
                plugin = Arc::new(Retry::with_policy(plugin, policy.clone()));
            }
            if let Some(policy) = &decorators.cache {
                plugin = Arc::new(Cached::new(plugin, policy.clone()));
            }
            if let Some(observer) = observer {
                plugin = Arc::new(Observed::new(plugin, Arc::clone(observer)));
            }
            plugin
        }
    };
}
decorate!(around_secrets, SecretsPlugin);
decorate!(around_identity, IdentityPlugin);
