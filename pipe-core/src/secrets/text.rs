//! How values travel through a store that holds text only.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::SecretValue;

const MARKER: &str = "pipe:base64:";

/// A value as a store of text holds it.
///
/// Text is stored as it is, so that every other client reads it. What the store would not keep
/// unchanged is stored as base64 behind the marker `pipe:base64:`; so is text that begins with the
/// marker. [`StoredText::value`] undoes exactly that.
///
/// ```
/// use pipe_core::secrets::StoredText;
///
/// let value = b"\xff\0".as_slice().into();
/// let stored = StoredText::of(&value, |_| true);
/// assert_eq!(stored.as_str(), "pipe:base64:/wA=");
/// assert_eq!(StoredText::value(stored.as_str()), value);
/// ```
pub struct StoredText<'a>(Form<'a>);

enum Form<'a> {
    Plain(&'a str),
    Encoded(Zeroizing<String>),
}

impl<'a> StoredText<'a> {
    /// The value as it is where it is text that the store keeps, and encoded elsewhere.
    #[must_use]
    pub fn of(value: &'a SecretValue, keeps: impl FnOnce(&str) -> bool) -> Self {
        match value.expose_str().filter(|text| !text.starts_with(MARKER) && keeps(text)) {
            Some(text) => Self(Form::Plain(text)),
            None => Self(Form::Encoded(encoded(value.expose()))),
        }
    }

    /// The text to store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Form::Plain(text) => text,
            Form::Encoded(text) => text,
        }
    }

    /// The value that a stored text stands for. Text that only looks like an encoded value is what
    /// somebody else stored, and stays what it is.
    #[must_use]
    pub fn value(stored: &str) -> SecretValue {
        match stored.strip_prefix(MARKER).and_then(|base64| STANDARD.decode(base64).ok()) {
            Some(bytes) => bytes.into(),
            None => stored.into(),
        }
    }
}

/// Nothing of the value.
impl fmt::Debug for StoredText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredText").finish_non_exhaustive()
    }
}

fn encoded(bytes: &[u8]) -> Zeroizing<String> {
    let room = MARKER.len() + bytes.len().div_ceil(3) * 4;
    let mut text = Zeroizing::new(String::with_capacity(room));
    text.push_str(MARKER);
    STANDARD.encode_string(bytes, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(value: impl Into<SecretValue>, keeps: bool) -> String {
        let value = value.into();
        let stored = StoredText::of(&value, |_| keeps);
        assert_eq!(StoredText::value(stored.as_str()), value);
        stored.as_str().to_owned()
    }

    #[test]
    fn text_that_the_store_keeps_is_stored_as_it_is() {
        for text in ["", "hunter2", "a pipe:base64:", "pipe:base64"] {
            assert_eq!(round_trip(text, true), text);
        }
    }

    #[test]
    fn everything_else_is_encoded() {
        assert_eq!(round_trip(" x ", false), "pipe:base64:IHgg");
        assert_eq!(round_trip(vec![0xff, 0], true), "pipe:base64:/wA=");
        assert!(round_trip("pipe:base64:aGk=", true).starts_with("pipe:base64:cGlwZ"));
    }

    #[test]
    fn what_only_looks_encoded_stays_what_it_is() {
        assert_eq!(StoredText::value("pipe:base64:!"), "pipe:base64:!".into());
    }
}
