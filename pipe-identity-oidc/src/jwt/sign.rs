//! Signing: what a key must do to sign tokens, and the keys that this process holds itself.

mod compact;
mod jwk;
mod key;
mod load;

use std::any::Any;
use std::fmt;

use async_trait::async_trait;
use pipe_core::Result;
use serde_json::Value;

pub(crate) use self::compact::{Header, sign_compact};
pub(crate) use self::jwk::{published, signature_len};
pub use self::key::SigningKey;
use super::Algorithm;

/// Signs on behalf of a key, which may never leave the place where it is kept.
///
/// It stands for one key: algorithm, name and public half are constant for its life, and a new
/// version of a key in a backend is another signer.
#[async_trait]
pub trait Signer: Any + fmt::Debug + Send + Sync {
    /// How it signs.
    fn algorithm(&self) -> Algorithm;

    /// The name under which the public key is published (`kid`). `None` is for a symmetric key
    /// that nobody named: it has no public half from which a name could be made.
    fn key_id(&self) -> Option<&str>;

    /// The public key as a JWK (RFC 7517), without private members; `None` when the key is
    /// symmetric, and so has no public half.
    fn public_jwk(&self) -> Option<Value>;

    /// Signs the message. The signature has the form of RFC 7518 (ECDSA: r and s, fixed width).
    ///
    /// # Errors
    /// `Unavailable` when the key cannot be reached now; `PermissionDenied` when it may not be used.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>>;
}

/// Whether this is a name for a key: 1 to 256 bytes that are seen.
pub(crate) fn is_key_id(id: &str) -> bool {
    // A role follows the same rule, and is the public type that holds it.
    pipe_core::identity::Role::new(id).is_ok()
}

#[cfg(test)]
mod tests;
