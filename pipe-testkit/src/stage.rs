//! What a case of the trusting half of the identity suite is given.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use pipe_core::identity::{BearerToken, TokenExpectation};
use pipe_core::{Clock, ErrorKind, IdentityPlugin, Result, SecurityContext, TokenFault};

use crate::issuer::{
    AUDIENCE, CLIENT_ID, CLIENT_SECRET, RESOURCE_SERVER_ID, RESOURCE_SERVER_SECRET, TestIssuer,
    TokenBuilder,
};
use crate::time;

/// What a plugin has to be made with, to be held to the trusting half of the identity suite.
///
/// - It trusts [`issuer`](Self::issuer) and nobody else, and finds the keys by discovery. The issuer is at
///   plain HTTP on 127.0.0.1, which has to be allowed for it.
/// - Algorithms: RS256, PS256, ES256, ES384 and EdDSA.
/// - Types: the strict policy of RFC 9068 (`at+jwt`; `iat`, `jti` and `client_id` are required).
/// - Limits: a leeway of 30 seconds, a lifetime of at most 24 hours, tokens of at most 16 KiB with headers of
///   at most 4 KiB, 32 levels and 256 claims.
/// - Mapping: the id from `sub`, roles from `roles` as they are, the tenant from `tenant`, the namespace
///   from `namespace` (a text or a list of texts), scopes from `scope`.
/// - Key sets: good for 10 minutes, stale for at most another hour, at least 30 seconds between fetches.
/// - Opaque tokens, if it asks about them: as client [`resource_server_id`](Self::resource_server_id) with
///   `client_secret_basic`. What it is told may be remembered for 30 seconds.
/// - It tells the time of day by [`clock`](Self::clock), and how long things take by
///   `tokio::time::Instant`, which the suite sets forward (see [`Features::without_tokio_time`]).
#[derive(Clone)]
#[non_exhaustive]
pub struct Trust {
    /// The issuer's identifier, an `http:` URL without a slash at the end.
    pub issuer: String,
    /// For whom the tokens will be expected to be meant.
    pub audience: String,
    /// The time of day.
    pub clock: Clock,
    /// The client with which the plugin proves who it is (`client_credentials`).
    pub client_id: String,
    /// The secret of the client.
    pub client_secret: String,
    /// The client with which the plugin asks about opaque tokens.
    pub resource_server_id: String,
    /// The secret of that client.
    pub resource_server_secret: String,
}

impl Trust {
    /// What a plugin needs to trust this issuer.
    #[must_use]
    pub fn new(issuer: &TestIssuer) -> Self {
        Self {
            issuer: issuer.url(),
            audience: AUDIENCE.to_owned(),
            clock: issuer.clock().shared(),
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
            resource_server_id: RESOURCE_SERVER_ID.to_owned(),
            resource_server_secret: RESOURCE_SERVER_SECRET.to_owned(),
        }
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// What a plugin offers beyond checking JWTs. Both halves are tested: what it does not offer, it has
/// to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Features {
    /// It asks the issuer about opaque tokens (RFC 7662).
    pub introspection: bool,
    /// It accepts tokens that are bound to a key (RFC 9449).
    pub dpop: bool,
    /// It accepts tokens that are bound to a certificate (RFC 8705).
    pub certificates: bool,
    /// It measures durations with `tokio::time::Instant`.
    pub tokio_time: bool,
    /// It looks at the time of day for each answer, also for one that it remembers.
    pub clock_jumps: bool,
}

impl Features {
    /// All of them.
    pub const ALL: Self = Self {
        introspection: true,
        dpop: true,
        certificates: true,
        tokio_time: true,
        clock_jumps: true,
    };

    /// It refuses opaque tokens.
    #[must_use]
    pub const fn without_introspection(self) -> Self {
        Self { introspection: false, ..self }
    }

    /// It refuses tokens that are bound to a key.
    #[must_use]
    pub const fn without_dpop(self) -> Self {
        Self { dpop: false, ..self }
    }

    /// It refuses tokens that are bound to a certificate.
    #[must_use]
    pub const fn without_certificates(self) -> Self {
        Self { certificates: false, ..self }
    }

    /// Its durations cannot be set forward: cases pass without looking at what only time can show.
    #[must_use]
    pub const fn without_tokio_time(self) -> Self {
        Self { tokio_time: false, ..self }
    }

