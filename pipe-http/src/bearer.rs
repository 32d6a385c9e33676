//! A bearer token as a header.

use http::HeaderValue;
use pipe_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// The value of `Authorization` for this token, marked as sensitive.
///
/// # Errors
/// `Unauthenticated` when the token has characters that no header has, such as a line break.
pub fn bearer(token: &[u8]) -> Result<HeaderValue> {
    let mut text = Zeroizing::new(Vec::with_capacity(token.len() + 7));
    text.extend_from_slice(b"Bearer ");
    text.extend_from_slice(token);
    let mut header = HeaderValue::from_bytes(&text).map_err(|_| {
        Error::new(ErrorKind::Unauthenticated, "the token has characters that no token has")
            .hint("check the file or variable that the token is read from")
    })?;
    header.set_sensitive(true);
    Ok(header)
}
