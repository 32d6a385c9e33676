//! The provider's answers: those of oidc-provider 9.13.3, as measured.

use hyper::{Method, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use super::fault::JSON;
use super::requests::{Form, assertion, basic, claims, client, form, is_signed_by};
use super::state::{Provider, State, random};
use super::{
    AUDIENCE, CLIENT_ID, DISCOVERY, LIFETIME, OPAQUE_AUDIENCE, SigningAlgorithm, TokenBuilder,
};
use crate::fake::http::{Answer, Call, Handler, Payload, response};

const SCOPES: [&str; 4] = ["secrets:read", "secrets:write", "identity:read", "read"];
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

impl Handler for Provider {
    fn answer(&self, call: &Call) -> Answer {
        let mut state = self.lock();
        let query = if call.query.is_empty() { String::new() } else { format!("?{}", call.query) };
        state.requests.push(format!("{}{query}", call.path));
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
        (&Method::GET, DISCOVERY) => json_answer(StatusCode::OK, &state.discovery()),
        (&Method::GET, "/jwks") => {
            let body = Payload::of(state.jwks().to_string());
            response(StatusCode::OK, "application/jwk-set+json; charset=utf-8", body)
        }
        (&Method::POST, "/token") => {
            let form = form(call);
            match client(state, now, call, &form) {
                Some(client) => grant(state, now, &client, &form),
                None => invalid_client(call),
            }
        }
        (&Method::POST, "/token/introspection") => {
            let form = form(call);
            match client(state, now, call, &form) {
                Some(_) => introspection(state, now, &form),
                None => invalid_client(call),
            }
        }
        (&Method::POST, "/token/revocation") => {
            let form = form(call);
            match client(state, now, call, &form) {
                Some(_) => revocation(state, &form),
                None => invalid_client(call),
            }
        }
        _ => refusal(
            StatusCode::NOT_FOUND,
            "invalid_request",
            "unrecognized route or not allowed method",
        ),
    }
}

fn grant(state: &mut State, now: u64, client: &str, form: &Form) -> Answer {
    let field = |name: &str| form.get(name).map(String::as_str);
    let subject = match field("grant_type") {
        Some("client_credentials") if client == CLIENT_ID || is_registered(state, client) => None,
        Some("client_credentials") => {
            let description = "requested grant type is not allowed for this client";
            return refusal(StatusCode::BAD_REQUEST, "unauthorized_client", description);
        }
        Some(JWT_BEARER) => {
            match field("assertion").and_then(|given| assertion(state, now, given)) {
                Some(claims) => claims.get("sub").cloned(),
                None => return invalid_grant(),
            }
        }
        Some(TOKEN_EXCHANGE) => match field("subject_token").and_then(|it| subject(state, now, it))
        {
            Some(subject) => Some(subject),
            None => return invalid_grant(),
        },
        Some(_) => {
            let description = "unsupported grant_type requested";
            return refusal(StatusCode::BAD_REQUEST, "unsupported_grant_type", description);
        }
        None => {
            let description = "missing required parameter(s) 'grant_type'";
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
        Some(resource) if resource == AUDIENCE || state.resources.contains(resource) => {
            jwt(state, now, resource, client, subject, &scope)
        }
        Some(OPAQUE_AUDIENCE) => opaque(state, now, OPAQUE_AUDIENCE, client, subject, &scope),
        None => opaque(state, now, "", client, subject, &scope),
        Some(_) => {
            let description = "resource indicator is missing, or unknown";
            return refusal(StatusCode::BAD_REQUEST, "invalid_target", description);
        }
    };
    let mut answer = json!({
        "access_token": token,
        "expires_in": LIFETIME.as_secs(),
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
        ("exp".to_owned(), (now + LIFETIME.as_secs()).into()),
        ("jti".to_owned(), random().into()),
        ("client_id".to_owned(), client.into()),
        ("namespace".to_owned(), "bni".into()),
        ("roles".to_owned(), json!(["bot-operator"])),
    ]);
    if !scope.is_empty() {
        claims.insert("scope".to_owned(), scope.into());
    }
    let mut keys = state.keys.iter();
    let key = keys.find(|key| key.algorithm() == SigningAlgorithm::Rs256);
    key.map(|key| TokenBuilder::new(key, "at+jwt", claims).sign()).unwrap_or_default()
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

fn introspection(state: &State, now: u64, form: &Form) -> Answer {
    let Some(token) = form.get("token") else {
        let description = "missing required parameter 'token'";
        return refusal(StatusCode::BAD_REQUEST, "invalid_request", description);
    };
    if is_jwt(token) {
        return structured();
    }
    let active = state
        .opaque
        .get(token)
        .filter(|claims| claims.get("exp").and_then(Value::as_u64).is_none_or(|end| now < end));
    match active {
        Some(claims) => uncached(StatusCode::OK, &Value::Object(claims.clone())),
        None => uncached(StatusCode::OK, &json!({"active": false})),
    }
}

fn revocation(state: &mut State, form: &Form) -> Answer {
    let token = form.get("token").map(String::as_str).unwrap_or_default();
    if is_jwt(token) {
        return structured();
    }
    state.opaque.remove(token);
    response(StatusCode::OK, "text/plain; charset=utf-8", Payload::default())
}

fn is_jwt(token: &str) -> bool {
    token.split('.').count() == 3 && claims(token).is_some()
}

fn structured() -> Answer {
    let description = "Structured JWT Tokens cannot be introspected";
    refusal(StatusCode::BAD_REQUEST, "unsupported_token_type", description)
}

fn invalid_grant() -> Answer {
    refusal(StatusCode::BAD_REQUEST, "invalid_grant", "grant request is invalid")
}

fn invalid_client(call: &Call) -> Answer {
    let answer =
        refusal(StatusCode::UNAUTHORIZED, "invalid_client", "client authentication failed");
    match answer {
        Answer::Response(mut answer) if basic(call).is_some() => {
            let challenge = header::HeaderValue::from_static("Basic realm=\"127.0.0.1\"");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            Answer::Response(answer)
        }
        answer => answer,
    }
}

fn refusal(status: StatusCode, error: &str, description: &str) -> Answer {
    uncached(status, &json!({"error": error, "error_description": description}))
}

fn uncached(status: StatusCode, body: &Value) -> Answer {
    let answer = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, JSON)
        .header(header::CACHE_CONTROL, "no-store")
        .body(Payload::of(body.to_string()));
    Answer::Response(answer.expect("the headers are ours"))
}

fn json_answer(status: StatusCode, body: &Value) -> Answer {
    response(status, JSON, Payload::of(body.to_string()))
}
