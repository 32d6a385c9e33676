//! Signing.

use std::fmt;

use async_trait::async_trait;
use pipe_core::Result;

use super::Algorithm;

/// Signs on behalf of a key, which may never leave the place where it is kept.
#[async_trait]
pub trait Signer: fmt::Debug + Send + Sync + 'static {
    /// How it signs.
    fn algorithm(&self) -> Algorithm;

    /// The name under which the public key is published.
    fn key_id(&self) -> &str;

    /// The public key as a JWK (RFC 7517), without private members; `None` when the key is
    /// symmetric, and so has no public half.
    fn public_jwk(&self) -> Option<serde_json::Value>;

    /// Signs the message. The signature has the form of RFC 7518 (ECDSA: r and s, fixed width).
    ///
    /// # Errors
    /// `Unavailable` when the key cannot be reached now; `PermissionDenied` when it may not be used.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>>;
}
