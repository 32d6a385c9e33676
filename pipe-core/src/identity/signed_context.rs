//! A caller's context on its way from service to service (REQ 004-75.4).

mod sign;
mod verify;
mod wire;

use crate::name::check_identifier;
use crate::{Error, ErrorKind, Result, SecretValue};

pub use self::sign::ContextSigner;
pub use self::verify::ContextVerifier;

/// A key that the services on both ends of a call share.
///
/// Whoever can verify with it can also sign with it. Use one key for each audience, so that a
/// service can pretend to others nothing that it was not told itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextKey {
    id: Box<str>,
    key: SecretValue,
}

impl ContextKey {
    /// A key and its name, which every token tells.
    ///
    /// # Errors
    /// `ConfigInvalid` when the key is shorter than 32 bytes (RFC 7518 3.2), or its name is not 1
    /// to 256 bytes that are seen.
    pub fn new(id: impl Into<String>, key: impl Into<SecretValue>) -> Result<Self> {
        let (id, key) = (setting("key id", id.into())?, key.into());
        if key.len() < 32 {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the key is shorter than 32 bytes")
                .with("key id", id)
                .hint("use 32 random bytes or more"));
        }
        Ok(Self { id: id.into(), key })
    }

    /// The key's name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// A name that stands in a token.
fn setting(what: &'static str, name: String) -> Result<String> {
    check_identifier(what, &name).map(|()| name).map_err(|_| {
        Error::new(ErrorKind::ConfigInvalid, "not a name")
            .with("setting", what)
            .hint("use 1 to 256 bytes without control and format characters")
    })
}

#[cfg(test)]
mod tests;
