//! The tokens that a person's grant gives.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::StatusCode;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::answers::{Refusal, uncached};
use super::logins::{AccessToken, Source};
use super::parameters::OPENID_SCOPES;
use super::routes::is_jwt_resource;
use super::spoil::Place;
use super::state::{State, random};
use super::{Client, Person, SCOPES, SigningAlgorithm, Spoil, TokenBuilder, members};
use crate::fake::http::Answer;

/// How long an `id_token` is good, in seconds.
const ID_TOKEN_LIFETIME: u64 = 3600;

/// What is wanted of a source.
pub(super) struct Order {
    pub(super) scopes: Vec<String>,
    pub(super) resource: Option<String>,
}

/// The answer with the tokens. `refresh_token` makes or repeats the refresh token, unless it is told that
/// there is none.
pub(super) fn issue(
    state: &mut State,
    now: u64,
    client: &Client,
    source: Source,
    order: Order,
    refresh_token: impl FnOnce(&mut State, &Source, bool) -> Option<String>,
) -> Result<Answer, Refusal> {
    let person = state.logins.people.get(&source.subject).cloned().ok_or_else(Refusal::grant)?;
    let (access_token, scope) = access_token(state, now, &source, &order, &person);
    let mut answer = json!({
        "access_token": access_token,
        "expires_in": state.logins.access_token_lifetime,
        "token_type": "Bearer",
    });
    if !source.scopes.is_empty() {
        answer["scope"] = scope.into();
    }
    if order.scopes.iter().any(|it| it == "openid") {
        let mut id_token = id_token(state, now, client, &source, &order.scopes, &person);
        let algorithm = client.id_token_algorithm;
        if state.logins.includes_at_hash {
            id_token = id_token.claim("at_hash", token_hash(algorithm, &access_token));
        }
        if let Some(spoil) = Spoil::next(&mut state.logins.spoils, Place::IdToken) {
            let key = state.key(algorithm);
            id_token = spoil.id_token(id_token, now, algorithm, &client.id, &key);
        }
        answer["id_token"] = id_token.sign().into();
    }
    let spoil = Spoil::next(&mut state.logins.spoils, Place::Answer);
    let keeps_token = matches!(spoil, Some(Spoil::NoRefreshToken));
    if let Some(token) = refresh_token(state, &source, keeps_token) {
        answer["refresh_token"] = token.into();
    }
    if let Some(spoil) = spoil {
        spoil.answer(&mut answer);
    }
    Ok(uncached(StatusCode::OK, &answer))
}

/// An access token with its scope.
fn access_token(
    state: &mut State,
    now: u64,
    source: &Source,
    order: &Order,
    person: &Person,
) -> (String, String) {
    let lifetime = state.logins.access_token_lifetime;
    let offered: &[&str] = if order.resource.is_some() { &SCOPES } else { &OPENID_SCOPES };
    let scopes = order.scopes.iter().filter(|it| offered.contains(&it.as_str()));
    let scopes: Vec<_> = scopes.cloned().collect();
    let scope = scopes.join(" ");
    let mut claims = person.access_claims();
    claims.extend(members(json!({
        "iss": state.url,
        "sub": person.subject,
        "iat": now,
        "exp": now + lifetime,
        "client_id": source.client,
        "scope": scope,
        "aud": order.resource,
    })));
    claims.retain(|_, value| !value.is_null() && value.as_str() != Some(""));
    if let Some(resource) = &order.resource
        && is_jwt_resource(state, resource)
    {
        claims.insert("jti".to_owned(), random().into());
        let key = state.key(SigningAlgorithm::Rs256);
        return (TokenBuilder::new(&key, "at+jwt", claims).sign(), scope);
    }
    claims.insert("active".to_owned(), true.into());
    claims.insert("token_type".to_owned(), "Bearer".into());
    claims.extend(source.sid.as_ref().map(|it| ("sid".to_owned(), it.as_str().into())));
    let token = random();
    state.opaque.insert(token.clone(), claims);
    let entry = AccessToken {
        grant: source.grant.clone(),
        client: source.client.clone(),
        subject: source.subject.clone(),
        scopes,
        has_audience: order.resource.is_some(),
        expires: now + lifetime,
    };
    state.logins.access_tokens.insert(token.clone(), entry);
    (token, scope)
}

fn id_token(
    state: &State,
    now: u64,
    client: &Client,
    source: &Source,
    scopes: &[String],
    person: &Person,
) -> TokenBuilder {
    let more = json!({
        "auth_time": source.auth_time,
        "acr": source.acr,
        "nonce": source.nonce,
        "sid": source.sid,
    });
    let mut claims = person.released(scopes);
    claims.extend(members(more).into_iter().filter(|(_, value)| !value.is_null()));
    id_token_with(state, now, client, claims)
}

/// An `id_token` for this client with these claims, and the registered ones.
pub(super) fn id_token_with(
    state: &State,
    now: u64,
    client: &Client,
    mut claims: Map<String, Value>,
) -> TokenBuilder {
    claims.extend(members(json!({
        "aud": client.id,
        "exp": now + ID_TOKEN_LIFETIME,
        "iat": now,
        "iss": state.url,
    })));
    let key = state.key(client.id_token_algorithm);
    TokenBuilder::new(&key, "JWT", claims).without_header("typ")
}

/// The left half of the token's hash, by the algorithm of the `id_token` (`at_hash`).
pub(super) fn token_hash(algorithm: SigningAlgorithm, token: &str) -> String {
    let hash = match algorithm {
        SigningAlgorithm::Es384 => Sha384::digest(token).to_vec(),
        SigningAlgorithm::EdDsa => Sha512::digest(token).to_vec(),
        _ => Sha256::digest(token).to_vec(),
    };
    URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2])
}
