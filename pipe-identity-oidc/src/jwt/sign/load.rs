//! Where private keys come from. Whatever is wrong with one is a fault of the configuration, found
//! when it is loaded (A7); nothing of the key gets into the error.

use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::KeyPairComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::{Error, ErrorKind, Result};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::jwk::{curve, kind};
use super::key::Pair;
use crate::jwt::Algorithm;

pub(super) fn secret(algorithm: Algorithm, secret: &[u8]) -> Result<Pair> {
    if !algorithm.is_symmetric() {
        return Err(fault("the algorithm takes a private key, not a secret")
            .with("algorithm", algorithm)
            .hint("give a private key, or choose HS256"));
    }
    // A public key that serves as a secret is the oldest of forgeries (CVE-2015-9235).
    if secret.trim_ascii_start().starts_with(b"-----BEGIN") {
        return Err(fault("the secret is a PEM document").hint("use 32 random bytes or more"));
    }
    let hash = hmac_algorithm(algorithm);
    let least = hash.tag_len();
    if secret.len() < least {
        return Err(fault("the secret is too short")
            .with("algorithm", algorithm)
            .with("least bytes", least)
            .hint("use as many random bytes as the hash has, or more"));
    }
    Ok(Pair::Hmac(Arc::new(hmac::Key::new(hash, secret))))
}

pub(super) fn pem(algorithm: Algorithm, pem: &[u8]) -> Result<Pair> {
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        fault("no private key in the PEM document").hint(
            "give an unencrypted `PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY` section",
        )
    })?;
    private_key(algorithm, &Zeroizing::new(key))
}

pub(super) fn der(algorithm: Algorithm, der: &[u8]) -> Result<Pair> {
    let key = PrivateKeyDer::try_from(der).map_err(|_| {
        fault("not a private key in DER").hint("give an unencrypted PKCS#8, PKCS#1 or SEC 1 key")
    })?;
    private_key(algorithm, &key)
}

fn private_key(algorithm: Algorithm, key: &PrivateKeyDer<'_>) -> Result<Pair> {
    let der = key.secret_der();
    let pair = match (kind(algorithm), key) {
        (None, _) => {
            return Err(fault("the algorithm takes a secret, not a private key")
                .with("algorithm", algorithm)
                .hint("give a secret of 32 random bytes, or choose an algorithm for the key"));
        }
        (Some("RSA"), PrivateKeyDer::Pkcs8(_)) => RsaKeyPair::from_pkcs8(der).map(Pair::Rsa),
        (Some("RSA"), PrivateKeyDer::Pkcs1(_)) => RsaKeyPair::from_der(der).map(Pair::Rsa),
        (Some("EC"), PrivateKeyDer::Pkcs8(_)) => {
            EcdsaKeyPair::from_pkcs8(ec_algorithm(algorithm), der).map(Pair::Ec)
        }
        (Some("EC"), PrivateKeyDer::Sec1(_)) => {
            EcdsaKeyPair::from_private_key_der(ec_algorithm(algorithm), der).map(Pair::Ec)
        }
        (Some("OKP"), PrivateKeyDer::Pkcs8(_)) => Ed25519KeyPair::from_pkcs8(der).map(Pair::Ed),
        _ => return Err(unfit(algorithm)),
    };
    pair.map_err(|_| unfit(algorithm))
}

/// The members of a private JWK that we need.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    kid: Option<String>,
    k: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<String>,
    p: Option<String>,
    q: Option<String>,
    dp: Option<String>,
    dq: Option<String>,
    qi: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

pub(super) fn jwk(algorithm: Algorithm, json: &[u8]) -> Result<(Pair, Option<String>)> {
    let mut jwk: Jwk = serde_json::from_slice(json)
        .map_err(|_| fault("not a JWK").hint("give one private key as a JSON object (RFC 7517)"))?;
    let named = jwk.alg.as_deref().map(Algorithm::from_name);
    let is_for_it = named.is_none_or(|named| named == Some(algorithm))
        && jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
        && jwk.kty == kind(algorithm).unwrap_or("oct")
        && (curve(algorithm).is_none() || jwk.crv.as_deref() == curve(algorithm));
    if !is_for_it {
        return Err(unfit(algorithm));
    }
    let kid = jwk.kid.take();
    let bytes = |text: &Option<String>| {
        let text = text.as_deref().ok_or_else(|| unfit(algorithm))?;
        URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new).map_err(|_| unfit(algorithm))
    };
    let pair = match kind(algorithm) {
        None => return secret(algorithm, &bytes(&jwk.k)?).map(|pair| (pair, kid)),
        Some("RSA") => RsaKeyPair::from_components(&KeyPairComponents {
            public_key: RsaPublicKeyComponents { n: &*bytes(&jwk.n)?, e: &*bytes(&jwk.e)? },
            d: &*bytes(&jwk.d)?,
            p: &*bytes(&jwk.p)?,
            q: &*bytes(&jwk.q)?,
            dP: &*bytes(&jwk.dp)?,
            dQ: &*bytes(&jwk.dq)?,
            qInv: &*bytes(&jwk.qi)?,
        })
        .map(Pair::Rsa),
        Some("EC") => {
            let point = [&[4], &**bytes(&jwk.x)?, &**bytes(&jwk.y)?].concat();
            let curve = ec_algorithm(algorithm);
            EcdsaKeyPair::from_private_key_and_public_key(curve, &bytes(&jwk.d)?, &point)
                .map(Pair::Ec)
        }
        Some(_) => {
            let seed = bytes(&jwk.d)?;
            if seed.len() != 32 {
                return Err(unfit(algorithm));
            }
            Ed25519KeyPair::from_seed_and_public_key(&seed, &bytes(&jwk.x)?).map(Pair::Ed)
        }
    };
    pair.map(|pair| (pair, kid)).map_err(|_| unfit(algorithm))
}

/// 2048 to 8192 bits, and an exponent that is odd and not 1.
pub(super) fn check_rsa(n: &[u8], e: &[u8]) -> Result<()> {
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    let is_sound = e != [1] && e.last().is_some_and(|last| last % 2 == 1);
    if (2048..=8192).contains(&bits) && is_sound {
        return Ok(());
    }
    Err(fault("the RSA key is too weak or too large")
        .with("bits", bits)
        .hint("use an RSA key of 2048 to 8192 bits with the exponent 65537"))
}

pub(super) fn hmac_algorithm(algorithm: Algorithm) -> hmac::Algorithm {
    match algorithm {
        Algorithm::Hs384 => hmac::HMAC_SHA384,
        Algorithm::Hs512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    }
}

pub(super) fn ec_algorithm(algorithm: Algorithm) -> &'static EcdsaSigningAlgorithm {
    match algorithm {
        Algorithm::Es384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        _ => &ECDSA_P256_SHA256_FIXED_SIGNING,
    }
}

fn unfit(algorithm: Algorithm) -> Error {
    fault("the key is weak, damaged, or of another kind than the algorithm's")
        .with("algorithm", algorithm)
        .hint("RS256 and PS256 take RSA of 2048 to 8192 bits, ES256 P-256, ES384 P-384, EdDSA Ed25519")
}

pub(super) fn fault(message: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message)
}
