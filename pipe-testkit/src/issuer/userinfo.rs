//! What the provider tells of a person to whoever shows their access token.

use hyper::{StatusCode, header};
use serde_json::Value;

use super::answers::{Refusal, uncached, with_header};
use super::grants::field;
use super::requests::{Fields, form};
use super::state::State;
use crate::fake::http::{Answer, Call};

pub(super) fn userinfo(state: &State, now: u64, call: &Call) -> Answer {
    let answer = token(call).and_then(|token| match token {
        Some(token) => claims(state, now, &token),
        None => Err(Refusal::new("invalid_token", "no access token provided")),
    });
    let refusal = match answer {
        Ok(claims) => return uncached(StatusCode::OK, &claims),
        Err(refusal) => refusal,
    };
    let realm = &state.url;
    let description = refusal.description.as_deref().unwrap_or_default();
    if description == "no access token provided" {
        let challenge =
            format!("Bearer realm=\"{realm}\", DPoP realm=\"{realm}\", algs=\"ES256 EdDSA\"");
        return challenged(&refusal.with_status(StatusCode::UNAUTHORIZED), &challenge);
    }
    let mut challenge = format!(
        "Bearer realm=\"{realm}\", error=\"{}\", error_description=\"{description}\"",
        refusal.error
    );
    if let Some(scope) = &refusal.scope {
        challenge += &format!(", scope=\"{scope}\"");
    }
    challenged(&refusal, &challenge)
}

/// The token that is shown, in one way.
fn token(call: &Call) -> Result<Option<String>, Refusal> {
    let invalid = |description: &str| Err(Refusal::new("invalid_request", description));
    if Fields::of(&call.query).get("access_token").is_some() {
        return invalid("access tokens must not be provided via query parameter");
    }
    let form = form(call);
    let Some(header) = call.header("authorization") else {
        return Ok(field(&form, "access_token").map(str::to_owned));
    };
    let Some((scheme, token)) = header.split_once(' ').filter(|(_, token)| !token.is_empty())
    else {
        return invalid("invalid authorization header value format");
    };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return invalid("authorization header scheme must be `Bearer`");
    }
    if field(&form, "access_token").is_some() {
        return invalid("access token must only be provided using one mechanism");
    }
    Ok(Some(token.to_owned()))
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
