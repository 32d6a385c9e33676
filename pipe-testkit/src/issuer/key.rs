//! Keys that sign, and what their public halves look like.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_SHA256, RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How a [`SigningKey`] signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits.
    Rs256,
    /// RSASSA-PSS with SHA-256, 2048 bits.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl SigningAlgorithm {
    /// All of them: a [`TestIssuer`](super::TestIssuer) has a key for each.
    pub const ALL: [Self; 5] = [Self::Rs256, Self::Ps256, Self::Es256, Self::Es384, Self::EdDsa];

    /// The name in a token's header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A private key with its name. Clones are the same key.
#[derive(Clone)]
pub struct SigningKey {
    kid: String,
    algorithm: SigningAlgorithm,
    pair: Pair,
}

#[derive(Clone)]
enum Pair {
    Rsa(Arc<RsaKeyPair>),
    Ecdsa(Arc<EcdsaKeyPair>),
    Ed25519(Arc<Ed25519KeyPair>),
}

impl SigningKey {
    /// A key under this name. RSA and P-384 keys are slow to make: a process has eight of each, which take
    /// turns; other keys are new ones.
    ///
    /// # Panics
    /// When the system has no random numbers.
    #[must_use]
    pub fn generate(algorithm: SigningAlgorithm, kid: impl Into<String>) -> Self {
        let pair = match algorithm {
            SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256 => Pair::Rsa(
                RSA_KEYS.next(|| RsaKeyPair::generate(KeySize::Rsa2048).expect("a new key")),
            ),
            SigningAlgorithm::Es256 => {
                Pair::Ecdsa(Arc::new(ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING)))
            }
            SigningAlgorithm::Es384 => {
                Pair::Ecdsa(P384_KEYS.next(|| ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING)))
            }
            SigningAlgorithm::EdDsa => {
                Pair::Ed25519(Arc::new(Ed25519KeyPair::generate().expect("a new key")))
            }
        };
        Self { kid: kid.into(), algorithm, pair }
    }

    /// The same key under another name.
    #[must_use]
    pub fn with_kid(self, kid: impl Into<String>) -> Self {
        Self { kid: kid.into(), ..self }
    }

    /// The same key, which now signs in another way of its family (RS256 and PS256).
    #[must_use]
    pub fn with_algorithm(self, algorithm: SigningAlgorithm) -> Self {
        Self { algorithm, ..self }
    }

    /// The name under which it is published.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// The public half as it is published, with `kid`, `alg` and `use`.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = self.bare_jwk();
        jwk["kid"] = self.kid.as_str().into();
        jwk["alg"] = self.algorithm.name().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// The public half with the members of RFC 7638 only.
    #[must_use]
    pub fn bare_jwk(&self) -> Value {
        match &self.pair {
            Pair::Rsa(_) => json!({"kty": "RSA", "n": b64(&self.modulus()), "e": "AQAB"}),
            Pair::Ecdsa(pair) => {
                let (x, y) = halves(&pair.public_key().as_ref()[1..]);
                json!({"kty": "EC", "crv": self.curve(), "x": b64(x), "y": b64(y)})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key().as_ref())})
            }
        }
    }

    /// The thumbprint of the public half (RFC 7638), as in `cnf.jkt`.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        // Sorted by name, as the RFC demands: a `serde_json` map may be or not.
        let jwk = self.bare_jwk();
        let members = jwk.as_object().into_iter().flatten();
        let sorted: BTreeMap<_, _> = members.collect();
        b64(&Sha256::digest(serde_json::to_string(&sorted).unwrap_or_default()))
    }

    /// The public half as SubjectPublicKeyInfo in DER.
    ///
    /// # Panics
    /// Never: every public key of ours can be encoded.
    #[must_use]
    pub fn public_der(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::Ecdsa(pair) => pair.public_key().as_der(),
            Pair::Ed25519(pair) => pair.public_key().as_der(),
        }
        .expect("a public key can be encoded");
        der.as_ref().to_vec()
    }

    /// The public half as PEM.
    #[must_use]
    pub fn public_pem(&self) -> String {
        let base64 = STANDARD.encode(self.public_der());
        let lines: Vec<_> = base64.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// The modulus of an RSA key, empty for another one.
    #[must_use]
    pub fn modulus(&self) -> Vec<u8> {
        match &self.pair {
            // RSAPublicKey in DER: two headers and a zero, the modulus, the exponent 65537.
            Pair::Rsa(pair) => {
                let der = pair.public_key().as_ref();
                der[der.len() - 5 - MODULUS..der.len() - 5].to_vec()
            }
            _ => Vec::new(),
        }
    }

    /// The signature of a message in the form of RFC 7518.
    ///
    /// # Panics
    /// When the key cannot sign by its algorithm.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let padding = match self.algorithm {
                    SigningAlgorithm::Ps256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).expect("an RSA key signs");
                signature
            }
            Pair::Ecdsa(pair) => {
                pair.sign(&random, message).expect("an EC key signs").as_ref().to_vec()
            }
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// The private key in PEM, as `RSA PRIVATE KEY` (RFC 8017), for a key of RSA; `None` for others.
    #[must_use]
    pub fn rsa_private_pem(&self) -> Option<String> {
        let Pair::Rsa(pair) = &self.pair else { return None };
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().ok()?;
        // What PKCS#8 puts around a key of RSA has a fixed length at this size.
        const AROUND: usize = 26;
        let text = STANDARD.encode(pkcs8.as_ref().get(AROUND..)?);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        let body = lines.join("\n");
        Some(format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n"))
    }

    /// Whether this is a signature of the message by this key.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let (public, algorithm): (_, &dyn VerificationAlgorithm) =
            match (&self.pair, self.algorithm) {
                (Pair::Rsa(pair), SigningAlgorithm::Ps256) => {
                    (pair.public_key().as_ref(), &RSA_PSS_2048_8192_SHA256)
                }
                (Pair::Rsa(pair), _) => (pair.public_key().as_ref(), &RSA_PKCS1_2048_8192_SHA256),
                (Pair::Ecdsa(pair), SigningAlgorithm::Es384) => {
                    (pair.public_key().as_ref(), &ECDSA_P384_SHA384_FIXED)
                }
                (Pair::Ecdsa(pair), _) => (pair.public_key().as_ref(), &ECDSA_P256_SHA256_FIXED),
                (Pair::Ed25519(pair), _) => (pair.public_key().as_ref(), &ED25519),
            };
        UnparsedPublicKey::new(algorithm, public).verify(message, signature).is_ok()
    }

    fn curve(&self) -> &'static str {
        if self.algorithm == SigningAlgorithm::Es384 { "P-384" } else { "P-256" }
    }
}

const MODULUS: usize = 256;

static RSA_KEYS: Pool<RsaKeyPair> = Pool(Mutex::new((Vec::new(), 0)));
static P384_KEYS: Pool<EcdsaKeyPair> = Pool(Mutex::new((Vec::new(), 0)));

/// Keys that take turns, and how often one was taken.
struct Pool<K>(Mutex<(Vec<Arc<K>>, usize)>);

impl<K> Pool<K> {
    const SIZE: usize = 8;

    fn next(&self, make: impl FnOnce() -> K) -> Arc<K> {
        let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (keys, taken) = &mut *pool;
        if keys.len() < Self::SIZE {
            keys.push(Arc::new(make()));
        }
        *taken += 1;
        Arc::clone(&keys[(*taken - 1) % keys.len()])
    }
}

fn ecdsa(curve: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    EcdsaKeyPair::generate(curve).expect("a new key")
}

fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.len() / 2)
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Names the key, and shows none of it.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
