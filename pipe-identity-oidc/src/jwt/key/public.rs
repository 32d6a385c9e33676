//! Public keys as numbers, and which numbers are too weak.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::super::Algorithm;

/// A curve for ECDSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
}

impl Curve {
    fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

/// A public key, of which no rule is checked yet.
#[derive(PartialEq, Eq)]
pub(super) enum PublicKey {
    /// Both without leading zeros.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    Ec {
        curve: Curve,
        x: Vec<u8>,
        y: Vec<u8>,
    },
    Ed25519 {
        x: Vec<u8>,
    },
}

const RSA: [Algorithm; 6] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

impl PublicKey {
    /// Big-endian numbers, which may have leading zeros: some producers of keys leave them there.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Self {
        let strip = |bytes: &[u8]| {
            let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
            bytes[start..].to_vec()
        };
        Self::Rsa { n: strip(n), e: strip(e) }
    }

    /// An uncompressed point (SEC 1 2.3.3).
    pub(super) fn point(curve: Curve, octets: &[u8]) -> Option<Self> {
        let (4, point) = octets.split_first().map(|(form, point)| (*form, point))? else {
            return None;
        };
        let (x, y) = point.split_at_checked(curve.bytes())?;
        Some(Self::Ec { curve, x: x.to_vec(), y: y.to_vec() })
    }

    /// From the members of a JWK; an error is the reason why it is not used.
    pub(super) fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, &'static str> {
        let text = |name| jwk.get(name).and_then(Value::as_str);
        match text("kty") {
            Some("RSA") => {
                let n = bytes(jwk, "n").ok_or("`n` is not base64url")?;
                let e = bytes(jwk, "e").ok_or("`e` is not base64url")?;
                Ok(Self::rsa(&n, &e))
            }
            Some("EC") => {
                let curve = match text("crv") {
                    Some("P-256") => Curve::P256,
                    Some("P-384") => Curve::P384,
                    _ => return Err("`crv` is not supported"),
                };
                let x = bytes(jwk, "x").ok_or("`x` is not base64url")?;
                let y = bytes(jwk, "y").ok_or("`y` is not base64url")?;
                Ok(Self::Ec { curve, x, y })
            }
            Some("OKP") => {
                if text("crv") != Some("Ed25519") {
                    return Err("`crv` is not supported");
                }
                Ok(Self::Ed25519 { x: bytes(jwk, "x").ok_or("`x` is not base64url")? })
            }
            Some(_) => Err("`kty` is not supported"),
            None => Err("`kty` is not a string"),
        }
    }

    /// What a key of this form can verify.
    pub(super) fn algorithms(&self) -> &'static [Algorithm] {
        match self {
            Self::Rsa { .. } => &RSA,
            Self::Ec { curve: Curve::P256, .. } => &[Algorithm::Es256],
            Self::Ec { curve: Curve::P384, .. } => &[Algorithm::Es384],
            Self::Ed25519 { .. } => &[Algorithm::EdDsa],
        }
    }

    /// Refuses weak keys; an error is the reason.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Rsa { n, e } => check_rsa(n, e),
            Self::Ec { curve, x, y } => match (x.len(), y.len()) {
                lengths if lengths == (curve.bytes(), curve.bytes()) => Ok(()),
                _ => Err("a coordinate has the wrong length"),
            },
            Self::Ed25519 { x } if x.len() != 32 => Err("a coordinate has the wrong length"),
            Self::Ed25519 { x } if SMALL_ORDER.contains(&&x[..]) => Err("the point is weak"),
            Self::Ed25519 { .. } => Ok(()),
        }
    }

    /// Makes the key ready for one of its [`algorithms`](Self::algorithms); this is where a point
    /// that is not on its curve is refused.
    pub(super) fn parse(&self, algorithm: Algorithm) -> Result<ParsedPublicKey, &'static str> {
        let parsed = match self {
            Self::Rsa { n, e } => {
                let parameters = match algorithm {
                    Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
                    Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
                    _ => return Err("`alg` does not belong to the key's type"),
                };
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters)
            }
            Self::Ec { curve, x, y } => {
                let point = [&[4], &x[..], y].concat();
                match curve {
                    Curve::P256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point),
                    Curve::P384 => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point),
                }
            }
            Self::Ed25519 { x } => ParsedPublicKey::new(&ED25519, x),
        };
        parsed.map_err(|_| "the key is not valid")
    }

    /// The SHA-256 of RFC 7638.
    pub(super) fn thumbprint(&self) -> [u8; 32] {
        sha256(self.canonical().as_bytes())
    }

    /// The members of its JWK.
    pub(super) fn jwk(&self) -> Map<String, Value> {
        serde_json::from_str(&self.canonical()).unwrap_or_default()
    }

    /// The required members of its JWK in the order of RFC 7638 3.1.
    fn canonical(&self) -> String {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa { n, e } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n))
            }
            Self::Ec { curve, x, y } => {
                let curve = curve.name();
                format!(r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#, text(x), text(y))
            }
            Self::Ed25519 { x } => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x))
            }
        }
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    sum
}

