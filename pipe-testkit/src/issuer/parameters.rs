//! The parameters of requests for authorization: what each has to be.

use std::collections::BTreeSet;

use serde_json::Value;

use super::answers::Refusal;
use super::authorization::Request;
use super::client::{AUTHORIZATION_CODE, REFRESH_TOKEN};
use super::requests::{Fields, claims, is_signed_by};
use super::routes::resource_is_known;
use super::state::State;
use super::{Client, SCOPES};

/// The scopes about people.
pub(super) const OPENID_SCOPES: [&str; 5] =
    ["openid", "offline_access", "email", "profile", "groups"];

/// Where the answer goes: a registered place, which is written as it was registered.
pub(super) fn redirect_uri(client: &Client, fields: &Fields) -> Result<String, Refusal> {
    match (fields.get("redirect_uri"), client.redirect_uris.as_slice()) {
        (Some(uri), _) if client.may_redirect_to(uri) => Ok(uri.to_owned()),
        (Some(_), _) => Err(Refusal::new(
            "invalid_redirect_uri",
            "redirect_uri did not match any of the client's registered redirect_uris",
        )),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(Refusal::missing("redirect_uri")),
    }
}

pub(super) fn validated(
    state: &State,
    client: &Client,
    fields: &Fields,
    redirect_uri: &str,
) -> Result<Request, Refusal> {
    let invalid = |description: &str| Refusal::new("invalid_request", description);
    if let Some(name) = fields.duplicate("resource") {
        return Err(invalid(&format!("'{name}' parameter must not be provided twice")));
    }
    if fields.get("request").is_some() {
        return Err(Refusal::bare("request_not_supported"));
    }
    if fields.get("response_mode").is_some_and(|mode| mode != "query") {
        let description = "unsupported response_mode requested";
        return Err(Refusal::new("unsupported_response_mode", description));
    }
    match fields.get("response_type") {
        Some("code") if client.may(AUTHORIZATION_CODE) => {}
        Some("code" | "code id_token" | "id_token code" | "id_token" | "none") => {
            return Err(invalid("requested response_type is not allowed for this client"));
        }
        Some(_) => {
            let description = "unsupported response_type requested";
            return Err(Refusal::new("unsupported_response_type", description));
        }
        None => return Err(Refusal::missing("response_type")),
    }
    let mut prompts = prompts(fields)?;
    let scopes = scopes(client, fields, Some(&prompts))?;
    check_openid(&scopes, fields)?;
    let challenge = challenge(fields)?;
    let resources = resources(state, fields)?;
    let max_age = match fields.get("max_age").map(str::parse::<u64>) {
        // As good as asking for a login.
        Some(Ok(0)) => {
            prompts.insert("login".to_owned());
            None
        }
        Some(Ok(age)) => Some(age),
        Some(Err(_)) => return Err(invalid("invalid max_age parameter value")),
        None => None,
    };
    let hinted_subject = hinted_subject(state, client, fields)?;
    let owned = |name| fields.get(name).map(str::to_owned);
    Ok(Request {
        client: client.id.clone(),
        redirect_uri: redirect_uri.to_owned(),
        state: owned("state"),
        nonce: owned("nonce"),
        scopes: grantable(&scopes, !resources.is_empty()),
        prompts,
        max_age,
        acr_values: owned("acr_values"),
        resources,
        challenge,
        hinted_subject,
        pushed: None,
    })
}

fn prompts(fields: &Fields) -> Result<BTreeSet<String>, Refusal> {
    let words = fields.get("prompt").unwrap_or_default().split(' ').filter(|it| !it.is_empty());
    let prompts: BTreeSet<_> = words.map(str::to_owned).collect();
    if prompts.iter().any(|it| !["none", "login", "consent"].contains(&it.as_str())) {
        return Err(Refusal::new("invalid_request", "unsupported prompt value requested"));
    }
    if prompts.contains("none") && prompts.len() > 1 {
        return Err(Refusal::new("invalid_request", "prompt none must only be used alone"));
    }
    Ok(prompts)
}

