//! What a document may put around a plugin.

use std::sync::Arc;
use std::time::Duration;

use pipe_core::identity::UserLogin;
use pipe_core::wrap::{CachePolicy, Cached, Observed, Observer, Retry, RetryPolicy, Timeout};
use pipe_core::{Error, ErrorKind, GovernanceMemory, IdentityPlugin, SecretsPlugin};
use serde::Deserialize;
use serde::de::DeserializeOwned;

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

/// What to put around a plugin whose answers are not kept. From the inside out: a bound on each
/// attempt, repetition.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UncachedDecorators {
    /// How long each attempt may take, such as `5s`. What is added to a memory takes minutes.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    timeout: Option<Duration>,
    /// How often, and for how long, to try.
    retry: Option<RetryPolicy>,
}

/// The decorators of one section.
pub(crate) trait Check: Default + DeserializeOwned + schemars::JsonSchema {
    /// Each fault with the decorator and, where it has some, the setting.
    fn check(&self) -> Vec<(&'static str, Error)>;
}

impl Check for Decorators {
    fn check(&self) -> Vec<(&'static str, Error)> {
        let cache = self.cache.as_ref().and_then(|policy| policy.check().err());
        faults(self.timeout, self.retry.as_ref(), cache)
    }
}

impl Check for UncachedDecorators {
    fn check(&self) -> Vec<(&'static str, Error)> {
        faults(self.timeout, self.retry.as_ref(), None)
    }
}

fn faults(
    timeout: Option<Duration>,
    retry: Option<&RetryPolicy>,
    cache: Option<Error>,
) -> Vec<(&'static str, Error)> {
    let timeout = timeout
        .is_some_and(|timeout| timeout.is_zero())
        .then(|| Error::new(ErrorKind::ConfigInvalid, "must be more than nothing"));
    let retry = retry.and_then(|policy| policy.check().err());
    let named = [("timeout", timeout), ("retry", retry), ("cache", cache)];
    named.into_iter().filter_map(|(name, error)| Some((name, error?))).collect()
}

/// Puts the decorators around a plugin, the observer outermost: a hit of the cache is an access
/// too.
macro_rules! decorate {
    ($name:ident, $plugin:ident, $decorators:ident $(, $cache:ident)?) => {
        pub(crate) fn $name(
            mut plugin: Arc<dyn $plugin>,
            decorators: &$decorators,
            observer: Option<&Arc<dyn Observer>>,
        ) -> Arc<dyn $plugin> {
            if let Some(limit) = decorators.timeout {
                plugin = Arc::new(Timeout::new(plugin, limit));
            }
            if let Some(policy) = &decorators.retry {
                plugin = Arc::new(Retry::with_policy(plugin, policy.clone()));
            }
            $(if let Some(policy) = &decorators.$cache {
                plugin = Arc::new(Cached::new(plugin, policy.clone()));
            })?
            if let Some(observer) = observer {
                plugin = Arc::new(Observed::new(plugin, Arc::clone(observer)));
            }
            plugin
        }
    };
}
decorate!(around_secrets, SecretsPlugin, Decorators, cache);
decorate!(around_identity, IdentityPlugin, Decorators, cache);
// What was added to a memory is found by the next search, whoever added it.
decorate!(around_memory, GovernanceMemory, UncachedDecorators);
// A session that has ended is nothing to anybody any more.
decorate!(around_login, UserLogin, UncachedDecorators);
