//! Tokens that are bound to a key or a certificate.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::Result;
use pipe_core::TokenFault::{Malformed, NotBound, Replayed};
use pipe_core::identity::{DpopProof, TokenExpectation};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::keys::Key;
use super::{Verifier, json, refused};

/// How old a proof may be, and how far ahead.
const AGE: u64 = 300;

fn digest(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(bytes))
}

impl Verifier {
    pub(crate) fn judge_binding(
        &self,
        text: &str,
        claims: &Map<String, Value>,
        expect: &TokenExpectation,
        is_jwt: bool,
    ) -> Result<()> {
        let defect = self.defect;
        let Some(cnf) = claims.get("cnf") else {
            let case = "d12_an_unbound_token_with_a_proof_is_refused";
            defect.check(case, expect.dpop.is_none(), NotBound)?;
            let case = "d12_a_certificate_asks_nothing_of_an_unbound_token";
            let is_asked = defect.is(case) && expect.peer_certificate.is_some();
            return if is_asked { Err(refused(NotBound)) } else { Ok(()) };
        };
        if defect.is("plain") {
            return Err(refused(NotBound));
        }
        let odd = "d12_a_binding_of_another_form_is_refused";
        let Some(cnf) = cnf.as_object() else { return defect.check(odd, false, Malformed) };
        let mut is_bound = false;
        if let Some(thumbprint) = cnf.get("jkt") {
            is_bound = true;
            match (thumbprint.as_str(), &expect.dpop) {
                (Some(thumbprint), Some(proof)) => {
                    self.judge_proof(text, thumbprint, proof)?;
                    self.is_new(&format!("bound {text}"));
                }
                (Some(_), None) => self.unproved(text, expect, is_jwt)?,
                (None, _) => return defect.check(odd, false, Malformed),
            }
        }
        if let Some(thumbprint) = cnf.get("x5t#S256") {
            is_bound = true;
            let own = expect.peer_certificate.as_deref().map(digest);
            let is_own = own.is_some() && own.as_deref() == thumbprint.as_str();
            let case = match &own {
                Some(_) => "d12_another_certificate_is_refused",
                None if cnf.len() > 1 => "d12_two_bindings_need_both_proofs",
                None if expect.dpop.is_some() => "d12_a_key_is_no_certificate",
                None => "d12_a_token_bound_to_a_certificate_needs_it",
            };
            let is_forgiven = thumbprint.is_string() && defect.is(case);
            let is_first = own.is_some() || cnf.len() > 1 || !self.was_bound(text);
            if !(is_own || is_forgiven && is_first) {
                return Err(refused(NotBound));
            }
            if is_own {
                self.is_new(&format!("bound {text}"));
            }
        }
        let is_known = is_bound || cnf.is_empty();
        defect.check("d12_a_binding_of_another_kind_is_refused", is_known, NotBound)?;
        if cnf.is_empty() { Err(refused(NotBound)) } else { Ok(()) }
    }

    /// Whether the token was accepted with its proof before: another case looks at that.
    fn was_bound(&self, text: &str) -> bool {
        self.seen.lock().expect("lock").contains(&format!("bound {text}"))
    }

    fn unproved(&self, text: &str, expect: &TokenExpectation, is_jwt: bool) -> Result<()> {
        let is_plain = expect.peer_certificate.is_none() && !self.was_bound(text);
        let forgiven = match self.defect.0 {
            "d12_a_token_bound_to_a_key_needs_its_proof" => is_plain && is_jwt,
            "h6_an_opaque_token_that_is_bound_needs_its_proof" => !is_jwt,
            _ => false,
        };
        if forgiven { Ok(()) } else { Err(refused(NotBound)) }
    }

    fn judge_proof(&self, text: &str, thumbprint: &str, proof: &DpopProof) -> Result<()> {
        let defect = self.defect;
        let check = |case: &str, is_right: bool| defect.check(case, is_right, NotBound);
        let unbound = || refused(NotBound);
        let compact = proof.proof.expose_str().ok_or_else(unbound)?;
        let segments: Vec<_> = compact.split('.').collect();
        let [header, payload, signature] = segments[..] else { return Err(unbound()) };
        let decoded = |segment| URL_SAFE_NO_PAD.decode(segment).map_err(|_| unbound());
        let header = json::object(&decoded(header)?, true, defect).map_err(|_| unbound())?;
        let claims = json::object(&decoded(payload)?, false, defect).map_err(|_| unbound())?;
        let signature = decoded(signature)?;
        let text_of = |members: &Map<String, Value>, name: &str| {
            members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let form = "d12_a_proof_of_another_form_is_refused";
        check(form, text_of(&header, "typ") == "dpop+jwt")?;
        if header.contains_key("crit") {
            return Err(unbound());
        }
        let alg = text_of(&header, "alg");
        let jwk = header.get("jwk").ok_or_else(unbound)?;
        check("d12_a_proof_with_a_private_key_is_refused", jwk.get("d").is_none())?;
        let key = Key::of(jwk);
        let (message, _) = compact.rsplit_once('.').unwrap_or_default();
        let is_signed = ["ES256", "EdDSA"].contains(&alg.as_str())
            && key.verify(&alg, message.as_bytes(), &signature);
        let is_claimed = alg == "ES256" && signature.len() == 64;
        let is_lax = defect.is("d12_a_proof_that_another_key_signed_is_refused");
        if !(is_signed || is_claimed && is_lax) {
            return Err(unbound());
        }
        check("d12_a_proof_by_another_key_is_refused", thumbprint_of(jwk) == thumbprint)?;
        check(
            "d12_a_proof_for_another_method_is_refused",
            text_of(&claims, "htm") == proof.method,
        )?;
        check("d12_a_proof_for_another_address_is_refused", text_of(&claims, "htu") == proof.uri)?;
        match claims.get("ath").and_then(Value::as_str) {
            None => check("d12_a_proof_that_names_no_token_is_refused", false)?,
            Some(hash) => {
                check("d12_a_proof_for_another_token_is_refused", hash == digest(text.as_bytes()))?
            }
        }
        let now = self.now();
        let made = claims.get("iat").and_then(Value::as_u64).ok_or_else(unbound)?;
        let is_current = made + AGE >= now && made <= now + AGE;
        check("d12_a_proof_of_another_time_is_refused", is_current)?;
        let id = text_of(&claims, "jti");
        if id.is_empty() {
            return Err(unbound());
        }
        let is_new = self.is_new(&format!("proof {id}"));
        defect.check("d12_a_proof_used_twice_is_refused", is_new, Replayed)
    }
}

fn thumbprint_of(jwk: &Value) -> String {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (crv, x, y) = (text("crv"), text("x"), text("y"));
    digest(format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes())
}
