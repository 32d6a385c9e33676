//! JSON of which every reader reads the same.

use std::fmt;

use pipe_core::{Result, TokenFault};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{Defect, refused};

const DEEPEST: usize = 32;
const MOST: usize = 256;

#[derive(Clone, Copy)]
struct Strict {
    level: usize,
    is_header: bool,
    defect: Defect,
}

/// The object that this text is.
pub(crate) fn object(bytes: &[u8], is_header: bool, defect: Defect) -> Result<Map<String, Value>> {
    let malformed = || refused(TokenFault::Malformed);
    let seed = Strict { level: 1, is_header, defect };
    let lossy;
    let mut bytes = bytes;
    if defect.is("c4_a_byte_order_mark_is_refused") {
        bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    }
    if defect.is("c4_what_is_no_utf8_is_refused") {
        lossy = String::from_utf8_lossy(bytes).into_owned();
        bytes = lossy.as_bytes();
    }
    let changed;
    if let Some((from, to)) = match defect.0 {
        "c4_half_a_surrogate_pair_is_refused" => Some((r"\ud800", "x")),
        "c5_a_number_that_does_not_fit_is_refused" => Some(("1e999", "1e99")),
        _ => None,
    } && let Ok(text) = std::str::from_utf8(bytes)
    {
        changed = text.replace(from, to);
        bytes = changed.as_bytes();
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = seed.deserialize(&mut json).map_err(|_| malformed())?;
    if !defect.is("c4_text_after_the_object_is_refused") {
        json.end().map_err(|_| malformed())?;
    }
    match value {
        Value::Object(members) => Ok(members),
        Value::Array(_) if defect.is("c4_a_payload_that_is_no_object_is_refused") && !is_header => {
            Err(pipe_core::Error::new(pipe_core::ErrorKind::Unexpected, "a list"))
        }
        _ if defect.is("c4_a_header_that_is_no_object_is_refused") && is_header => {
            Err(pipe_core::Error::new(pipe_core::ErrorKind::Unexpected, "no object"))
        }
        _ => Err(malformed()),
    }
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> std::result::Result<Self, E> {
        let level = self.level + 1;
        if level > DEEPEST + 1 && !self.defect.is("c5_a_payload_that_is_too_deep_is_refused") {
            return Err(E::custom("too deep"));
        }
        Ok(Self { level, ..self })
    }

    fn may_repeat(self) -> bool {
        self.defect.is(match (self.is_header, self.level) {
            (true, _) => "c3_a_duplicate_header_is_refused",
            (false, 1) => "c3_a_duplicate_claim_is_refused",
            (false, _) => "c3_a_duplicate_member_at_any_depth_is_refused",
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> std::result::Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> std::result::Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("no number"))
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(seed)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(seed)?;
            if members.insert(name, value).is_some() && !self.may_repeat() {
                return Err(A::Error::custom("a duplicate"));
            }
        }
        let is_many = self.level == 1 && members.len() > MOST;
        if is_many && !self.defect.is("c5_too_many_claims_are_refused") {
            return Err(A::Error::custom("too many"));
        }
        Ok(members.into())
    }
}
