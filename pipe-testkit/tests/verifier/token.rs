//! From the text of a token to its claims: form, header, key, signature.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use pipe_core::TokenFault::{AlgorithmRefused, BadSignature, Malformed, Unsupported, WrongType};
use pipe_core::identity::TokenExpectation;
use pipe_core::{Result, SecurityContext};
use serde_json::{Map, Value};

use super::keys::{Key, Wanted};
use super::{Defect, LARGEST_HEADER, LARGEST_TOKEN, Verifier, json, refused};

const ALGORITHMS: [&str; 6] = ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"];

impl Verifier {
    pub(crate) async fn verify_jwt(
        &self,
        text: &str,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext> {
        let defect = self.defect;
        let is_small = text.len() <= LARGEST_TOKEN;
        defect.check("c6_a_token_past_the_limit_is_refused", is_small, Malformed)?;
        let tidied = tidied(text, defect);
        let text = tidied.as_str();
        let segments: Vec<_> = text.split('.').collect();
        let [header, payload, signature] = segments[..] else { return Err(refused(Malformed)) };
        if header.is_empty() || payload.is_empty() {
            return Err(refused(Malformed));
        }
        let is_small = header.len() <= LARGEST_HEADER;
        defect.check("c6_a_header_past_the_limit_is_refused", is_small, Malformed)?;
        let header = json::object(&decode(header, defect)?, true, defect)?;
        let payload = decode(payload, defect)?;
        let signature = decode(signature, defect)?;
        let claims = json::object(&payload, false, defect)?;
        self.judge_header(&header)?;
        let (message, _) = text.rsplit_once('.').unwrap_or_default();
        self.judge_signature(&header, message, &signature).await?;
        self.judge_type(&header)?;
        let context = self.judge_claims(text, &claims, expect, true)?;
        if defect.is("h6_a_jwt_is_not_asked_about") && self.is_new("asked") {
            drop(self.introspect(text, expect).await);
        }
        Ok(context)
    }

    fn judge_header(&self, header: &Map<String, Value>) -> Result<()> {
        let defect = self.defect;
        if let Some(kid) = header.get("kid") {
            defect.check("b5_a_kid_that_is_no_text_is_refused", kid.is_string(), Malformed)?;
        }
        if let Some(crit) = header.get("crit") {
            let is_list = crit.as_array().is_some_and(|list| {
                !list.is_empty()
                    && list.iter().all(|name| {
                        name.as_str().is_some_and(|name| header.contains_key(name) && name != "alg")
                    })
            });
            let is_b64 = header.contains_key("b64");
            let case = match is_list {
                true => "b3_an_unknown_crit_is_refused",
                false => "b3_a_crit_that_is_none_is_refused",
            };
            if is_b64 || !defect.is(case) {
                return Err(refused(Unsupported));
            }
        }
        for (name, case) in [
            ("b64", "b4_an_unencoded_payload_is_refused"),
            ("zip", "b6_a_compressed_token_is_refused"),
            ("enc", "b6_a_token_that_says_that_it_is_encrypted_is_refused"),
        ] {
            defect.check(case, !header.contains_key(name), Unsupported)?;
        }
        let cty = header.get("cty").and_then(Value::as_str);
        let is_nested = cty.is_some_and(|cty| cty.eq_ignore_ascii_case("jwt"));
        defect.check("b8_a_nested_token_is_refused", !is_nested, Unsupported)
    }

    fn judge_type(&self, header: &Map<String, Value>) -> Result<()> {
        let (is_right, case) = match header.get("typ") {
            None => (false, "b7_a_token_without_type_is_refused"),
            Some(Value::String(typ)) => {
                let typ = match self.defect.is("b7_a_type_is_compared_without_case") {
                    true => typ.clone(),
                    false => typ.to_ascii_lowercase(),
                };
                let typ = typ.strip_prefix("application/").unwrap_or(&typ);
                (typ == "at+jwt", "b7_a_token_of_another_type_is_refused")
            }
            Some(_) => (false, "b7_a_type_that_is_no_text_is_refused"),
        };
        self.defect.check(case, is_right, WrongType)
    }

    async fn judge_signature(
        &self,
        header: &Map<String, Value>,
        message: &str,
        signature: &[u8],
    ) -> Result<()> {
        let defect = self.defect;
        let alg = match header.get("alg") {
            Some(Value::String(alg)) => alg.clone(),
            _ => {
                let case = "a1_an_alg_that_is_missing_or_no_text_is_refused";
                defect.check(case, false, AlgorithmRefused)?;
                "ES256".to_owned()
            }
        };
        if alg.eq_ignore_ascii_case("none") && defect.is("a1_alg_none_is_refused") {
            return Ok(());
        }
        let alg = match defect.0 {
            "a1_an_alg_in_another_spelling_is_refused" if alg == "Es256" => "ES256".to_owned(),
            "a3_an_algorithm_outside_the_list_is_refused" if alg == "ES256K" => "ES256".to_owned(),
            _ => alg,
        };
        let kid = header.get("kid").and_then(Value::as_str);
        if defect.is("a2_rs256_key_used_as_hmac_secret_is_refused")
            && alg == "HS256"
            && kid.is_some_and(|kid| kid.contains("RS256"))
        {
            // It takes whatever key has this name, for whatever the token says.
            return Ok(());
        }
        if defect.is("e5_a_symmetric_key_in_the_set_is_not_used")
            && kid.is_some_and(|kid| kid.starts_with("oct"))
        {
            return Ok(());
        }
        if !ALGORITHMS.contains(&alg.as_str())
            || alg == "Ed25519" && defect.is("a5_ed25519_is_another_name_for_eddsa")
        {
            return Err(refused(AlgorithmRefused));
        }
        let embedded = match defect.0 {
            "b2_a_key_in_the_header_is_not_trusted" => header.get("jwk"),
            _ => None,
        };
        if defect.is("b2_a_certificate_in_the_header_is_not_trusted") && header.contains_key("x5c")
        {
            return Ok(());
        }
        if defect.is("b1_addresses_in_the_header_are_never_fetched")
            && let Some(url) = header.get("jku").and_then(Value::as_str)
        {
            let _ = super::http::ask(url, "", "", defect, "").await;
        }
        if defect.is("f2_known_keys_do_not_wait_for_a_refresh") {
            self.provider.wait_for_fetch().await;
        }
        if defect.is("b5_a_hostile_kid_reaches_nobody")
            && kid.is_some_and(|kid| kid.starts_with('?'))
        {
            let url = format!("{}/jwks{}", self.trust.issuer, kid.unwrap_or_default());
            let _ = super::http::ask(&url, "", "", defect, "").await;
        }
        let key = match embedded {
            Some(jwk) => Key::of(jwk),
            None => match self.provider.key(&Wanted { kid, alg: &alg }).await {
                Ok(key) => key,
                // Without keys, there is nothing to check.
                Err(_)
                    if defect.is("e7_what_is_no_key_set_lets_nobody_in")
                        && self.provider.is_empty() =>
                {
                    return Ok(());
                }
                Err(error) => return Err(error),
            },
        };
        let alg = if alg == "Ed25519" { "EdDSA" } else { &alg };
        let is_good = key.verify(alg, message.as_bytes(), signature);
        self.judge(is_good, &key, alg, message, signature)
    }

    /// What a verifier with a defect takes for a good signature.
    fn judge(
        &self,
        is_good: bool,
        key: &Key,
        alg: &str,
        message: &str,
        signature: &[u8],
    ) -> Result<()> {
        let is_es256 = alg == "ES256";
        let shown = |text: &str| {
            let (header, payload) = message.split_once('.').unwrap_or_default();
            let decoded = |part| URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
            let whole = [decoded(header), decoded(payload)].concat();
            String::from_utf8_lossy(&whole).contains(text)
        };
        let mistaken = match self.defect.0 {
            "a4_a_flipped_signature_is_refused" => {
                // It looks at all bytes but the last.
                let mut other = signature.to_vec();
                other.last_mut().is_some_and(|last| {
                    *last ^= 1;
                    true
                }) && key.verify(alg, message.as_bytes(), &other)
            }
            "a4_a_truncated_signature_is_refused" => alg == "RS256" && signature.len() == 255,
            "a4_the_signature_of_another_token_is_refused" => {
                // It remembers signatures that were good, and not of what.
                let name = format!("{signature:?}");
                let is_known = self.seen.lock().expect("lock").contains(&name);
                if is_good {
                    self.is_new(&name);
                }
                is_known
            }
            "a4_a_changed_payload_is_refused" => shown(r#""sub":"admin""#),
            "a4_a_changed_header_is_refused" => shown(r#""x":1"#),
            "a4_an_all_zero_ecdsa_signature_is_refused" => {
                signature.iter().all(|byte| *byte == 0) && signature.len() >= 64
            }
            "a4_an_ecdsa_signature_out_of_range_is_refused" => {
                is_es256
                    && signature.len() == 64
                    && signature[32..].iter().all(|byte| *byte == 0)
                    && signature[..32].iter().any(|byte| *byte != 0)
            }
            "a4_an_ecdsa_signature_of_another_length_is_refused" => {
                is_es256
                    && signature.len() == 65
                    && key.verify(alg, message.as_bytes(), &signature[..64])
            }
            "a4_an_ecdsa_signature_in_der_is_refused" => {
                is_es256 && signature.first() == Some(&0x30) && signature.len() > 65
            }
            "a7_an_rsa_key_with_the_exponent_one_is_not_used" => {
                alg == "RS256" && signature.starts_with(&[0, 1])
            }
            _ => false,
        };
        let is_unloved = alg == "ES384"
            && shown("g1-ES384")
            && self.defect.is("a5_every_listed_algorithm_is_accepted");
        if is_good && is_unloved {
            return Err(refused(BadSignature));
        }
        if is_good || mistaken { Ok(()) } else { Err(refused(BadSignature)) }
    }

    /// What may be another issuer's idea of a token.
    pub(crate) fn is_opaque(&self, text: &str) -> bool {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        let dots = text.matches('.').count();
        !self.defect.is("plain")
            && (dots == 0 || dots == 4)
            && !text.is_empty()
            && text.len() <= LARGEST_TOKEN
            && text.bytes().all(is_token)
    }
}

/// The text as a verifier with a defect takes it.
fn tidied(text: &str, defect: Defect) -> String {
    match defect.0 {
        "c1_white_space_is_refused" => text.split_whitespace().collect(),
        "c1_other_characters_are_refused" => text.replace('?', ""),
        "c2_another_number_of_segments_is_refused" => {
            let segments: Vec<_> = text.split('.').take(3).collect();
            segments.join(".")
        }
        _ => text.to_owned(),
    }
}

fn decode(segment: &str, defect: Defect) -> Result<Vec<u8>> {
    let lax = GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true);
    let decoded = match defect.0 {
        "c1_padding_is_refused" => URL_SAFE_NO_PAD.decode(segment.trim_end_matches('=')),
        "c1_the_alphabet_of_other_base64_is_refused" => {
            URL_SAFE_NO_PAD.decode(segment.replace('+', "-").replace('/', "_"))
        }
        "c1_bits_left_over_are_refused" => GeneralPurpose::new(&URL_SAFE, lax).decode(segment),
        _ => URL_SAFE_NO_PAD.decode(segment),
    };
    decoded.map_err(|_| refused(Malformed))
}
