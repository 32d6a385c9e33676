//! Public keys as JWKs (RFC 7517, RFC 7518 6, RFC 8037), and their thumbprints (RFC 7638).

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};

use super::super::Algorithm;

/// What a public key is made of. The fields of each kind stand in the order of RFC 7638 3.1, for
/// the thumbprint is the digest of exactly this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum PublicKey {
    Rsa { e: String, kty: &'static str, n: String },
    Ec { crv: &'static str, kty: &'static str, x: String, y: String },
    Okp { crv: &'static str, kty: &'static str, x: String },
}

impl PublicKey {
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Self {
        Self::Rsa { e: encode(e), kty: "RSA", n: encode(n) }
    }

    /// From a point in uncompressed form (SEC 1 2.3.3).
    pub(super) fn ec(algorithm: Algorithm, point: &[u8]) -> Option<Self> {
        let coordinates = point.strip_prefix(&[4])?;
        let (x, y) = coordinates.split_at_checked(coordinates.len() / 2)?;
        Some(Self::Ec { crv: curve(algorithm)?, kty: "EC", x: encode(x), y: encode(y) })
    }

    pub(super) fn ed25519(x: &[u8]) -> Self {
        Self::Okp { crv: "Ed25519", kty: "OKP", x: encode(x) }
    }

    /// What the JWK of somebody else's signer says, as far as it fits the algorithm.
    fn from_jwk(algorithm: Algorithm, jwk: &Value) -> Option<Self> {
        let member = |name| jwk.get(name).and_then(Value::as_str).map(str::to_owned);
        let kty = kind(algorithm)?;
        if jwk.get("kty")?.as_str()? != kty {
            return None;
        }
        if kty == "RSA" {
            return Some(Self::Rsa { e: member("e")?, kty, n: member("n")? });
        }
        let crv = curve(algorithm)?;
        if jwk.get("crv")?.as_str()? != crv {
            return None;
        }
        match kty {
            "EC" => Some(Self::Ec { crv, kty, x: member("x")?, y: member("y")? }),
            _ => Some(Self::Okp { crv, kty, x: member("x")? }),
        }
    }

    /// The SHA-256 thumbprint, base64url (RFC 7638).
    pub(super) fn thumbprint(&self) -> String {
        let canonical = serde_json::to_vec(self).unwrap_or_default();
        encode(digest::digest(&digest::SHA256, &canonical))
    }

    /// The JWK under which verifiers find it.
    pub(super) fn jwk(&self, algorithm: Algorithm, key_id: &str) -> Value {
        let mut jwk = match serde_json::to_value(self) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        };
        jwk.insert("alg".into(), algorithm.name().into());
        jwk.insert("kid".into(), key_id.into());
        jwk.insert("use".into(), "sig".into());
        Value::Object(jwk)
    }
}

/// The JWK that is published of a signer. It is put together from the public members alone, so
/// that no private one comes through, whatever the signer gives (I4). `None` when it does not fit
/// the algorithm or the name.
pub(crate) fn published(algorithm: Algorithm, key_id: &str, jwk: &Value) -> Option<Value> {
    let named_otherwise = jwk.get("kid").is_some_and(|kid| kid != key_id);
    let says = jwk.get("alg").map(|alg| alg.as_str().and_then(Algorithm::from_name));
    if named_otherwise || says.is_some_and(|says| says != Some(algorithm)) {
        return None;
    }
    Some(PublicKey::from_jwk(algorithm, jwk)?.jwk(algorithm, key_id))
}

/// How many bytes a signature has; a wrong number costs a copy of the token, and no more.
pub(crate) fn signature_len(algorithm: Algorithm, jwk: Option<&Value>) -> usize {
    match algorithm {
        Algorithm::Hs256 => 32,
        Algorithm::Hs384 => 48,
        Algorithm::Es384 => 96,
        Algorithm::Hs512 | Algorithm::Es256 | Algorithm::EdDsa => 64,
        _ => jwk.and_then(|jwk| jwk.get("n")?.as_str()).map_or(256, |n| n.len() * 3 / 4),
    }
}

pub(super) const fn curve(algorithm: Algorithm) -> Option<&'static str> {
    match algorithm {
        Algorithm::Es256 => Some("P-256"),
        Algorithm::Es384 => Some("P-384"),
        Algorithm::EdDsa => Some("Ed25519"),
        _ => None,
    }
}

/// The `kty` of the keys of an algorithm; `None` for the symmetric ones.
pub(super) const fn kind(algorithm: Algorithm) -> Option<&'static str> {
    match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => None,
        Algorithm::Es256 | Algorithm::Es384 => Some("EC"),
        Algorithm::EdDsa => Some("OKP"),
        _ => Some("RSA"),
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
