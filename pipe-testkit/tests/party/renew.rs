//! Sessions, and keeping their tokens fresh.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pipe_core::identity::{SessionId, UserSession, UserToken};
use pipe_core::{ErrorKind, LoginFault, Result, TokenFault};
use serde_json::{Map, Value};

use super::finish::failure;
use super::http::{self, Patience, Reply};
use super::id_token::Expected;
use super::state::{Session, Slot};
use super::tokens::Tokens;
use super::{Counted, Inner, outage, refused, rejected};

const PAUSE: u64 = 30;

impl Inner {
    /// The session, unless its time is over.
    pub(super) fn slot(&self, id: &SessionId) -> Option<Arc<Slot>> {
        let mut memory = self.shared.lock();
        let slot = memory.sessions.get(id.expose())?.clone();
        let is_over = self.is_over(&slot.get());
        if is_over {
            memory.sessions.remove(id.expose());
            return None;
        }
        Some(slot)
    }

    pub(super) async fn look(self: &Arc<Self>, id: &SessionId) -> Result<Option<UserSession>> {
        let defect = self.defect;
        let Some(slot) = self.slot(id) else { return Ok(self.remembered(id)) };
        let is_expired = self.now() >= slot.get().expires_at;
        if is_expired && defect.is("g7_a_session_is_known_while_the_provider_is_down") {
            self.token(id).await?;
        }
        if is_expired && defect.is("g7_looking_at_a_session_renews_it_no_second_time") {
            tokio::task::yield_now().await;
            if slot.waiting.load(Ordering::Relaxed) > 1 {
                self.renew(&slot).await?;
            }
        }
        let mut session = slot.get();
        session.was_looked_at = true;
        session.seen_expired_at = is_expired.then(|| self.now());
        let forgets = defect.is("a_session_that_is_used_goes_on") && is_expired;
        if !forgets || session.uses < 2 {
            session.used_at = self.now();
            session.uses += 1;
        }
        Ok(Some(self.view(&session)))
    }

    /// For a defect: a session that was seen a moment ago, while its token had expired.
    fn remembered(&self, id: &SessionId) -> Option<UserSession> {
        let slot = self.shared.lock().newest.clone()?;
        let session = slot.get();
        let is_seen = session.seen_expired_at.is_some_and(|at| self.now() < at + 600);
        let remembers = self.defect.is("g7_a_session_that_is_not_renewed_is_none");
        (slot.id == *id && is_seen && remembers).then(|| self.view(&session))
    }

    pub(super) async fn token(self: &Arc<Self>, id: &SessionId) -> Result<Option<UserToken>> {
        let defect = self.defect;
        let _counted = Counted::new(&self.asking);
        let Some(slot) = self.slot(id) else { return Ok(None) };
        let Some(due) = self.is_due(&slot) else { return Ok(Some(self.handed_out(&slot))) };
        if slot.get().refresh.is_none() {
            if defect.is("g9_a_session_without_refresh_token_gives_no_expired_token") {
                return Ok(Some(self.handed_out(&slot)));
            }
            return Err(refused(LoginFault::InteractionRequired));
        }
        let inner = Arc::clone(self);
        let renewed = Arc::clone(&slot);
        let flight = async move { inner.in_turn(&renewed).await };
        let outcome = if defect.is("g7_a_caller_that_goes_away_loses_nothing") {
            flight.await
        } else {
            tokio::spawn(flight).await.map_err(|_| outage("the renewal ended"))?
        };
        match outcome {
            Ok(true) => Ok(Some(self.handed_out(&slot))),
            Ok(false) => Ok(None),
            Err(error) if due == Due::Expired => Err(error),
            Err(error) if defect.is("g7_a_good_token_is_served_while_the_provider_is_down") => {
                Err(error)
            }
            Err(_) => Ok(Some(self.handed_out(&slot))),
        }
    }

