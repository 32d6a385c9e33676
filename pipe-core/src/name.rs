//! Names that are parsed once, at the edge, so that nothing behind it has to check them again.

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// A string type whose constructor holds the rule. Clones share the text: contexts are cloned for each
/// request.
macro_rules! parsed_name {
    ($(#[$docs:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$docs])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Parses the name.
            ///
            /// # Errors
            /// `InvalidArgument` when it breaks the rule above.
            pub fn new(name: impl AsRef<str>) -> $crate::Result<Self> {
                let name = name.as_ref();
                $check($what, name).map(|()| Self(name.into()))
            }

            /// The name as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::Error;
            fn from_str(name: &str) -> $crate::Result<Self> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::Error;
            fn try_from(name: String) -> $crate::Result<Self> {
                Self::new(name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }
    };
}
pub(crate) use parsed_name;

parsed_name! {
    /// The name of a secret: segments of `[A-Za-z0-9._-]` joined by `/`, none of them empty, `.`
    /// or `..`, at most 512 bytes. A way out of its folder cannot be written down.
    SecretName, "secret name", check_path
}

parsed_name! {
    /// A namespace: of Kubernetes, of OpenBao (`team1/child`), or whatever separates the
    /// inhabitants of a backend. It follows the rule of [`SecretName`].
    Namespace, "namespace", check_path
}

impl SecretName {
    /// A name that was put together from parts that keep the rule.
    pub(crate) fn from_checked(name: String) -> Self {
        debug_assert!(Self::new(&name).is_ok(), "the parts keep the rule");
        Self(name.into())
    }

    /// The parts between the slashes.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether this name lies below `prefix`: `apps/db` is below `apps`, `apps-old` is not.
    #[must_use]
    pub fn is_below(&self, prefix: &Self) -> bool {
        self.0.strip_prefix(&*prefix.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

const PATH_LIMIT: usize = 512;
const SEGMENT_LIMIT: usize = 128;

fn check_path(what: &'static str, name: &str) -> Result<()> {
    let fault = |message: &'static str| {
        Err(Error::new(ErrorKind::InvalidArgument, message)
            .with(what, format_args!("{name:?}"))
            .hint("use segments of A-Z a-z 0-9 . _ - joined by single slashes"))
    };
    if name.is_empty() {
        return fault("the name is empty");
    }
    if name.len() > PATH_LIMIT {
        return fault("the name is longer than 512 bytes");
    }
    for segment in name.split('/') {
        if matches!(segment, "" | "." | "..") {
            return fault("the name has an empty, `.` or `..` segment");
        }
        if !segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
            return fault("the name has a character that is not allowed");
        }
    }
    Ok(())
}

/// The rule of one segment of a [`SecretName`], at most 128 bytes.
pub(crate) fn check_segment(what: &'static str, name: &str) -> Result<()> {
    if name.len() > SEGMENT_LIMIT || name.contains('/') {
        return Err(Error::new(ErrorKind::InvalidArgument, "not a single short segment")
            .with(what, format_args!("{name:?}"))
            .hint("use 1 to 128 of A-Z a-z 0-9 . _ -"));
    }
    check_path(what, name)
}

/// The rule of identifiers that others choose: 1 to 256 bytes, not only white space, and nothing
/// that is not seen.
pub(crate) fn check_identifier(what: &'static str, id: &str) -> Result<()> {
    if id.trim().is_empty() || id.len() > 256 || id.contains(is_unprintable) {
        return Err(Error::new(ErrorKind::InvalidArgument, "not an identifier")
            .with("what", what)
            .hint("use 1 to 256 bytes without control and format characters, not only blanks"));
    }
    Ok(())
}

/// Control characters, line separators, and Unicode's format characters: what breaks a line,
/// turns the text around, or makes two different names look alike.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_kept_as_they_are() {
        for name in ["a", "apps/db", "Apps/DB_1", "a.b", "..a", "a..", "-", "a/b/c/d"] {
            assert_eq!(SecretName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn a_way_out_of_a_folder_cannot_be_written_down() {
        for name in [
            "", "/", "a/", "/a", "a//b", ".", "..", "../a", "a/..", "a/../b", "a/./b", "a b",
            "a%2Fb", "a\\b", "a\0", "a\n", "a?b", "a#b", "ä", "a;b",
        ] {
            let error = SecretName::new(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name:?}");
        }
        assert!(SecretName::new("x".repeat(513)).is_err());
    }

    #[test]
    fn below_means_across_a_segment_border() {
        let name = |name| SecretName::new(name).unwrap();
        assert!(name("apps/db").is_below(&name("apps")));
        assert!(name("apps/db/x").is_below(&name("apps/db")));
        assert!(!name("apps-old/db").is_below(&name("apps")));
        assert!(!name("apps").is_below(&name("apps")));
    }

    #[test]
    fn an_identifier_that_is_not_seen_as_it_is_is_refused() {
        for id in ["", " ", "\u{3000}\u{a0}", "a\u{202e}b", "a\u{200b}", "\u{feff}a", "a\u{2028}"] {
            let error = check_identifier("role", id).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{id:?}");
        }
        assert!(check_identifier("role", "data reader ä").is_ok());
    }
}
