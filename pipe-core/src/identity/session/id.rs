//! The only thing about a session that a browser holds.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{Error, ErrorKind, Result, SecretValue};

/// The opaque id of a session: 32 random bytes, in 43 characters of base64url. Whoever holds it is
/// the person, so it is a secret, and is never stored: stores know a hash of it.
///
/// ```
/// use pipe_core::identity::SessionId;
///
/// # fn main() -> pipe_core::Result<()> {
/// let id = SessionId::generate()?;
/// assert_eq!(SessionId::parse(id.expose())?, id);
/// assert_eq!(format!("{id:?}"), "SessionId([REDACTED])");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId(SecretValue);

/// How many characters an id has.
const LENGTH: usize = 43;

impl SessionId {
    /// A new one, from the system's random numbers.
    ///
    /// # Errors
    /// `Unavailable` when the system has none.
    pub fn generate() -> Result<Self> {
        let mut bytes = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(|_| {
            Error::new(ErrorKind::Unavailable, "the system gives no random numbers")
        })?;
        let mut text = zeroize::Zeroizing::new(String::with_capacity(LENGTH));
        URL_SAFE_NO_PAD.encode_string(*bytes, &mut text);
        Ok(Self(text.as_str().into()))
    }

    /// The one that a cookie holds.
    ///
    /// # Errors
    /// `InvalidArgument` for anything that [`generate`](Self::generate) could not have made.
    pub fn parse(text: &str) -> Result<Self> {
        let is_id = text.len() == LENGTH && URL_SAFE_NO_PAD.decode(text).is_ok();
        match is_id {
            true => Ok(Self(text.into())),
            false => Err(Error::new(ErrorKind::InvalidArgument, "this is no session's id")
                .hint("take the cookie as it was set, or let the person log in")),
        }
    }

    /// The id itself, for a cookie that is `Secure` and `HttpOnly`.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_str().unwrap_or_default()
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId([REDACTED])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_generated_is_no_id() {
        let id = SessionId::generate().unwrap();
        let short = &id.expose()[1..];
        let long = format!("{}A", id.expose());
        let strange = format!("{short}+");
        // The last character of 32 bytes carries two bits that must be zero.
        let loose = format!("{}B", &id.expose()[..42]);
        for text in ["", short, &long, &strange, &loose] {
            assert_eq!(SessionId::parse(text).unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
    }

    #[test]
    fn no_two_are_the_same() {
        let ids: std::collections::BTreeSet<_> =
            (0..1_000).map(|_| SessionId::generate().unwrap().expose().to_owned()).collect();
        assert_eq!(ids.len(), 1_000);
    }
}