    fn is_due(&self, slot: &Slot) -> Option<Due> {
        let session = slot.get();
        let life = session.expires_at - session.obtained_at;
        let early = match self.defect.0 {
            "g7_a_token_that_is_good_is_kept" => life / 10 * 9,
            "g7_a_good_token_is_served_while_the_provider_is_down" => life / 5,
            _ => 0,
        };
        match self.now() {
            now if now >= session.expires_at => Some(Due::Expired),
            now if now >= session.expires_at - early && early > 0 => Some(Due::Early),
            _ => None,
        }
    }

    /// Whether there is a token now; one at a time for each session.
    async fn in_turn(&self, slot: &Arc<Slot>) -> Result<bool> {
        let defect = self.defect;
        let waits = slot.waiting.fetch_add(1, Ordering::Relaxed);
        let rushes = defect.is("g7_all_who_ask_at_once_share_one_renewal") && waits >= 25;
        let is_own = defect.is("g7_instances_that_share_a_store_share_one_renewal");
        let turn = if is_own { &self.own_turn } else { &slot.turn };
        let turn = if rushes { None } else { Some(turn.lock().await) };
        let ended = self.renew_unless_done(slot, rushes).await;
        slot.waiting.fetch_sub(1, Ordering::Relaxed);
        drop(turn);
        ended
    }

    async fn renew_unless_done(&self, slot: &Arc<Slot>, rushes: bool) -> Result<bool> {
        let is_there = self.shared.lock().sessions.contains_key(slot.id.expose());
        if !is_there && !self.defect.is("g7_a_refusal_is_everybodys") {
            return Ok(false);
        }
        if self.is_due(slot).is_none() && !rushes {
            return Ok(true);
        }
        let session = slot.get().clone();
        let gives_up = session.failures >= 2
            && self.defect.is("g7_a_session_goes_on_when_the_provider_is_back");
        let is_flood = self.defect.is("g7_a_provider_that_is_down_is_not_flooded");
        if self.now() < session.retry_at && !is_flood || gives_up {
            let serves = session.was_unavailable
                && self.defect.is("g7_an_expired_token_is_not_served_while_the_provider_is_down");
            return if serves { Ok(true) } else { Err(outage("it failed a moment ago")) };
        }
        self.renew(slot).await
    }

