//! What the provider tells of a person to whoever shows their access token.

use hyper::{StatusCode, header};
use serde_json::Value;

use super::answers::{Refusal, uncached, with_header};
use super::grants::field;
use super::requests::form;
use super::state::State;
use crate::fake::http::{Answer, Call};

pub(super) fn userinfo(state: &State, now: u64, call: &Call) -> Answer {
    let form = form(call);
    let bearer = call.header("authorization").and_then(|it| it.split_once(' '));
    let token = match bearer {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token),
        Some(_) => None,
        None => field(&form, "access_token"),
    };
    let Some(token) = token else {
        let refusal = Refusal::new("invalid_token", "no access token provided");
        let challenge = format!("Bearer realm=\"{}\"", state.url);
        return challenged(&refusal.with_status(StatusCode::UNAUTHORIZED), &challenge);
    };
    match claims(state, now, token) {
        Ok(claims) => uncached(StatusCode::OK, &claims),
        Err(refusal) => {
            let description = refusal.description.as_deref().unwrap_or_default();
            let mut challenge = format!(
                "Bearer realm=\"{}\", error=\"{}\", error_description=\"{description}\"",
                state.url, refusal.error
            );
            if let Some(scope) = &refusal.scope {
                challenge += &format!(", scope=\"{scope}\"");
            }
            challenged(&refusal, &challenge)
        }
    }
}

fn claims(state: &State, now: u64, token: &str) -> Result<Value, Refusal> {
    let invalid = || {
        let refusal = Refusal::new("invalid_token", "invalid token provided");
        refusal.with_status(StatusCode::UNAUTHORIZED)
    };
    // JWTs are unknown here: they are for others.
    let token = state.logins.access_tokens.get(token).ok_or_else(invalid)?;
    if now >= token.expires {
        return Err(invalid());
    }
    if !token.scopes.iter().any(|it| it == "openid") {
        let refusal = Refusal::new("insufficient_scope", "access token missing openid scope");
        return Err(refusal.with_scope("openid").with_status(StatusCode::FORBIDDEN));
    }
    if token.has_audience || !state.logins.holds(&token.grant, &token.client) {
        return Err(invalid());
    }
    let person = state.logins.people.get(&token.subject).ok_or_else(invalid)?;
    Ok(Value::Object(person.released(&token.scopes)))
}

fn challenged(refusal: &Refusal, challenge: &str) -> Answer {
    with_header(refusal.answer(), header::WWW_AUTHENTICATE, challenge)
}
