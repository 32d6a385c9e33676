//! What a backend says of its logins.

use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use pipe_core::{Result, SecretValue};

/// What a login or a renewal gave us.
#[derive(Clone)]
#[non_exhaustive]
pub struct Granted {
    /// The token.
    pub token: SecretValue,
    /// How long it lives; `None` when that is not known or for ever.
    pub lifetime: Option<Duration>,
    /// Whether [`Login::renew`] may be asked for.
    pub renewable: bool,
    /// Whether we obtained it, and so have to give it back.
    pub ours: bool,
}

impl Granted {
    /// A token that we obtained, and have to give back.
    #[must_use]
    pub fn obtained(token: SecretValue, lifetime: Option<Duration>) -> Self {
        Self { token, lifetime, renewable: false, ours: true }
    }

    /// A token that somebody else made, and looks after.
    #[must_use]
    pub fn found(token: SecretValue) -> Self {
        Self { token, lifetime: None, renewable: false, ours: false }
    }

    /// [`Login::renew`] may be asked for, or not.
    #[must_use]
    pub fn with_renewable(self, renewable: bool) -> Self {
        Self { renewable, ..self }
    }
}

/// The ways to a token of a server.
#[async_trait]
pub trait Login: Send + Sync + 'static {
    /// What to change when a token that somebody else made is refused.
    const REFUSED: &'static str;
    /// What to check when the server refuses the very tokens that it gives.
    const DISTRUSTED: &'static str;

    /// The header's value that shows the token. It is marked as sensitive.
    ///
    /// # Errors
    /// When the token has characters that no header has.
    fn header(&self, token: &SecretValue) -> Result<HeaderValue>;

    /// How long after it was obtained a token is renewed or replaced: after two thirds of its life.
    fn refresh_after(&self, lifetime: Duration) -> Duration {
        lifetime * 2 / 3
    }

    /// Obtains a token.
    ///
    /// # Errors
    /// Whatever the server says. When the error tells to wait, nobody logs in before.
    async fn login(&self) -> Result<Granted>;

    /// Makes the token live longer. It is asked for renewable tokens only.
    ///
    /// # Errors
    /// A retryable one is tried again while the token lives; another leads to a new login.
    async fn renew(&self, token: &HeaderValue) -> Result<Granted>;

    /// Gives the token back.
    ///
    /// # Errors
    /// Whatever the server says.
    async fn revoke(&self, token: &HeaderValue) -> Result<()>;
}
