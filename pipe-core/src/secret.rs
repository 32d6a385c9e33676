//! Values that must not be seen: kept on the heap, wiped on drop, never printed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Deserializer, de};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::inline;

/// The methods of a visitor by which serde's own errors would repeat a value of another type.
macro_rules! refuse_without_repeating {
    ($expected:literal) => {
        $crate::secret::refuse_without_repeating! {
            $expected,
            visit_bool(bool) "a boolean",
            visit_i64(i64) "a number",
            visit_i128(i128) "a number",
            visit_u64(u64) "a number",
            visit_u128(u128) "a number",
            visit_f64(f64) "a number",
            visit_bytes(&[u8]) "bytes",
            visit_none() "nothing",
            visit_unit() "nothing"
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
            Err(serde::de::Error::custom(concat!($expected, ", found a list")))
        }
    };
    ($expected:literal, $($visit:ident($($type:ty)?) $found:literal),*) => {$(
        fn $visit<E: serde::de::Error>(self $(, _: $type)?) -> Result<Self::Value, E> {
            Err(E::custom(concat!($expected, ", found ", $found)))
        }
    )*};
}
pub(crate) use refuse_without_repeating;

/// One secret value: bytes, because Kubernetes' values are bytes.
///
/// It is wiped when its last clone goes, compares in constant time, and a clone copies no secret.
/// [`expose`](Self::expose) and [`expose_str`](Self::expose_str) are the only ways in, so that a
/// reader can search for them. It cannot be formatted as text:
///
/// ```compile_fail,E0277
/// let header = format!("Bearer {}", pipe_core::SecretValue::from("s3cr3t"));
/// ```
///
/// nor written out by serde:
///
/// ```compile_fail,E0277
/// let json = serde_json::to_string(&pipe_core::SecretValue::from("s3cr3t"));
/// ```
#[derive(Clone)]
pub struct SecretValue(Arc<SecretSlice<u8>>);

impl SecretValue {
    /// The raw bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// The value as text, when it is UTF-8.
    #[must_use]
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(self.expose()).ok()
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.expose().len()
    }

    /// Whether the value is empty. An empty secret is a secret, not an absent one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl From<Vec<u8>> for SecretValue {
    fn from(mut bytes: Vec<u8>) -> Self {
        if bytes.len() == bytes.capacity() {
            return Self(Arc::new(bytes.into()));
        }
        // Shrinking may move the bytes and leave the old ones behind: copy, then wipe.
        let exact = bytes.as_slice().to_vec();
        bytes.zeroize();
        Self(Arc::new(exact.into()))
    }
}

impl From<String> for SecretValue {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for SecretValue {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<&[u8]> for SecretValue {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl PartialEq for SecretValue {
    fn eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl Eq for SecretValue {}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// From text, unless [`without_inline_secrets`](crate::without_inline_secrets) refuses it. Other
/// types are refused without repeating what was found, because what was found is the secret.
impl<'de> Deserialize<'de> for SecretValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Hidden(value) = Hidden::deserialize(deserializer)?;
        inline::check("no secret in the document itself")?;
        Ok(value)
    }
}

/// Text that is treated as a secret without being one on purpose: the name of a variable, say, in
/// whose place the secret may have been put by mistake.
pub(crate) struct Hidden(pub(crate) SecretValue);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> de::Visitor<'de> for Text {
            type Value = SecretValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretValue, E> {
                Ok(text.into())
            }
            fn visit_string<E: de::Error>(self, text: String) -> Result<SecretValue, E> {
                Ok(text.into())
            }
            refuse_without_repeating!("expected a string");
            fn visit_map<A: de::MapAccess<'de>>(self, _: A) -> Result<SecretValue, A::Error> {
                Err(de::Error::custom("expected a string, found a table"))
            }
        }
        // Not `deserialize_str`: a format would then name the value it found in its own error.
        deserializer.deserialize_any(Text).map(Self)
    }
}

/// What is stored under one name: an ordered map of keys to values. A clone copies no secret.
///
/// ```
/// use pipe_core::SecretData;
///
/// let data = SecretData::new().with("username", "bot").with("password", "hunter2");
/// assert_eq!(format!("{data:?}"), r#"{"password": [REDACTED], "username": [REDACTED]}"#);
/// assert_eq!(data.get("username").and_then(|value| value.expose_str()), Some("bot"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretData(Arc<BTreeMap<String, SecretValue>>);

impl SecretData {
    /// No keys yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a key. Keys are names, and names are not secret.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<SecretValue>) -> Self {
        Arc::make_mut(&mut self.0).insert(key.into(), value.into());
        self
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&SecretValue> {
        self.0.get(key)
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The keys and their values, in the order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &SecretValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes of all values together, which is what backends limit.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.values().map(SecretValue::len).sum()
    }
}

impl<K: Into<String>, V: Into<SecretValue>> FromIterator<(K, V)> for SecretData {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(Arc::new(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect()))
    }
}

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// REQ 004-85.1
    #[test]
    fn debug_shows_neither_value_nor_length() {
        assert_eq!(format!("{:?}", SecretValue::from("hunter2")), "[REDACTED]");
        assert_eq!(format!("{:#?}", SecretValue::from("")), "[REDACTED]");
    }

    #[test]
    fn a_value_with_spare_capacity_is_kept_whole() {
        let mut bytes = Vec::with_capacity(100);
        bytes.extend_from_slice(b"hunter2");
        assert_eq!(SecretValue::from(bytes).expose(), b"hunter2");
    }

    #[test]
    fn a_clone_shares_its_bytes() {
        let value = SecretValue::from("hunter2");
        assert_eq!(value.clone().expose().as_ptr(), value.expose().as_ptr());
    }

    #[test]
    fn bytes_that_are_not_text_have_no_str() {
        assert_eq!(SecretValue::from(vec![0xff, 0xfe]).expose_str(), None);
    }

    #[test]
    fn a_wrong_type_is_refused_without_repeating_it() {
        for json in [
            "12345678",
            "-12345678",
            "1.2345678",
            "true",
            "[12345678]",
            r#"{"12345678":12345678}"#,
            "null",
        ] {
            let error = serde_json::from_str::<SecretValue>(json).unwrap_err().to_string();
            assert!(error.contains("expected a string"), "{error}");
            assert!(!error.contains("2345678") && !error.contains("true"), "{error}");
        }
    }

    #[test]
    fn a_wrong_type_that_json_does_not_have_is_not_repeated_either() {
        use serde::de::IntoDeserializer;
        use serde::de::value::{BytesDeserializer, Error};
        let wide: Result<_, Error> = SecretValue::deserialize(12_345_678_i128.into_deserializer());
        let wider: Result<_, Error> = SecretValue::deserialize(12_345_678_u128.into_deserializer());
        let bytes: Result<_, Error> = SecretValue::deserialize(BytesDeserializer::new(b"hunter2"));
        for error in [wide, wider, bytes].map(|refused| refused.unwrap_err().to_string()) {
            assert!(!error.contains("2345678") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn adding_to_a_clone_leaves_the_original() {
        let first = SecretData::new().with("a", "1");
        let second = first.clone().with("b", "2");
        assert_eq!((first.len(), second.len(), second.size()), (1, 2, 2));
    }
}
