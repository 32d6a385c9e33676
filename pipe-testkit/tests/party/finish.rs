//! Turning what a browser brings back into a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pipe_core::identity::{LoggedIn, LoginCallback, ReturnTo, SessionId};
use pipe_core::{Error, ErrorKind, LoginFault, Result};
use serde_json::{Map, Value};

use super::http::{self, Patience, Reply};
use super::id_token::Expected;
use super::state::{Login, Session, Slot};
use super::{Counted, Inner, outage, refused};

impl Inner {
    pub(super) async fn finish(&self, callback: &LoginCallback) -> Result<LoggedIn> {
        let _counted = Counted::new(&self.finishing);
        let finished = self.try_to_finish(callback).await;
        if let Some(old) = &callback.session {
            let fails = self.defect.is("the_old_session_stays_when_its_browser_fails_to_log_in");
            let stays = self.defect.is("the_old_session_ends_when_its_browser_logs_in_again");
            let is_new = finished.as_ref().is_ok_and(|it| it.id == *old);
            if (finished.is_ok() || fails) && !stays && !is_new {
                self.shared.lock().sessions.remove(old.expose());
            }
        }
        finished
    }

    async fn try_to_finish(&self, callback: &LoginCallback) -> Result<LoggedIn> {
        let defect = self.defect;
        let answer = self.read(callback)?;
        let says_no = |error: &str| self.meaning(error);
        if defect.is("g8_an_error_in_another_browser_is_refused")
            && callback.browser.is_none()
            && let Some(error) = &answer.error
        {
            return Err(says_no(error));
        }
        let Some(login) = self.begun(callback, &answer) else {
            self.end_what_came_of(answer.code.as_deref());
            return Err(refused(LoginFault::UnknownLogin));
        };
        if defect.is("g4_an_error_of_another_issuer_is_refused")
            && let Some(error) = &answer.error
        {
            return Err(says_no(error));
        }
        if defect.is("h2_no_secret_of_a_login_is_shown") {
            tracing::trace!(state = login.state, "a login ends");
        }
        self.check_issuer(answer.issuer.as_deref()).await?;
        let both = defect.is("g1_an_answer_has_a_code_or_an_error") && answer.code.is_some();
        if let Some(error) = &answer.error
            && !both
        {
            return Err(match answer.code {
                Some(_) => refused(LoginFault::Malformed),
                None => says_no(error),
            });
        }
        let code = answer.code.as_deref().filter(|code| !code.is_empty());
        let code = code.ok_or_else(|| refused(LoginFault::Malformed))?;
        if self.shared.lock().codes.contains_key(code) {
            self.end_what_came_of(Some(code));
            return Err(refused(LoginFault::UnknownLogin));
        }
        let tokens = self.exchange(code, &login).await?;
        let id = self.begin_session(callback, &login, code, &tokens).await?;
        let session = self.shared.lock().sessions[id.expose()].get().clone();
        let path = match login.return_to.split_once('?') {
            Some((path, _)) if defect.is("g1_the_person_returns_where_they_wanted_to_go") => path,
            _ => &login.return_to,
        };
        let return_to = ReturnTo::parse(path).expect("it was one");
        Ok(LoggedIn::new(id, self.view(&session)).with_return_to(return_to))
    }

    async fn exchange(&self, code: &str, login: &Login) -> Result<Map<String, Value>> {
        let reply = self.ask_for_tokens(code, &login.verifier).await?;
        let said = reply.json().unwrap_or_default();
        let is_grant = reply.status == 400 && said["error"] == "invalid_grant";
        if is_grant && self.defect.is("g3_the_code_of_another_login_is_refused") {
            let others = self.shared.lock().verifiers.clone();
            for verifier in others {
                let reply = self.ask_for_tokens(code, &verifier).await?;
                if reply.status == 200 {
                    return self.granted(&reply);
                }
            }
        }
        if is_grant {
            return Err(self.code_refused(code, login, &reply));
        }
        self.granted(&reply)
    }

    fn code_refused(&self, code: &str, login: &Login, reply: &Reply) -> Error {
        let is_cached = !reply.head.to_ascii_lowercase().contains("no-store");
        let is_old = self.now() >= login.began_at + 60;
        match self.defect.0 {
            "g6_a_code_that_has_expired_is_refused" if is_old => refused(LoginFault::AccessDenied),
            "g6_a_code_that_nobody_gave_is_refused" if code.len() < 10 => {
                refused(LoginFault::Malformed)
            }
            "g8_a_code_that_the_provider_does_not_take_is_typed" if is_cached => {
                Error::new(ErrorKind::Unexpected, "no answer")
            }
            _ => refused(LoginFault::CodeRefused),
        }
    }

