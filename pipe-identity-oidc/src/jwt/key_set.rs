//! The keys of an issuer (RFC 7517).

use pipe_core::Result;

/// The usable public keys of a JWKS, parsed once.
#[derive(Debug)]
pub struct KeySet {
    kids: Vec<Option<String>>,
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
    pub fn parse(document: &[u8]) -> Result<Self> {
        let refused = |why| pipe_core::Error::new(pipe_core::ErrorKind::Unexpected, why);
        let set: serde_json::Value =
            serde_json::from_slice(document).map_err(|_| refused("the key set is no JSON"))?;
        let keys = set["keys"].as_array().ok_or_else(|| refused("the key set has no keys"))?;
        if keys.len() > 100 {
            return Err(refused("the key set has more than 100 keys"));
        }
        let mut skipped = Vec::new();
        let mut kids = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            if key["kty"] == "OKP" && key["d"].is_null() && key["use"] != "enc" {
                kids.push(key["kid"].as_str().map(str::to_owned));
            } else {
                skipped.push(SkippedKey { index, reason: "not usable" });
            }
        }
        Ok(Self { kids, skipped })
    }

    /// How many keys can be used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kids.len()
    }

    /// Whether no key can be used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kids.is_empty()
    }

    /// Whether a key has this `kid`.
    #[must_use]
    pub fn contains(&self, kid: &str) -> bool {
        self.kids.iter().flatten().any(|it| it == kid)
    }

    /// The keys that are not used.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }
}
