use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use serde_json::json;

use super::*;

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn reason(jwk: &Value) -> &'static str {
    VerifyingKey::public_jwk(jwk.as_object().unwrap()).err().unwrap_or("used")
}

/// An odd number of so many bits.
fn modulus(bits: usize) -> Vec<u8> {
    let mut n = vec![0xab; bits.div_ceil(8)];
    n[0] = 1 << ((bits - 1) % 8);
    *n.last_mut().unwrap() = 0x55;
    n
}

fn rsa(n: &[u8], e: &[u8]) -> Value {
    json!({ "kty": "RSA", "n": text(n), "e": text(e) })
}

const F4: &[u8] = &[1, 0, 1];

/// A7
#[test]
fn rsa_keys_of_2048_to_8192_bits_are_used() {
    for (bits, used) in [(1024, false), (2047, false), (2048, true), (8192, true), (8193, false)] {
        assert_eq!(reason(&rsa(&modulus(bits), F4)) == "used", used, "{bits}");
    }
    let mut even = modulus(2048);
    even[255] = 0x54;
    assert_ne!(reason(&rsa(&even, F4)), "used");
    assert_ne!(reason(&rsa(&[], F4)), "used");
    assert_ne!(reason(&rsa(&[0; 256], F4)), "used");
}

/// A7
#[test]
fn an_exponent_is_odd_and_more_than_one() {
    for (e, used) in [
        (&[3][..], true),
        (F4, true),
        (&[0, 1, 0, 1], true),
        (&[0xff; 4], true),
        (&[], false),
        (&[0], false),
        (&[1], false),
        (&[0, 1], false),
        (&[2], false),
        (&[1, 0, 0], false),
        (&[1, 0, 0, 0, 1], false),
    ] {
        assert_eq!(reason(&rsa(&modulus(2048), e)) == "used", used, "{e:?}");
    }
}

#[test]
fn leading_zeros_of_a_modulus_change_nothing() {
    let n = modulus(2048);
    let padded = [&[0], &n[..]].concat();
    let key = |n: &[u8]| VerifyingKey::from_jwk(&rsa(n, F4)).unwrap();
    assert_eq!(key(&n).thumbprint(), key(&padded).thumbprint());
    // Nor do they make a small one large.
    assert_ne!(reason(&rsa(&[&[0; 128], &modulus(1024)[..]].concat(), F4)), "used");
}

/// A7
#[test]
fn a_point_that_is_not_on_its_curve_is_refused() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(48);
    let jwk =
        |x: &[u8], y: &[u8]| json!({ "kty": "EC", "crv": "P-384", "x": text(x), "y": text(y) });
    assert_eq!(reason(&jwk(x, y)), "used");
    assert_ne!(reason(&jwk(y, x)), "used");
    assert_ne!(reason(&jwk(&[0; 48], &[0; 48])), "used");
    assert_ne!(reason(&jwk(&x[1..], y)), "used");
    assert_ne!(reason(&jwk(x, &[&[0], y].concat())), "used");
}

#[test]
fn a_weak_point_of_ed25519_is_refused() {
    let jwk = |x: &[u8]| json!({ "kty": "OKP", "crv": "Ed25519", "x": text(x) });
    let pair = Ed25519KeyPair::generate().unwrap();
    assert_eq!(reason(&jwk(pair.public_key().as_ref())), "used");
    let mut one = [0; 32];
    assert_ne!(reason(&jwk(&one)), "used");
    one[0] = 1;
    assert_ne!(reason(&jwk(&one)), "used");
    assert_ne!(reason(&jwk(&one[1..])), "used");
}

/// CVE-2017-15361: powers of 65537 modulo every prime of the fingerprint.
#[test]
fn a_modulus_of_the_generator_that_can_be_factored_is_refused() {
    // 65537^129 has 2065 bits.
    let mut n = vec![1_u8];
    for _ in 0..129 {
        let mut product = vec![0_u32; n.len() + 2];
        for (i, byte) in n.iter().enumerate() {
            product[i] += u32::from(*byte);
            product[i + 2] += u32::from(*byte);
        }
        let mut carry = 0;
        n = product
            .into_iter()
            .map(|sum| {
                carry += sum;
                let byte = carry as u8;
                carry >>= 8;
                byte
            })
            .collect();
        if carry != 0 {
            n.push(carry as u8);
        }
    }
    n.reverse();
    assert!(reason(&rsa(&n, F4)).contains("factored"));
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<_> =
        body.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[test]
fn a_public_key_is_read_from_pem_and_der_as_from_its_jwk() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let spki = pair.public_key().as_der().unwrap();
    let pkcs1 = pair.public_key().as_ref();
    let from_spki = VerifyingKey::from_pem(&pem("PUBLIC KEY", spki.as_ref())).unwrap();
    let from_pkcs1 = VerifyingKey::from_pem(&pem("RSA PUBLIC KEY", pkcs1)).unwrap();
    let from_der = VerifyingKey::from_der(spki.as_ref()).unwrap();
    assert_eq!(from_spki.thumbprint(), from_pkcs1.thumbprint());
    assert_eq!(from_spki.thumbprint(), from_der.thumbprint());
    assert_eq!(from_spki.algorithms().count(), 6);
    let pinned = from_der.with_algorithm(Algorithm::Ps256).unwrap();
    assert_eq!(pinned.algorithms().collect::<Vec<_>>(), [Algorithm::Ps256]);
    assert!(pinned.with_algorithm(Algorithm::Es256).is_err());

    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let jwk = json!({
        "kty": "EC", "crv": "P-384", "x": text(&point[1..49]), "y": text(&point[49..]),
    });
    let spki = pair.public_key().as_der().unwrap();
    assert_eq!(
        VerifyingKey::from_der(spki.as_ref()).unwrap().thumbprint(),
        VerifyingKey::from_jwk(&jwk).unwrap().thumbprint()
    );

    let pair = Ed25519KeyPair::generate().unwrap();
    let spki = pair.public_key().as_der().unwrap();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) });
    assert_eq!(
        VerifyingKey::from_der(spki.as_ref()).unwrap().thumbprint(),
        VerifyingKey::from_jwk(&jwk).unwrap().thumbprint()
    );
}

