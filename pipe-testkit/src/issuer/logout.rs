//! Logout: asked for by a client, and told to clients.

use hyper::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::answers::{Refusal, html, see_other, with_header, with_query};
use super::backchannel::{Delivery, deliver_soon};
use super::client::Client;
use super::grants::field;
use super::login::cookie;
use super::requests::{Fields, claims, form, is_signed_by};
use super::state::{State, random};
use super::{TestIssuer, TokenBuilder, members};
use crate::fake::http::{Answer, Call};

/// How long a logout token is good, in seconds.
const LIFETIME: u64 = 120;
/// The event of a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A logout that somebody has to confirm.
pub(super) struct Pending {
    session: Option<String>,
    client: Option<String>,
    uri: Option<String>,
    state: Option<String>,
}

/// The page that asks whether to log out (RP-initiated logout).
pub(super) fn ask(state: &mut State, call: &Call) -> Result<Answer, Refusal> {
    let fields = Fields::of(&call.query);
    if let Some(name) = fields.duplicate("") {
        let description = format!("'{name}' parameter must not be provided twice");
        return Err(Refusal::new("invalid_request", description));
    }
    let client = client(state, &fields)?;
    let uri = fields.get("post_logout_redirect_uri").filter(|_| client.is_some());
    if let (Some(client), Some(uri)) = (client, uri)
        && !client.may_log_out_to(uri)
    {
        return Err(Refusal::new("invalid_request", "post_logout_redirect_uri not registered"));
    }
    let session = cookie(call).filter(|it| state.logins.sessions.contains_key(it));
    let is_logged_in = session.is_some();
    let pending = Pending {
        session,
        client: client.map(|it| it.id.clone()),
        uri: uri.map(str::to_owned),
        state: fields.get("state").map(str::to_owned),
    };
    let xsrf = random();
    state.logins.logouts.insert(xsrf.clone(), pending);
    let buttons = if is_logged_in {
        "<button name=\"logout\" value=\"yes\">Yes, sign me out</button>\
         <button>No, stay signed in</button>"
    } else {
        "<input type=\"hidden\" name=\"logout\" value=\"yes\"><button>Continue</button>"
    };
    let text = format!(
        "<h1>Logout</h1><form method=\"post\" action=\"/session/end/confirm\">\
         <input type=\"hidden\" name=\"xsrf\" value=\"{xsrf}\">{buttons}</form>"
    );
    let mut page = html(StatusCode::OK, &text);
    if let Answer::Response(response) = &mut page {
        response.extensions_mut().insert(Xsrf(xsrf));
    }
    Ok(page)
}

/// What the form of a page has to be sent with, for browsers that do not read pages.
#[derive(Clone, Debug)]
pub(super) struct Xsrf(pub(super) String);

/// The client that asks, as far as it says who it is.
fn client<'a>(state: &'a State, fields: &Fields) -> Result<Option<&'a Client>, Refusal> {
    let invalid = |description: &str| Refusal::new("invalid_request", description);
    let Some(hint) = fields.get("id_token_hint") else {
        let Some(id) = fields.get("client_id") else { return Ok(None) };
        let client = state.logins.clients.get(id).map(Some);
        return client.ok_or_else(|| Refusal::new("invalid_client", "client is invalid"));
    };
    let claims = claims(hint).ok_or_else(|| invalid("could not decode id_token_hint"))?;
    let audience = claims.get("aud").and_then(Value::as_str).unwrap_or_default();
    if fields.get("client_id").is_some_and(|id| id != audience) {
        return Err(invalid("client_id does not match the provided id_token_hint"));
    }
    let client = state
        .logins
        .clients
        .get(audience)
        .ok_or_else(|| Refusal::new("invalid_client", "unrecognized id_token_hint audience"))?;
    let is_ours = state.keys.iter().chain(&state.old).any(|key| is_signed_by(hint, key));
    if !is_ours || claims.get("iss") != Some(&state.url.as_str().into()) {
        return Err(invalid("could not validate id_token_hint"));
    }
    Ok(Some(client))
}

