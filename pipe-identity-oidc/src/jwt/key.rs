//! One key that verifies signatures, parsed once.

mod der;
mod public;
#[cfg(test)]
mod tests;

use std::fmt;

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::ParsedPublicKey;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pipe_core::{Error, ErrorKind, Result, TokenFault};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use self::public::PublicKey;
use super::Algorithm;
use super::algorithm::AlgorithmSet;

/// A key that verifies signatures: strong enough, and made ready for each algorithm it is meant for.
pub struct VerifyingKey {
    kid: Kid,
    issuer: Option<String>,
    algorithms: AlgorithmSet,
    /// SHA-256; of a secret, it never leaves this module.
    fingerprint: [u8; 32],
    prepared: Vec<(Algorithm, Prepared)>,
}

enum Prepared {
    /// It verifies a hash of the message, which aws-lc sets up less for than for the message.
    OfHash(&'static digest::Algorithm, ParsedPublicKey),
    OfMessage(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

/// Which tokens a key is for.
enum Kid {
    /// Those that name no key: a JWK without `kid`.
    Absent,
    /// Whatever they name: a key that was configured without a name.
    Any,
    Is(String),
}

/// The private halves of RFC 7518 6.2.2 and 6.3.2, RFC 8037 2, and the secret of 6.4.1.
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

impl VerifyingKey {
    /// The public key of a JWK (RFC 7517).
    ///
    /// `alg`, `use` and `key_ops` are judged when they are there; the first certificate of `x5c` must
    /// have the same key. A key with private members is refused, because it is not secret any more.
    ///
    /// # Errors
    /// `ConfigInvalid`, saying why the key is not used.
    pub fn from_jwk(jwk: &Value) -> Result<Self> {
        let members = jwk.as_object().ok_or(NOT_AN_OBJECT).map_err(refused)?;
        Self::public_jwk(members).map_err(refused)
    }

    /// A public key in PEM: `PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE`, one and no more. It
    /// verifies tokens that name any key, until it is [named](Self::with_kid) itself.
    ///
    /// # Errors
    /// `ConfigInvalid`, saying why the key is not used.
    pub fn from_pem(pem: &str) -> Result<Self> {
        Self::public(&key_of_pem(pem)?, None).map_err(refused)
    }

    /// A public key in DER: a `SubjectPublicKeyInfo`. See [`from_pem`](Self::from_pem).
    ///
    /// # Errors
    /// `ConfigInvalid`, saying why the key is not used.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        let key = der::key_info(der).ok_or_else(|| refused("the key has no supported type"))?;
        Self::public(&key, None).map_err(refused)
    }

    /// A shared secret, which must be as long as the hash (RFC 7518 3.2). See
    /// [`from_pem`](Self::from_pem) for its name.
    ///
    /// # Errors
    /// `ConfigInvalid` when the secret is too short, or the algorithm is not symmetric.
    pub fn from_secret(secret: &[u8], algorithm: Algorithm) -> Result<Self> {
        Self::secret(secret, Some(algorithm)).map_err(|reason| {
            Error::new(ErrorKind::ConfigInvalid, reason)
                .with("algorithm", algorithm)
                .hint("use a random secret of at least 32 (HS256), 48 or 64 (HS512) bytes")
        })
    }

    /// A secret of ours, which is strong by construction.
    pub(crate) fn from_hmac(key: &hmac::Key, algorithm: Algorithm) -> Self {
        let mut fingerprint = [0; 32];
        // Of a tag, from which nobody gets back to the secret.
        let tag = digest(&SHA256, hmac::sign(key, b"fingerprint").as_ref());
        fingerprint.copy_from_slice(tag.as_ref());
        Self {
            kid: Kid::Any,
            issuer: None,
            algorithms: AlgorithmSet::one(algorithm),
            fingerprint,
            prepared: vec![(algorithm, Prepared::Secret(Box::new(key.clone())))],
        }
    }

    /// Gives it a name: it verifies tokens with this `kid`, and those without.
    #[must_use]
    pub fn with_kid(self, kid: impl Into<String>) -> Self {
        Self { kid: Kid::Is(kid.into()), ..self }
    }

    /// Pins it to one algorithm.
    ///
    /// # Errors
    /// `ConfigInvalid` when the key is not for this algorithm.
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Result<Self> {
        if !self.algorithms.contains(algorithm) {
            return Err(refused(ALGORITHM_MISMATCH).with("algorithm", algorithm));
        }
        self.prepared.retain(|(prepared, _)| *prepared == algorithm);
        Ok(Self { algorithms: AlgorithmSet::one(algorithm), ..self })
    }

    /// The key's name.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        match &self.kid {
            Kid::Is(kid) => Some(kid),
            Kid::Absent | Kid::Any => None,
        }
    }

