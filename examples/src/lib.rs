//! Small programs that show the family at work; see the binaries.

/// The root README's snippets are tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
