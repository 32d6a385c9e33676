//! JSON as strictly as a security decision needs it.
//!
//! Two readers of one document must not see different things, so duplicate members are refused at
//! any depth; depth and size are bounded while reading, before anything is built. A lone surrogate,
//! a number that no `f64` holds, a byte order mark and trailing text are refused by serde_json.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

/// How many objects and arrays may be nested, counting the outermost.
pub const MAX_DEPTH: usize = 32;

/// How many members the outermost object may have.
pub const MAX_MEMBERS: usize = 256;

/// Parses a JSON object; `None` when it is anything else, or not strictly JSON.
///
/// Refused are also duplicate members at any depth, more than [`MAX_DEPTH`] levels and more than
/// [`MAX_MEMBERS`] members of the object itself.
#[must_use]
pub fn parse_object(text: &[u8]) -> Option<Map<String, Value>> {
    parse_object_within(text, usize::MAX)
}

/// The same, with a bound on the number of values, at all depths together.
pub(crate) fn parse_object_within(text: &[u8], values: usize) -> Option<Map<String, Value>> {
    let text = std::str::from_utf8(text).ok()?;
    let budget = Cell::new(values);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Node { depth: 0, budget: &budget }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    match value {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// With `arbitrary_precision`, which any crate in the program can turn on, serde_json hands out a
/// number as an object with this one member. Such an object is a number here, whoever wrote it.
const NUMBER: &str = "$serde_json::private::Number";

/// Reads one value inside `depth` objects and arrays.
#[derive(Clone, Copy)]
struct Node<'b> {
    depth: usize,
    budget: &'b Cell<usize>,
}

impl Node<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom("nested too deeply"));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.budget.get().checked_sub(1).ok_or_else(|| de::Error::custom("too long"))?;
        self.budget.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("strict JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut elements = Vec::new();
        while let Some(element) = access.next_element_seed(inner)? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut name = access.next_key::<String>()?;
        if name.as_deref() == Some(NUMBER) {
            return number(access);
        }
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(current) = name {
            if inner.depth == 1 && members.len() == MAX_MEMBERS {
                return Err(de::Error::custom("too many members"));
            }
            match members.entry(current) {
                Entry::Occupied(_) => return Err(de::Error::custom("duplicate member")),
                Entry::Vacant(place) => place.insert(access.next_value_seed(inner)?),
            };
            name = access.next_key()?;
        }
        Ok(Value::Object(members))
    }
}

