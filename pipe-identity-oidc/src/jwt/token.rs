//! The compact form of a token (RFC 7515 3.1), parsed and not yet believed.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memchr_iter;
use pipe_core::TokenFault;
use serde_json::{Map, Value};

use super::algorithm::AlgorithmSet;
use super::{Algorithm, VerifyingKey, json};

/// How large a token may be. Both are checked before any other work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the whole token; 16 KiB unless changed.
    pub token_bytes: usize,
    /// Bytes of the header as it stands in the token, in base64url; 4 KiB unless changed.
    pub header_bytes: usize,
}

impl Limits {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self { token_bytes: 16 * 1024, header_bytes: 4 * 1024 }
    }

    /// Bytes of the whole token.
    #[must_use]
    pub const fn with_token_bytes(self, token_bytes: usize) -> Self {
        Self { token_bytes, ..self }
    }

    /// Bytes of the header, in base64url.
    #[must_use]
    pub const fn with_header_bytes(self, header_bytes: usize) -> Self {
        Self { header_bytes, ..self }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// A signed message in compact form, whatever its payload is. A [`Jwt`] is one whose payload is a
/// JSON object.
///
/// Nothing in it is known to be true: a [`KeySet`](super::KeySet) or a [`VerifyingKey`] says that.
/// Its `Debug` output shows none of it.
pub struct Jws<'a> {
    signing_input: &'a [u8],
    header: Header,
    /// The payload, then the signature.
    decoded: Vec<u8>,
    payload_bytes: usize,
}

impl<'a> Jws<'a> {
    /// Parses the compact form and the header.
    ///
    /// # Errors
    /// `Unsupported` for an encrypted token (five segments), and a header with `crit`, `b64`, `zip`
    /// or `enc`, or with `cty: JWT`. `Malformed` for everything else that is not the form of
    /// RFC 7515: base64url that is padded or not canonical, a header that is not strict JSON, an
    /// empty header or signature, or more bytes than the limits allow.
    pub fn parse(token: &'a [u8], limits: &Limits) -> Result<Self, TokenFault> {
        let (signing_input, [header, payload, signature]) = split(token, limits)?;
        let mut decoded = Vec::with_capacity(token.len() * 3 / 4 + 3);
        decode(header, &mut decoded)?;
        let header = Header::parse(&decoded)?;
        decoded.clear();
        decode(payload, &mut decoded)?;
        let payload_bytes = decoded.len();
        decode(signature, &mut decoded)?;
        Ok(Self { signing_input, header, decoded, payload_bytes })
    }

    /// How the header says that it is signed; `None` when that is nothing we know (RFC 8725 3.1).
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.header.algorithm
    }

    /// The header's `kid`. It is compared byte by byte, and never a part of a path, query or log.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// The header's `typ`, when it is a string.
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        match &self.header.typ {
            Some(Value::String(typ)) => Some(typ),
            _ => None,
        }
    }

    /// The header's `jwk`, for proofs that bring their key along (RFC 9449). Such a key proves that
    /// the presenter has it, and nothing else.
    #[must_use]
    pub fn embedded_key(&self) -> Option<&Value> {
        self.header.jwk.as_ref()
    }

    /// Whether the header has `jku`, `x5u`, `jwk` or `x5c`.
    #[must_use]
    pub fn has_key_headers(&self) -> bool {
        self.header.has_key_headers
    }

    /// Checks the signature with this key, and returns the payload.
    ///
    /// # Errors
    /// `AlgorithmRefused` when the token's algorithm is none of these, or not the key's;
    /// `BadSignature`.
    pub fn verify(
        &self,
        key: &VerifyingKey,
        algorithms: &[Algorithm],
    ) -> Result<&[u8], TokenFault> {
        let algorithm = self.allowed(algorithms.iter().copied().collect())?;
        self.verify_as(key, algorithm)?;
        Ok(&self.decoded[..self.payload_bytes])
    }

    /// The token's algorithm, if it is one of these.
    pub(super) fn allowed(&self, algorithms: AlgorithmSet) -> Result<Algorithm, TokenFault> {
        self.header
            .algorithm
            .filter(|algorithm| algorithms.contains(*algorithm))
            .ok_or(TokenFault::AlgorithmRefused)
    }

    pub(super) fn verify_as(
        &self,
        key: &VerifyingKey,
        algorithm: Algorithm,
    ) -> Result<(), TokenFault> {
        key.verify(algorithm, self.signing_input, &self.decoded[self.payload_bytes..])
    }

    /// Whether `typ` is there, as a string or not.
    pub(super) fn has_typ(&self) -> bool {
        self.header.typ.is_some()
    }
}

impl fmt::Debug for Jws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jws").field("algorithm", &self.header.algorithm).finish_non_exhaustive()
    }
}

/// A token in compact form with an object as payload: parsed, not yet believed.
///
/// A [`TokenPolicy`](super::TokenPolicy) says what it is worth. Its `Debug` output shows none of it.
#[derive(Debug)]
pub struct Jwt<'a> {
    jws: Jws<'a>,
    claims: Payload,
}

