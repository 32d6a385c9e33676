//! Token answers, and what is handed out of them.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use pipe_core::identity::{BearerToken, UserToken};
use pipe_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use super::Inner;
use super::groups::time;
use super::state::{Session, Slot};

const DAY: u64 = 24 * 3600;

/// What a token answer holds.
pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: Option<String>,
    pub(super) id_token: Option<String>,
    pub(super) scopes: BTreeSet<String>,
    pub(super) expires_at: u64,
}

impl Inner {
    /// Reads a token answer.
    pub(super) fn tokens(
        &self,
        answer: &Map<String, Value>,
        before: Option<&Session>,
    ) -> Result<Tokens> {
        let defect = self.defect;
        let unexpected = |what: &'static str| Error::new(ErrorKind::Unexpected, what);
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        let access = match text("access_token") {
            None if defect.is("g9_an_answer_without_access_token_is_refused") => String::new(),
            token => token.ok_or_else(|| unexpected("no access token"))?,
        };
        let kind = text("token_type").unwrap_or_default();
        let is_strict = defect.is("g9_the_type_of_a_token_is_read_without_case");
        let is_bearer = match is_strict {
            true => kind == "Bearer",
            false => kind.eq_ignore_ascii_case("bearer"),
        };
        let is_taken = kind == "mac" && defect.is("g9_a_token_of_another_type_is_refused");
        if !is_bearer && !is_taken {
            return Err(unexpected("a token of another type"));
        }
        let life = match answer.get("expires_in") {
            None if defect.is("g9_a_token_without_lifetime_is_not_good_for_ever") => DAY,
            None => 300,
            Some(value) => match value.as_u64() {
                Some(life) if defect.is("g9_an_odd_lifetime_is_not_believed") => life.min(1 << 40),
                Some(life) => life.min(DAY),
                None => 0,
            },
        };
        if life == 0 {
            return Err(unexpected("a token that does not live"));
        }
        let asked = self.trust.scopes.iter().cloned().collect();
        let scopes = match text("scope") {
            Some(_)
                if before.is_none()
                    && defect.is("g9_a_scope_that_was_not_granted_is_not_claimed") =>
            {
                asked
            }
            Some(scope) => scope.split(' ').map(str::to_owned).collect(),
            None if defect.is("g9_silence_about_scopes_grants_what_was_asked_for") => {
                BTreeSet::new()
            }
            None => before.map_or(asked, |before| before.scopes.clone()),
        };
        let given = text("refresh_token");
        let old = before.and_then(|before| before.refresh.clone());
        let refresh = match given {
            Some(same)
                if Some(&same) == old.as_ref()
                    && defect.is("g7_a_provider_may_keep_its_refresh_token") =>
            {
                None
            }
            None if defect.is("g7_an_answer_without_refresh_token_keeps_the_old_one") => None,
            None => old,
            given => given,
        };
        let expires_at = self.now() + life;
        Ok(Tokens { access, refresh, id_token: text("id_token"), scopes, expires_at })
    }

    pub(super) fn handed_out(&self, slot: &Slot) -> UserToken {
        let defect = self.defect;
        let mut session = slot.get().clone();
        let fresh = session.renewals == 0 && session.was_looked_at;
        match defect.0 {
            "g1_a_person_logs_in" if fresh => session.expires_at = self.now(),
            "g7_a_token_that_expired_is_renewed" if session.renewals > 0 => {
                session.expires_at = self.now();
            }
            "two_people_are_never_taken_for_each_other" => {
                if let Some(other) = self.other_of_the_browser(slot, &session) {
                    session.access = other;
                }
            }
            "sessions_that_are_renewed_at_once_are_told_apart"
                if self.asking.load(Ordering::Relaxed) > 60 =>
            {
                if let Some(newest) = self.shared.lock().newest.clone()
                    && newest.id != slot.id
                {
                    session.access = newest.get().access.clone();
                }
            }
            _ => {}
        }
        let token = BearerToken::new(session.access.as_str());
        UserToken::new(token, time(session.expires_at), session.scopes)
    }

    fn other_of_the_browser(&self, slot: &Slot, session: &Session) -> Option<String> {
        let others: Vec<_> = self.shared.lock().sessions.values().cloned().collect();
        let others =
            others.iter().filter(|other| other.id != slot.id).map(|other| other.get().clone());
        let mut alike = others
            .filter(|other| other.browser == session.browser && other.subject != session.subject);
        alike.next().map(|other| other.access)
    }
}
