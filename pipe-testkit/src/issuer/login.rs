//! The authorization endpoint: somebody logs in, and a code is given out.

use hyper::{Method, StatusCode, header};

use super::Spoil;
use super::answers::{Refusal, escaped, html, see_other, with_header, with_query};
use super::authorization::{Denial, Request, request};
use super::logins::{CODE_LIFETIME, Code, Source};
use super::requests::Fields;
use super::spoil::Place;
use super::state::{State, random};
use crate::fake::http::{Answer, Call};

/// The cookie of a browser's session.
const COOKIE: &str = "_session";

pub(super) fn authorize(state: &mut State, now: u64, call: &Call) -> Answer {
    let fields = Fields::of(&call.query).and(Fields::of_body(call));
    let login = if call.method == Method::POST { fields.get("login") } else { None };
    let request = match request(state, now, &fields, login.is_some()) {
        Ok(request) => request,
        Err(denial) => return denied(state, &denial),
    };
    let session = cookie(call).filter(|it| state.logins.sessions.contains_key(it));
    let (session, is_new) = match login {
        Some(login) => match logged_in(state, now, login, session) {
            Some(session) => (Some(session), true),
            None => return form(&fields, "Nobody has this name."),
        },
        None => (session, false),
    };
    let session = match missing(state, now, &request, session.as_deref(), is_new) {
        None => session.unwrap_or_default(),
        Some(refusal) if request.prompts.contains("none") => {
            return denied(state, &denial(&request, refusal));
        }
        Some(_) => return form(&fields, ""),
    };
    if request.scopes.is_empty() {
        return denied(state, &denial(&request, Refusal::bare("access_denied")));
    }
    let Some(code) = code(state, now, &request, &session) else {
        return form(&fields, "");
    };
    let location = callback(state, &request, &code);
    let answer = see_other(&location);
    if !is_new {
        return answer;
    }
    let cookie = format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Lax");
    with_header(answer, header::SET_COOKIE, &cookie)
}

/// The session that the browser shows.
pub(super) fn cookie(call: &Call) -> Option<String> {
    let mut cookies = call.header("cookie")?.split(';').filter_map(|it| it.trim().split_once('='));
    cookies.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}

/// The session after somebody typed their name.
pub(super) fn logged_in(
    state: &mut State,
    now: u64,
    login: &str,
    session: Option<String>,
) -> Option<String> {
    let logins = &mut state.logins;
    let person = logins.people.get(login)?.clone();
    let before = session.and_then(|id| Some((logins.sessions.get_mut(&id)?, id)));
    match before {
        Some((session, id)) if session.subject == person.subject => {
            session.auth_time = person.auth_time.unwrap_or(now);
            Some(id)
        }
        _ => Some(logins.session(&person, now)),
    }
}

/// Why the person has to be asked, if that is so.
fn missing(
    state: &State,
    now: u64,
    request: &Request,
    session: Option<&str>,
    is_new: bool,
) -> Option<Refusal> {
    let required = |description: &str| Some(Refusal::new("login_required", description));
    let Some(session) = session.and_then(|id| state.logins.sessions.get(id)) else {
        return required("End-User authentication is required");
    };
    if !is_new && request.prompts.contains("login") {
        return required("login prompt was not resolved");
    }
    if !is_new && request.max_age.is_some_and(|age| now.saturating_sub(session.auth_time) > age) {
        return required("End-User authentication could not be obtained");
    }
    if request.hinted_subject.as_ref().is_some_and(|it| *it != session.subject) {
        return required("id_token_hint and authenticated subject do not match");
    }
    // Whoever is asked consents.
    if !request.prompts.contains("none") {
        return None;
    }
    if state.logins.clients.get(&request.client).is_some_and(|it| it.is_native) {
        let description = "native clients require End-User interaction";
        return Some(Refusal::new("interaction_required", description));
    }
    let authorization = session.authorizations.get(&request.client);
    let grant = authorization.and_then(|it| state.logins.grants.get(&it.grant));
    let is_granted = |scope: &String| {
        grant.is_some_and(|grant| !grant.is_revoked && grant.scopes.contains(scope))
    };
    if request.scopes.iter().all(is_granted) {
        return None;
    }
    Some(Refusal::new("consent_required", "requested scopes not granted"))
}

fn code(state: &mut State, now: u64, request: &Request, session: &str) -> Option<String> {
    let logins = &mut state.logins;
    let authorization = logins.authorization(session, &request.client)?;
    let session = logins.sessions.get(session)?;
    let person = logins.people.get(&session.subject)?;
    let tells_time = request.max_age.is_some() || request.prompts.contains("login");
    let client = logins.clients.get(&request.client)?;
    let source = Source {
        client: request.client.clone(),
        grant: authorization.grant.clone(),
        subject: session.subject.clone(),
        scopes: request.scopes.clone(),
        resources: request.resources.clone(),
        nonce: request.nonce.clone(),
        auth_time: tells_time.then_some(session.auth_time),
        acr: request.acr_values.as_ref().and(person.acr.clone()),
        sid: client.includes_sid().then_some(authorization.sid),
    };
    let grant = logins.grants.get_mut(&authorization.grant)?;
    grant.scopes.extend(request.scopes.iter().cloned());
    grant.outlives_session |= request.scopes.iter().any(|it| it == "offline_access");
    let code = random();
    let entry = Code {
        source,
        redirect_uri: request.redirect_uri.clone(),
        challenge: request.challenge.clone(),
        expires: now + CODE_LIFETIME,
        is_consumed: false,
    };
    logins.codes.insert(code.clone(), entry);
    if let Some(pushed) = request.pushed.as_ref().and_then(|uri| logins.pushed.get_mut(uri)) {
        pushed.is_consumed = true;
    }
    Some(code)
}

fn callback(state: &mut State, request: &Request, code: &str) -> String {
    let spoil = Spoil::next(&mut state.logins.spoils, Place::Callback);
    let mut parameters = vec![("code", code)];
    parameters.extend(request.state.as_deref().map(|it| ("state", it)));
    parameters.push(("iss", &state.url));
    if let Some(spoil) = &spoil {
        spoil.callback(&mut parameters);
    }
    with_query(&request.redirect_uri, &parameters)
}

fn denial(request: &Request, refusal: Refusal) -> Denial {
    Denial {
        refusal,
        redirect_uri: Some(request.redirect_uri.clone()),
        state: request.state.clone(),
        in_fragment: false,
    }
}

fn denied(state: &State, denial: &Denial) -> Answer {
    match denial.location(&state.url) {
        Some(location) => see_other(&location),
        None => denial.refusal.page(),
    }
}

/// The form is sent to where it came from, with the request in the query.
fn form(fields: &Fields, complaint: &str) -> Answer {
    let hint = escaped(fields.get("login_hint").unwrap_or_default());
    let query = escaped(&fields.clone().without(&["login", "password"]).query());
    let text = format!(
        "<h1>Login</h1><p>{complaint}</p><form method=\"post\" action=\"/auth?{query}\">\
         <input name=\"login\" value=\"{hint}\"><input name=\"password\" type=\"password\">\
         <button type=\"submit\">Log in</button></form>"
    );
    html(StatusCode::OK, &text)
}