    async fn ask_for_tokens(&self, code: &str, verifier: &str) -> Result<Reply> {
        let endpoint = self.endpoint("token_endpoint").await?;
        let endpoint = endpoint.ok_or_else(|| outage("no token endpoint"))?;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", self.redirect_uri()),
        ];
        let patience = match self.defect.is("g8_a_token_endpoint_that_hangs_is_given_up") {
            true => Patience::Endless,
            false => Patience::Bounded,
        };
        let reply = http::post(&endpoint, self.client(), &fields, patience).await;
        if self.defect.is("h2_no_verifier_is_shown") {
            tracing::debug!(verifier, "a code was exchanged");
        }
        reply
    }

    /// What was granted, when it was.
    fn granted(&self, reply: &Reply) -> Result<Map<String, Value>> {
        let defect = self.defect;
        match (reply.status, reply.json()) {
            (401, _) if defect.is("g8_a_client_that_is_not_known_is_no_fault_of_the_person") => {
                Err(refused(LoginFault::CodeRefused))
            }
            (503, _) if defect.is("g8_an_outage_of_the_token_endpoint_is_no_refusal") => {
                Err(refused(LoginFault::CodeRefused))
            }
            (200, Some(Value::Null)) if defect.is("g9_what_is_no_token_answer_is_refused") => {
                Err(refused(LoginFault::Malformed))
            }
            (200, Some(Value::Object(members))) if reply.is_json() => Ok(members),
            _ => Err(failure(reply.status)),
        }
    }

    async fn begin_session(
        &self,
        callback: &LoginCallback,
        login: &Login,
        code: &str,
        answer: &Map<String, Value>,
    ) -> Result<SessionId> {
        let defect = self.defect;
        let tokens = self.tokens(answer, None)?;
        let Some(id_token) = tokens.id_token.as_deref() else {
            return Err(match defect.is("g9_an_answer_without_id_token_is_refused") {
                true => refused(LoginFault::Malformed),
                false => Error::new(ErrorKind::Unexpected, "no ID token"),
            });
        };
        let expected = Expected { login: Some(login), access_token: &tokens.access };
        let claims = self.verify_id_token(id_token, &expected).await?;
        let mut view = self.person(&claims, &tokens.scopes)?;
        if defect.is("an_email_address_decides_nothing") {
            self.mix_by_email(&mut view);
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let id = self.id_of(callback, text("sub").as_deref().unwrap_or_default());
        let session = Session {
            browser: login.browser.clone(),
            subject: text("sub").unwrap_or_default(),
            sid: text("sid"),
            nonce: text("nonce"),
            view,
            access: tokens.access,
            refresh: tokens.refresh,
            id_token: id_token.to_owned(),
            scopes: tokens.scopes,
            obtained_at: self.now(),
            expires_at: tokens.expires_at,
            began_at: self.now(),
            used_at: self.now(),
            retry_at: 0,
            failures: 0,
            renewals: 0,
            uses: 0,
            was_cut: false,
            was_unavailable: false,
            was_looked_at: false,
            seen_expired_at: None,
        };
        if defect.is("h2_no_secret_of_a_session_is_shown") {
            tracing::debug!(token = session.refresh, "a session begins");
        }
        if defect.is("h1_nothing_personal_is_shown") {
            tracing::debug!(name = session.view.profile.name, "a session begins");
        }
        let slot = Slot {
            id: id.clone(),
            session: session.into(),
            turn: tokio::sync::Mutex::default(),
            waiting: AtomicUsize::new(0),
        };
        let mut memory = self.shared.lock();
        let came_twice = !memory.exchanging.remove(code);
        if came_twice && !defect.is("g6_a_code_that_comes_twice_at_once_ends_its_login") {
            return Err(refused(LoginFault::UnknownLogin));
        }
        memory.codes.insert(code.to_owned(), id.expose().to_owned());
        memory.known.insert(id.expose().to_owned());
        let slot = Arc::new(slot);
        if defect.is("people_who_log_in_at_once_are_told_apart")
            && self.finishing.load(Ordering::Relaxed) > 15
            && let Some(newest) = &memory.newest
        {
            slot.get().view = newest.get().view.clone();
        }
        memory.newest = Some(Arc::clone(&slot));
        memory.sessions.insert(id.expose().to_owned(), slot);
        Ok(id)
    }

    fn id_of(&self, callback: &LoginCallback, subject: &str) -> SessionId {
        let memory = self.shared.lock();
        if self.defect.is("g1_an_id_from_before_a_login_is_not_the_sessions")
            && let Some(given) = &callback.session
            && !memory.known.contains(given.expose())
        {
            return given.clone();
        }
        let own = memory.sessions.values().filter(|slot| slot.get().subject == subject);
        let own: Vec<_> = own.collect();
        if self.defect.is("each_login_has_a_session_of_its_own") && own.len() >= 4 {
            return own[0].id.clone();
        }
        SessionId::generate().expect("random numbers")
    }
}

/// What a status means that grants nothing.
pub(super) fn failure(status: u16) -> Error {
    match status {
        401 => Error::new(ErrorKind::Unauthenticated, "the client is not accepted"),
        429 => Error::new(ErrorKind::RateLimited, "too many requests"),
        500.. => outage("the provider cannot serve"),
        _ => Error::new(ErrorKind::Unexpected, "no answer"),
    }
}
