//! Where in a token a claim is.

use std::fmt;
use std::str::FromStr;

use pipe_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A JSON Pointer (RFC 6901) into the claims of a token: `/realm_access/roles`.
///
/// A claim whose name is a URL, as Auth0 wants it, has its slashes written as `~1`:
/// `/https:~1~1example.org~1roles`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
#[serde(try_from = "String")]
pub struct ClaimPointer(Box<[Box<str>]>);

impl ClaimPointer {
    /// The claim of this name at the top level; no character has a meaning.
    pub fn claim(name: impl Into<Box<str>>) -> Self {
        Self(Box::new([name.into()]))
    }

    /// What these names lead to, each one level deeper; no character has a meaning.
    pub fn path<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// The claim of the top level in which it is.
    pub(crate) fn first(&self) -> &str {
        self.0.first().map_or("", |name| name)
    }

    /// What stands there.
    #[must_use]
    pub fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        let first = claims.get(&**first)?;
        rest.iter().try_fold(first, |value, token| match value {
            Value::Object(members) => members.get(&**token),
            Value::Array(items) => items.get(index(token)?),
            _ => None,
        })
    }
}

/// RFC 6901 4: no sign, no leading zero.
fn index(token: &str) -> Option<usize> {
    let is_plain = token == "0"
        || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
    is_plain.then(|| token.parse().ok()).flatten()
}

impl FromStr for ClaimPointer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fault = || {
            Error::new(ErrorKind::ConfigInvalid, "a claim is not written as a JSON pointer")
                .with("claim", text)
                .hint("write `/roles` or `/realm_access/roles`; `~1` is a slash in a name, `~0` a tilde")
        };
        let tokens = text.strip_prefix('/').ok_or_else(fault)?.split('/');
        let tokens: Option<Box<[_]>> = tokens.map(unescape).collect();
        tokens.map(Self).ok_or_else(fault)
    }
}

fn unescape(token: &str) -> Option<Box<str>> {
    let (mut plain, mut rest) = (String::with_capacity(token.len()), token);
    while let Some((before, after)) = rest.split_once('~') {
        plain.push_str(before);
        plain.push(match after.as_bytes().first()? {
            b'0' => '~',
            b'1' => '/',
            _ => return None,
        });
        rest = &after[1..];
    }
    plain.push_str(rest);
    Some(plain.into())
}

impl TryFrom<String> for ClaimPointer {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl fmt::Display for ClaimPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|token| write!(f, "/{}", token.replace('~', "~0").replace('/', "~1")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// RFC 6901 5
    #[test]
    fn the_pointers_of_the_rfc_find_what_they_should() {
        let document = json!({
            "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5,
            "k\"l": 6, " ": 7, "m~n": 8
        });
        let claims = document.as_object().unwrap();
        for (pointer, expected) in [
            ("/foo", json!(["bar", "baz"])),
            ("/foo/0", json!("bar")),
            ("/", json!(0)),
            ("/a~1b", json!(1)),
            ("/c%d", json!(2)),
            ("/e^f", json!(3)),
            ("/g|h", json!(4)),
            ("/i\\j", json!(5)),
            ("/k\"l", json!(6)),
            ("/ ", json!(7)),
            ("/m~0n", json!(8)),
        ] {
            let parsed: ClaimPointer = pointer.parse().unwrap();
            assert_eq!(parsed.find(claims), Some(&expected), "{pointer}");
            assert_eq!(parsed.to_string(), pointer);
        }
        for pointer in ["/foo/2", "/foo/00", "/foo/+1", "/foo/-", "/foo/0/x", "/bar"] {
            assert_eq!(pointer.parse::<ClaimPointer>().unwrap().find(claims), None, "{pointer}");
        }
    }

    #[test]
    fn what_is_no_pointer_names_itself() {
        for text in ["", "roles", "/a~", "/a~2", "#/a"] {
            let error = text.parse::<ClaimPointer>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert_eq!(error.context("claim"), Some(text));
        }
    }

    #[test]
    fn the_name_of_a_claim_is_taken_as_it_is() {
        let claims = json!({ "https://example.org/roles": ["a"] });
        let found = ClaimPointer::claim("https://example.org/roles");
        assert!(found.find(claims.as_object().unwrap()).is_some());
        assert_eq!(found.to_string(), "/https:~1~1example.org~1roles");
    }
}