#[test]
fn what_is_not_one_public_key_in_pem_is_refused() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let spki = pair.public_key().as_der().unwrap();
    let good = pem("PUBLIC KEY", spki.as_ref());
    assert!(VerifyingKey::from_pem(&good).is_ok());
    let more = [spki.as_ref(), &[0]].concat();
    for text in [
        String::new(),
        "x".into(),
        format!("{good}{good}"),
        good.replace("END PUBLIC", "END RSA PUBLIC"),
        good.replace("PUBLIC KEY", "PRIVATE KEY"),
        good.replacen('M', "?", 1),
        pem("PUBLIC KEY", &more),
        pem("PUBLIC KEY", &spki.as_ref()[..20]),
        pem("PUBLIC KEY", &[]),
        pem("CERTIFICATE", spki.as_ref()),
    ] {
        let error = VerifyingKey::from_pem(&text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{text}");
    }
}

/// E6. A self-signed certificate of P-256, made with `openssl req -x509`.
#[test]
fn a_certificate_must_have_the_same_key() {
    const CERTIFICATE: &str = concat!(
        "MIIBiDCCAS+gAwIBAgIUWu90mYCOI6I49naLDkuaSpo7rbowCgYIKoZIzj0EAwIwGTEXMBUGA1UEAwwOaXNzdWVy",
        "LmV4YW1wbGUwIBcNMjYxMTI1MDAxNzM5WhgPMjEyNjExMDEwMDE3MzlaMBkxFzAVBgNVBAMMDmlzc3Vlci5leGFt",
        "cGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEJ70M2+/6yyh7nduWi8qvxA0vNkPZ67YL7/vfn6VFaCNwEh5a",
        "mB3LV6P0rpz0UMFG7jyWeaBsB75SC9Wi6IUKoKNTMFEwHQYDVR0OBBYEFBx/pL5M9dIoUkzk1gCMOj1YktniMB8G",
        "A1UdIwQYMBaAFBx/pL5M9dIoUkzk1gCMOj1YktniMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIg",
        "Qwm2XHqcZa0q6W9GTUMuX3hgwHr0CPsrwp10O1UClBICIDeXmP+oA9zZ/4K5vUZOOaSVyQ5nShw5Lg4LMb3u7AOH",
    );
    let der = STANDARD.decode(CERTIFICATE).unwrap();
    let Some(PublicKey::Ec { x, y, .. }) = der::certificate_key(&der) else { panic!("no key") };
    let jwk = |x5c: Value| json!({ "kty": "EC", "crv": "P-256", "x": text(&x), "y": text(&y), "x5c": x5c });
    assert_eq!(reason(&jwk(json!([CERTIFICATE]))), "used");
    assert_eq!(reason(&jwk(json!([CERTIFICATE, "an issuer's, not looked at"]))), "used");
    for x5c in [json!([]), json!(CERTIFICATE), json!([1]), json!(["AAAA"]), json!(null)] {
        assert_ne!(reason(&jwk(x5c.clone())), "used", "{x5c}");
    }
    let other =
        EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = other.public_key().as_ref();
    let mut foreign = jwk(json!([CERTIFICATE]));
    foreign["x"] = text(&point[1..33]).into();
    foreign["y"] = text(&point[33..]).into();
    assert!(reason(&foreign).contains("x5c"));
    let from_pem = VerifyingKey::from_pem(&pem("CERTIFICATE", &der)).unwrap();
    let from_jwk = VerifyingKey::from_jwk(&jwk(json!([CERTIFICATE]))).unwrap();
    assert_eq!(from_pem.thumbprint(), from_jwk.thumbprint());
}

/// A2: none of its forms makes a public key a secret.
#[test]
fn a_public_key_verifies_no_mac() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) });
    let key = VerifyingKey::from_jwk(&jwk).unwrap();
    for form in [pair.public_key().as_ref(), jwk.to_string().as_bytes()] {
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, form), b"message");
        let fault = key.verify(Algorithm::Hs256, b"message", mac.as_ref());
        assert_eq!(fault, Err(TokenFault::AlgorithmRefused));
    }
}

#[test]
fn a_secret_has_no_thumbprint_and_shows_nothing() {
    let key = VerifyingKey::from_secret(&[b's'; 32], Algorithm::Hs256).unwrap();
    assert_eq!(key.thumbprint(), None);
    assert_eq!(format!("{key:?}"), "VerifyingKey { kid: None, algorithms: {Hs256}, .. }");
}
