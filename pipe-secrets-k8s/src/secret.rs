//! A Secret as the API server sends it, and as it is sent to be applied.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipe_core::secrets::{Secret, SecretVersion};
use pipe_core::{SecretData, SecretValue};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// What a read needs of a Secret. Everything else is skipped, not decoded.
#[derive(Deserialize)]
pub(crate) struct Stored<'a> {
    #[serde(borrow)]
    pub(crate) metadata: Revision<'a>,
    /// A Secret without keys has none, and a server may also write `null`.
    #[serde(default)]
    pub(crate) data: Option<Incoming>,
}

/// Which state it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Revision<'a> {
    #[serde(borrow, default)]
    pub(crate) resource_version: Cow<'a, str>,
}

impl Stored<'_> {
    pub(crate) fn into_secret(self) -> Secret {
        let secret = Secret::new(self.data.unwrap_or_default().0);
        match version(&self.metadata.resource_version) {
            Some(version) => secret.with_version(version),
            None => secret,
        }
    }
}

/// Kubernetes promises since 1.35 that the text is a number that grows; every server before it kept
/// to that too. Any other text is left alone.
pub(crate) fn version(resource_version: &str) -> Option<SecretVersion> {
    resource_version.parse().ok().map(SecretVersion::new)
}

/// What a write has to know about the object it changes.
#[derive(Deserialize)]
pub(crate) struct Before {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) data: Option<Incoming>,
    #[serde(default)]
    pub(crate) immutable: Option<bool>,
    #[serde(default, rename = "type")]
    pub(crate) kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    #[serde(default)]
    pub(crate) uid: String,
    #[serde(default)]
    pub(crate) resource_version: String,
    #[serde(default)]
    pub(crate) labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(crate) managed_fields: Option<Vec<ManagedFields>>,
}

/// Who owns which fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ManagedFields {
    #[serde(default)]
    pub(crate) manager: String,
    #[serde(default)]
    pub(crate) operation: String,
    #[serde(default)]
    pub(crate) subresource: String,
    #[serde(default)]
    pub(crate) fields_v1: serde_json::Value,
}

impl ManagedFields {
    /// Whether this field is owned, as `["f:data", "f:password"]`.
    pub(crate) fn owns(&self, path: [&str; 2]) -> bool {
        self.fields_v1.get(path[0]).is_some_and(|fields| fields.get(path[1]).is_some())
    }

    /// The names below a map of fields: `f:data`, or `f:metadata` and `f:labels`.
    pub(crate) fn names<'a>(&'a self, path: &[&str]) -> impl Iterator<Item = &'a str> {
        let fields = path.iter().try_fold(&self.fields_v1, |fields, part| fields.get(part));
        let fields = fields.and_then(serde_json::Value::as_object);
        fields.into_iter().flatten().filter_map(|(name, _)| name.strip_prefix("f:"))
    }
}

/// Keys and values as they come: base64 in JSON.
#[derive(Default)]
pub(crate) struct Incoming(pub(crate) SecretData);

impl<'de> Deserialize<'de> for Incoming {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = SecretData;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("keys and values in base64")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretData, A::Error> {
                let mut pairs = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    // serde's own error would quote the value.
                    let value = decode(value).ok_or_else(|| A::Error::custom("not base64"))?;
                    pairs.insert(key, value);
                }
                Ok(pairs.into_iter().collect())
            }
        }
        deserializer.deserialize_map(Values).map(Self)
    }
}

/// Base64 has nothing in it that JSON would escape, but a server may escape what it need not.
fn decode(value: &RawValue) -> Option<SecretValue> {
    let text = value.get();
    if text == "null" {
        return Some("".into());
    }
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        let unescaped = Zeroizing::new(serde_json::from_str::<String>(text).ok()?);
        return decode_base64(&unescaped);
    }
    decode_base64(inner)
}

/// Into exactly the room it needs, so that no copy is left behind.
fn decode_base64(text: &str) -> Option<SecretValue> {
    let padding = text.bytes().rev().take_while(|b| *b == b'=').count();
    let length = (text.len() / 4 * 3).checked_sub(padding)?;
    let mut bytes = Zeroizing::new(vec![0; length]);
    let written = STANDARD.decode_slice(text, &mut bytes).ok()?;
    (written == length).then(|| std::mem::take(&mut *bytes).into())
}

/// Keys and values on their way to the server.
struct Outgoing<'a>(&'a SecretData);

impl Serialize for Outgoing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.0.iter() {
            let room = value.len().div_ceil(3) * 4;
            let mut text = Zeroizing::new(String::with_capacity(room));
            STANDARD.encode_string(value.expose(), &mut text);
            map.serialize_entry(key, text.as_str())?;
        }
        map.end()
    }
}

