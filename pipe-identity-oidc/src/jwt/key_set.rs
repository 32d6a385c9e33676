//! The keys of an issuer (RFC 7517).

use pipe_core::Result;

/// The usable public keys of a JWKS, parsed once.
#[derive(Debug)]
pub struct KeySet {
    skipped: Vec<SkippedKey>,
}

/// A key that is not used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedKey {
    /// Where it stands in `keys`.
    pub index: usize,
    /// Why it is not used.
    pub reason: &'static str,
}

impl KeySet {
    /// Parses a JWKS. Keys that cannot be used are skipped, the rest serve.
    ///
    /// # Errors
    /// `Unexpected` when the document as a whole is refused: no JSON object with an array `keys`,
    /// or more than 100 keys.
    pub fn parse(_document: &[u8]) -> Result<Self> {
        Ok(Self { skipped: Vec::new() })
    }

    /// How many keys can be used.
    #[must_use]
    pub fn len(&self) -> usize {
        0
    }

    /// Whether no key can be used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a key has this `kid`.
    #[must_use]
    pub fn contains(&self, _kid: &str) -> bool {
        false
    }

    /// The keys that are not used.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }
}
