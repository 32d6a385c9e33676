//! The grants of people: a code or a refresh token for tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::Client;
use super::answers::Refusal;
use super::issue::{Order, issue};
use super::logins::{RefreshToken, Source};
use super::parameters::check_pkce;
use super::requests::Form;
use super::state::{State, random};
use crate::fake::http::Answer;

pub(super) fn by_code(
    state: &mut State,
    now: u64,
    client: &Client,
    form: &Form,
) -> Result<Answer, Refusal> {
    let text = field(form, "code").ok_or_else(|| Refusal::missing("code"))?;
    let redirect_uri = match (field(form, "redirect_uri"), client.redirect_uris.as_slice()) {
        (Some(uri), _) => uri,
        (None, [only]) => only,
        (None, _) => return Err(Refusal::missing("redirect_uri")),
    };
    let code = state.logins.codes.get(text).ok_or_else(Refusal::grant)?;
    if code.source.client != client.id || now >= code.expires {
        return Err(Refusal::grant());
    }
    if !state.logins.holds(&code.source.grant, &client.id) {
        return Err(Refusal::grant());
    }
    let verifier = field(form, "code_verifier").ok_or_else(Refusal::grant)?;
    check_pkce(verifier, "code_verifier")?;
    let is_verified = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == code.challenge;
    if !is_verified || code.redirect_uri != redirect_uri {
        return Err(Refusal::grant());
    }
    let source = code.source.clone();
    if code.is_consumed {
        state.revoke_grant(&source.grant);
        return Err(Refusal::grant());
    }
    if let Some(code) = state.logins.codes.get_mut(text) {
        code.is_consumed = true;
    }
    first(state, now, client, source, form)
}

/// The first tokens of a source.
pub(super) fn first(
    state: &mut State,
    now: u64,
    client: &Client,
    source: Source,
    form: &Form,
) -> Result<Answer, Refusal> {
    let scopes = source.scopes.clone();
    let gets_refresh_token =
        client.may(super::client::REFRESH_TOKEN) && scopes.iter().any(|it| it == "offline_access");
    let order = Order { scopes, resource: resource(&source, form)? };
    issue(state, now, client, source, order, |state, source, is_withheld| {
        (gets_refresh_token && !is_withheld).then(|| refresh_token(state, now, source))
    })
}

pub(super) fn by_refresh_token(
    state: &mut State,
    now: u64,
    client: &Client,
    form: &Form,
) -> Result<Answer, Refusal> {
    let text = field(form, "refresh_token").ok_or_else(|| Refusal::missing("refresh_token"))?;
    let logins = &mut state.logins;
    let token = logins.refresh_tokens.get(text).ok_or_else(Refusal::grant)?;
    let source = token.source.clone();
    let is_consumed = token.is_consumed;
    if source.client != client.id || now >= token.expires {
        return Err(Refusal::grant());
    }
    if is_consumed && let Some(grant) = logins.grants.get_mut(&source.grant) {
        grant.reuses += 1;
    }
    if !logins.holds(&source.grant, &client.id) {
        return Err(Refusal::grant());
    }
    let scopes = narrowed(&source, field(form, "scope"))?;
    if !logins.people.contains_key(&source.subject) {
        return Err(Refusal::grant());
    }
    if is_consumed {
        state.revoke_grant(&source.grant);
        return Err(Refusal::grant());
    }
    let order = Order { scopes, resource: resource(&source, form)? };
    if let Some(grant) = logins.grants.get_mut(&source.grant) {
        grant.refreshes += 1;
    }
    let rotates = logins.rotates;
    issue(state, now, client, source, order, |state, source, is_withheld| {
        if is_withheld {
            return None;
        }
        if !rotates {
            return Some(text.to_owned());
        }
        if let Some(token) = state.logins.refresh_tokens.get_mut(text) {
            token.is_consumed = true;
        }
        Some(refresh_token(state, now, source))
    })
}

fn refresh_token(state: &mut State, now: u64, source: &Source) -> String {
    let text = random();
    let expires = now + state.logins.refresh_token_lifetime;
    let token = RefreshToken { source: source.clone(), made: now, expires, is_consumed: false };
    state.logins.refresh_tokens.insert(text.clone(), token);
    text
}

/// The scopes that a refresh asks for, which have to be among those of the token.
fn narrowed(source: &Source, wanted: Option<&str>) -> Result<Vec<String>, Refusal> {
    let Some(wanted) = wanted else { return Ok(source.scopes.clone()) };
    let wanted: Vec<_> = wanted.split(' ').filter(|it| !it.is_empty()).map(str::to_owned).collect();
    let missing: Vec<_> =
        wanted.iter().filter(|it| !source.scopes.contains(it)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(wanted);
    }
    let plural = if missing.len() == 1 { "scope" } else { "scopes" };
    let description = format!("refresh token missing requested {plural}");
    Err(Refusal::new("invalid_scope", description).with_scope(missing.join(" ")))
}

/// The resource that the access token is for.
fn resource(source: &Source, form: &Form) -> Result<Option<String>, Refusal> {
    match (field(form, "resource"), source.resources.as_slice()) {
        (Some(wanted), granted) if granted.iter().any(|it| it == wanted) => {
            Ok(Some(wanted.to_owned()))
        }
        (Some(_), _) => Err(Refusal::target()),
        (None, []) => Ok(None),
        (None, [only]) => Ok(Some(only.clone())),
        (None, _) => {
            let description = "only a single resource indicator value must be requested/resolved \
                               during Access Token Request";
            Err(Refusal::new("invalid_target", description))
        }
    }
}

pub(super) fn field<'a>(form: &'a Form, name: &str) -> Option<&'a str> {
    form.get(name).map(String::as_str).filter(|it| !it.is_empty())
}
