//! The provider's answers: those of oidc-provider 9.13.3, as measured.

use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::answers::{Refusal, json_answer, refusal, uncached};
use super::authentication::authenticated;
use super::client::{AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN};
use super::grants::{by_code, by_refresh_token};
use super::introspection::{introspection, revocation};
use super::login::authorize;
use super::parameters::check_scope;
use super::pushed::push;
use super::requests::{Form, assertion, claims, form, is_signed_by};
use super::state::{Provider, State, random};
use super::userinfo::userinfo;
use super::{
    AUDIENCE, CLIENT_ID, Client, DISCOVERY, Fault, OPAQUE_AUDIENCE, SCOPES, SigningAlgorithm,
    TokenBuilder, device, logout,
};
use crate::fake::http::{Answer, Call, Handler, Payload, response};

pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub(super) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

impl Handler for Provider {
    fn answer(&self, call: &Call) -> Answer {
        let mut state = self.lock();
        let query = if call.query.is_empty() { String::new() } else { format!("?{}", call.query) };
        state.requests.push(format!("{}{query}", call.path));
        let fault = state.next_fault(&call.path);
        let now = self.clock.seconds();
        match fault {
            Some(Fault::Held) => {
                let answer = route(&mut state, now, call);
                let (held, released) = oneshot::channel();
                state.held.push((call.path.clone(), held));
                Answer::When(released, Box::new(answer))
            }
            Some(fault) => fault.answer(|| route(&mut state, now, call)),
            None => route(&mut state, now, call),
        }
    }
}

