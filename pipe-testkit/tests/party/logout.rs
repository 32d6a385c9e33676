//! Ending sessions, here and at the provider.

use pipe_core::identity::{LoggedOut, SessionId};
use pipe_core::{Error, ErrorKind, Result};

use super::Inner;
use super::http::{self, Patience};
use super::state::Session;

impl Inner {
    pub(super) async fn log_out(&self, id: &SessionId) -> Result<LoggedOut> {
        let defect = self.defect;
        let slot = self.shared.lock().sessions.remove(id.expose());
        let Some(slot) = slot else {
            let was_known = self.shared.lock().known.contains(id.expose());
            if was_known && defect.is("a_second_logout_is_no_error") {
                return Err(Error::new(ErrorKind::NotFound, "no such session"));
            }
            if !was_known && defect.is("an_unknown_session_is_none") {
                return Ok(LoggedOut::new().with_location("http://127.0.0.1:9/"));
            }
            return Ok(LoggedOut::new());
        };
        let session = slot.get().clone();
        if defect.is("a_session_that_is_logged_out_has_ended") {
            let mut memory = self.shared.lock();
            memory.sessions.retain(|_, other| other.get().subject != session.subject);
        }
        if defect.is("h2_no_secret_is_shown_when_a_session_ends") {
            tracing::debug!(token = session.access, "a session ends");
        }
        let revoked = self.revoke(&session).await;
        if defect.is("a_logout_needs_no_provider") {
            let is_cut = |error: &Error| error.message() == "cut off";
            revoked.or_else(|error| if is_cut(&error) { Err(error) } else { Ok(()) })?;
        }
        Ok(self.where_to_go(&session).await.unwrap_or_default())
    }

    async fn revoke(&self, session: &Session) -> Result<()> {
        let skips = match session.renewals {
            0 => "a_logout_revokes_the_refresh_token",
            _ => "a_logout_revokes_a_refresh_token_that_was_renewed",
        };
        if self.defect.is(skips) {
            return Ok(());
        }
        let Some(token) = &session.refresh else { return Ok(()) };
        let Some(endpoint) = self.endpoint("revocation_endpoint").await? else { return Ok(()) };
        let fields = [("token", token.as_str()), ("token_type_hint", "refresh_token")];
        let patience = match self.defect.is("a_logout_waits_for_no_provider_for_ever") {
            true => Patience::Endless,
            false => Patience::Bounded,
        };
        http::post(&endpoint, self.client(), &fields, patience).await.map(drop)
    }

    async fn where_to_go(&self, session: &Session) -> Result<LoggedOut> {
        let mut endpoint = self.endpoint("end_session_endpoint").await?;
        if self.defect.is("a_logout_leads_nowhere_where_the_provider_does_not_offer_it") {
            endpoint.get_or_insert_with(|| format!("{}/session/end", self.trust.issuer));
        }
        let Some(endpoint) = endpoint.filter(|_| !session.id_token.is_empty()) else {
            return Ok(LoggedOut::new());
        };
        let uri = self.trust.post_logout_redirect_uri.as_str();
        let mut fields = vec![("id_token_hint", session.id_token.as_str())];
        if !self.defect.is("a_logout_leads_to_the_provider_and_back") {
            fields.push(("post_logout_redirect_uri", uri));
        }
        Ok(LoggedOut::new().with_location(format!("{endpoint}?{}", http::form(&fields))))
    }
}
