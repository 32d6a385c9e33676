//! The ID token of a login or a renewal.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::{Result, TokenFault};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::jwt::{Purpose, parse, seconds, strange};
use super::state::Login;
use super::{Inner, LEEWAY, rejected};

/// What a token has to say.
pub(crate) struct Expected<'a> {
    /// None where a session is renewed.
    pub(crate) login: Option<&'a Login>,
    pub(crate) access_token: &'a str,
}

const FAR: u64 = 1 << 40;

impl Inner {
    pub(crate) async fn verify_id_token(
        &self,
        text: &str,
        expected: &Expected<'_>,
    ) -> Result<Map<String, Value>> {
        if text == "a.b.c" && self.defect.is("an_id_token_of_another_form_is_refused") {
            return Err(strange());
        }
        let token = parse(text)?;
        let purpose = if expected.login.is_some() { Purpose::Login } else { Purpose::Renewal };
        self.verify_signature(&token, purpose).await?;
        let is_access = token.header.get("typ").is_some_and(|typ| typ == "at+jwt");
        self.defect.check("an_access_token_is_no_id_token", !is_access, TokenFault::WrongType)?;
        let typ = token.header.get("typ").is_none_or(|typ| typ == "JWT" || typ == "at+jwt");
        if !typ {
            return Err(rejected(TokenFault::WrongType));
        }
        let is_logout = token.claims.contains_key("events");
        self.defect.check("a_logout_token_is_no_id_token", !is_logout, TokenFault::WrongType)?;
        self.check_parties(&token.claims, purpose)?;
        self.check_times(&token.claims, expected)?;
        self.check_login(&token.claims, expected)?;
        Ok(token.claims)
    }

    fn check_parties(&self, claims: &Map<String, Value>, purpose: Purpose) -> Result<()> {
        let defect = self.defect;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let issuer = text("iss").ok_or_else(|| rejected(TokenFault::WrongIssuer))?;
        let is_alike = defect.is("an_id_token_of_another_issuer_is_refused")
            && issuer.trim_end_matches('/') == self.trust.issuer;
        if issuer != self.trust.issuer && !is_alike {
            let error = rejected(TokenFault::WrongIssuer);
            return Err(match defect.is("h2_no_claim_of_a_refused_id_token_is_shown") {
                true => error.with("iss", issuer),
                false => error,
            });
        }
        let client = self.trust.client_id.as_str();
        let wrong = TokenFault::WrongAudience;
        let (is_meant, others) = match claims.get("aud") {
            Some(Value::String(audience)) => (audience == client, 0),
            Some(Value::Array(_)) if defect.is("an_id_token_may_name_its_client_in_each_way") => {
                let several = claims["aud"].as_array().map_or(0, Vec::len);
                (several > 1, several)
            }
            Some(Value::Array(list)) => {
                (list.iter().any(|it| it == client), list.iter().filter(|it| *it != client).count())
            }
            _ => return Err(rejected(wrong)),
        };
        let is_meant = is_meant
            || defect.is("an_id_token_for_another_client_is_refused")
                && purpose == Purpose::Login
                && text("aud") == Some("another-client");
        if !is_meant {
            return Err(rejected(wrong));
        }
        match text("azp") {
            Some(party) => {
                let case = "an_id_token_of_another_authorized_party_is_refused";
                defect.check(case, party == client, wrong)
            }
            None => {
                let case = "an_id_token_for_several_clients_needs_an_authorized_party";
                defect.check(case, others == 0, wrong)
            }
        }
    }

    fn check_times(&self, claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<()> {
        let defect = self.defect;
        let now = self.now();
        let is_lax = defect.is("an_id_token_with_a_claim_of_another_type_is_refused");
        let exp = match claims.get("exp") {
            Some(Value::String(_)) if is_lax => FAR,
            _ => seconds(claims, "exp")?,
        };
        let is_lax = defect.is("an_id_token_that_has_expired_is_refused")
            && expected.login.is_some()
            && (now.saturating_sub(7200)..now.saturating_sub(1800)).contains(&exp);
        let leeway = match defect.is("an_id_token_is_judged_with_the_leeway") {
            true => 0,
            false => LEEWAY,
        };
        if now >= exp + leeway && !is_lax {
            return Err(rejected(TokenFault::Expired));
        }
        let iat = match claims.get("iat") {
            None if defect.is("an_id_token_without_a_required_claim_is_refused") => now,
            _ => seconds(claims, "iat")?,
        };
        let case = "an_id_token_from_the_future_is_refused";
        defect.check(case, iat <= now + LEEWAY, TokenFault::IssuedInFuture)?;
        match claims.get("sub").map(Value::as_str) {
            Some(Some(sub)) if !sub.is_empty() => Ok(()),
            _ => Err(rejected(TokenFault::MissingClaim)),
        }
    }

    fn check_login(&self, claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<()> {
        let defect = self.defect;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if let Some(given) = text("at_hash") {
            let digest = Sha256::digest(expected.access_token);
            let own = URL_SAFE_NO_PAD.encode(&digest[..16]);
            let is_own = given == own
                && !defect.is("an_id_token_with_the_hash_of_its_access_token_is_taken");
            let case = "an_id_token_with_the_hash_of_another_access_token_is_refused";
            let is_lax = defect.is(case) && expected.login.is_some();
            if !is_own && !is_lax {
                return Err(rejected(TokenFault::WrongHash));
            }
        }
        let Some(login) = expected.login else { return Ok(()) };
        self.check_nonce(text("nonce"), login)?;
        self.check_age(claims, login)?;
        match (&self.trust.assurance, text("acr")) {
            (None, _) => Ok(()),
            (Some(_), None) => {
                let case = "a_login_in_an_unknown_way_is_refused_where_one_is_configured";
                defect.check(case, false, TokenFault::WrongAssurance)
            }
            (Some(wanted), Some(acr)) => {
                let case = "a_login_in_another_way_than_is_configured_is_refused";
                defect.check(case, wanted == acr, TokenFault::WrongAssurance)
            }
        }
    }

    fn check_nonce(&self, given: Option<&str>, login: &Login) -> Result<()> {
        let Some(given) = given else {
            let case = "g2_an_id_token_without_nonce_is_refused";
            return self.defect.check(case, false, TokenFault::WrongNonce);
        };
        if given == login.nonce {
            return Ok(());
        }
        let memory = self.shared.lock();
        let other = memory.logins.iter().find(|other| other.nonce == given);
        let case = match other {
            Some(other) if other.browser == login.browser => {
                "g2_the_nonce_of_another_login_is_refused"
            }
            Some(_) => "",
            None => "g2_an_id_token_with_another_nonce_is_refused",
        };
        self.defect.check(case, false, TokenFault::WrongNonce)
    }

    fn check_age(&self, claims: &Map<String, Value>, login: &Login) -> Result<()> {
        let (longest, case) = match (login.asked_age, self.trust.max_age) {
            (Some(asked), _) => (asked, "a_login_older_than_was_asked_for_is_refused"),
            (None, Some(set)) => (set.as_secs(), "a_login_older_than_is_configured_is_refused"),
            (None, None) => return Ok(()),
        };
        let Some(at) = claims.get("auth_time").and_then(Value::as_u64) else {
            let case = "a_login_of_unknown_age_is_refused_where_its_age_was_asked_for";
            return self.defect.check(case, false, TokenFault::MissingClaim);
        };
        let is_recent = self.now() <= at.saturating_add(longest).saturating_add(LEEWAY);
        self.defect.check(case, is_recent, TokenFault::TooOld)
    }
}
