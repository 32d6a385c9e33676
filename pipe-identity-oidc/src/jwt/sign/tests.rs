//! Keys: where they come from, what they are called, what is never seen of them (A7, I4).

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256K1_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{DecodingKey, jwk::Jwk};
use pipe_core::{ErrorKind, SecretValue};
use proptest::prelude::*;
use serde_json::json;

use super::jwk::PublicKey;
use super::*;

const MESSAGE: &[u8] = b"a message";

fn asymmetric() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric())
}

fn verifies(algorithm: Algorithm, key: &DecodingKey, signature: &[u8]) -> bool {
    let algorithm = algorithm.name().parse().unwrap();
    let verifier = (DEFAULT_PROVIDER.verifier_factory)(&algorithm, key).unwrap();
    verifier.verify(MESSAGE, &signature.to_vec()).is_ok()
}

fn public(key: &SigningKey) -> DecodingKey {
    let jwk: Jwk = serde_json::from_value(key.public_jwk().unwrap()).unwrap();
    DecodingKey::from_jwk(&jwk).unwrap()
}

fn kind_of(result: Result<SigningKey>) -> ErrorKind {
    result.unwrap_err().kind()
}

fn secret(bytes: impl Into<Vec<u8>>) -> SecretValue {
    bytes.into().into()
}

/// RFC 7638 3.1: the example.
#[test]
fn the_thumbprint_is_that_of_the_rfc() {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tS\
             oc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65Y\
             GjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdk\
             t-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqD\
             Kgw";
    let key = PublicKey::rsa(&URL_SAFE_NO_PAD.decode(n).unwrap(), &[1, 0, 1]);
    assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

/// I4: another library computes the same.
#[test]
fn a_key_is_named_by_its_thumbprint_unless_the_caller_names_it() {
    for algorithm in asymmetric() {
        let key = SigningKey::generate(algorithm).unwrap();
        let jwk: Jwk = serde_json::from_value(key.public_jwk().unwrap()).unwrap();
        let print = match &jwk.algorithm {
            jsonwebtoken::jwk::AlgorithmParameters::RSA(rsa) => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, rsa.e, rsa.n)
            }
            jsonwebtoken::jwk::AlgorithmParameters::EllipticCurve(ec) => {
                let crv = if algorithm == Algorithm::Es256 { "P-256" } else { "P-384" };
                format!(r#"{{"crv":"{crv}","kty":"EC","x":"{}","y":"{}"}}"#, ec.x, ec.y)
            }
            jsonwebtoken::jwk::AlgorithmParameters::OctetKeyPair(ed) => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, ed.x)
            }
            _ => panic!("not an asymmetric key"),
        };
        let print = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, print.as_bytes());
        assert_eq!(key.key_id(), Some(URL_SAFE_NO_PAD.encode(print).as_str()), "{algorithm}");
        let named = key.with_key_id("2024-05").unwrap();
        assert_eq!(named.public_jwk().unwrap()["kid"], "2024-05");
        assert_eq!(kind_of(named.with_key_id("a\nb")), ErrorKind::ConfigInvalid);
    }
}

/// A name that is made of the secret could be guessed at offline.
#[test]
fn a_secret_has_no_name_and_no_public_half() {
    let key = SigningKey::from_secret(Algorithm::Hs256, &secret([7; 32])).unwrap();
    assert_eq!((key.key_id(), key.public_jwk()), (None, None));
    assert_eq!(key.with_key_id("one").unwrap().key_id(), Some("one"));
}

#[tokio::test]
async fn every_generated_secret_signs() {
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| algorithm.is_symmetric()) {
        let key = SigningKey::generate(algorithm).unwrap();
        let signature = key.sign(MESSAGE).await.unwrap();
        assert_eq!(signature.len(), signature_len(algorithm, None));
        let hmac = key.hmac_key().unwrap();
        assert!(aws_lc_rs::hmac::verify(hmac, MESSAGE, &signature).is_ok());
    }
}

/// RFC 7515 A.1: the key and the signature of the example.
#[tokio::test]
async fn a_secret_as_a_jwk_signs_the_example_of_the_rfc() {
    let jwk = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
    let key = SigningKey::from_jwk(Algorithm::Hs256, &jwk.into()).unwrap();
    let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = key.sign(message.as_bytes()).await.unwrap();
    let expected = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert_eq!(URL_SAFE_NO_PAD.encode(signature), expected);
}

