//! The usable keys of a JWKS, and the one that fits a token.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::{Result, TokenFault};
use serde_json::Value;

use super::http::outage;
use super::{Defect, refused};

const MOST: usize = 100;

/// What a token asks for.
pub(crate) struct Wanted<'a> {
    pub(crate) kid: Option<&'a str>,
    pub(crate) alg: &'a str,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key(Value);

pub(crate) struct KeySet {
    keys: Vec<Key>,
    defect: Defect,
}

impl KeySet {
    pub(crate) fn parse(document: &[u8], defect: Defect) -> Result<Self> {
        let unusable = || outage("no key set");
        let document: Value = serde_json::from_slice(document).map_err(|_| unusable())?;
        let Some(entries) = document.get("keys").and_then(Value::as_array) else {
            return Err(unusable());
        };
        let is_many = entries.len() > MOST;
        if is_many && !defect.is("e7_a_key_set_of_too_many_keys_is_refused_whole") {
            return Err(unusable());
        }
        if defect.is("e7_an_odd_entry_does_not_spoil_the_others")
            && entries.iter().any(|entry| !entry.is_object())
        {
            return Err(unusable());
        }
        let usable = entries.iter().filter(|entry| is_usable(entry, defect));
        let mut keys: Vec<Key> = Vec::new();
        for entry in usable {
            let key = Key(entry.clone());
            if defect.is("e4_the_same_key_twice_counts_once") || !keys.contains(&key) {
                keys.push(key);
            }
        }
        let is_of = |key: &Key, generation| {
            key.text("kid").is_some_and(|kid: &str| kid.starts_with(generation))
        };
        if keys.first().is_some_and(|key| is_of(key, "g2"))
            && defect.is("e1_tokens_of_an_old_key_are_good_while_it_is_published")
        {
            keys.retain(|key| !is_of(key, "g1"));
        }
        Ok(Self { keys, defect })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys of an older set too.
    pub(crate) fn keep(&mut self, before: &Self) {
        let gone: Vec<_> =
            before.keys.iter().filter(|key| !self.keys.contains(key)).cloned().collect();
        self.keys.extend(gone);
    }

    pub(crate) fn has_name(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.text("kid") == Some(kid))
    }

    /// The one key that fits.
    pub(crate) fn find(&self, wanted: &Wanted<'_>) -> Result<Key> {
        let defect = self.defect;
        let is_named = |key: &&Key| match wanted.kid {
            None => true,
            Some(kid) if defect.is("b5_a_kid_is_compared_byte_by_byte") => {
                key.text("kid").is_some_and(|own| own.eq_ignore_ascii_case(kid))
            }
            Some(kid) => key.text("kid") == Some(kid),
        };
        let named: Vec<_> = self.keys.iter().filter(is_named).collect();
        if named.is_empty() {
            return Err(refused(TokenFault::UnknownKey));
        }
        let fitting: Vec<_> =
            named.iter().filter(|key| key.fits(wanted, defect)).copied().collect();
        let is_lax = match wanted.kid {
            Some(_) => defect.is("e4_two_keys_of_one_name_are_refused"),
            None => defect.is("e8_a_token_without_kid_is_refused_among_several_keys"),
        };
        match fitting.as_slice() {
            [] if wanted.kid.is_some() => Err(refused(TokenFault::AlgorithmRefused)),
            [] => Err(refused(TokenFault::UnknownKey)),
            _ if defect.is("e4_the_algorithm_tells_keys_of_one_name_apart")
                && named.len() > 1
                && wanted.kid.is_some() =>
            {
                Err(refused(TokenFault::UnknownKey))
            }
            [key] => Ok((*key).clone()),
            [key, ..] if is_lax => Ok((*key).clone()),
            _ => Err(refused(TokenFault::UnknownKey)),
        }
    }
}

