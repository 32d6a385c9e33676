//! Discovery, keys, tokens and introspection.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::{Method, Response, StatusCode, header};
use serde_json::{Value, json};

use super::state::{API_CLIENT, API_SECRET, Provider, State};
use super::tokens::LIFETIME;
use crate::fake::http::{Answer, Call, Handler, Payload};
use crate::issuer::requests::{Form, basic, claims, decoded, form, is_signed_by};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How far ahead of the server's clock an assertion may be, and how old.
const AHEAD: u64 = 1;
const OLDEST: u64 = 3600;

impl Handler for Provider {
    fn answer(&self, call: &Call) -> Answer {
        let mut state = self.lock();
        state.requests.push(call.path.clone());
        let fault = state.faults.get(&call.path).or_else(|| state.faults.get("*")).cloned();
        let now = self.clock.seconds();
        match fault {
            Some(fault) => fault.answer(|| route(&mut state, now, call)),
            None => route(&mut state, now, call),
        }
    }
}

fn route(state: &mut State, now: u64, call: &Call) -> Answer {
    match (&call.method, call.path.as_str()) {
        (&Method::GET, "/.well-known/openid-configuration") => {
            json_answer(StatusCode::OK, &state.discovery())
        }
        (&Method::GET, "/oauth/v2/keys") => {
            let body = Payload::of(state.jwks().to_string());
            let answer = Response::builder()
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::CACHE_CONTROL, "max-age=300, must-revalidate")
                .body(body);
            Answer::Response(answer.expect("the headers are ours"))
        }
        (&Method::POST, "/oauth/v2/token") => token(state, now, call),
        (&Method::POST, "/oauth/v2/introspect") => introspect(state, now, call),
        (&Method::POST, path) if path.starts_with("/zitadel.") => {
            super::api::route(state, now, call)
        }
        _ => json_answer(StatusCode::NOT_FOUND, &json!({"code": 5, "message": "Not Found"})),
    }
}

fn token(state: &mut State, now: u64, call: &Call) -> Answer {
    let form = form(call);
    let field = |name: &str| form.get(name).map(String::as_str);
    let user = match field("grant_type") {
        Some(JWT_BEARER) => match field("assertion") {
            None => return refuse("invalid_request", "assertion missing"),
            Some(assertion) => match profile(state, now, assertion) {
                Some(user) => user,
                // One error for whatever is wrong.
                None => return refuse("invalid_grant", "invalid assertion"),
            },
        },
        Some("client_credentials") => match machine(state, call, &form) {
            Some(user) => user,
            None => return refuse("invalid_client", "invalid client secret"),
        },
        Some(other) => {
            return refuse("unsupported_grant_type", &format!("{other} not supported"));
        }
        None => return refuse("invalid_request", "grant_type missing"),
    };
    if form.contains_key("resource") || form.contains_key("audience") {
        return refuse("invalid_target", "resource parameter not supported");
    }
    let wanted = field("scope").unwrap_or_default().split(' ').filter(|scope| !scope.is_empty());
    let wanted: Vec<_> = wanted.map(str::to_owned).collect();
    let (token, granted) = state.issue(now, &user, &wanted);
    let mut answer = json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": LIFETIME,
        "scope": granted.join(" "),
    });
    if granted.iter().any(|scope| scope == "openid") {
        answer["id_token"] = "e30.e30.e30".into();
    }
    json_answer(StatusCode::OK, &answer)
}

/// The user whose key signed the assertion, when all of it is as it has to be.
fn profile(state: &State, now: u64, assertion: &str) -> Option<String> {
    let claims = claims(assertion)?;
    let id = claims.get("iss")?.as_str()?;
    let user = state.users.get(id)?;
    let kid = header_of(assertion)?["kid"].as_str()?.to_owned();
    let key = user.keys.iter().find(|key| key.kid() == kid)?;
    let is_sound = is_signed_by(assertion, key)
        && claims.get("sub")?.as_str()? == id
        && is_for(claims.get("aud")?, &state.url)
        && is_timely(claims.get("iat")?.as_u64()?, claims.get("exp")?.as_u64()?, now);
    is_sound.then(|| id.to_owned())
}

fn machine(state: &State, call: &Call, form: &Form) -> Option<String> {
    let (name, secret) = match basic(call) {
        Some(basic) => {
            let text = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
            let (name, secret) = text.split_once(':')?;
            (decoded(name), decoded(secret))
        }
        None => (form.get("client_id")?.clone(), form.get("client_secret")?.clone()),
    };
    let found = state.users.iter().find(|(_, user)| user.username == name && user.secret == secret);
    found.map(|(id, _)| id.clone())
}

fn introspect(state: &mut State, now: u64, call: &Call) -> Answer {
    let form = form(call);
    let field = |name: &str| form.get(name).map(String::as_str);
    let asserted = field("client_assertion_type") == Some(ASSERTION_TYPE);
    let is_client = match (basic(call), asserted) {
        (Some(_), true) => {
            return refuse(
                "invalid_request",
                "client authentication must not use more than one method",
            );
        }
        (Some(basic), false) => {
            let text = STANDARD.decode(basic).ok().and_then(|text| String::from_utf8(text).ok());
            let pair = text.as_deref().and_then(|text| text.split_once(':'));
            pair.is_some_and(|(id, secret)| {
                decoded(id) == API_CLIENT && decoded(secret) == API_SECRET
            })
        }
        (None, true) => field("client_assertion").is_some_and(|it| is_client(state, now, it)),
        (None, false) => {
            let text = "client_id or client_assertion must be provided";
            return refuse("invalid_request", text);
        }
    };
    if !is_client {
        // Not a 401, whatever the documentation says.
        return json_answer(StatusCode::BAD_REQUEST, &json!({"error": "unauthorized_client"}));
    }
    match field("token").filter(|token| !token.is_empty()) {
        None => refuse("invalid_request", "token missing"),
        Some(token) => {
            let answer = state.introspect(now, token);
            json_answer(StatusCode::OK, &answer)
        }
    }
}

fn is_client(state: &State, now: u64, assertion: &str) -> bool {
    let signed = || state.client_keys.iter().any(|key| is_signed_by(assertion, key));
    let sound = || {
        let claims = claims(assertion)?;
        let is_own =
            claims.get("iss")?.as_str()? == API_CLIENT && claims.get("sub") == claims.get("iss");
        let (issued, expires) = (claims.get("iat")?.as_u64()?, claims.get("exp")?.as_u64()?);
        Some(is_own && is_for(claims.get("aud")?, &state.url) && is_timely(issued, expires, now))
    };
    signed() && sound() == Some(true)
}

fn is_timely(issued: u64, expires: u64, now: u64) -> bool {
    issued <= now + AHEAD && issued + OLDEST >= now && expires > now
}

/// Byte by byte: a slash too many is another issuer.
fn is_for(audience: &Value, url: &str) -> bool {
    match audience {
        Value::Array(all) => all.iter().any(|one| one == url),
        one => one == url,
    }
}

fn header_of(token: &str) -> Option<Value> {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let header = token.split('.').next()?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()
}

fn refuse(error: &str, description: &str) -> Answer {
    let body = json!({"error": error, "error_description": description});
    json_answer(StatusCode::BAD_REQUEST, &body)
}

pub(super) fn json_answer(status: StatusCode, body: &Value) -> Answer {
    let answer = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CACHE_CONTROL, "no-store")
        .body(Payload::of(body.to_string()));
    Answer::Response(answer.expect("the headers are ours"))
}
