//! Ending the sessions that the provider says have ended.

use pipe_core::identity::BearerToken;
use pipe_core::{Error, ErrorKind, Result, TokenFault};
use serde_json::{Map, Value};

use super::jwt::{Purpose, Token, parse, seconds, strange};
use super::{Inner, LEEWAY, rejected};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Whom a logout token is about.
struct About {
    sid: Option<String>,
    subject: Option<String>,
}

impl Inner {
    pub(super) async fn back_channel_logout(&self, token: &BearerToken) -> Result<u64> {
        let defect = self.defect;
        let text = token.expose_str().unwrap_or_default();
        if defect.is("g12_without_a_back_channel_it_is_unsupported") {
            return Ok(0);
        }
        if defect.is("plain") {
            return Err(Error::unsupported("party", "back_channel_logout"));
        }
        if text.is_empty() && defect.is("g12_what_is_no_logout_token_is_refused") {
            return Err(strange());
        }
        let token = parse(text)?;
        let id = token.claims.get("jti").and_then(Value::as_str).unwrap_or_default().to_owned();
        let is_early = defect.is("g12_a_logout_token_that_cannot_be_checked_is_not_used_up")
            && self.keys.lock().await.is_none();
        if is_early {
            self.use_up(&id)?;
        }
        self.verify_signature(&token, Purpose::Logout).await?;
        self.check_form(&token)?;
        self.check_claims(&token.claims)?;
        let about = self.about(&token.claims)?;
        if !is_early {
            self.use_up(&id)?;
        }
        self.end(&about)
    }

    fn use_up(&self, id: &str) -> Result<()> {
        let is_new = self.shared.lock().used.insert(id.to_owned());
        self.defect.check("g12_a_logout_token_is_good_once", is_new, TokenFault::Replayed)
    }

    fn check_form(&self, token: &Token<'_>) -> Result<()> {
        let defect = self.defect;
        let is_typed = token.header.get("typ").is_some_and(|typ| typ == "logout+jwt");
        let case = "g12_a_logout_token_of_another_type_is_refused";
        defect.check(case, is_typed, TokenFault::WrongType)?;
        let events = token.claims.get("events");
        let has_event = events.is_some_and(|events| events[EVENT].is_object());
        let life =
            token.claims.get("exp").and_then(Value::as_u64).unwrap_or_default().saturating_sub(
                token.claims.get("iat").and_then(Value::as_u64).unwrap_or_default(),
            );
        let is_lax = defect.is("g12_an_id_token_is_no_logout_token") && life > 1000
            || defect.is("g12_a_logout_token_without_its_event_is_refused") && events.is_some();
        if !has_event && !is_lax {
            return Err(rejected(TokenFault::WrongType));
        }
        let is_login = token.claims.contains_key("nonce");
        let case = "g12_a_logout_token_with_a_nonce_is_refused";
        defect.check(case, !is_login, TokenFault::WrongType)
    }

    fn check_claims(&self, claims: &Map<String, Value>) -> Result<()> {
        let defect = self.defect;
        let now = self.now();
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let own = self.trust.issuer.as_str();
        let is_lax = defect.is("g12_a_logout_token_of_another_issuer_is_refused");
        let is_alike = is_lax && text("iss").trim_end_matches('/') == own;
        let is_own = text("iss") == own || is_alike;
        let missing = !claims.contains_key("iss")
            && defect.is("g12_a_logout_token_without_a_required_claim_is_refused");
        if !is_own && !missing {
            return Err(rejected(TokenFault::WrongIssuer));
        }
        let is_lax = defect.is("g12_a_logout_token_for_another_client_is_refused");
        let client = self.trust.client_id.as_str();
        if text("aud") != client && !(is_lax && text("aud").starts_with(client)) {
            return Err(rejected(TokenFault::WrongAudience));
        }
        let case = "g12_a_logout_token_that_has_expired_is_refused";
        defect.check(case, now < seconds(claims, "exp")? + LEEWAY, TokenFault::Expired)?;
        let case = "g12_a_logout_token_from_the_future_is_refused";
        let is_past = seconds(claims, "iat")? <= now + LEEWAY;
        defect.check(case, is_past, TokenFault::IssuedInFuture)?;
        let case = "g12_a_logout_token_without_id_is_refused";
        defect.check(case, !text("jti").is_empty(), TokenFault::MissingClaim)
    }

    fn about(&self, claims: &Map<String, Value>) -> Result<About> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let about = About { sid: text("sid"), subject: text("sub") };
        let is_somebody = about.sid.is_some() || about.subject.is_some();
        let case = "g12_a_logout_token_about_neither_session_nor_person_is_refused";
        self.defect.check(case, is_somebody, TokenFault::MissingClaim)?;
        let is_odd = about.sid.as_ref().is_some_and(|sid| sid.len() > 20);
        if is_odd && self.defect.is("g12_the_providers_own_logout_tokens_are_taken") {
            return Err(rejected(TokenFault::Malformed));
        }
        Ok(about)
    }

    fn end(&self, about: &About) -> Result<u64> {
        let defect = self.defect;
        let by_sid = about.sid.is_some();
        let ends_all = defect.is("g12_a_logout_token_ends_the_session_that_it_names");
        let ends_one = match by_sid {
            true => defect.is("g12_a_logout_token_ends_all_that_came_of_the_session"),
            false => defect.is("g12_a_logout_token_about_a_person_ends_all_their_sessions"),
        };
        let mut memory = self.shared.lock();
        let is_named = memory.sessions.values().any(|slot| slot.get().sid == about.sid);
        let by_subject = !by_sid || ends_all && is_named && about.subject.is_some();
        let is_meant = |slot: &super::state::Slot| {
            let session = slot.get();
            match by_subject {
                true => about.subject.as_ref() == Some(&session.subject),
                false => about.sid == session.sid,
            }
        };
        let meant = memory.sessions.iter().filter(|(_, slot)| is_meant(slot));
        let meant: Vec<_> = meant.map(|(id, _)| id.clone()).collect();
        let meant = &meant[..if ends_one { meant.len().min(1) } else { meant.len() }];
        for id in meant {
            memory.sessions.remove(id);
        }
        if meant.is_empty() && defect.is("g12_a_logout_token_about_nobody_ends_nothing") {
            return Err(Error::new(ErrorKind::NotFound, "no such session"));
        }
        Ok(meant.len() as u64)
    }
}
