//! A key that this process holds.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair};
use aws_lc_rs::{error, hmac};
use pipe_core::{Error, ErrorKind, Result, SecretValue};
use serde_json::Value;

use super::jwk::PublicKey;
use super::load::{self, fault};
use super::{Signer, is_key_id};
use crate::jwt::Algorithm;

/// A key that signs in this process, parsed once and shared by all threads.
///
/// Its name (`kid`) is the RFC 7638 thumbprint of the public key, unless
/// [`with_key_id`](Self::with_key_id) gives another. A secret gets no name by itself: a thumbprint
/// would be a hash of the secret in every token, at which anybody could guess offline. `Debug`
/// shows algorithm and name.
///
/// ```
/// use pipe_identity_oidc::jwt::{Algorithm, Signer, SigningKey};
///
/// let key = SigningKey::generate(Algorithm::Es256)?;
/// let jwk = key.public_jwk().expect("an EC key has a public half");
/// assert_eq!(jwk["kid"].as_str(), key.key_id());
/// assert!(jwk.get("d").is_none());
/// # Ok::<(), pipe_core::Error>(())
/// ```
pub struct SigningKey {
    algorithm: Algorithm,
    key_id: Option<String>,
    pair: Pair,
    public: Option<PublicKey>,
}

pub(super) enum Pair {
    Hmac(Arc<hmac::Key>),
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl SigningKey {
    /// A secret that all who verify share.
    ///
    /// # Errors
    /// `ConfigInvalid` for an algorithm that is not HMAC, a secret shorter than the algorithm's hash
    /// (RFC 7518 3.2), and one that is a PEM document.
    pub fn from_secret(algorithm: Algorithm, secret: &SecretValue) -> Result<Self> {
        load::secret(algorithm, secret.expose()).map(|pair| Self::nameless(algorithm, pair))
    }

    /// The first private key in a PEM document: PKCS#8, PKCS#1 (RSA) or SEC 1 (EC).
    ///
    /// # Errors
    /// `ConfigInvalid` for an algorithm that is symmetric, a document without a private key, an
    /// encrypted one, and a key that is weak or does not fit the algorithm.
    pub fn from_pem(algorithm: Algorithm, pem: &SecretValue) -> Result<Self> {
        Self::with_public(algorithm, load::pem(algorithm, pem.expose())?)
    }

    /// A private key in DER: PKCS#8, PKCS#1 (RSA) or SEC 1 (EC).
    ///
    /// # Errors
    /// As for [`from_pem`](Self::from_pem).
    pub fn from_der(algorithm: Algorithm, der: &SecretValue) -> Result<Self> {
        Self::with_public(algorithm, load::der(algorithm, der.expose())?)
    }

    /// A private key, or a secret, as a JWK (RFC 7517). Its `kid` is the key's name, if it has one.
    ///
    /// # Errors
    /// `ConfigInvalid` for what is no such JWK, a member that contradicts another or the
    /// algorithm, and a key that is weak.
    pub fn from_jwk(algorithm: Algorithm, json: &SecretValue) -> Result<Self> {
        let (pair, key_id) = load::jwk(algorithm, json.expose())?;
        let key = Self::with_public(algorithm, pair)?;
        match key_id {
            Some(key_id) => key.with_key_id(key_id),
            None => Ok(key),
        }
    }

    /// A new key that nobody knows, for tests and for issuers whose keys need not survive them.
    /// RSA keys have 2048 bits.
    ///
    /// # Errors
    /// `Unavailable` when the system gives no random bytes.
    pub fn generate(algorithm: Algorithm) -> Result<Self> {
        let pair = match algorithm {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                hmac::Key::generate(load::hmac_algorithm(algorithm), &SystemRandom::new())
                    .map(|key| Pair::Hmac(Arc::new(key)))
            }
            Algorithm::Es256 | Algorithm::Es384 => {
                EcdsaKeyPair::generate(load::ec_algorithm(algorithm)).map(Pair::Ec)
            }
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(Pair::Ed),
            _ => RsaKeyPair::generate(KeySize::Rsa2048).map(Pair::Rsa),
        };
        let pair = pair.map_err(|error::Unspecified| {
            Error::new(ErrorKind::Unavailable, "no key could be generated")
                .hint("check that the process may read from the system's random source")
        })?;
        Self::with_public(algorithm, pair)
    }

    /// The name under which verifiers find the key. It is public: make it of no secret.
    ///
    /// # Errors
    /// `ConfigInvalid` when it is not 1 to 256 bytes without control and format characters.
    pub fn with_key_id(self, key_id: impl Into<String>) -> Result<Self> {
        let key_id = key_id.into();
        if !is_key_id(&key_id) {
            return Err(fault("the key id is not a name")
                .hint("use 1 to 256 bytes without control and format characters"));
        }
        Ok(Self { key_id: Some(key_id), ..self })
    }

    /// The secret, when this is one: whoever issues with it also verifies with it.
    pub(crate) fn hmac_key(&self) -> Option<&Arc<hmac::Key>> {
        match &self.pair {
            Pair::Hmac(key) => Some(key),
            _ => None,
        }
    }

    fn nameless(algorithm: Algorithm, pair: Pair) -> Self {
        Self { algorithm, key_id: None, pair, public: None }
    }

    fn with_public(algorithm: Algorithm, pair: Pair) -> Result<Self> {
        let public = match &pair {
            Pair::Hmac(_) => return Ok(Self::nameless(algorithm, pair)),
            Pair::Rsa(pair) => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                let (n, e) =
                    (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
                load::check_rsa(n, e)?;
                Some(PublicKey::rsa(n, e))
            }
            Pair::Ec(pair) => PublicKey::ec(algorithm, pair.public_key().as_ref()),
            Pair::Ed(pair) => Some(PublicKey::ed25519(pair.public_key().as_ref())),
        };
        let public = public.ok_or_else(|| fault("the key does not fit the algorithm"))?;
        Ok(Self { algorithm, key_id: Some(public.thumbprint()), pair, public: Some(public) })
    }
}

#[async_trait]
impl Signer for SigningKey {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    fn public_jwk(&self) -> Option<Value> {
        let public = self.public.as_ref()?;
        Some(public.jwk(self.algorithm, self.key_id()?))
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        self.sign_now(message).map_err(|error::Unspecified| {
            Error::new(ErrorKind::Unexpected, "the key does not sign")
                .with("algorithm", self.algorithm)
                .hint("check the key with another tool; if it is sound, replace it")
        })
    }
}

impl SigningKey {
    fn sign_now(&self, message: &[u8]) -> Result<Vec<u8>, error::Unspecified> {
        match &self.pair {
            Pair::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding = padding(self.algorithm);
                pair.sign(padding, &SystemRandom::new(), message, &mut signature)?;
                Ok(signature)
            }
            Pair::Ec(pair) => Ok(pair.sign(&SystemRandom::new(), message)?.as_ref().to_vec()),
            Pair::Ed(pair) => Ok(pair.try_sign(message)?.as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

fn padding(algorithm: Algorithm) -> &'static dyn RsaEncoding {
    match algorithm {
        Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
        _ => &signature::RSA_PKCS1_SHA256,
    }
}