fn pem(label: &str, der: &[u8]) -> SecretValue {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der)).into()
}

/// One private key of each form, with the label of its PEM section. They are new each time.
struct Documents {
    rsa: [Document; 2],
    p256: [Document; 2],
    p384: Document,
    ed25519: Document,
    secp256k1: Document,
}

type Document = (&'static str, Vec<u8>);

const PKCS8: &str = "PRIVATE KEY";
const SEC1: &str = "EC PRIVATE KEY";
const RSA: [Algorithm; 4] =
    [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Ps256, Algorithm::Ps512];

static DOCUMENTS: LazyLock<Documents> = LazyLock::new(|| {
    let rsa: Pkcs8V1Der<'_> = RsaKeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
    let rsa = rsa.as_ref().to_vec();
    // PKCS#8 is the PKCS#1 key behind 26 bytes: version, algorithm, head of an octet string.
    let pkcs1 = rsa[26..].to_vec();
    let ec = |curve| EcdsaKeyPair::generate(curve).unwrap();
    let pkcs8 = |pair: &EcdsaKeyPair| (PKCS8, pair.to_pkcs8v1().unwrap().as_ref().to_vec());
    let sec1 = |pair: &EcdsaKeyPair| {
        let der: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().unwrap();
        (SEC1, der.as_ref().to_vec())
    };
    let p256 = ec(load::ec_algorithm(Algorithm::Es256));
    let ed25519 = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
    Documents {
        rsa: [(PKCS8, rsa), ("RSA PRIVATE KEY", pkcs1)],
        p256: [pkcs8(&p256), sec1(&p256)],
        p384: sec1(&ec(load::ec_algorithm(Algorithm::Es384))),
        ed25519: (PKCS8, ed25519.as_ref().to_vec()),
        secp256k1: pkcs8(&ec(&ECDSA_P256K1_SHA256_ASN1_SIGNING)),
    }
});

/// An RSA key of 1024 bits, which nobody lets us make. It was made by `openssl` for this test.
const RSA_1024: &str = "MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBAL43saKgtS+z1RCkmITwu1IdBrxt+Mmv\
     ICJFOkkyVX3bV00b8iHjXwW90iftpe2hzoeQqS8r6clVjW6+X+8DtndbVSGg+r266RqaCy8nUoUsQh0A\
     OO3U4/ug0jTpkF3yOdiDovLbBPK8Bm6v4Wu7q/wAzp+AoC+AfickCebw7d25AgMBAAECgYBEoBs6LPix\
     SRPpeTh9Xcx3B3nSqWpEeSYCty8cEUi+q0+HxjlI+Jrjm2Qie56NaP718b7YAePKe08XUR+TP6eoL8zW\
     yQdE4qxqwvr6iox7aW/CZOrL6u8IAjN8z+M2Y/XY+u9/KIr4sp6eYPUudWJjbd6a5hx69ry/zkbgZC9P\
     sQJBAPdF14yCijZJaOTgJqxZ39Sr6GmbP/RUZdaHeWvVH6zhKbJTRz6N1y7Gxjo1Ni1Vj0VjdJ2ZXFaS\
     gDODrIyWdpcCQQDE7liyvfOSpFANXq80K+cQhoeEliJnOF9AL0j9Gml1gOgmfrmDUqvXJDB0a+bK1Mq1\
     xDPjKc6U2o+QLQaavagvAkAI2f0vUHT2IIaautNnlAgJKuY08ZPGgUbr+QmFrKlnnN/LPGPuf1FWoVLz\
     PnhkAw4P49GG2riNeM0SCwKgPbqdAkAHsUfFs6XQFJsL6qbtYsmj251vkG3HmmweFbrEKEP2UxK+bjTQ\
     7GnJ/Z/m7FAXnDhO4VslhHyNU/xHpXqckMwBAkEAuxZxP51oVIj5rDDchpXu4W096RaWn7Fmb+8CHFY0\
     M8zHYqo+28yNCEllyiO5UXIr4SCcNBZb7m0rL8XMhUZz/g==";

/// Each sound document, with the algorithms that it fits.
fn sound() -> impl Iterator<Item = (&'static Document, &'static [Algorithm])> {
    let Documents { rsa: [rsa, pkcs1], p256: [p256, sec1], p384, ed25519, .. } = &*DOCUMENTS;
    let (ec, ed) = (&[Algorithm::Es256][..], &[Algorithm::EdDsa][..]);
    let p384 = (p384, &[Algorithm::Es384][..]);
    [(rsa, &RSA[..]), (pkcs1, &RSA), (p256, ec), (sec1, ec), p384, (ed25519, ed)].into_iter()
}

/// `openssl` puts the parameters of a curve before the key.
fn document((label, der): &Document) -> SecretValue {
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let before = if *label == SEC1 { parameters } else { "" };
    [before, pem(label, der).expose_str().unwrap()].concat().into()
}

/// REQ 004-73.3
#[tokio::test]
async fn every_form_of_a_private_key_signs_what_another_library_verifies() {
    for (form, algorithms) in sound() {
        for &algorithm in algorithms {
            let from_pem = SigningKey::from_pem(algorithm, &document(form)).unwrap();
            let from_der = SigningKey::from_der(algorithm, &secret(&*form.1)).unwrap();
            assert_eq!(from_pem.key_id(), from_der.key_id());
            let signature = from_der.sign(MESSAGE).await.unwrap();
            assert_eq!(signature.len(), signature_len(algorithm, from_pem.public_jwk().as_ref()));
            assert!(verifies(algorithm, &public(&from_pem), &signature), "{algorithm}");
        }
    }
}

#[test]
fn the_same_key_in_two_forms_has_one_name() {
    let id = |algorithm, form| {
        SigningKey::from_pem(algorithm, &document(form)).unwrap().key_id().unwrap().to_owned()
    };
    let Documents { rsa: [rsa, pkcs1], p256: [p256, sec1], .. } = &*DOCUMENTS;
    assert_eq!(id(Algorithm::Rs256, rsa), id(Algorithm::Ps256, pkcs1));
    assert_eq!(id(Algorithm::Es256, p256), id(Algorithm::Es256, sec1));
}

/// A7: found when the key is loaded.
#[test]
fn a_weak_key_or_one_that_does_not_fit_is_a_fault_of_the_configuration() {
    let encrypted = pem("ENCRYPTED PRIVATE KEY", &DOCUMENTS.p256[0].1);
    let weak = pem(PKCS8, &STANDARD.decode(RSA_1024).unwrap());
    let unusable = [encrypted, weak, document(&DOCUMENTS.secp256k1)];
    for algorithm in Algorithm::ALL {
        let is_rsa = jwk::kind(algorithm) == Some("RSA");
        let unfit = sound().filter(
            |(_, fit)| {
                if is_rsa { **fit != RSA } else { !fit.contains(&algorithm) }
            },
        );
        for pem in unfit.map(|(form, _)| document(form)).chain(unusable.clone()) {
            let refused = SigningKey::from_pem(algorithm, &pem);
            assert_eq!(kind_of(refused), ErrorKind::ConfigInvalid, "{algorithm}");
        }
        let empty = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
        for text in ["", "text", "{}", empty] {
            for refused in [
                SigningKey::from_pem(algorithm, &text.into()),
                SigningKey::from_der(algorithm, &text.into()),
                SigningKey::from_jwk(algorithm, &text.into()),
            ] {
                assert_eq!(kind_of(refused), ErrorKind::ConfigInvalid, "{algorithm}");
            }
        }
    }
}

/// A7
#[test]
fn a_modulus_and_an_exponent_out_of_bounds_are_refused() {
    let modulus = |bits: usize| {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] >>= n.len() * 8 - bits;
        n
    };
    for bits in [2048, 2049, 4096, 8192] {
        assert!(load::check_rsa(&modulus(bits), &[1, 0, 1]).is_ok(), "{bits}");
    }
    for bits in [1024, 2047, 8193] {
        assert!(load::check_rsa(&modulus(bits), &[1, 0, 1]).is_err(), "{bits}");
    }
    for e in [&[][..], &[1], &[2], &[1, 0]] {
        assert!(load::check_rsa(&modulus(2048), e).is_err(), "{e:?}");
    }
}