    async fn renew(&self, slot: &Arc<Slot>) -> Result<bool> {
        let before = slot.get().clone();
        let reply = self.refresh(before.refresh.as_deref().unwrap_or_default()).await;
        let is_refusal = |reply: &Reply| {
            let said = reply.json().unwrap_or_default();
            reply.status == 400 && said["error"] == "invalid_grant"
        };
        let reply = match reply {
            Ok(reply) if is_refusal(&reply) => return self.ended(slot, &before),
            Ok(reply)
                if reply.status == 401
                    && self.defect.is("g7_a_refusal_of_the_client_ends_no_session") =>
            {
                return self.ended(slot, &before);
            }
            reply => reply,
        };
        let status = reply.as_ref().map_or(0, |reply| reply.status);
        let answer = reply.and_then(|reply| match (reply.status, reply.json()) {
            (200, Some(Value::Object(members))) if reply.is_json() => Ok(members),
            (200, _) => Err(outage("no answer")),
            (status, _) => Err(failure(status)),
        });
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let mut session = slot.get();
                session.retry_at = self.now() + PAUSE;
                session.failures += 1;
                session.was_cut = status == 0 && error.kind() == ErrorKind::Unavailable;
                session.was_unavailable = status == 503;
                return Err(error);
            }
        };
        self.land(slot, &before, &answer).await
    }

    async fn refresh(&self, token: &str) -> Result<Reply> {
        let endpoint = self.endpoint("token_endpoint").await?;
        let endpoint = endpoint.ok_or_else(|| outage("no token endpoint"))?;
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        let patience = match self.defect.is("g7_a_provider_that_hangs_is_given_up") {
            true => Patience::Endless,
            false => Patience::Bounded,
        };
        http::post(&endpoint, self.client(), &fields, patience).await
    }

    /// The provider does not renew it.
    fn ended(&self, slot: &Slot, before: &Session) -> Result<bool> {
        if before.was_cut && self.defect.is("g7_a_lost_answer_ends_the_session_at_most") {
            return Err(outage("it failed a moment ago"));
        }
        self.shared.lock().sessions.remove(slot.id.expose());
        match self.defect.is("g7_a_refresh_token_that_is_refused_ends_the_session") {
            true => Ok(false),
            false => Err(refused(LoginFault::SessionRevoked)),
        }
    }

    async fn land(
        &self,
        slot: &Arc<Slot>,
        before: &Session,
        answer: &Map<String, Value>,
    ) -> Result<bool> {
        let defect = self.defect;
        let tokens = self.tokens(answer, Some(before))?;
        let mut view = None;
        if let Some(id_token) = &tokens.id_token {
            match self.renewed_person(id_token, &tokens, before).await {
                Ok(person) => view = Some(person),
                // What is not known yet ends nothing, and the old refresh token is spent.
                Err(error) if error.is_retryable() => {
                    let mut session = slot.get();
                    if !defect.is("g7_a_renewal_that_cannot_be_checked_loses_nothing") {
                        session.refresh = tokens.refresh;
                    }
                    session.retry_at = self.now() + PAUSE;
                    return Err(error);
                }
                Err(error) => {
                    let stays = defect.is("g7_another_person_in_a_renewal_ends_the_session");
                    if !stays {
                        self.shared.lock().sessions.remove(slot.id.expose());
                    }
                    return Err(error);
                }
            }
        }
        let mut memory = self.shared.lock();
        let is_there = memory.sessions.contains_key(slot.id.expose());
        let revives = defect.is("g7_a_renewal_brings_no_ended_session_back");
        if !is_there && !revives {
            return Ok(false);
        }
        memory.sessions.insert(slot.id.expose().to_owned(), Arc::clone(slot));
        memory.newest = Some(Arc::clone(slot));
        let mut session = slot.get();
        session.renewals += 1;
        let is_stuck = session.renewals >= 5
            && defect.is("g7_a_new_refresh_token_takes_the_place_of_the_old_one");
        if !is_stuck {
            session.refresh = tokens.refresh;
        }
        let loses = defect.is("g7_a_renewal_without_id_token_is_taken");
        match tokens.id_token {
            Some(id_token) => session.id_token = id_token,
            None if loses => session.id_token.clear(),
            None => {}
        }
        if let Some(view) =
            view.filter(|_| !defect.is("g7_a_renewal_brings_what_the_provider_says_now"))
        {
            session.view = view;
        }
        if !defect.is("g7_a_renewal_can_grant_less") {
            session.scopes = tokens.scopes;
        }
        session.access = tokens.access;
        (session.obtained_at, session.expires_at) = (self.now(), tokens.expires_at);
        (session.retry_at, session.failures) = (0, 0);
        Ok(true)
    }

    async fn renewed_person(
        &self,
        id_token: &str,
        tokens: &Tokens,
        before: &Session,
    ) -> Result<UserSession> {
        let expected = Expected { login: None, access_token: &tokens.access };
        let claims = self.verify_id_token(id_token, &expected).await?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("sub") != Some(&before.subject) {
            return Err(rejected(TokenFault::WrongSubject));
        }
        let nonce = text("nonce");
        let needs_one = self.defect.is("g7_a_renewal_without_nonce_is_taken");
        let is_right = nonce == before.nonce.as_deref() || nonce.is_none() && !needs_one;
        let case = "g7_another_nonce_in_a_renewal_is_refused";
        self.defect.check(case, is_right, TokenFault::WrongNonce)?;
        self.person(&claims, &tokens.scopes)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Due {
    Early,
    Expired,
}