/// What happens when the page is answered.
pub(super) fn confirm(state: &mut State, now: u64, call: &Call) -> Result<Answer, Refusal> {
    let form = form(call);
    let missing = || Refusal::new("invalid_request", "could not find logout details");
    let xsrf = field(&form, "xsrf").ok_or_else(missing)?;
    let pending = state.logins.logouts.get(xsrf).ok_or_else(missing)?;
    if pending.session.is_some() && pending.session != cookie(call) {
        return Err(missing());
    }
    let pending = state.logins.logouts.remove(xsrf).ok_or_else(missing)?;
    let is_whole = field(&form, "logout").is_some();
    if let Some(session) = &pending.session {
        let only = pending.client.as_deref().filter(|_| !is_whole);
        if is_whole || only.is_some() {
            deliver_soon(end_session(state, now, session, only));
        }
    }
    let location = match (&pending.uri, &pending.state) {
        (Some(uri), Some(state)) => with_query(uri, &[("state", state)]),
        (Some(uri), None) => uri.clone(),
        (None, _) => format!("{}/session/end/success", state.url),
    };
    let answer = see_other(&location);
    if !is_whole {
        return Ok(answer);
    }
    Ok(with_header(answer, header::SET_COOKIE, "_session=; Path=/; Max-Age=0; HttpOnly"))
}

/// Ends a session, or the part of it that is one client's; the logout tokens that have to be told.
pub(super) fn end_session(
    state: &mut State,
    now: u64,
    session: &str,
    only: Option<&str>,
) -> Vec<Delivery> {
    let Some(ended) = state.logins.sessions.get_mut(session) else { return Vec::new() };
    let subject = ended.subject.clone();
    let mut ending = std::mem::take(&mut ended.authorizations);
    if let Some(only) = only {
        let (of_client, of_others) = ending.into_iter().partition(|(client, _)| client == only);
        ended.authorizations = of_others;
        ending = of_client;
    } else {
        state.logins.sessions.remove(session);
    }
    let mut deliveries = Vec::new();
    for (client, authorization) in ending {
        if !state.logins.grants.get(&authorization.grant).is_some_and(|it| it.outlives_session) {
            state.revoke_grant(&authorization.grant);
        }
        let Some(client) = state.logins.clients.get(&client) else { continue };
        if let Some(uri) = &client.backchannel_logout_uri {
            let sid = client.backchannel_logout_session_required.then_some(authorization.sid);
            let token = logout_token(state, now, client, &subject, sid.as_deref()).sign();
            let (uri, client) = (uri.clone(), client.id.clone());
            deliveries.push(Delivery { uri, token, client, sid });
        }
    }
    deliveries
}

fn logout_token(
    state: &State,
    now: u64,
    client: &Client,
    subject: &str,
    sid: Option<&str>,
) -> TokenBuilder {
    let mut claims = members(json!({
        "sub": subject,
        "events": {EVENT: {}},
        "jti": random(),
        "sid": sid,
        "aud": client.id,
        "exp": now + LIFETIME,
        "iat": now,
        "iss": state.url,
    }));
    claims.retain(|_, value| !value.is_null());
    TokenBuilder::new(&state.key(client.id_token_algorithm), "logout+jwt", claims)
}

pub(super) fn route(state: &mut State, now: u64, call: &Call) -> Option<Answer> {
    let answer = match (&call.method, call.path.as_str()) {
        (&Method::GET, "/session/end") => ask(state, call),
        (&Method::POST, "/session/end/confirm") => confirm(state, now, call),
        (&Method::GET, "/session/end/success") => Ok(html(StatusCode::OK, "<h1>Signed out</h1>")),
        _ => return None,
    };
    Some(answer.unwrap_or_else(|refusal| refusal.answer()))
}

impl TestIssuer {
    /// A good logout token for this client, about this subject and session, which is not sent.
    ///
    /// # Panics
    /// When no client of this name was [added](Self::add_client).
    pub fn logout_token(&self, client: &str, subject: &str, sid: &str) -> TokenBuilder {
        let state = self.provider.lock();
        let client = state.logins.clients.get(client).expect("the client was added");
        logout_token(&state, self.clock().seconds(), client, subject, Some(sid))
    }
}