/// A7
#[test]
fn a_secret_shorter_than_its_hash_is_refused_and_so_is_a_public_key() {
    for (algorithm, least) in
        [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)]
    {
        let of = |bytes: usize| SigningKey::from_secret(algorithm, &secret(vec![7; bytes]));
        assert!(of(least).is_ok());
        assert_eq!(kind_of(of(least - 1)), ErrorKind::ConfigInvalid);
        let pem = pem("PUBLIC KEY", &[7; 100]);
        assert_eq!(kind_of(SigningKey::from_secret(algorithm, &pem)), ErrorKind::ConfigInvalid);
    }
    let refused = SigningKey::from_secret(Algorithm::Rs256, &secret([7; 64]));
    assert_eq!(kind_of(refused), ErrorKind::ConfigInvalid);
}

/// RFC 7517 A.2 (P-256), RFC 8037 A.1 (Ed25519).
const EC_JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE","use":"sig","kid":"1"}"#;
const ED_JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

#[tokio::test]
async fn a_private_jwk_signs() {
    for (algorithm, jwk, id) in [
        (Algorithm::Es256, EC_JWK, "1"),
        // RFC 8037 A.3
        (Algorithm::EdDsa, ED_JWK, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
    ] {
        let key = SigningKey::from_jwk(algorithm, &jwk.into()).unwrap();
        assert_eq!(key.key_id(), Some(id));
        let signature = key.sign(MESSAGE).await.unwrap();
        assert!(verifies(algorithm, &public(&key), &signature), "{algorithm}");
    }
}

#[test]
fn an_rsa_jwk_is_the_key_of_its_document() {
    let [_, pkcs1] = &DOCUMENTS.rsa;
    let of_document = SigningKey::from_pem(Algorithm::Rs256, &document(pkcs1)).unwrap();
    let integers = integers(&pkcs1.1);
    let names = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
    let members = names.into_iter().zip(&integers[1..]);
    let mut jwk: serde_json::Map<_, _> = members
        .map(|(name, value)| (name.to_owned(), json!(URL_SAFE_NO_PAD.encode(value))))
        .collect();
    jwk.insert("kty".into(), "RSA".into());
    let json = serde_json::to_string(&jwk).unwrap();
    let key = SigningKey::from_jwk(Algorithm::Rs256, &json.as_str().into()).unwrap();
    assert_eq!(key.public_jwk(), of_document.public_jwk());
    jwk.remove("qi");
    let json = serde_json::to_string(&jwk).unwrap();
    let refused = SigningKey::from_jwk(Algorithm::Rs256, &json.as_str().into());
    assert_eq!(kind_of(refused), ErrorKind::ConfigInvalid);
}

/// The integers of an `RSAPrivateKey` (RFC 8017 A.1.2), without leading zeros.
fn integers(der: &[u8]) -> Vec<Vec<u8>> {
    fn take<'a>(der: &mut &'a [u8]) -> &'a [u8] {
        let (length, head) = match der[1] {
            0x81 => (usize::from(der[2]), 3),
            0x82 => (usize::from(der[2]) << 8 | usize::from(der[3]), 4),
            short => (usize::from(short), 2),
        };
        let value = &der[head..head + length];
        *der = &der[head + length..];
        value
    }
    let mut content = take(&mut { der });
    let mut integers = Vec::new();
    while !content.is_empty() {
        let value = take(&mut content);
        integers.push(value.iter().copied().skip_while(|byte| *byte == 0).collect());
    }
    integers
}

