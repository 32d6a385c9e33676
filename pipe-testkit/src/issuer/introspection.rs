//! What becomes of opaque tokens: introspection (RFC 7662) and revocation (RFC 7009).

use hyper::StatusCode;
use serde_json::{Value, json};

use super::answers::{Refusal, refusal, uncached};
use super::client::Authentication;
use super::requests::{Form, claims};
use super::state::State;
use crate::fake::http::{Answer, Payload, response};

pub(super) fn introspection(state: &State, now: u64, form: &Form) -> Answer {
    let Some(token) = form.get("token") else { return Refusal::missing("token").answer() };
    if is_jwt(token) {
        return structured();
    }
    let active = state
        .opaque
        .get(token)
        .filter(|claims| claims.get("exp").and_then(Value::as_u64).is_none_or(|end| now < end));
    match active {
        Some(claims) => uncached(StatusCode::OK, &Value::Object(claims.clone())),
        None => match refresh_token(state, now, token) {
            Some(claims) => uncached(StatusCode::OK, &claims),
            None => uncached(StatusCode::OK, &json!({"active": false})),
        },
    }
}

/// What is told of a refresh token that is good.
fn refresh_token(state: &State, now: u64, token: &str) -> Option<Value> {
    let token = state.logins.refresh_tokens.get(token)?;
    let source = &token.source;
    let holds = state.logins.holds(&source.grant, &source.client);
    if token.is_consumed || now >= token.expires || !holds {
        return None;
    }
    let mut told = json!({
        "active": true,
        "sub": source.subject,
        "client_id": source.client,
        "exp": token.expires,
        "iat": token.made,
        "iss": state.url,
        "scope": source.scopes.join(" "),
    });
    if let Some(sid) = &source.sid {
        told["sid"] = sid.as_str().into();
    }
    Some(told)
}

/// Whose token goes, goes with all others of the grant.
pub(super) fn revocation(state: &mut State, client: &str, form: &Form) -> Answer {
    let Some(token) = form.get("token") else { return Refusal::missing("token").answer() };
    if is_jwt(token) {
        return structured();
    }
    let logins = &state.logins;
    let access = logins.access_tokens.get(token).map(|it| (&it.client, &it.grant));
    let refresh = logins.refresh_tokens.get(token).map(|it| (&it.source.client, &it.source.grant));
    if let Some((owner, grant)) = access.or(refresh) {
        if owner != client {
            let asking = state.logins.clients.get(client).map(|it| &it.authentication);
            // Who cannot prove who they are learn nothing.
            if matches!(asking, Some(Authentication::None)) {
                return revoked();
            }
            let description = "client is not authorized to revoke the presented token";
            return Refusal::new("invalid_request", description).answer();
        }
        let grant = grant.clone();
        state.revoke_grant(&grant);
    }
    state.opaque.remove(token);
    revoked()
}

fn revoked() -> Answer {
    response(StatusCode::OK, "text/plain; charset=utf-8", Payload::default())
}

fn is_jwt(token: &str) -> bool {
    token.split('.').count() == 3 && claims(token).is_some()
}

fn structured() -> Answer {
    let description = "Structured JWT Tokens cannot be introspected";
    refusal(StatusCode::BAD_REQUEST, "unsupported_token_type", description)
}
