//! The keys of an issuer (RFC 7517).

#[cfg(test)]
mod tests;

use pipe_core::{Error, ErrorKind, Result, TokenFault};
use serde_json::{Map, Value};
use zeroize::Zeroize as _;

use super::key::{NOT_AN_OBJECT, VerifyingKey};
use super::{Algorithm, Jws, Jwt, json};

/// The usable keys of an issuer, parsed once. Public keys and shared secrets never stand in one set,
/// or else a public key could be taken for a secret.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<VerifyingKey>,
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

/// How many keys a document may have.
pub const MAX_KEYS: usize = 100;

/// How many JSON values a document may have: room for a hundred keys with everything that RFC 7517
/// knows, and a bound on the work and memory that a hostile one costs.
const MAX_VALUES: usize = 10_000;

impl KeySet {
    /// Parses a JWKS that anybody may read. Keys that cannot be used are skipped, the rest serve;
    /// a shared secret is never used.
    ///
    /// # Errors
    /// `Unexpected` when the document as a whole is refused: no strict JSON object with an array
    /// `keys`, or more than [`MAX_KEYS`].
    pub fn parse(document: &[u8]) -> Result<Self> {
        let keys = parse_keys(document)
            .map_err(|reason| Error::new(ErrorKind::Unexpected, reason).hint(HINT))?;
        Ok(Self::of(&keys, VerifyingKey::public_jwk))
    }

    /// Parses a JWKS that is kept like a secret, and may hold shared secrets (`oct`) instead of
    /// public keys.
    ///
    /// # Errors
    /// `ConfigInvalid` when the document as a whole is refused, when it holds both secrets and public
    /// keys, and when no key of it can be used.
    pub fn parse_local(document: &[u8]) -> Result<Self> {
        let mut keys = parse_keys(document)
            .map_err(|reason| Error::new(ErrorKind::ConfigInvalid, reason).hint(HINT))?;
        let set = Self::of(&keys, VerifyingKey::local_jwk);
        for jwk in &mut keys {
            if let Some(Value::String(secret)) = jwk.get_mut("k") {
                secret.zeroize();
            }
        }
        let reason = set.skipped.first().map(|skipped| skipped.reason);
        let set = Self { skipped: set.skipped, ..Self::from_keys(set.keys)? };
        if set.is_empty() {
            return Err(Error::new(ErrorKind::ConfigInvalid, "no key of the set can be used")
                .with("first", reason.unwrap_or("there is none"))
                .hint(HINT));
        }
        Ok(set)
    }

    /// A set of keys from the configuration.
    ///
    /// # Errors
    /// `ConfigInvalid` when both secrets and public keys are among them, or more than
    /// [`MAX_KEYS`].
    pub fn from_keys(keys: impl IntoIterator<Item = VerifyingKey>) -> Result<Self> {
        let keys: Vec<_> = keys.into_iter().take(MAX_KEYS + 1).collect();
        if keys.len() > MAX_KEYS {
            return Err(Error::new(ErrorKind::ConfigInvalid, TOO_MANY_KEYS).hint(HINT));
        }
        let secrets = keys.iter().filter(|key| key.is_symmetric()).count();
        if secrets != 0 && secrets != keys.len() {
            return Err(Error::new(
                ErrorKind::ConfigInvalid,
                "public keys and shared secrets in one set",
            )
            .hint("configure an issuer with public keys, or with a shared secret, not with both"));
        }
        Ok(Self { keys, skipped: Vec::new() })
    }

    /// A shared secret, which verifies tokens whatever key they name.
    ///
    /// # Errors
    /// `ConfigInvalid` when the secret is shorter than the hash, or the algorithm not symmetric.
    pub fn hmac(secret: &[u8], algorithm: Algorithm) -> Result<Self> {
        Self::from_keys([VerifyingKey::from_secret(secret, algorithm)?])
    }

    /// How many keys can be used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can be used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a key has this `kid`.
    #[must_use]
    pub fn contains(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.answers_to(Some(kid)))
    }

    /// The keys that can be used.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &VerifyingKey> {
        self.keys.iter()
    }

    /// The keys that are not used.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// The one key for a token that names this `kid` and algorithm. A key that stands there twice
    /// counts once. For a token that names no key, it is the only one for the algorithm.
    ///
    /// # Errors
    /// `UnknownKey` when there is none, or more than one; `AlgorithmRefused` when there are keys of
    /// this name, and none is for this algorithm.
    pub fn select(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<&VerifyingKey, TokenFault> {
        let mut candidates = self.candidates(kid, algorithm);
        let Some(key) = candidates.next() else {
            let known = kid.is_some_and(|kid| self.contains(kid));
            return Err(if known { TokenFault::AlgorithmRefused } else { TokenFault::UnknownKey });
        };
        if candidates.all(|other| other.is_same_key(key)) {
            Ok(key)
        } else {
            Err(TokenFault::UnknownKey)
        }
    }

    /// Checks a signature with the [selected](Self::select) key, and returns the payload.
    ///
    /// # Errors
    /// `AlgorithmRefused`, `UnknownKey`, `BadSignature`.
    pub fn verify<'j>(
        &self,
        jws: &'j Jws<'_>,
        algorithms: &[Algorithm],
    ) -> Result<&'j [u8], TokenFault> {
        let algorithm = jws.allowed(algorithms.iter().copied().collect())?;
        jws.verify(self.select(jws.kid(), algorithm)?, algorithms)
    }

    /// Checks a token's signature with the [selected](Self::select) key, and returns the payload: for
    /// tokens with rules of their own. No claim is checked.
    ///
    /// # Errors
    /// `AlgorithmRefused`, `UnknownKey`, `BadSignature`.
    pub fn verify_claims<'j>(
        &self,
        jwt: &'j Jwt<'_>,
        algorithms: &[Algorithm],
    ) -> Result<&'j Map<String, Value>, TokenFault> {
        self.verify(jwt.jws(), algorithms)?;
        Ok(jwt.claims())
    }

    pub(super) fn candidates(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &VerifyingKey> {
        // A key of this name comes before those that answer to any.
        let named = kid.is_some_and(|kid| self.keys.iter().any(|key| key.kid() == Some(kid)));
        let fits = move |key: &&VerifyingKey| {
            if named { key.kid() == kid } else { key.answers_to(kid) }
        };
        self.keys.iter().filter(fits).filter(move |key| key.supports(algorithm))
    }

    fn of(
        keys: &[Value],
        read: impl Fn(&Map<String, Value>) -> Result<VerifyingKey, &'static str>,
    ) -> Self {
        let mut set = Self { keys: Vec::new(), skipped: Vec::new() };
        for (index, jwk) in keys.iter().enumerate() {
            match jwk.as_object().ok_or(NOT_AN_OBJECT).and_then(&read) {
                Ok(key) => set.keys.push(key),
                Err(reason) => set.skipped.push(SkippedKey { index, reason }),
            }
        }
        set
    }
}

const HINT: &str = "the document must be a JWKS: a JSON object with at most 100 `keys`";
const TOO_MANY_KEYS: &str = "more than 100 keys";

fn parse_keys(document: &[u8]) -> Result<Vec<Value>, &'static str> {
    let mut members = json::parse_object_within(document, MAX_VALUES)
        .ok_or("the key set is not a strict JSON object of moderate size")?;
    match members.remove("keys") {
        Some(Value::Array(keys)) if keys.len() <= MAX_KEYS => Ok(keys),
        Some(Value::Array(_)) => Err(TOO_MANY_KEYS),
        _ => Err("the key set has no array `keys`"),
    }
}