fn number<'de, A: MapAccess<'de>>(mut access: A) -> Result<Value, A::Error> {
    let text: String = access.next_value()?;
    if access.next_key::<IgnoredAny>()?.is_some() {
        return Err(de::Error::custom("not a number"));
    }
    let number = text
        .parse::<u64>()
        .map(Number::from)
        .or_else(|_| text.parse::<i64>().map(Number::from))
        .ok()
        .or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64));
    number.map(Value::Number).ok_or_else(|| de::Error::custom("number out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: impl AsRef<[u8]>) -> bool {
        parse_object(text.as_ref()).is_none()
    }

    fn nested(levels: usize) -> String {
        let inner = levels - 1;
        format!(r#"{{"a":{}1{}}}"#, "[".repeat(inner), "]".repeat(inner))
    }

    #[test]
    fn an_object_is_read_as_serde_json_reads_it() {
        let text = r#" {"a":[1,-2,1.5,0.25,true,false,null,"\u00e4\ud83d\ude00\n"],"b":{"a":{}}} "#;
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(parse_object(text.as_bytes()).map(Value::Object), Some(expected));
    }

    /// C3
    #[test]
    fn a_duplicate_member_is_refused_at_any_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"b":{"a":1,"a":1}}"#,
            r#"{"b":[[{"a":1,"c":0,"a":1}]]}"#,
        ] {
            assert!(refused(text), "{text}");
        }
    }

    /// C4
    #[test]
    fn what_is_not_one_strict_object_is_refused() {
        for text in [
            "",
            " ",
            "[]",
            "1",
            "null",
            r#""a""#,
            "{} {}",
            "{}x",
            "{}\0",
            "\u{feff}{}",
            "{\"a\":1,}",
            "{'a':1}",
            "{a:1}",
            "{\"a\":01}",
            "{\"a\":+1}",
            "{\"a\":.5}",
            "{\"a\":NaN}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\x\"}",
            "{//\n}",
            "{\u{a0}}",
            "{",
        ] {
            assert!(refused(text), "{text:?}");
        }
        for text in [&b"{\"a\":\"\xff\"}"[..], b"{\"\xc0\x80\":1}", b"{\"a\":\"\xed\xa0\x80\"}"] {
            assert!(refused(text), "{text:?}");
        }
    }

    /// C4
    #[test]
    fn a_lone_surrogate_is_refused_in_values_and_in_names() {
        for text in
            [r#"{"a":"\ud800"}"#, r#"{"a":"\udc00"}"#, r#"{"\ud800":1}"#, r#"{"a":"\ud800\u0041"}"#]
        {
            assert!(refused(text), "{text}");
        }
    }

    /// C5
    #[test]
    fn a_number_out_of_range_is_refused_anywhere() {
        for text in [r#"{"a":1e999}"#, r#"{"a":[{"b":-1e999}]}"#] {
            assert!(refused(text), "{text}");
        }
        assert!(!refused(r#"{"a":1e300,"b":18446744073709551616}"#));
    }

    /// C5
    #[test]
    fn thirty_two_levels_are_read_and_one_more_is_refused() {
        assert!(!refused(nested(MAX_DEPTH)));
        assert!(refused(nested(MAX_DEPTH + 1)));
        assert!(refused(nested(100_000)));
        assert!(refused("[".repeat(100_000)));
        assert!(refused(r#"{"a":"#.repeat(100_000)));
    }

    /// C5
    #[test]
    fn two_hundred_and_fifty_six_members_are_read_and_one_more_is_refused() {
        let members = |count: usize| {
            let members: Vec<_> = (0..count).map(|i| format!("\"{i}\":0")).collect();
            members.join(",")
        };
        assert!(!refused(format!("{{{}}}", members(MAX_MEMBERS))));
        assert!(refused(format!("{{{}}}", members(MAX_MEMBERS + 1))));
        assert!(!refused(format!("{{\"a\":{{{}}}}}", members(1000))));
    }

    #[test]
    fn a_number_in_the_form_of_arbitrary_precision_is_a_number() {
        let wrapped = |text: &str| format!(r#"{{"a":{{"{NUMBER}":{text}}}}}"#);
        for (text, number) in [("\"5\"", "5"), ("\"-5\"", "-5"), ("\"1.5\"", "1.5")] {
            let read = parse_object(wrapped(text).as_bytes()).unwrap();
            assert_eq!(read["a"].to_string(), number);
        }
        for text in ["\"1e999\"", "\"inf\"", "\"NaN\"", "\"\"", "5", "\"5\",\"b\":1"] {
            assert!(refused(wrapped(text)), "{text}");
        }
        assert!(refused(format!(r#"{{"{NUMBER}":"5"}}"#)));
    }

    #[test]
    fn the_number_of_values_is_bounded() {
        let text = br#"{"a":[1,2,3],"b":{}}"#;
        assert!(parse_object_within(text, 6).is_some());
        assert!(parse_object_within(text, 5).is_none());
    }

    /// No input costs more steps than it has bytes.
    #[test]
    fn the_work_is_linear_in_the_input() {
        for piece in ["0,", "[],", "{},", "\"\",", "{\"a\":[0]},"] {
            for repeat in [100, 400, 1600] {
                let text = format!("{{\"a\":[{}0]}}", piece.repeat(repeat));
                assert!(parse_object_within(text.as_bytes(), text.len()).is_some(), "{piece}");
            }
        }
    }
}
