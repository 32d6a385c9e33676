//! What a browser brings back.

use pipe_core::identity::LoginCallback;
use pipe_core::{Error, ErrorKind, LoginFault, Result};

use super::state::Login;
use super::{Inner, outage, refused};

/// What came back, each once.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) state: Option<String>,
    pub(super) code: Option<String>,
    pub(super) error: Option<String>,
    pub(super) issuer: Option<String>,
}

impl Inner {
    pub(super) fn read(&self, callback: &LoginCallback) -> Result<Answer> {
        let malformed = || refused(LoginFault::Malformed);
        let query = callback.query.expose_str().ok_or_else(malformed)?;
        if self.defect.is("g1_what_is_no_answer_is_refused") && !query.contains('=') {
            return Err(Error::new(ErrorKind::Unexpected, "no query"));
        }
        let mut answer = Answer::default();
        for (name, value) in query.split('&').filter_map(|field| field.split_once('=')) {
            let place = match name {
                "state" => &mut answer.state,
                "code" => &mut answer.code,
                "error" => &mut answer.error,
                "iss" => &mut answer.issuer,
                _ => continue,
            };
            match place {
                None => *place = Some(decoded(value).ok_or_else(malformed)?),
                Some(_) if self.defect.is("g1_an_answer_with_a_parameter_twice_is_refused") => {}
                Some(_) => return Err(malformed()),
            }
        }
        Ok(answer)
    }

    /// The login that this browser began, which is taken.
    pub(super) fn begun(&self, callback: &LoginCallback, answer: &Answer) -> Option<Login> {
        let defect = self.defect;
        let browser = callback.browser.as_ref()?;
        let state = match answer.state.as_deref() {
            None => return None,
            Some("") if !defect.is("g1_an_answer_without_state_is_refused") => return None,
            Some(state) => state,
        };
        let mut memory = self.shared.lock();
        let is_it = |login: &Login| {
            let is_own = login.browser == browser.expose()
                || defect.is("g1_another_browser_cannot_finish_a_login");
            let is_here = !defect.is("instances_that_share_a_store_share_sessions")
                || login.instance == self as *const Self as usize;
            let is_named = login.state == state
                || state.is_empty()
                || defect.is("g1_an_answer_with_another_state_is_refused")
                    && login.state.eq_ignore_ascii_case(state);
            is_own && is_here && is_named
        };
        let index = memory.logins.iter().position(is_it)?;
        let login = memory.logins[index].clone();
        if !defect.is("g1_a_state_is_good_once") {
            memory.logins.remove(index);
        }
        let mut life = self.trust.login_time.as_secs();
        if defect.is("g1_a_login_has_its_time") {
            life /= 2;
        }
        if let Some(code) = &answer.code
            && !memory.exchanging.insert(code.clone())
        {
            return None;
        }
        let is_in_time = self.now() < login.began_at + life;
        (is_in_time || defect.is("g1_a_login_expires")).then_some(login)
    }

    pub(super) fn end_what_came_of(&self, code: Option<&str>) {
        let mut memory = self.shared.lock();
        if let Some(code) = code {
            memory.exchanging.remove(code);
        }
        if self.defect.is("g6_another_code_ends_no_login_under_way") {
            memory.exchanging.clear();
        }
        if self.defect.is("g6_a_callback_that_comes_twice_ends_its_session") {
            return;
        }
        if let Some(id) = code.and_then(|code| memory.codes.get(code).cloned()) {
            memory.sessions.remove(&id);
        }
    }

    pub(super) async fn check_issuer(&self, given: Option<&str>) -> Result<()> {
        let defect = self.defect;
        let metadata = self.metadata().await?;
        let announced = metadata["authorization_response_iss_parameter_supported"] == true;
        let own = self.trust.issuer.as_str();
        let is_right = match given {
            Some(_)
                if !announced
                    && defect.is("g4_another_issuer_is_refused_where_none_is_announced") =>
            {
                true
            }
            Some(given) if defect.is("g4_an_answer_of_another_issuer_is_refused") => {
                given.trim_end_matches('/').eq_ignore_ascii_case(own)
            }
            Some(given) => given == own,
            None if defect.is("g4_an_answer_without_issuer_is_taken_where_it_is_not_announced") => {
                false
            }
            None => {
                !announced
                    || defect.is("g4_an_answer_without_issuer_is_refused_where_it_is_announced")
            }
        };
        if is_right { Ok(()) } else { Err(refused(LoginFault::WrongIssuer)) }
    }

    pub(super) fn meaning(&self, error: &str) -> Error {
        let is_known = !self.defect.is("g8_refusals_of_the_provider_are_typed");
        let fault = match error {
            "access_denied" => LoginFault::AccessDenied,
            "login_required" | "interaction_required" | "consent_required" => {
                LoginFault::InteractionRequired
            }
            "account_selection_required" if is_known => LoginFault::InteractionRequired,
            "server_error" | "temporarily_unavailable"
                if !self.defect.is("g8_an_outage_of_the_provider_is_no_refusal") =>
            {
                return outage("the provider cannot serve");
            }
            _ => LoginFault::ProviderRefused,
        };
        if self.defect.is("g8_what_the_other_side_says_is_not_repeated") {
            return refused(fault).with("error", error);
        }
        refused(fault)
    }
}

/// A part of a query; `None` when it is no text.
fn decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8(decoded).ok()
}