/// Everything that we want to own of a Secret.
pub(crate) struct Applied<'a> {
    pub(crate) name: &'a str,
    pub(crate) precondition: Precondition<'a>,
    pub(crate) data: &'a SecretData,
    pub(crate) labels: &'a BTreeMap<String, String>,
    pub(crate) annotations: &'a BTreeMap<String, String>,
    pub(crate) kind: Option<&'a str>,
    pub(crate) immutable: Option<bool>,
}

/// What has to be true for an apply to happen.
#[derive(Clone, Copy)]
pub(crate) enum Precondition<'a> {
    /// Nothing is there. An apply ignores the resourceVersion of an object that is not there, and
    /// refuses it when an object has another one; none ever has this one, for etcd's first
    /// revision is its own.
    Absent,
    /// This state of this object is there.
    Is { uid: &'a str, resource_version: &'a str },
}

const NO_RESOURCE_VERSION: &str = "1";

impl Applied<'_> {
    /// The body of an apply.
    pub(crate) fn body(&self) -> Option<Vec<u8>> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            api_version: &'static str,
            kind: &'static str,
            metadata: Meta<'a>,
            #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
            secret_type: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            immutable: Option<bool>,
            data: Outgoing<'a>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Meta<'a> {
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            uid: Option<&'a str>,
            resource_version: &'a str,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            labels: &'a BTreeMap<String, String>,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            annotations: &'a BTreeMap<String, String>,
        }
        let (uid, resource_version) = match self.precondition {
            Precondition::Absent => (None, NO_RESOURCE_VERSION),
            Precondition::Is { uid, resource_version } => (Some(uid), resource_version),
        };
        let body = Body {
            api_version: "v1",
            kind: "Secret",
            metadata: Meta {
                name: self.name,
                uid,
                resource_version,
                labels: self.labels,
                annotations: self.annotations,
            },
            secret_type: self.kind,
            immutable: self.immutable,
            data: Outgoing(self.data),
        };
        // Room for all of it at once: growing would leave copies of values behind.
        let texts = |map: &BTreeMap<String, String>| -> usize {
            map.iter().map(|(name, value)| 6 * (name.len() + value.len()) + 8).sum()
        };
        let keys: usize = self.data.keys().map(|key| key.len() + 16).sum();
        let room = self.data.size() * 4 / 3 + keys + texts(self.labels) + texts(self.annotations);
        let mut written = Zeroizing::new(Vec::with_capacity(room + 2048));
        serde_json::to_writer(&mut *written, &body).ok()?;
        Some(std::mem::take(&mut *written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &str) -> Option<SecretData> {
        serde_json::from_str::<Incoming>(data).ok().map(|incoming| incoming.0)
    }

    #[test]
    fn values_are_decoded_exactly() {
        let all: Vec<u8> = (0..=255).collect();
        for length in 0..=255 {
            let value = &all[..length];
            let json = format!(r#"{{"k":"{}"}}"#, STANDARD.encode(value));
            assert_eq!(read(&json).unwrap().get("k").unwrap().expose(), value);
        }
    }

    #[test]
    fn escapes_that_json_does_not_need_are_understood() {
        let found = read(r#"{"k":"\u0061\u0047k=","n":null}"#).unwrap();
        assert_eq!(found.get("k").unwrap().expose(), b"hi");
        assert!(found.get("n").unwrap().is_empty());
    }

    #[test]
    fn what_is_not_base64_is_refused_without_repeating_it() {
        for bad in [r#"{"k":"hunter2!"}"#, r#"{"k":"a"}"#, r#"{"k":"===="}"#, r#"{"k":12345678}"#] {
            let Err(error) = serde_json::from_str::<Incoming>(bad) else { panic!("{bad}") };
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert!(!error.to_string().contains("12345678"), "{error}");
        }
    }

    #[test]
    fn a_body_is_written_without_growing() {
        let long = "k".repeat(253);
        let data: SecretData =
            (0..100).map(|n| (format!("{long}{n}"), vec![0xff_u8; 1000])).collect();
        let annotations = BTreeMap::from([("a".repeat(60), "\u{1}".repeat(4000))]);
        let applied = Applied {
            name: &long,
            precondition: Precondition::Absent,
            data: &data,
            labels: &BTreeMap::new(),
            annotations: &annotations,
            kind: Some("Opaque"),
            immutable: None,
        };
        let body = applied.body().unwrap();
        let texts = 6 * 4060 + 8;
        let room = data.size() * 4 / 3 + data.keys().map(|key| key.len() + 16).sum::<usize>();
        assert_eq!(body.capacity(), room + texts + 2048);
    }

    #[test]
    fn the_version_is_the_number_or_nothing() {
        assert_eq!(version("850"), Some(SecretVersion::new(850)));
        assert_eq!(version("abc"), None);
    }
}
