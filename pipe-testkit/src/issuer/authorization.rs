//! The authorization endpoint: what a request has to be.

use std::collections::BTreeSet;

use super::answers::{Refusal, with_query};
use super::parameters::{redirect_uri, validated};
use super::pushed::URN;
use super::requests::Fields;
use super::state::State;

/// A request that can be granted.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) client: String,
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
    pub(super) nonce: Option<String>,
    /// Those that can be granted.
    pub(super) scopes: Vec<String>,
    pub(super) prompts: BTreeSet<String>,
    pub(super) max_age: Option<u64>,
    pub(super) acr_values: Option<String>,
    pub(super) resources: Vec<String>,
    pub(super) challenge: String,
    /// Who has to log in.
    pub(super) hinted_subject: Option<String>,
    /// The `request_uri` under which it was pushed.
    pub(super) pushed: Option<String>,
}

/// Why a request is refused, and where that may be said.
#[derive(Debug)]
pub(super) struct Denial {
    pub(super) refusal: Refusal,
    /// `None`: the browser must not be led anywhere.
    pub(super) redirect_uri: Option<String>,
    pub(super) state: Option<String>,
    /// Whether the answer belongs into the fragment.
    pub(super) in_fragment: bool,
}

impl Denial {
    /// Where the browser is led.
    pub(super) fn location(&self, issuer: &str) -> Option<String> {
        let mut parameters = vec![("error", self.refusal.error.as_str())];
        parameters.extend(self.refusal.description.as_deref().map(|it| ("error_description", it)));
        parameters.extend(self.refusal.scope.as_deref().map(|it| ("scope", it)));
        parameters.extend(self.state.as_deref().map(|it| ("state", it)));
        parameters.push(("iss", issuer));
        let uri = self.redirect_uri.as_deref()?;
        if !self.in_fragment {
            return Some(with_query(uri, &parameters));
        }
        Some(format!("{uri}#{}", with_query("", &parameters).trim_start_matches('?')))
    }
}

/// The request, or why not. One that was pushed may be `late` when somebody logged in meanwhile.
pub(super) fn request(
    state: &State,
    now: u64,
    fields: &Fields,
    late: bool,
) -> Result<Request, Box<Denial>> {
    let page =
        |refusal| Box::new(Denial { refusal, redirect_uri: None, state: None, in_fragment: false });
    let client = match fields.get("client_id") {
        Some(id) => state.logins.clients.get(id),
        None => return Err(page(Refusal::missing("client_id"))),
    };
    let Some(client) = client else {
        return Err(page(Refusal::new("invalid_client", "client is invalid")));
    };
    let denied = |refusal, redirect_uri, fields: &Fields| {
        let state = fields.get("state").map(str::to_owned);
        let in_fragment = fields.get("response_type").is_some_and(|it| it.contains("token"));
        Box::new(Denial { refusal, redirect_uri: Some(redirect_uri), state, in_fragment })
    };
    let Some(uri) = fields.get("request_uri") else {
        let redirect_uri = redirect_uri(client, fields).map_err(page)?;
        let request = validated(state, client, fields, &redirect_uri);
        return request.map_err(|refusal| denied(refusal, redirect_uri, fields));
    };
    let pushed = state.logins.pushed.get(uri);
    let pushed = pushed.filter(|it| !it.is_consumed && (late || now < it.expires));
    let Some(pushed) = pushed else {
        let refusal = if uri.starts_with(URN) {
            let description = "request_uri is invalid, expired, or was already used";
            Refusal::new("invalid_request_uri", description)
        } else {
            Refusal::bare("request_uri_not_supported")
        };
        let redirect_uri = redirect_uri(client, fields).map_err(page)?;
        return Err(denied(refusal, redirect_uri, fields));
    };
    let fields = &pushed.fields;
    let redirect_uri = redirect_uri(client, fields).map_err(page)?;
    if pushed.client != client.id {
        let description = "request client_id must equal the one in request parameters";
        let refusal = Refusal::new("invalid_request_object", description);
        return Err(denied(refusal, redirect_uri, fields));
    }
    match validated(state, client, fields, &redirect_uri) {
        Ok(request) => Ok(Request { pushed: Some(uri.to_owned()), ..request }),
        Err(refusal) => Err(denied(refusal, redirect_uri, fields)),
    }
}
