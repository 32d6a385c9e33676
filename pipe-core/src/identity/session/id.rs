//! What a browser holds, and nothing else.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{Error, ErrorKind, Result, SecretValue};

/// How many characters an id has.
const LENGTH: usize = 43;

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(SecretValue);

        impl $name {
            /// A new one, from the system's random numbers.
            ///
            /// # Errors
            /// `Unavailable` when the system has none.
            pub fn generate() -> Result<Self> {
                generate().map(Self)
            }

            /// The one that a cookie holds.
            ///
            /// # Errors
            /// `InvalidArgument` for anything that [`generate`](Self::generate) could not have made.
            pub fn parse(text: &str) -> Result<Self> {
                parse(text, $what).map(Self)
            }

            /// The id itself, for a cookie that is `Secure` and `HttpOnly`.
            #[must_use]
            pub fn expose(&self) -> &str {
                self.0.expose_str().unwrap_or_default()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([REDACTED])"))
            }
        }
    };
}

opaque_id! {
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
    SessionId, "this is no session's id"
}

opaque_id! {
    /// The opaque id of a browser that begins a login, of the form of a [`SessionId`]. Only the browser
    /// that began a login can finish it.
    BrowserId, "this is no browser's id"
}

fn generate() -> Result<SecretValue> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes)
        .map_err(|_| Error::new(ErrorKind::Unavailable, "the system gives no random numbers"))?;
    let mut text = zeroize::Zeroizing::new(String::with_capacity(LENGTH));
    URL_SAFE_NO_PAD.encode_string(*bytes, &mut text);
    Ok(text.as_str().into())
}

fn parse(text: &str, what: &'static str) -> Result<SecretValue> {
    let is_id = text.len() == LENGTH && URL_SAFE_NO_PAD.decode(text).is_ok();
    match is_id {
        true => Ok(text.into()),
        false => Err(Error::new(ErrorKind::InvalidArgument, what)
            .hint("take the cookie as it was set, or let the person log in")),
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
            assert_eq!(BrowserId::parse(text).unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
    }

    #[test]
    fn no_two_are_the_same() {
        let ids: std::collections::BTreeSet<_> =
            (0..1_000).map(|_| SessionId::generate().unwrap().expose().to_owned()).collect();
        assert_eq!(ids.len(), 1_000);
    }
}