    /// The only issuer whose tokens it verifies: the member `issuer` that some providers add to a
    /// JWK. It may hold the placeholder `{tenantid}`.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// What it verifies.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.algorithms.iter()
    }

    /// Whether it is a shared secret.
    #[must_use]
    pub fn is_symmetric(&self) -> bool {
        self.algorithms.iter().any(Algorithm::is_symmetric)
    }

    /// The thumbprint of RFC 7638, SHA-256 in base64url; `None` for a shared secret.
    #[must_use]
    pub fn thumbprint(&self) -> Option<String> {
        (!self.is_symmetric()).then(|| URL_SAFE_NO_PAD.encode(self.fingerprint))
    }

    /// Checks a signature of RFC 7518 form, in constant time where it matters.
    ///
    /// # Errors
    /// `AlgorithmRefused` when the key is not for this algorithm; `BadSignature`.
    pub fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), TokenFault> {
        let prepared = self.prepared.iter().find(|(prepared, _)| *prepared == algorithm);
        let valid = match prepared {
            Some((_, Prepared::OfHash(hash, key))) => {
                key.verify_digest_sig(&digest(hash, message), signature)
            }
            Some((_, Prepared::OfMessage(key))) => key.verify_sig(message, signature),
            Some((_, Prepared::Secret(key))) => hmac::verify(key, message, signature),
            None => return Err(TokenFault::AlgorithmRefused),
        };
        valid.map_err(|_| TokenFault::BadSignature)
    }

    /// Whether a token that names this key, or none, is for it.
    pub(super) fn answers_to(&self, kid: Option<&str>) -> bool {
        match (&self.kid, kid) {
            (_, None) | (Kid::Any, Some(_)) => true,
            (Kid::Is(name), Some(kid)) => name == kid,
            (Kid::Absent, Some(_)) => false,
        }
    }

    pub(super) fn supports(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(algorithm)
    }

    /// Whether both are the same key, whatever they are named.
    pub(super) fn is_same_key(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }

    pub(super) fn public_jwk(jwk: &Map<String, Value>) -> Result<Self, &'static str> {
        if jwk.get("kty").and_then(Value::as_str) == Some("oct") {
            return Err("a shared secret in a public document");
        }
        if PRIVATE_MEMBERS.iter().any(|name| jwk.contains_key(*name)) {
            return Err("the private key stands in the document");
        }
        check_purpose(jwk)?;
        let key = PublicKey::from_jwk(jwk)?;
        check_certificate(jwk, &key)?;
        Self::public(&key, pinned(jwk)?)?.described_by(jwk)
    }

    /// A JWK of a document that is as secret as the keys in it.
    pub(super) fn local_jwk(jwk: &Map<String, Value>) -> Result<Self, &'static str> {
        if jwk.get("kty").and_then(Value::as_str) != Some("oct") {
            return Self::public_jwk(jwk);
        }
        check_purpose(jwk)?;
        let secret = public::bytes(jwk, "k").map(Zeroizing::new).ok_or("`k` is not base64url")?;
        Self::secret(&secret, pinned(jwk)?)?.described_by(jwk)
    }

    fn public(key: &PublicKey, pinned: Option<Algorithm>) -> Result<Self, &'static str> {
        let possible = key.algorithms();
        let algorithms: AlgorithmSet = match pinned {
            None => possible.iter().copied().collect(),
            Some(algorithm) if possible.contains(&algorithm) => AlgorithmSet::one(algorithm),
            Some(_) => return Err(ALGORITHM_MISMATCH),
        };
        key.check()?;
        let prepared = algorithms
            .iter()
            .map(|algorithm| {
                let key = key.parse(algorithm)?;
                let prepared = match hash_of(algorithm) {
                    Some(hash) => Prepared::OfHash(hash, key),
                    None => Prepared::OfMessage(key),
                };
                Ok((algorithm, prepared))
            })
            .collect::<Result<_, &'static str>>()?;
        let fingerprint = key.thumbprint();
        Ok(Self { kid: Kid::Any, issuer: None, algorithms, fingerprint, prepared })
    }

    fn secret(secret: &[u8], pinned: Option<Algorithm>) -> Result<Self, &'static str> {
        let wanted = |algorithm: Algorithm| pinned.is_none_or(|pinned| pinned == algorithm);
        let prepared: Vec<_> = [
            (Algorithm::Hs256, hmac::HMAC_SHA256),
            (Algorithm::Hs384, hmac::HMAC_SHA384),
            (Algorithm::Hs512, hmac::HMAC_SHA512),
        ]
        .into_iter()
        .filter(|(algorithm, _)| wanted(*algorithm))
        .filter(|(_, hash)| secret.len() >= hash.digest_algorithm().output_len())
        .map(|(algorithm, hash)| {
            (algorithm, Prepared::Secret(Box::new(hmac::Key::new(hash, secret))))
        })
        .collect();
        if prepared.is_empty() {
            return Err(match pinned {
                Some(algorithm) if !algorithm.is_symmetric() => ALGORITHM_MISMATCH,
                _ => "the secret is shorter than the hash",
            });
        }
        let algorithms = prepared.iter().map(|(algorithm, _)| *algorithm).collect();
        let fingerprint = public::sha256(secret);
        Ok(Self { kid: Kid::Any, issuer: None, algorithms, fingerprint, prepared })
    }

    /// Takes over what else the JWK says.
    fn described_by(self, jwk: &Map<String, Value>) -> Result<Self, &'static str> {
        let text = |name, reason| match jwk.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(reason),
        };
        let kid = text("kid", "`kid` is not a string")?.map_or(Kid::Absent, Kid::Is);
        let issuer = text("issuer", "`issuer` is not a string")?;
        Ok(Self { kid, issuer, ..self })
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.kid())
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

