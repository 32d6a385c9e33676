//! How the issuers are just now.

use std::time::Duration;

use futures_util::future::join_all;
use pipe_core::identity::{SessionKey, SessionStore};
use pipe_core::{Error, ErrorKind, Health};

use crate::plugin::Inner;
use crate::provider::{KeyState, Provider};

const DEADLINE: Duration = Duration::from_secs(5);

/// The worst of all issuers, and what is known of each that is not healthy: its keys, their age,
/// what failed last, and when it is tried again.
pub(crate) async fn check(plugin: &Inner) -> Health {
    let providers = plugin.trusted.iter().filter_map(|trusted| trusted.keys.provider());
    worst(join_all(providers.map(of)).await)
}

/// The worst of these, with the reasons of all that are not healthy.
pub(crate) fn worst(all: impl IntoIterator<Item = Health>) -> Health {
    let mut ill: Vec<_> = all.into_iter().filter(|health| *health != Health::healthy()).collect();
    ill.sort_by_key(|health| std::cmp::Reverse(health.status));
    let Some(worst) = ill.first() else { return Health::healthy() };
    let reason: Vec<_> = ill.iter().map(|health| health.reason.as_str()).collect();
    let mut health = worst.clone();
    health.reason = reason.join("; ");
    health
}

/// Whether sessions can be looked up: one is, that there never is.
pub(crate) async fn of_store(store: &dyn SessionStore) -> Health {
    let asked = tokio::time::timeout(DEADLINE, store.get(&SessionKey::Session([0; 32]))).await;
    let slow = Error::new(ErrorKind::Timeout, "the store of sessions does not answer");
    match asked.unwrap_or(Err(slow.hint("see to the store that `sessions` names"))) {
        Ok(_) => Health::healthy(),
        Err(error) => Health::from(&error),
    }
}

/// How this issuer is.
pub(crate) async fn of(provider: &Provider) -> Health {
    // Who has no keys yet is asked, unless that failed a moment ago.
    if matches!(provider.status().state, KeyState::Cold | KeyState::Expired) {
        let _ = tokio::time::timeout(DEADLINE, provider.ring_for(None)).await;
    }
    provider.status().health()
}
