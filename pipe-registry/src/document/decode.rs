//! Reading a node into a type. What is wrong is told by serde's typed constructors, never by its
//! messages, because these quote what they found.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};
use zeroize::Zeroizing;

use super::node::{Node, Table};

/// What is wrong with a node, and where below the node that was asked for.
#[derive(Clone, PartialEq)]
pub(crate) struct Problem {
    pub(crate) path: Vec<String>,
    pub(crate) what: What,
}

#[derive(Clone, PartialEq)]
pub(crate) enum What {
    Missing(String),
    UnknownField {
        found: Zeroizing<String>,
        known: &'static [&'static str],
    },
    UnknownVariant {
        known: &'static [&'static str],
    },
    /// Another type or value than the expected one.
    Invalid {
        expected: String,
    },
    /// Words of the type itself, which may have something of the document in them.
    Custom(Zeroizing<String>),
}

impl Problem {
    fn here(what: What) -> Self {
        Self { path: Vec::new(), what }
    }

    fn below(mut self, segment: impl Into<String>) -> Self {
        self.path.insert(0, segment.into());
        self
    }
}

impl de::Error for Problem {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::here(What::Custom(Zeroizing::new(text.to_string())))
    }
    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::here(What::Invalid { expected: expected.to_string() })
    }
    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::here(What::Invalid { expected: expected.to_string() })
    }
    fn invalid_length(_: usize, expected: &dyn de::Expected) -> Self {
        Self::here(What::Invalid { expected: expected.to_string() })
    }
    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::here(What::UnknownVariant { known })
    }
    fn unknown_field(found: &str, known: &'static [&'static str]) -> Self {
        let found = Zeroizing::new(found.to_owned());
        Self::here(What::UnknownField { found, known })
    }
    fn missing_field(name: &'static str) -> Self {
        Self::here(What::Missing(name.to_owned()))
    }
}

/// Silent, as a type that wraps an error of its field makes words of its own from this.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not usable")
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Problem {}

macro_rules! numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
            match self {
                Node::Any => visitor.visit_u64(1),
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self {
            Node::Null => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(*value),
            Node::Signed(number) => visitor.visit_i64(*number),
            Node::Unsigned(number) => visitor.visit_u64(*number),
            Node::Float(number) => visitor.visit_f64(*number),
            Node::Text(text) => visitor.visit_str(text),
            Node::List(list) => visitor.visit_seq(Items(list.iter().enumerate())),
            Node::Table(table) => visitor.visit_map(Entries { rest: table.iter(), value: None }),
            Node::Any => visitor.visit_str(""),
        }
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self {
            Node::Any => visitor.visit_bool(false),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self {
            Node::Null | Node::Any => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self {
            Node::Any => visitor.visit_seq(Items([].iter().enumerate())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self {
            Node::Any => visitor.visit_map(Entries { rest: [].iter(), value: None }),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match self {
            Node::Table(_) => return self.deserialize_any(visitor),
            Node::Any => {}
            // Serde would take a list of the fields in their order, too.
            _ => return Err(Problem::here(What::Invalid { expected: "a table".to_owned() })),
        }
        let table = fields.iter().map(|name| (Zeroizing::new((*name).to_owned()), Node::Any));
        let table: Table = table.collect();
        visitor.visit_map(Standins(table.into_iter()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match self {
            Node::Text(name) => {
                let name: StrDeserializer<'_, Problem> = name.as_str().into_deserializer();
                visitor.visit_enum(name)
            }
            Node::Table(table) if table.len() == 1 => {
                let entries = Entries { rest: table.iter(), value: None };
                visitor.visit_enum(MapAccessDeserializer::new(entries))
            }
            Node::Any => {
                let first = variants.first().copied().unwrap_or_default();
                let name: StrDeserializer<'_, Problem> = first.into_deserializer();
                visitor.visit_enum(name)
            }
            _ => Err(Problem::here(What::UnknownVariant { known: variants })),
        }
    }

    serde::forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'de>(std::iter::Enumerate<std::slice::Iter<'de, Node>>);

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Problem> {
        let Some((number, node)) = self.0.next() else { return Ok(None) };
        let item = seed.deserialize(node).map_err(|problem| problem.below(number.to_string()));
        item.map(Some)
    }
}

struct Entries<'de> {
    rest: std::slice::Iter<'de, (Zeroizing<String>, Node)>,
    value: Option<(&'de str, &'de Node)>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Problem> {
        let Some((key, node)) = self.rest.next() else { return Ok(None) };
        self.value = Some((key.as_str(), node));
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Problem> {
        let (key, node) = self.value.take().unwrap_or(("", &Node::Null));
        seed.deserialize(node).map_err(|problem| problem.below(key))
    }
}

/// The fields of a struct that is not there.
struct Standins(std::vec::IntoIter<(Zeroizing<String>, Node)>);

impl<'de> de::MapAccess<'de> for Standins {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Problem> {
        let Some((key, _)) = self.0.next() else { return Ok(None) };
        seed.deserialize(StrDeserializer::new(&key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Problem> {
        seed.deserialize(&Node::Any)
    }
}
