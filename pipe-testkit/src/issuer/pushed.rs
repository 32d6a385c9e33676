//! Pushed authorization requests (RFC 9126).

use hyper::StatusCode;
use serde_json::json;

use super::Client;
use super::answers::{Refusal, uncached};
use super::parameters::{redirect_uri, validated};
use super::requests::Fields;
use super::state::{State, random};
use crate::fake::http::{Answer, Call};

/// How long a pushed request can be used, in seconds.
const LIFETIME: u64 = 60;
pub(super) const URN: &str = "urn:ietf:params:oauth:request_uri:";

/// A request that waits for a browser.
pub(super) struct Pushed {
    pub(super) client: String,
    pub(super) fields: Fields,
    pub(super) expires: u64,
    pub(super) is_consumed: bool,
}

pub(super) fn push(
    state: &mut State,
    now: u64,
    client: &Client,
    call: &Call,
) -> Result<Answer, Refusal> {
    let fields = Fields::of_body(call);
    if fields.get("request_uri").is_some() {
        return Err(Refusal::bare("request_uri_not_supported"));
    }
    match fields.get("client_id") {
        Some(id) if id == client.id => {}
        Some(_) => {
            let description = "client_id mismatch";
            return Err(Refusal::new("invalid_request", description));
        }
        None => return Err(Refusal::missing("client_id")),
    }
    let redirect_uri = redirect_uri(client, &fields)
        .map_err(|refusal| Refusal { error: "invalid_request".to_owned(), ..refusal })?;
    validated(state, client, &fields, &redirect_uri)?;
    let fields = fields.without(&["client_secret", "client_assertion", "client_assertion_type"]);
    let uri = format!("{URN}{}", random());
    let expires = now + LIFETIME;
    let pushed = Pushed { client: client.id.clone(), fields, expires, is_consumed: false };
    state.logins.pushed.insert(uri.clone(), pushed);
    Ok(uncached(StatusCode::CREATED, &json!({"expires_in": LIFETIME, "request_uri": uri})))
}
