//! Where a person goes after a login.

use std::fmt;

use crate::{Error, ErrorKind, Result};

/// A path of this application, with its query and fragment. It cannot lead anywhere else, however a
/// browser or a proxy may read it: an open redirect is what attackers ask of a login first.
///
/// ```
/// use pipe_core::identity::ReturnTo;
///
/// assert_eq!(ReturnTo::parse("/orders?page=2#last").unwrap().as_str(), "/orders?page=2#last");
/// assert_eq!(ReturnTo::default().as_str(), "/");
/// assert!(ReturnTo::parse("//evil.example").is_err());
/// assert!(ReturnTo::parse("https://evil.example").is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ReturnTo(String);

const LONGEST: usize = 2_048;
/// How often percent signs may be nested; nobody nests them so deep in earnest.
const MOST_DECODINGS: usize = 4;

impl ReturnTo {
    /// Takes a path that begins with a single slash.
    ///
    /// # Errors
    /// `InvalidArgument` for everything else, in any encoding: `//host`, `/\\host`, a scheme,
    /// backslashes, white space and control characters, more than 2,048 bytes.
    pub fn parse(path: &str) -> Result<Self> {
        let refused = || {
            Error::new(ErrorKind::InvalidArgument, "this is no path of this application")
                .with("argument", "return_to")
                .hint("give a path that begins with a single slash")
        };
        if path.len() > LONGEST || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refused());
        }
        let end = path.find(['?', '#']).unwrap_or(path.len());
        let mut seen = path.as_bytes()[..end].to_vec();
        for _ in 0..MOST_DECODINGS {
            if !is_local(&seen) {
                return Err(refused());
            }
            let decoded = percent_decoded(&seen);
            if decoded == seen {
                return Ok(Self(path.to_owned()));
            }
            seen = decoded;
        }
        Err(refused())
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The root.
impl Default for ReturnTo {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Without what follows the path, which may be anything.
impl fmt::Debug for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.split(['?', '#']).next().unwrap_or_default();
        f.debug_tuple("ReturnTo").field(&path).finish()
    }
}

/// Browsers take a backslash for a slash, and drop tabs and line ends before they look. Servers and
/// proxies resolve dots, after which a path may begin with two slashes.
fn is_local(path: &[u8]) -> bool {
    let is_dots = |segment: &[u8]| segment == b"." || segment == b"..";
    path.first() == Some(&b'/')
        && !path.windows(2).any(|pair| pair == b"//")
        && !path.iter().any(|byte| *byte == b'\\' || byte.is_ascii_control())
        && !path.split(|byte| *byte == b'/').any(is_dots)
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let pair = digit(text.get(at + 1)).zip(digit(text.get(at + 2)));
        let value = pair
            .filter(|_| text[at] == b'%')
            .and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        decoded.push(value.unwrap_or(text[at]));
        at += if value.is_some() { 3 } else { 1 };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_application_are_taken_as_they_are() {
        for path in [
            "/",
            "/a",
            "/a/b/",
            "/a?b=c&d=//e",
            "/a#//b",
            "/%E2%82%AC",
            "/a%20b",
            "/100%",
            "/a.b/c..d",
            "/?next=https://b.example",
            "/a:b@c",
        ] {
            assert_eq!(ReturnTo::parse(path).unwrap().as_str(), path);
        }
    }

    /// G1
    #[test]
    fn nothing_that_may_lead_elsewhere_is_taken() {
        for path in [
            "",
            "a",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "\\\\evil.example",
            "https:evil.example",
            "https://evil.example",
            "https:/evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            " /a",
            "/ /evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/a\0",
            "/%2F/evil.example",
            "/%2Fevil.example",
            "/%2fevil.example",
            "/%5Cevil.example",
            "/%5cevil.example",
            "/%09/evil.example",
            "/%0d%0aset-cookie:a=b",
            "/%252Fevil.example",
            "/%25252Fevil.example",
            "/%2525252525252Fevil.example",
            "%2F%2Fevil.example",
            "%2fa",
            "/a/..//evil.example",
            "/./",
            "/..",
            "/a/../b",
            "/%2e%2e/a",
            "/.%2e/a",
            "?a",
            "#a",
            "@evil.example",
            "/\u{2215}evil",
            "\u{ff0f}\u{ff0f}evil",
        ] {
            let refused = ReturnTo::parse(path);
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidArgument, "{path:?}");
        }
        assert!(ReturnTo::parse(&format!("/{}", "a".repeat(LONGEST))).is_err());
    }

    #[test]
    fn debug_shows_the_path_alone() {
        let path = ReturnTo::parse("/a?token=do-not-print").unwrap();
        assert_eq!(format!("{path:?}"), "ReturnTo(\"/a\")");
    }
}
