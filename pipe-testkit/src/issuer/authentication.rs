//! How clients prove who they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::answers::{Refusal, invalid_client};
use super::client::Authentication;
use super::grants::field;
use super::requests::{Fields, Form, assertion, basic, decoded};
use super::state::State;
use super::{CLIENT_ID, CLIENT_SECRET, RESOURCE_SERVER_ID, RESOURCE_SERVER_SECRET};
use crate::fake::http::{Answer, Call};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The client, or the answer for who is none.
pub(super) fn authenticated(
    state: &mut State,
    now: u64,
    call: &Call,
    form: &Form,
) -> Result<String, Box<Answer>> {
    let invalid =
        |description: &str| Err(Box::new(Refusal::new("invalid_request", description).answer()));
    let mechanisms = [
        basic(call).is_some(),
        field(form, "client_secret").is_some(),
        field(form, "client_assertion").is_some(),
    ];
    let id = field(form, "client_id");
    match mechanisms.into_iter().filter(|is_used| *is_used).count() {
        0 if id.is_none() => return invalid("no client authentication mechanism provided"),
        0 | 1 => {}
        _ => return invalid("client authentication must only be provided using one mechanism"),
    }
    if let (Some(named), Some((sent, _))) = (id, basic(call).and_then(pair))
        && named != sent
    {
        return invalid("client_id mismatch");
    }
    let Some(client) = client(state, now, call, form) else {
        return Err(Box::new(invalid_client(call, &state.url)));
    };
    if let Some(name) = Fields::of_body(call).duplicate("resource") {
        return invalid(&format!("'{name}' parameter must not be provided twice"));
    }
    Ok(client)
}

/// The client, when it proved who it is.
fn client(state: &mut State, now: u64, call: &Call, form: &Form) -> Option<String> {
    if let Some(basic) = basic(call) {
        let (id, secret) = pair(basic)?;
        return known(state, id, &secret);
    }
    let field = |name: &str| form.get(name).map(String::as_str);
    if field("client_assertion_type") == Some(ASSERTION_TYPE) {
        let claims = assertion(state, now, field("client_assertion")?)?;
        let id = claims.get("iss")?.as_str()?;
        let is_consistent = claims.get("sub")?.as_str() == Some(id)
            && field("client_id").is_none_or(|named| named == id);
        return is_consistent.then(|| id.to_owned());
    }
    let id = field("client_id")?.to_owned();
    match field("client_secret") {
        Some(secret) => known(state, id, secret),
        None => {
            let client = state.logins.clients.get(&id)?;
            matches!(client.authentication, Authentication::None).then_some(id)
        }
    }
}

/// The name and the secret in a header, which are form-encoded first (RFC 6749 2.3.1).
fn pair(basic: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((decoded(id), decoded(secret)))
}

fn known(state: &State, id: String, secret: &str) -> Option<String> {
    let added = state.logins.clients.get(&id);
    let expected = match (id.as_str(), added.map(|client| &client.authentication)) {
        (_, Some(Authentication::Secret(secret))) => secret,
        (_, Some(_)) => return None,
        (CLIENT_ID, None) => CLIENT_SECRET,
        (RESOURCE_SERVER_ID, None) => RESOURCE_SERVER_SECRET,
        _ => return None,
    };
    (secret == expected).then_some(id)
}
