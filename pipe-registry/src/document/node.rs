//! A node of the tree. Its texts are wiped on drop, for they may be secrets.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A value of the document.
#[derive(Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(Zeroizing<String>),
    List(Vec<Self>),
    Table(Table),
    /// Stands in for what is missing or faulty while the rest is looked at: it is whatever is
    /// asked for.
    Any,
}

/// In the order of the document.
pub(crate) type Table = Vec<(Zeroizing<String>, Node)>;

impl Node {
    pub(crate) fn table(&self) -> Option<&Table> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn child(&self, key: &str) -> Option<&Self> {
        self.table()?.iter().find(|(name, _)| name.as_str() == key).map(|(_, node)| node)
    }

    /// The node at a path, to be changed. An item of a list is found by its number.
    pub(crate) fn at_mut(&mut self, path: &[String]) -> Option<&mut Self> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        match self {
            Self::Table(table) => {
                table.iter_mut().find(|(name, _)| name.as_str() == first)?.1.at_mut(rest)
            }
            Self::List(list) => list.get_mut(first.parse::<usize>().ok()?)?.at_mut(rest),
            _ => None,
        }
    }

    /// Calls `visit` with every key and with every value that is text or a number, as text.
    pub(crate) fn texts(&self, visit: &mut impl FnMut(&str)) {
        match self {
            Self::Signed(number) => visit(&number.to_string()),
            Self::Unsigned(number) => visit(&number.to_string()),
            Self::Float(number) => visit(&number.to_string()),
            Self::Text(text) => visit(text),
            Self::List(list) => list.iter().for_each(|node| node.texts(visit)),
            Self::Table(table) => table.iter().for_each(|(key, node)| {
                visit(key);
                node.texts(visit);
            }),
            Self::Null | Self::Bool(_) | Self::Any => {}
        }
    }
}

/// Names the type only.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Signed(_) | Self::Unsigned(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Any => "anything",
        })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Node;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_none<E: de::Error>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Node, D::Error> {
                Node::deserialize(inner)
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Bool(value))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Node, E> {
                // One form for each number, whatever the format calls it.
                Ok(u64::try_from(number).map_or(Node::Signed(number), Node::Unsigned))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Node, E> {
                Ok(Node::Unsigned(number))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Node, E> {
                Ok(Node::Float(number))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Text(Zeroizing::new(text.to_owned())))
            }
            fn visit_string<E: de::Error>(self, text: String) -> Result<Node, E> {
                Ok(Node::Text(Zeroizing::new(text)))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
                let mut list = Vec::new();
                while let Some(node) = seq.next_element()? {
                    list.push(node);
                }
                Ok(Node::List(list))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut table = Table::new();
                while let Some(key) = map.next_key::<String>()?.map(Zeroizing::new) {
                    if table.iter().any(|(known, _)| *known == key) {
                        return Err(de::Error::custom("a key stands there twice"));
                    }
                    table.push((key, map.next_value()?));
                }
                Ok(Node::Table(table))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