fn route(state: &mut State, now: u64, call: &Call) -> Answer {
    match (&call.method, call.path.as_str()) {
        (&Method::GET, DISCOVERY) => json_answer(StatusCode::OK, &state.discovery()),
        (&Method::GET, "/jwks") => {
            let body = Payload::of(state.jwks().to_string());
            response(StatusCode::OK, "application/jwk-set+json; charset=utf-8", body)
        }
        (&Method::GET | &Method::POST, "/auth") => authorize(state, now, call),
        (&Method::GET | &Method::POST, "/me") => userinfo(state, now, call),
        (&Method::POST, "/token" | "/token/introspection" | "/token/revocation") => {
            let form = form(call);
            let client = match authenticated(state, now, call, &form) {
                Ok(client) => client,
                Err(answer) => return *answer,
            };
            match call.path.as_str() {
                "/token" => grant(state, now, &client, &form),
                "/token/introspection" => introspection(state, now, &form),
                _ => revocation(state, &client, &form),
            }
        }
        (&Method::POST, "/request" | "/device/auth") => {
            let id = match authenticated(state, now, call, &form(call)) {
                Ok(id) => id,
                Err(answer) => return *answer,
            };
            let Some(client) = state.logins.clients.get(&id).cloned() else {
                let description = "requested grant type is not allowed for this client";
                return Refusal::new("invalid_request", description).answer();
            };
            let answer = match call.path.as_str() {
                "/request" => push(state, now, &client, call),
                _ => device::ask(state, now, &client, call),
            };
            answer.unwrap_or_else(|refusal| refusal.answer())
        }
        (&Method::GET | &Method::POST, "/device") => device::page(state, now, call),
        _ => logout::route(state, now, call).unwrap_or_else(|| {
            let body = Payload::of("Not Found");
            response(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", body)
        }),
    }
}

fn grant(state: &mut State, now: u64, client: &str, form: &Form) -> Answer {
    let field = |name: &str| form.get(name).map(String::as_str);
    let added = state.logins.clients.get(client).cloned();
    let subject = match field("grant_type") {
        Some(grant_type @ (AUTHORIZATION_CODE | REFRESH_TOKEN | DEVICE_CODE)) => {
            if let Some(Err(refusal)) = field("scope").map(check_scope) {
                return refusal.answer();
            }
            return match added.filter(|it| it.may(grant_type)) {
                Some(client) => people(state, now, &client, form, grant_type),
                None => not_allowed(),
            };
        }
        Some("client_credentials") => {
            let is_allowed = match added {
                Some(client) => client.may("client_credentials"),
                None => client == CLIENT_ID || is_registered(state, client),
            };
            if !is_allowed {
                return not_allowed();
            }
            None
        }
        Some(JWT_BEARER) => {
            match field("assertion").and_then(|given| assertion(state, now, given)) {
                Some(claims) => claims.get("sub").cloned(),
                None => return Refusal::grant().answer(),
            }
        }
        Some(TOKEN_EXCHANGE) => match field("subject_token").and_then(|it| subject(state, now, it))
        {
            Some(subject) => Some(subject),
            None => return Refusal::grant().answer(),
        },
        Some(_) => {
            let description = "unsupported grant_type requested";
            return refusal(StatusCode::BAD_REQUEST, "unsupported_grant_type", description);
        }
        None => {
            let description = "missing required parameter 'grant_type'";
            return refusal(StatusCode::BAD_REQUEST, "invalid_request", description);
        }
    };
    // What is not known is dropped without a word.
    let wanted = field("scope").unwrap_or_default().split(' ');
    let granted: Vec<_> = wanted.filter(|scope| SCOPES.contains(scope)).collect();
    let scope = granted.join(" ");
    // For a client's own credentials it knows the standard's parameter alone.
    let audience = field("audience").filter(|_| field("grant_type") != Some("client_credentials"));
    let token = match field("resource").or(audience) {
        Some(resource) if is_jwt_resource(state, resource) => {
            jwt(state, now, resource, client, subject, &scope)
        }
        Some(OPAQUE_AUDIENCE) => opaque(state, now, OPAQUE_AUDIENCE, client, subject, &scope),
        None => opaque(state, now, "", client, subject, &scope),
        Some(_) => return Refusal::target().answer(),
    };
    let mut answer = json!({
        "access_token": token,
        "expires_in": state.logins.access_token_lifetime,
        "token_type": "Bearer",
    });
    if !scope.is_empty() {
        answer["scope"] = scope.into();
    }
    if field("grant_type") == Some(TOKEN_EXCHANGE) {
        answer["issued_token_type"] = ACCESS_TOKEN.into();
    }
    uncached(StatusCode::OK, &answer)
}

/// A grant of people.
fn people(state: &mut State, now: u64, client: &Client, form: &Form, grant_type: &str) -> Answer {
    let granted = match grant_type {
        AUTHORIZATION_CODE => by_code(state, now, client, form),
        DEVICE_CODE => device::by_device_code(state, now, client, form),
        _ => by_refresh_token(state, now, client, form),
    };
    granted.unwrap_or_else(|refusal| refusal.answer())
}

fn not_allowed() -> Answer {
    let description = "requested grant type is not allowed for this client";
    refusal(StatusCode::BAD_REQUEST, "invalid_request", description)
}

pub(super) fn is_jwt_resource(state: &State, resource: &str) -> bool {
    resource == AUDIENCE || state.resources.contains(resource)
}

pub(super) fn resource_is_known(state: &State, resource: &str) -> bool {
    resource == OPAQUE_AUDIENCE || is_jwt_resource(state, resource)
}

fn is_registered(state: &State, client: &str) -> bool {
    state.registered.iter().any(|(name, _)| name == client)
}

/// Whom a token of ours speaks for.
fn subject(state: &State, now: u64, token: &str) -> Option<Value> {
    if let Some(claims) = state.opaque.get(token) {
        return claims.get("sub").or_else(|| claims.get("client_id")).cloned();
    }
    let claims = claims(token)?;
    let is_ours = state.keys.iter().chain(&state.old).any(|key| is_signed_by(token, key));
    (is_ours && claims.get("exp")?.as_u64()? > now).then(|| claims.get("sub").cloned())?
}

fn jwt(
    state: &State,
    now: u64,
    audience: &str,
    client: &str,
    subject: Option<Value>,
    scope: &str,
) -> String {
    let mut claims = Map::from_iter([
        ("iss".to_owned(), state.url.as_str().into()),
        ("sub".to_owned(), subject.unwrap_or_else(|| client.into())),
        ("aud".to_owned(), audience.into()),
        ("iat".to_owned(), now.into()),
        ("exp".to_owned(), (now + state.logins.access_token_lifetime).into()),
        ("jti".to_owned(), random().into()),
        ("client_id".to_owned(), client.into()),
        ("namespace".to_owned(), "bni".into()),
        ("roles".to_owned(), json!(["bot-operator"])),
    ]);
    if !scope.is_empty() {
        claims.insert("scope".to_owned(), scope.into());
    }
    TokenBuilder::new(&state.key(SigningAlgorithm::Rs256), "at+jwt", claims).sign()
}

fn opaque(
    state: &mut State,
    now: u64,
    audience: &str,
    client: &str,
    subject: Option<Value>,
    scope: &str,
) -> String {
    // Without a resource there is no audience, and a client of its own has no `sub`.
    let mut more = Map::from_iter([
        ("namespace".to_owned(), "bni".into()),
        ("roles".to_owned(), json!(["bot-operator"])),
    ]);
    if audience.is_empty() {
        more.insert("aud".to_owned(), Value::Null);
    }
    if scope.is_empty() {
        more.insert("scope".to_owned(), Value::Null);
    }
    if let Some(subject) = subject {
        more.insert("sub".to_owned(), subject);
    }
    state.opaque(now, audience, scope, client, &more)
}
