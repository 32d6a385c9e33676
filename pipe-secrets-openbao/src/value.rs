//! How values travel: KV v2 stores JSON, and our values are bytes.
//!
//! Text is stored as it is, so that every other client reads it. What JSON cannot hold, or only at
//! a multiple of its size, is stored as base64 behind a marker.

use std::fmt;

use pipe_core::secrets::StoredText;
use pipe_core::{SecretData, SecretValue};
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// The keys and values of a secret, on their way to the server.
pub(crate) struct Outgoing<'a>(pub(crate) &'a SecretData);

impl Serialize for Outgoing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.0.iter() {
            map.serialize_entry(key, StoredText::of(value, is_small).as_str())?;
        }
        map.end()
    }
}

/// Whether text takes little more room as it is than as base64.
fn is_small(text: &str) -> bool {
    stored_size(text) <= text.len() * 4 / 3 + 64
}

/// What the text takes in the server's storage, where Go writes some characters as `\u003c`.
pub(crate) fn stored_size(text: &str) -> usize {
    text.chars()
        .map(|c| match c {
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => 6,
            other => other.len_utf8(),
        })
        .sum()
}

/// The keys and values of a secret as the server sent them. Numbers, lists and objects, which
/// others may have stored, become their JSON text, digit for digit.
pub(crate) struct Incoming(pub(crate) SecretData);

impl<'de> Deserialize<'de> for Incoming {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = SecretData;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("keys and values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretData, A::Error> {
                let mut data = SecretData::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    data = data.with(key, value_of(value));
                }
                Ok(data)
            }
        }
        deserializer.deserialize_map(Values).map(Self)
    }
}

fn value_of(stored: &RawValue) -> SecretValue {
    let json = stored.get();
    let Ok(text) = serde_json::from_str::<String>(json).map(Zeroizing::new) else {
        return json.into();
    };
    StoredText::value(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(data: &SecretData) -> String {
        serde_json::to_string(&Outgoing(data)).unwrap()
    }

    fn read(json: &str) -> SecretData {
        serde_json::from_str::<Incoming>(json).unwrap().0
    }

    #[test]
    fn text_is_stored_as_text() {
        let data = SecretData::new().with("pem", "-----BEGIN\nä\"\\\n").with("empty", "");
        assert_eq!(json(&data), r#"{"empty":"","pem":"-----BEGIN\nä\"\\\n"}"#);
    }

    #[test]
    fn everything_comes_back_as_it_was() {
        let control: String = (0..32).map(|i| char::from(i as u8)).collect();
        for value in [
            b"".to_vec(),
            b"text".to_vec(),
            vec![0xff, 0, 1],
            b"pipe:base64:".to_vec(),
            b"pipe:base64:AAAA".to_vec(),
            b"pipe:base64:!".to_vec(),
            "<&>".repeat(1000).into_bytes(),
            control.repeat(100).into_bytes(),
            "\u{2028}".repeat(1000).into_bytes(),
        ] {
            let data = SecretData::new().with("k", value);
            assert!(read(&json(&data)) == data);
        }
    }

    /// The server escapes some characters sixfold in its storage, which has a limit.
    #[test]
    fn no_value_grows_by_more_than_base64_does() {
        for text in ["<", "\u{1}", "\"", "\u{2028}", "a"] {
            let data = SecretData::new().with("k", text.repeat(10_000));
            let stored = read_text(&json(&data));
            assert!(stored_size(&stored) <= data.size() * 4 / 3 + 100, "{text:?}");
        }
    }

    fn read_text(json: &str) -> String {
        let map: std::collections::BTreeMap<String, String> = serde_json::from_str(json).unwrap();
        map["k"].clone()
    }

    #[test]
    fn what_others_stored_becomes_its_json_text() {
        let data = read(r#"{"n":9007199254740993,"f":1.50,"b":true,"o":{"a":[1, null]},"z":null}"#);
        let text = |key| data.get(key).and_then(SecretValue::expose_str).map(str::to_owned);
        assert_eq!(text("n").as_deref(), Some("9007199254740993"));
        assert_eq!(text("f").as_deref(), Some("1.50"));
        assert_eq!(text("o").as_deref(), Some(r#"{"a":[1, null]}"#));
        assert_eq!(text("z").as_deref(), Some("null"));
    }

    #[test]
    fn foreign_text_that_begins_like_ours_stays_as_it_is() {
        let data = read(r#"{"k":"pipe:base64:not base64"}"#);
        assert_eq!(data.get("k").and_then(SecretValue::expose_str), Some("pipe:base64:not base64"));
    }
}
