//! A signature with a private key that is parsed for it: once per credential, so that a replaced
//! file is seen at once.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use pipe_core::{Error, ErrorKind, Result};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::jwt::Algorithm;

/// Signs the message with a private key (PEM).
///
/// # Errors
/// `ConfigInvalid` when the key is not usable for the algorithm. Nothing of the key is in it, nor is
/// the library's own error, which comes from parsing it.
pub(crate) fn sign(pem: &[u8], algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
    PrivateKeyDer::from_pem_slice(pem)
        .ok()
        .and_then(|key| sign_with(&key, algorithm, message))
        .ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "the client's private key is not usable")
                .with("algorithm", algorithm)
                .hint(
                    "set `client.authentication.key` to a PEM private key of the kind that \
                     `client.authentication.algorithm` needs; RSA keys have at least 2048 bits",
                )
        })
}

fn sign_with(key: &PrivateKeyDer<'_>, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
    let random = SystemRandom::new();
    let encoding = match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
        Algorithm::Es256 | Algorithm::Es384 => {
            let form = match algorithm {
                Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                _ => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
            };
            let key = EcdsaKeyPair::from_private_key_der(form, key.secret_der()).ok()?;
            return Some(key.sign(&random, message).ok()?.as_ref().to_vec());
        }
        Algorithm::EdDsa => {
            let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_der()).ok()?;
            return Some(key.sign(message).as_ref().to_vec());
        }
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => return None,
    };
    let key = match key {
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        _ => return None,
    };
    let key = key.ok().filter(|key| key.public_modulus_len() >= 256)?;
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(encoding, &random, message, &mut signature).ok()?;
    Some(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair, UnparsedPublicKey, VerificationAlgorithm};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    fn pem(der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    }

    fn verifies(
        pem: &str,
        algorithm: Algorithm,
        public: &[u8],
        verification: &'static dyn VerificationAlgorithm,
    ) {
        let signature = sign(pem.as_bytes(), algorithm, b"message").unwrap();
        UnparsedPublicKey::new(verification, public).verify(b"message", &signature).unwrap();
    }

    #[test]
    fn each_kind_of_key_signs_in_the_form_of_a_jws() {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let (text, public) = (pem(key.as_der().unwrap().as_ref()), key.public_key().as_ref());
        verifies(&text, Algorithm::Rs256, public, &signature::RSA_PKCS1_2048_8192_SHA256);
        verifies(&text, Algorithm::Ps512, public, &signature::RSA_PSS_2048_8192_SHA512);

        let key = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let text = pem(key.to_pkcs8v1().unwrap().as_ref());
        let public = key.public_key().as_ref();
        verifies(&text, Algorithm::Es256, public, &signature::ECDSA_P256_SHA256_FIXED);
        assert!(sign(text.as_bytes(), Algorithm::Es384, b"").is_err(), "another curve");
        assert!(sign(text.as_bytes(), Algorithm::Rs256, b"").is_err(), "another kind");

        let key = Ed25519KeyPair::generate().unwrap();
        let text = pem(key.to_pkcs8v1().unwrap().as_ref());
        verifies(&text, Algorithm::EdDsa, key.public_key().as_ref(), &signature::ED25519);
        assert!(sign(text.as_bytes(), Algorithm::Hs256, b"").is_err());
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_shown() {
        for pem in ["", "hunter2", &pem(b"hunter2"), "-----BEGIN PRIVATE KEY-----\nhunter2"] {
            let error = sign(pem.as_bytes(), Algorithm::Es256, b"").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
