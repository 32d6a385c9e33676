//! A key pair of each kind, and tokens that are signed with it.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _,
};
use aws_lc_rs::{hmac, rand::SecureRandom as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_identity_oidc::jwt::{Algorithm, KeySet};
use serde_json::{Value, json};

pub(crate) struct TestKey {
    pub(crate) algorithm: Algorithm,
    /// With `alg` and `kid`; of a shared secret, the secret.
    pub(crate) jwk: Value,
    pair: Pair,
}

#[derive(Clone)]
enum Pair {
    Secret(Vec<u8>),
    Rsa(Arc<RsaKeyPair>),
    Ec(Arc<EcdsaKeyPair>),
    Ed(Arc<Ed25519KeyPair>),
}

/// One for each algorithm; RSA keys are slow to make, so all of RSA share one.
pub(crate) static ALL: LazyLock<Vec<TestKey>> = LazyLock::new(|| {
    let rsa = Pair::Rsa(Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
    Algorithm::ALL
        .into_iter()
        .map(|algorithm| {
            let pair = match algorithm {
                Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                    let mut secret = vec![0; 64];
                    SystemRandom::new().fill(&mut secret).unwrap();
                    Pair::Secret(secret)
                }
                Algorithm::Es256 => Pair::Ec(Arc::new(
                    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
                )),
                Algorithm::Es384 => Pair::Ec(Arc::new(
                    EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
                )),
                Algorithm::EdDsa => Pair::Ed(Arc::new(Ed25519KeyPair::generate().unwrap())),
                _ => rsa.clone(),
            };
            let mut jwk = pair.jwk();
            jwk["alg"] = algorithm.name().into();
            jwk["kid"] = format!("kid-{algorithm}").into();
            TestKey { algorithm, jwk, pair }
        })
        .collect()
});

pub(crate) fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl TestKey {
    pub(crate) fn of(algorithm: Algorithm) -> &'static Self {
        ALL.iter().find(|key| key.algorithm == algorithm).unwrap()
    }

    pub(crate) fn set(&self) -> KeySet {
        KeySet::parse_local(json!({ "keys": [self.jwk] }).to_string().as_bytes()).unwrap()
    }

    pub(crate) fn header(&self) -> Value {
        json!({ "alg": self.algorithm.name(), "kid": self.jwk["kid"], "typ": "at+jwt" })
    }

    pub(crate) fn token(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let input = format!("{}.{}", text(header), text(payload));
        let signature = text(self.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Secret(secret) => {
                let hash = match self.algorithm {
                    Algorithm::Hs256 => hmac::HMAC_SHA256,
                    Algorithm::Hs384 => hmac::HMAC_SHA384,
                    _ => hmac::HMAC_SHA512,
                };
                hmac::sign(&hmac::Key::new(hash, secret), message).as_ref().to_vec()
            }
            Pair::Rsa(pair) => {
                let padding: &'static dyn signature::RsaEncoding = match self.algorithm {
                    Algorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
                    Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
                    _ => &signature::RSA_PSS_SHA512,
                };
                let mut signed = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signed).unwrap();
                signed
            }
            Pair::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

impl Pair {
    fn jwk(&self) -> Value {
        match self {
            Self::Secret(secret) => json!({ "kty": "oct", "k": text(secret) }),
            Self::Rsa(pair) => {
                // The modulus stands before the exponent, 65537, at the end of the PKCS #1 form.
                let der = pair.public_key().as_ref();
                let n = &der[der.len() - 5 - 256..der.len() - 5];
                json!({ "kty": "RSA", "n": text(n), "e": "AQAB" })
            }
            Self::Ec(pair) => {
                let (x, y) =
                    pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": curve, "x": text(x), "y": text(y) })
            }
            Self::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key()) })
            }
        }
    }

    /// The public key in the forms in which it could be mistaken for a secret.
    fn public_forms(&self) -> Vec<Vec<u8>> {
        let der = match self {
            Self::Secret(_) => return Vec::new(),
            Self::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Ec(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
        };
        let body = base64::engine::general_purpose::STANDARD.encode(&der);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
        vec![der, pem.into_bytes(), self.jwk().to_string().into_bytes()]
    }
}

impl TestKey {
    /// See A2.
    pub(crate) fn public_forms(&self) -> Vec<Vec<u8>> {
        self.pair.public_forms()
    }
}