    /// What it remembers ends after a duration, whatever the clock is set to meanwhile: so does the
    /// cache of [`wrapped`](crate::wrapped).
    #[must_use]
    pub const fn without_clock_jumps(self) -> Self {
        Self { clock_jumps: false, ..self }
    }
}

type Guard = Box<dyn Any>;
type Made = Option<(Arc<dyn IdentityPlugin>, Guard)>;
type Factory = Box<dyn Fn(Trust) -> LocalBoxFuture<'static, Made>>;

/// An issuer, and a plugin that trusts it.
pub struct Stage {
    /// The plugin. Whether it has spoken to the issuer yet is its own business.
    pub plugin: Arc<dyn IdentityPlugin>,
    /// The issuer that it trusts, with the clock that they share.
    pub issuer: TestIssuer,
    /// What the plugin offers.
    pub features: Features,
    factory: Factory,
    guards: Mutex<Vec<Guard>>,
}

impl Stage {
    /// A new issuer and a plugin that trusts it, unless the backend is absent.
    pub async fn set<P, G, F>(
        factory: impl Fn(Trust) -> F + 'static,
        features: Features,
    ) -> Option<Self>
    where
        P: IdentityPlugin + 'static,
        G: 'static,
        F: Future<Output = Option<(P, G)>> + 'static,
    {
        let factory: Factory = Box::new(move |trust| {
            let made = factory(trust);
            Box::pin(async move {
                let (plugin, guard) = made.await?;
                Some((Arc::new(plugin) as Arc<dyn IdentityPlugin>, Box::new(guard) as Guard))
            })
        });
        let issuer = TestIssuer::start().await;
        let (plugin, guard) = factory(Trust::new(&issuer)).await?;
        Some(Self { plugin, issuer, features, factory, guards: Mutex::new(vec![guard]) })
    }

    /// A further plugin, which knows nothing of the issuer yet.
    ///
    /// # Panics
    /// When it cannot be made: the issuer's state must not matter for that.
    pub async fn another(&self) -> Arc<dyn IdentityPlugin> {
        let made = (self.factory)(Trust::new(&self.issuer)).await;
        let (plugin, guard) = made.expect("a further plugin is made as the first was");
        self.guards.lock().unwrap_or_else(PoisonError::into_inner).push(guard);
        plugin
    }

    /// A good token.
    pub fn token(&self) -> TokenBuilder {
        self.issuer.token()
    }

    /// What the plugin says about a token for [`AUDIENCE`].
    ///
    /// # Errors
    /// As the plugin says.
    pub async fn validate(&self, token: &str) -> Result<SecurityContext> {
        self.validate_as(token, &expectation()).await
    }

    /// What the plugin says about a token, when this is expected of it.
    ///
    /// # Errors
    /// As the plugin says.
    pub async fn validate_as(
        &self,
        token: &str,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext> {
        self.plugin.validate_token(&BearerToken::new(token), expect).await
    }

    /// The token is accepted.
    pub async fn accepted(&self, token: &str) -> SecurityContext {
        self.accepted_as(token, &expectation()).await
    }

    /// The token is accepted, when this is expected of it.
    ///
    /// # Panics
    /// When it is not.
    pub async fn accepted_as(&self, token: &str, expect: &TokenExpectation) -> SecurityContext {
        match self.validate_as(token, expect).await {
            Ok(context) => context,
            Err(error) => panic!("a good token was refused: {error:#}"),
        }
    }

    /// A good token is accepted: what is refused afterwards is not refused because everything is.
    pub async fn good(&self) -> SecurityContext {
        self.accepted(&self.token().sign()).await
    }

    /// The token is refused for this reason.
    pub async fn refused(&self, token: &str, fault: TokenFault) {
        self.refused_as(token, &expectation(), &[fault]).await;
    }

    /// The token is refused for one of these reasons, where the standards leave room.
    pub async fn refused_for(&self, token: &str, faults: &[TokenFault]) {
        self.refused_as(token, &expectation(), faults).await;
    }

    /// The token is refused for one of these reasons, when this is expected of it.
    ///
    /// # Panics
    /// When it is not.
    pub async fn refused_as(&self, token: &str, expect: &TokenExpectation, faults: &[TokenFault]) {
        let checked = self.validate_as(token, expect).await;
        let start = &token[..token.floor_char_boundary(300)];
        match checked {
            Ok(_) => panic!("expected {faults:?}, got a success: {start}"),
            Err(error) => {
                let is_right =
                    faults.iter().any(|fault| error.kind() == ErrorKind::TokenRejected(*fault));
                assert!(is_right, "expected {faults:?}, got {error:#}: {start}");
            }
        }
    }

    /// Time passes, for the clock and for all that is measured.
    pub async fn wait(&self, by: Duration) {
        self.issuer.clock().forward(by);
        self.skip(by).await;
    }

    /// Time passes for what is measured, and not for the clock.
    async fn skip(&self, by: Duration) {
        if self.features.tokio_time {
            time::skip(by).await;
        }
    }

    /// What a future gives, while time passes quickly: whoever waits for a deadline gets there. For
    /// answers that never come; one that does come may be too late for the deadline.
    ///
    /// # Panics
    /// When two minutes pass without an end.
    pub async fn in_time<T>(&self, future: impl Future<Output = T>) -> T {
        if self.features.tokio_time { time::hurried(future).await } else { future.await }
    }
}

/// What the suite expects of tokens.
pub(crate) fn expectation() -> TokenExpectation {
    TokenExpectation::audience(AUDIENCE)
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { issuer, features, .. } = self;
        f.debug_struct("Stage")
            .field("issuer", issuer)
            .field("features", features)
            .finish_non_exhaustive()
    }
}