pub(super) const NOT_AN_OBJECT: &str = "not a JSON object";
const ALGORITHM_MISMATCH: &str = "`alg` does not belong to the key's type";

/// The JWK (RFC 7517) of a public key in PEM, as it can be published: `kid` is its thumbprint
/// (RFC 7638). See [`VerifyingKey::from_pem`].
///
/// # Errors
/// `ConfigInvalid`, saying why the key is not used.
pub fn public_jwk_of_pem(pem: &str) -> Result<Value> {
    let key = key_of_pem(pem)?;
    key.check().map_err(refused)?;
    let mut jwk = key.jwk();
    jwk.insert("kid".into(), URL_SAFE_NO_PAD.encode(key.thumbprint()).into());
    jwk.insert("use".into(), "sig".into());
    Ok(Value::Object(jwk))
}

fn key_of_pem(pem: &str) -> Result<PublicKey> {
    let (label, der) = read_pem(pem).map_err(refused)?;
    let key = match label {
        "PUBLIC KEY" => der::key_info(&der),
        "RSA PUBLIC KEY" => der::rsa_key(&der),
        "CERTIFICATE" => der::certificate_key(&der),
        _ => return Err(refused("the PEM block is no public key")),
    };
    key.ok_or_else(|| refused("the key has no supported type"))
}

fn refused(reason: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, reason)
        .hint("configure a public key: RSA of 2048 to 8192 bits, P-256, P-384 or Ed25519")
}

/// What is signed instead of the message, except by Ed25519.
fn hash_of(algorithm: Algorithm) -> Option<&'static digest::Algorithm> {
    match algorithm {
        Algorithm::Hs256 | Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 => Some(&SHA256),
        Algorithm::Hs384 | Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384 => Some(&SHA384),
        Algorithm::Hs512 | Algorithm::Rs512 | Algorithm::Ps512 => Some(&SHA512),
        Algorithm::EdDsa => None,
    }
}

/// The algorithm that the JWK is for, if it says so.
fn pinned(jwk: &Map<String, Value>) -> Result<Option<Algorithm>, &'static str> {
    let Some(name) = jwk.get("alg") else { return Ok(None) };
    let algorithm = name.as_str().and_then(Algorithm::from_name);
    algorithm.map(Some).ok_or("`alg` is not supported")
}

fn check_purpose(jwk: &Map<String, Value>) -> Result<(), &'static str> {
    if jwk.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err("`use` is not `sig`");
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|name| name == "verify") => Ok(()),
        Some(_) => Err("`key_ops` does not contain `verify`"),
    }
}

fn check_certificate(jwk: &Map<String, Value>, key: &PublicKey) -> Result<(), &'static str> {
    let Some(chain) = jwk.get("x5c") else { return Ok(()) };
    let certified = chain
        .get(0)
        .and_then(Value::as_str)
        .and_then(|text| STANDARD.decode(text).ok())
        .and_then(|certificate| der::certificate_key(&certificate));
    if certified.as_ref() == Some(key) { Ok(()) } else { Err("`x5c` has another key") }
}

/// The label and the content of the only block.
fn read_pem(pem: &str) -> Result<(&str, Zeroizing<Vec<u8>>), &'static str> {
    const NOT_PEM: &str = "not one PEM block";
    let (label, rest) = pem
        .trim()
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.split_once("-----"))
        .ok_or(NOT_PEM)?;
    let (body, end) = rest.split_once("-----END ").ok_or(NOT_PEM)?;
    if end.strip_suffix("-----") != Some(label) {
        return Err(NOT_PEM);
    }
    let text: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|c| !c.is_ascii_whitespace()).collect());
    let der = STANDARD.decode(text.as_bytes()).map_err(|_| NOT_PEM)?;
    Ok((label, Zeroizing::new(der)))
}
