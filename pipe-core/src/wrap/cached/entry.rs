//! What is remembered, and until when.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::identity::{Credential, ServiceCredentials};
use crate::secrets::Secret;
use crate::wrap::CachePolicy;
use crate::{Clock, SecretData, SecurityContext};

/// How long a failed renewal is not tried again while an answer is served past its time.
const PAUSE: Duration = Duration::from_secs(1);

/// What an entry costs besides its values: keys, names, nodes and pointers.
const OVERHEAD: usize = 512;

/// An answer and its times. Cheap to clone: a clone copies no secret.
#[derive(Clone)]
pub(super) struct Entry<V> {
    pub(super) value: V,
    /// In bytes.
    pub(super) size: usize,
    /// From then on it is renewed in the background when somebody asks for it.
    refresh_at: Instant,
    /// From then on it is served only while the backend cannot be asked.
    fresh_until: Instant,
    /// From then on it is not served.
    usable_until: Instant,
    /// The backend could not be asked the last time.
    is_failing: bool,
}

/// What to do with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Serve,
    /// Serve it, and ask in the background.
    ServeAndRefresh,
    /// Ask; serve it when the backend cannot be asked.
    Ask,
    /// Ask; it is of no use any more.
    Forget,
}

impl<V> Entry<V> {
    pub(super) fn use_at(&self, now: Instant) -> Use {
        match () {
            // First of all: no other time makes it usable again.
            () if now >= self.usable_until => Use::Forget,
            () if now < self.refresh_at => Use::Serve,
            () if now < self.fresh_until => Use::ServeAndRefresh,
            // Who has waited for the outage once need not wait for it again.
            () if self.is_failing => Use::ServeAndRefresh,
            () => Use::Ask,
        }
    }

    pub(super) fn is_usable_at(&self, now: Instant) -> bool {
        now < self.usable_until
    }

    /// After the backend could not be asked.
    pub(super) fn failing_at(self, now: Instant) -> Self {
        Self { is_failing: true, refresh_at: now + PAUSE, ..self }
    }
}

/// What kind of answers a store holds, which decides their times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Secret,
    Token,
    Credentials,
}

/// The times of answers.
pub(super) struct Times {
    kind: Kind,
    policy: CachePolicy,
    clock: Clock,
}

impl Times {
    pub(super) fn new(kind: Kind, policy: CachePolicy, clock: Clock) -> Self {
        Self { kind, policy, clock }
    }

    /// What to do with an entry now. What ends at a time of day ends then, also when the clock was
    /// set: the time since it was remembered does not tell.
    pub(super) fn use_of<V: Answer>(&self, entry: &Entry<V>) -> Use {
        match entry.value.expires_at() {
            Some(end) if self.clock.now() >= end => Use::Forget,
            _ => entry.use_at(Instant::now()),
        }
    }

    /// The entry for an answer that came just now; `None` when it is not to be kept.
    pub(super) fn entry<V: Answer>(&self, value: V) -> Option<Entry<V>> {
        let now = Instant::now();
        let ttl = if value.is_absent() { self.policy.absent_ttl } else { self.policy.ttl };
        let left =
            value.expires_at().map(|end| end.duration_since(self.clock.now()).unwrap_or_default());
        let (fresh, usable) = match (self.kind, left) {
            // Up to a tenth less, so that what was read together is not renewed together.
            (Kind::Secret, _) => {
                let fresh = ttl.mul_f64(1.0 - 0.1 * fastrand::f64());
                let stale =
                    if value.is_absent() { Duration::ZERO } else { self.policy.stale_if_error };
                (fresh, fresh + stale)
            }
            (Kind::Token, left) => {
                let fresh = left.unwrap_or_default().min(ttl);
                (fresh, fresh)
            }
            // Good for as long as they live, whatever the policy says of secrets.
            (Kind::Credentials, left) => {
                let left = left.unwrap_or_default();
                (left, left)
            }
        };
        if fresh.is_zero() {
            return None;
        }
        let ahead = match self.kind {
            // A token is checked again by whoever brings it.
            Kind::Token => 100,
            _ => self.policy.refresh_ahead,
        };
        let jitter = if self.kind == Kind::Credentials { 1.0 - 0.1 * fastrand::f64() } else { 1.0 };
        let refresh = fresh.mul_f64(f64::from(ahead) / 100.0 * jitter);
        // Clocks have an end, and policies are bounded well before it.
        let at = |time: Duration| now + time.min(FOREVER);
        Some(Entry {
            size: value.size(),
            value,
            refresh_at: at(refresh),
            fresh_until: at(fresh),
            usable_until: at(usable),
            is_failing: false,
        })
    }
}

const FOREVER: Duration = Duration::from_secs(2 * 366 * 24 * 3600);

/// What can be remembered.
pub(super) trait Answer: Clone + Send + Sync + 'static {
    fn is_absent(&self) -> bool {
        false
    }

    /// When it stops being true, by the word of whoever made it.
    fn expires_at(&self) -> Option<SystemTime> {
        None
    }

    /// The bytes that it takes.
    fn size(&self) -> usize;
}

impl Answer for Option<Secret> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }

    fn size(&self) -> usize {
        let keys = |data: &SecretData| data.keys().map(|key| key.len() + 64).sum::<usize>();
        let data = self.as_ref().map(|secret| &secret.data);
        OVERHEAD + data.map_or(0, |data| data.size() + keys(data))
    }
}

impl Answer for SecurityContext {
    fn expires_at(&self) -> Option<SystemTime> {
        Some(self.expires_at)
    }

    fn size(&self) -> usize {
        let roles: usize = self.roles.iter().map(|role| role.as_str().len() + 64).sum();
        let scopes: usize = self.scopes.iter().map(|scope| scope.len() + 64).sum();
        let namespaces: usize = self.namespaces.iter().map(|name| name.as_str().len() + 64).sum();
        OVERHEAD + self.issuer.len() + roles + scopes + namespaces
    }
}

impl Answer for ServiceCredentials {
    fn expires_at(&self) -> Option<SystemTime> {
        Some(self.expires_at)
    }

    fn size(&self) -> usize {
        let scopes: usize = self.scopes.iter().map(|scope| scope.len() + 64).sum();
        OVERHEAD
            + scopes
            + match &self.credential {
                Credential::Bearer(token) => token.expose().len(),
                Credential::Mtls { certificate_chain, private_key } => {
                    certificate_chain.len() + private_key.len()
                }
            }
    }
}