#[test]
fn a_jwk_that_contradicts_the_algorithm_or_itself_is_refused() {
    let changed = |from: &str, to: &str| EC_JWK.replace(from, to);
    for jwk in [
        changed("P-256", "P-384"),
        changed(r#""kty":"EC""#, r#""kty":"OKP""#),
        changed(r#""use":"sig""#, r#""use":"enc""#),
        changed(r#""use""#, r#""alg":"ES384","use""#),
        changed(r#""d":"870"#, r#""d":"871"#),
        changed(r#""d":"#, r#""c":"#),
        changed(r#""x":"MKBC"#, r#""x":"MKBD"#),
        changed(r#""use""#, r#""kty":"EC","use""#),
        changed(r#""kid":"1""#, r#""kid":"a\nb""#),
        format!("[{EC_JWK}]"),
    ] {
        let refused = SigningKey::from_jwk(Algorithm::Es256, &jwk.as_str().into());
        assert_eq!(kind_of(refused), ErrorKind::ConfigInvalid, "{jwk}");
    }
    let short = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umjw"}"#;
    let refused = SigningKey::from_jwk(Algorithm::Hs256, &short.into());
    assert_eq!(kind_of(refused), ErrorKind::ConfigInvalid);
}

/// I4, H2: of a key, only its algorithm and its name are seen.
#[test]
fn nothing_of_a_key_is_seen_in_debug_or_in_errors() {
    let canary = "canary-0123456789-canary-0123456789-canary";
    let key = SigningKey::from_secret(Algorithm::Hs256, &canary.into()).unwrap();
    let debug = format!("{key:?} {key:#?}");
    assert!(debug.contains("Hs256") && !debug.contains("canary"), "{debug}");
    let key = SigningKey::from_jwk(Algorithm::Es256, &EC_JWK.into()).unwrap();
    assert_eq!(format!("{key:?}"), r#"SigningKey { algorithm: Es256, key_id: Some("1"), .. }"#);
    for algorithm in Algorithm::ALL {
        let quoted = format!(r#"{{"kty":"{canary}","alg":"{canary}","d":"{canary}","k":7}}"#);
        for refused in [
            SigningKey::from_pem(algorithm, &canary.into()),
            SigningKey::from_pem(algorithm, &pem("PRIVATE KEY", canary.as_bytes())),
            SigningKey::from_der(algorithm, &canary.into()),
            SigningKey::from_jwk(algorithm, &quoted.as_str().into()),
            SigningKey::from_jwk(algorithm, &format!(r#""{canary}""#).as_str().into()),
            SigningKey::from_secret(algorithm, &canary[..31].into()),
        ] {
            let error = refused.unwrap_err();
            let seen = format!("{error} {error:?} {error:#}");
            assert!(!seen.contains("canary") && !seen.contains("Y2FuYXJ5"), "{seen}");
        }
    }
}

proptest! {
    /// I4: whatever JWK a signer gives, what is published has public members only.
    #[test]
    fn a_published_jwk_has_no_private_member(
        algorithm in prop::sample::select(&Algorithm::ALL[..]),
        members in prop::collection::btree_map("[a-z]{1,3}|kty|crv|x5c|use", "[A-Za-z0-9]{0,9}", 0..12),
    ) {
        let mut jwk = json!({
            "kty": match algorithm.name().as_bytes()[0] { b'R' | b'P' => "RSA", b'E' => "EC", _ => "oct" },
            "n": "n", "e": "e", "x": "x", "y": "y", "d": "d", "p": "p", "q": "q", "k": "k", "oth": [],
        });
        if algorithm == Algorithm::EdDsa {
            jwk["kty"] = "OKP".into();
        }
        jwk["crv"] = match algorithm {
            Algorithm::Es256 => "P-256",
            Algorithm::Es384 => "P-384",
            _ => "Ed25519",
        }.into();
        for (name, value) in members {
            if name != "kid" && name != "alg" {
                jwk[name] = value.into();
            }
        }
        if let Some(published) = published(algorithm, "id", &jwk) {
            let public = ["alg", "crv", "e", "kid", "kty", "n", "use", "x", "y"];
            for name in published.as_object().unwrap().keys() {
                prop_assert!(public.contains(&name.as_str()), "{name}");
            }
            prop_assert!(!algorithm.is_symmetric());
        }
    }
}

/// Threads share a key, which is parsed once.
#[test]
fn many_threads_sign_with_one_key() {
    let key = SigningKey::from_pem(Algorithm::Rs256, &document(&DOCUMENTS.rsa[0])).unwrap();
    let public = public(&key);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for _ in 0..10 {
                    let signature = runtime.block_on(key.sign(MESSAGE)).unwrap();
                    assert!(verifies(Algorithm::Rs256, &public, &signature));
                }
            });
        }
    });
}