/// The bytes of a member in base64url.
pub(super) fn bytes(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    LENIENT.decode(jwk.get(name)?.as_str()?).ok()
}

/// Unlike in a token, bits after the last byte are ignored in a key: some producers leave them there,
/// and a key that is skipped for them could not make another of the same name ambiguous.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// RFC 8725 3.5, NIST SP 800-131A.
fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), &'static str> {
    let (Some(first), Some(last)) = (n.first(), n.last()) else {
        return Err("the modulus is empty");
    };
    let bits = n.len() * 8 - first.leading_zeros() as usize;
    if bits < 2048 {
        return Err("the modulus has less than 2048 bits");
    }
    if bits > 8192 {
        return Err("the modulus has more than 8192 bits");
    }
    if last.is_multiple_of(2) {
        return Err("the modulus is even");
    }
    // Neither is there an exponent of more than 32 bits in practice, nor does the library take one.
    if !(1..=4).contains(&e.len()) || e == [1] || e[e.len() - 1].is_multiple_of(2) {
        return Err("the exponent is not odd, more than one and at most 32 bits");
    }
    if is_roca(n) {
        return Err("the modulus comes from a generator whose keys can be factored");
    }
    Ok(())
}

/// The fingerprint of CVE-2017-15361: modulo each of these primes, the modulus is a power of 65537.
/// One good key in a hundred million has it as well.
fn is_roca(n: &[u8]) -> bool {
    const PRIMES: [u64; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89,
        97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.into_iter().all(|prime| {
        let remainder = n.rchunks(4).rev().fold(0, |sum, chunk| {
            let chunk = chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
            ((sum << 32) | chunk) % prime
        });
        // Ends: the powers of a unit come back to one.
        let mut power = 1;
        loop {
            if power == remainder {
                return true;
            }
            power = power * 65537 % prime;
            if power == 1 {
                return false;
            }
        }
    })
}

/// Points of which some signature verifies for many messages: those of order 1, 2, 4 and 8, and
/// their encodings that are not canonical.
const SMALL_ORDER: [&[u8]; 14] = {
    const fn ends(first: u8, middle: u8, last: u8) -> [u8; 32] {
        let mut bytes = [middle; 32];
        bytes[0] = first;
        bytes[31] = last;
        bytes
    }
    const A: [u8; 32] = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ];
    const B: [u8; 32] = [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ];
    const fn negative(mut point: [u8; 32]) -> [u8; 32] {
        point[31] |= 0x80;
        point
    }
    [
        &const { ends(0, 0, 0) },
        &const { ends(0, 0, 0x80) },
        &const { ends(1, 0, 0) },
        &const { ends(1, 0, 0x80) },
        &A,
        &const { negative(A) },
        &B,
        &const { negative(B) },
        &const { ends(0xec, 0xff, 0x7f) },
        &const { ends(0xec, 0xff, 0xff) },
        &const { ends(0xed, 0xff, 0x7f) },
        &const { ends(0xed, 0xff, 0xff) },
        &const { ends(0xee, 0xff, 0x7f) },
        &const { ends(0xee, 0xff, 0xff) },
    ]
};