/// The scopes that are asked for. `offline_access` needs the grant, and a prompt for consent where there
/// are prompts.
pub(super) fn scopes(
    client: &Client,
    fields: &Fields,
    prompts: Option<&BTreeSet<String>>,
) -> Result<Vec<String>, Refusal> {
    let text = fields.get("scope").unwrap_or_default();
    check_scope(text)?;
    let is_offline =
        client.may(REFRESH_TOKEN) && prompts.is_none_or(|prompts| prompts.contains("consent"));
    let mut scopes: Vec<String> = Vec::new();
    for scope in text.split(' ').filter(|it| !it.is_empty()) {
        let is_new = !scopes.iter().any(|it| it == scope);
        if is_new && (scope != "offline_access" || is_offline) {
            scopes.push(scope.to_owned());
        }
    }
    Ok(scopes)
}

/// How scopes look (RFC 6749).
pub(super) fn check_scope(text: &str) -> Result<(), Refusal> {
    let is_legal = |it: u8| matches!(it, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
    if text.bytes().all(is_legal) {
        return Ok(());
    }
    Err(Refusal::new("invalid_scope", "scope contains invalid characters"))
}

/// What is not known is dropped without a word, and so is what needs a resource where none is asked for.
pub(super) fn grantable(scopes: &[String], has_resource: bool) -> Vec<String> {
    let among = |known: &'static [&'static str]| {
        scopes.iter().filter(|scope| known.contains(&scope.as_str())).cloned()
    };
    let of_resources: &[&str] = if has_resource { &SCOPES } else { &[] };
    among(&OPENID_SCOPES).chain(among(of_resources)).collect()
}

pub(super) fn check_openid(scopes: &[String], fields: &Fields) -> Result<(), Refusal> {
    if scopes.iter().any(|it| it == "openid") {
        return Ok(());
    }
    let gated = ["acr_values", "claims", "claims_locales", "id_token_hint", "max_age", "nonce"];
    match gated.into_iter().find(|it| fields.get(it).is_some()) {
        None => Ok(()),
        Some(name) => Err(Refusal::new(
            "invalid_request",
            format!("openid scope must be requested when using the {name} parameter"),
        )),
    }
}

fn challenge(fields: &Fields) -> Result<String, Refusal> {
    let invalid = |description: &str| Refusal::new("invalid_request", description);
    match (fields.get("code_challenge"), fields.get("code_challenge_method")) {
        (Some(_), None) => Err(invalid("code_challenge_method must be provided")),
        (_, Some(method)) if method != "S256" => {
            Err(invalid("not supported value of code_challenge_method"))
        }
        (None, Some(_)) => {
            Err(invalid("code_challenge must be provided with code_challenge_method"))
        }
        (None, None) => {
            let policy = "Authorization Server policy requires PKCE to be used for this request";
            Err(invalid(policy))
        }
        (Some(challenge), Some(_)) => {
            check_pkce(challenge, "code_challenge")?;
            Ok(challenge.to_owned())
        }
    }
}

/// How challenges and verifiers look (RFC 7636).
pub(super) fn check_pkce(text: &str, name: &str) -> Result<(), Refusal> {
    let is_legal = |it: char| it.is_ascii_alphanumeric() || "_.-~".contains(it);
    let fault = match text.chars().count() {
        ..43 => "must be a string with a minimum length of 43 characters",
        129.. => "must be a string with a maximum length of 128 characters",
        _ if !text.chars().all(is_legal) => "contains invalid characters",
        _ => return Ok(()),
    };
    Err(Refusal::new("invalid_request", format!("{name} {fault}")))
}

pub(super) fn resources(state: &State, fields: &Fields) -> Result<Vec<String>, Refusal> {
    let resources: Vec<_> = fields.all("resource").map(str::to_owned).collect();
    let all_known = resources.iter().all(|it| resource_is_known(state, it));
    all_known.then_some(resources).ok_or_else(Refusal::target)
}

/// Whom `id_token_hint` is about.
fn hinted_subject(
    state: &State,
    client: &Client,
    fields: &Fields,
) -> Result<Option<String>, Refusal> {
    let Some(hint) = fields.get("id_token_hint") else { return Ok(None) };
    let claims = claims(hint).unwrap_or_default();
    let is = |name: &str, value: &str| claims.get(name).and_then(Value::as_str) == Some(value);
    let is_for_client = is("aud", &client.id) && is("iss", &state.url);
    let mut keys = state.keys.iter().chain(&state.old);
    match claims.get("sub").and_then(Value::as_str) {
        Some(subject) if is_for_client && keys.any(|key| is_signed_by(hint, key)) => {
            Ok(Some(subject.to_owned()))
        }
        _ => Err(Refusal::new("invalid_request", "could not validate id_token_hint")),
    }
}