impl<'a> Jwt<'a> {
    /// Parses header and payload. Faults of the form come before all others, so that nothing else
    /// about the token is told by them.
    ///
    /// # Errors
    /// Those of [`Jws::parse`]; `Malformed` also when the payload is not a strict JSON object, see
    /// [`json::parse_object`].
    pub fn parse(token: &'a [u8], limits: &Limits) -> Result<Self, TokenFault> {
        let jws = Jws::parse(token, limits)?;
        let claims = json::parse_object(&jws.decoded[..jws.payload_bytes]);
        let claims = Payload(Arc::new(claims.ok_or(TokenFault::Malformed)?));
        Ok(Self { jws, claims })
    }

    /// The signed message that the token is.
    #[must_use]
    pub fn jws(&self) -> &Jws<'a> {
        &self.jws
    }

    /// How the header says that the token is signed; `None` when that is nothing we know.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.jws.algorithm()
    }

    /// The header's `kid`; see [`Jws::kid`].
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.jws.kid()
    }

    /// The header's `typ`, when it is a string.
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.jws.typ()
    }

    /// What the token says its issuer is, to choose among issuers that are trusted anyway.
    #[must_use]
    pub fn unverified_issuer(&self) -> Option<&str> {
        self.claims.0.get("iss").and_then(Value::as_str)
    }

    /// Checks the signature with this key alone, and returns the payload: for tokens that have rules
    /// of their own, such as proofs of possession (RFC 9449). No claim is checked.
    ///
    /// # Errors
    /// `AlgorithmRefused` when the token's algorithm is none of these, or not the key's;
    /// `BadSignature`.
    pub fn verify(
        &self,
        key: &VerifyingKey,
        algorithms: &[Algorithm],
    ) -> Result<&Map<String, Value>, TokenFault> {
        self.jws.verify(key, algorithms)?;
        Ok(&self.claims.0)
    }

    pub(super) fn claims(&self) -> &Arc<Map<String, Value>> {
        &self.claims.0
    }
}

/// Claims that must not be printed.
struct Payload(Arc<Map<String, Value>>);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// What is kept of a header.
struct Header {
    algorithm: Option<Algorithm>,
    kid: Option<String>,
    /// As it stands there: a `typ` that is no string is refused, and by the policy.
    typ: Option<Value>,
    jwk: Option<Value>,
    has_key_headers: bool,
}

/// No issuer has key names of more than a few hundred bytes; they are kept in caches.
const MAX_KID_BYTES: usize = 1024;

impl Header {
    fn parse(text: &[u8]) -> Result<Self, TokenFault> {
        let mut header =
            Self { algorithm: None, kid: None, typ: None, jwk: None, has_key_headers: false };
        let mut is_sound = true;
        for (name, value) in json::parse_object(text).ok_or(TokenFault::Malformed)? {
            match (&*name, value) {
                // They ask for a way of processing that is not ours.
                ("crit" | "b64" | "zip" | "enc", _) => return Err(TokenFault::Unsupported),
                ("cty", Value::String(cty)) if is_media_type(&cty, "jwt") => {
                    return Err(TokenFault::Unsupported);
                }
                ("cty", Value::String(_)) => {}
                ("kid", Value::String(kid)) if kid.len() <= MAX_KID_BYTES => {
                    header.kid = Some(kid);
                }
                // Whatever else may be unsupported is told first.
                ("cty" | "kid", _) => is_sound = false,
                ("alg", Value::String(name)) => header.algorithm = Algorithm::from_name(&name),
                ("typ", typ) => header.typ = Some(typ),
                ("jwk", jwk) => {
                    header.jwk = Some(jwk);
                    header.has_key_headers = true;
                }
                ("jku" | "x5u" | "x5c", _) => header.has_key_headers = true,
                _ => {}
            }
        }
        if is_sound { Ok(header) } else { Err(TokenFault::Malformed) }
    }
}

/// Whether this is the media type `application/…`, whose prefix may be left out (RFC 7515 4.1.9).
pub(super) fn is_media_type(value: &str, subtype: &str) -> bool {
    let prefix = "application/";
    let value = match value.get(..prefix.len()) {
        Some(start) if start.eq_ignore_ascii_case(prefix) => &value[prefix.len()..],
        _ => value,
    };
    value.eq_ignore_ascii_case(subtype)
}

/// What is signed, and the three segments.
type Split<'a> = (&'a [u8], [&'a [u8]; 3]);

fn split<'a>(token: &'a [u8], limits: &Limits) -> Result<Split<'a>, TokenFault> {
    if token.len() > limits.token_bytes {
        return Err(TokenFault::Malformed);
    }
    let mut dots = memchr_iter(b'.', token);
    let (Some(first), Some(second)) = (dots.next(), dots.next()) else {
        return Err(TokenFault::Malformed);
    };
    match dots.count() {
        0 => {}
        // Encrypted (RFC 7516 7.1).
        2 => return Err(TokenFault::Unsupported),
        _ => return Err(TokenFault::Malformed),
    }
    let header = &token[..first];
    let signature = &token[second + 1..];
    if header.is_empty() || signature.is_empty() || header.len() > limits.header_bytes {
        return Err(TokenFault::Malformed);
    }
    Ok((&token[..second], [header, &token[first + 1..second], signature]))
}

fn decode(segment: &[u8], into: &mut Vec<u8>) -> Result<(), TokenFault> {
    URL_SAFE_NO_PAD.decode_vec(segment, into).map_err(|_| TokenFault::Malformed)
}
