//! The few shapes of DER that a public key comes in (RFC 5280 4.1, RFC 8017 A.1.1).

use super::public::{Curve, PublicKey};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const VERSION: u8 = 0xa0;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// The key of a `SubjectPublicKeyInfo`.
pub(super) fn key_info(der: &[u8]) -> Option<PublicKey> {
    let mut outer = Reader(der);
    let key = outer.key_info()?;
    outer.at_end().then_some(key)
}

/// The key of an `RSAPublicKey`.
pub(super) fn rsa_key(der: &[u8]) -> Option<PublicKey> {
    let mut outer = Reader(der);
    let mut key = Reader(outer.take(SEQUENCE)?);
    let (n, e) = (key.take(INTEGER)?, key.take(INTEGER)?);
    (outer.at_end() && key.at_end()).then(|| PublicKey::rsa(n, e))
}

/// The key of an X.509 certificate, of which nothing else is looked at.
pub(super) fn certificate_key(der: &[u8]) -> Option<PublicKey> {
    let mut outer = Reader(der);
    let mut certificate = Reader(outer.take(SEQUENCE)?);
    if !outer.at_end() {
        return None;
    }
    let mut body = Reader(certificate.take(SEQUENCE)?);
    if body.0.first() == Some(&VERSION) {
        body.take(VERSION)?;
    }
    // Serial number; then signature algorithm, issuer, validity and subject.
    body.take(INTEGER)?;
    for _ in 0..4 {
        body.take(SEQUENCE)?;
    }
    body.key_info()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// The content of the next element, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&[found, first], rest) = self.0.split_first_chunk()?;
        if found != tag {
            return None;
        }
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                // Only the shortest form is DER.
                if length < 0x80 || bytes[0] == 0 {
                    return None;
                }
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    fn key_info(&mut self) -> Option<PublicKey> {
        let mut info = Reader(self.take(SEQUENCE)?);
        let mut algorithm = Reader(info.take(SEQUENCE)?);
        let bits = info.take(BIT_STRING)?;
        let (0, key) = bits.split_first().map(|(unused, key)| (*unused, key))? else {
            return None;
        };
        if !info.at_end() {
            return None;
        }
        match algorithm.take(OBJECT_IDENTIFIER)? {
            RSA | RSA_PSS => rsa_key(key),
            EC => {
                let curve = match algorithm.take(OBJECT_IDENTIFIER)? {
                    P256 => Curve::P256,
                    P384 => Curve::P384,
                    _ => return None,
                };
                PublicKey::point(curve, key)
            }
            ED25519 => Some(PublicKey::Ed25519 { x: key.to_vec() }),
            _ => None,
        }
    }
}