impl Key {
    pub(crate) fn of(jwk: &Value) -> Self {
        Self(jwk.clone())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        self.text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).unwrap_or_default()
    }

    /// What it signs by, if its own words leave that open.
    fn fits(&self, wanted: &Wanted<'_>, defect: Defect) -> bool {
        let alg = wanted.alg;
        let alg = if alg == "Ed25519" { "EdDSA" } else { alg };
        let own = self.text("alg").map(|own| if own == "Ed25519" { "EdDSA" } else { own });
        let swapped = match (own, alg) {
            (Some("RS256"), "PS256") => "a5_a_ps256_token_of_an_rs256_key_is_refused",
            (Some("PS256"), "RS256") => "a5_an_rs256_token_of_a_ps256_key_is_refused",
            (Some("ES256"), "ES384") => "a5_an_es384_token_of_a_p256_key_is_refused",
            (Some("ES256"), "RS256" | "PS256" | "EdDSA") => {
                "a3_an_algorithm_of_another_type_of_key_is_refused"
            }
            _ => "",
        };
        let is_one_of_ours = wanted.kid.is_some_and(|kid| kid.starts_with("g1"));
        if is_one_of_ours && !swapped.is_empty() && defect.is(swapped) {
            return true;
        }
        if own.is_some_and(|own| own != alg) {
            return false;
        }
        match (self.text("kty"), self.text("crv")) {
            (Some("RSA"), _) => ["RS256", "PS256"].contains(&alg),
            (Some("EC"), Some("P-256")) => alg == "ES256",
            (Some("EC"), Some("P-384")) => alg == "ES384",
            (Some("OKP"), _) => alg == "EdDSA",
            _ => false,
        }
    }

    /// Whether this is a signature of the message.
    pub(crate) fn verify(&self, alg: &str, message: &[u8], signature: &[u8]) -> bool {
        let point = || [&[4][..], &self.bytes("x"), &self.bytes("y")].concat();
        let checked =
            match alg {
                "RS256" | "PS256" => {
                    let key = RsaPublicKeyComponents { n: self.bytes("n"), e: self.bytes("e") };
                    let parameters = if alg == "RS256" {
                        &RSA_PKCS1_2048_8192_SHA256
                    } else {
                        &RSA_PSS_2048_8192_SHA256
                    };
                    key.verify(parameters, message, signature)
                }
                "ES256" => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point())
                    .verify(message, signature),
                "ES384" => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point())
                    .verify(message, signature),
                _ => UnparsedPublicKey::new(&ED25519, self.bytes("x")).verify(message, signature),
            };
        checked.is_ok()
    }
}

fn is_usable(entry: &Value, defect: Defect) -> bool {
    let key = Key(entry.clone());
    let may = |case: &str, is_right: bool| is_right || defect.is(case);
    let is_sig = key.text("use").is_none_or(|usage| usage == "sig");
    let verifies = entry.get("key_ops").is_none_or(|operations| {
        operations.as_array().is_some_and(|list| list.contains(&"verify".into()))
    });
    let is_symmetric = key.text("kty") == Some("oct");
    let is_private = ["d", "p", "q", "k"].iter().any(|name| entry.get(*name).is_some());
    let is_known = match (key.text("kty"), key.text("crv")) {
        (Some("oct"), _) => defect.is("e5_a_symmetric_key_in_the_set_is_not_used"),
        (Some("RSA"), _) => {
            let (modulus, exponent) = (key.bytes("n"), key.bytes("e"));
            let is_whole = !exponent.is_empty();
            may("a7_an_rsa_key_that_is_too_short_is_not_used", !is_whole || modulus.len() != 128)
                && is_whole
                && modulus.len() >= 128
                && may("a7_an_rsa_key_with_the_exponent_one_is_not_used", exponent != [1])
                && may(
                    "a7_an_rsa_key_with_an_even_exponent_is_not_used",
                    exponent.last().is_some_and(|last| last % 2 == 1),
                )
        }
        (Some("EC"), Some("P-256")) => {
            let is_off = key.bytes("x") == key.bytes("y");
            key.bytes("x").len() == 32 && may("a7_a_point_off_its_curve_is_not_used", !is_off)
        }
        (Some("EC"), Some("P-384")) => key.bytes("x").len() == 48,
        (Some("OKP"), Some("Ed25519")) => key.bytes("x").len() == 32,
        _ => false,
    };
    is_known
        && may("e6_a_key_for_encryption_is_not_used", is_sig)
        && may("e6_a_key_that_may_not_verify_is_not_used", verifies)
        && may("e9_a_private_key_in_the_set_is_not_used", !is_private || is_symmetric)
        && may("e6_a_key_with_the_certificate_of_another_is_not_used", entry.get("x5c").is_none())
}
