//! The forms that answers have.

use hyper::{Response, StatusCode, header};
use serde_json::{Value, json};

use super::fault::JSON;
use super::requests::basic;
use crate::fake::http::{Answer, Call, Payload, response};

/// Why a request is not granted.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) error: String,
    pub(super) description: Option<String>,
    pub(super) scope: Option<String>,
}

impl Refusal {
    /// 400 with this error.
    pub(super) fn new(error: &str, description: impl Into<String>) -> Self {
        Self { description: Some(description.into()), ..Self::bare(error) }
    }

    /// 400 with this error, and nothing about it.
    pub(super) fn bare(error: &str) -> Self {
        let error = error.to_owned();
        Self { status: StatusCode::BAD_REQUEST, error, description: None, scope: None }
    }

    pub(super) fn missing(parameter: &str) -> Self {
        Self::new("invalid_request", format!("missing required parameter '{parameter}'"))
    }

    pub(super) fn grant() -> Self {
        Self::new("invalid_grant", "grant request is invalid")
    }

    pub(super) fn target() -> Self {
        Self::new("invalid_target", "resource indicator is missing, or unknown")
    }

    pub(super) fn with_scope(self, scope: impl Into<String>) -> Self {
        Self { scope: Some(scope.into()), ..self }
    }

    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(super) fn body(&self) -> Value {
        let mut body = json!({"error": self.error});
        if let Some(description) = &self.description {
            body["error_description"] = description.as_str().into();
        }
        if let Some(scope) = &self.scope {
            body["scope"] = scope.as_str().into();
        }
        body
    }

    pub(super) fn answer(&self) -> Answer {
        uncached(self.status, &self.body())
    }

    /// As a page, for a browser that must not be led anywhere.
    pub(super) fn page(&self) -> Answer {
        let description = self.description.as_deref().unwrap_or_default();
        let text = format!("<h1>{}</h1><p>{}</p>", escaped(&self.error), escaped(description));
        html(self.status, &text)
    }
}

pub(super) fn refusal(status: StatusCode, error: &str, description: &str) -> Answer {
    Refusal::new(error, description).with_status(status).answer()
}

pub(super) fn invalid_client(call: &Call, issuer: &str) -> Answer {
    let answer =
        refusal(StatusCode::UNAUTHORIZED, "invalid_client", "client authentication failed");
    if basic(call).is_none() {
        return answer;
    }
    let challenge = format!(
        "Basic realm=\"{issuer}\", error=\"invalid_client\", \
         error_description=\"client authentication failed\""
    );
    with_header(answer, header::WWW_AUTHENTICATE, &challenge)
}

pub(super) fn uncached(status: StatusCode, body: &Value) -> Answer {
    with_header(json_answer(status, body), header::CACHE_CONTROL, "no-store")
}

pub(super) fn json_answer(status: StatusCode, body: &Value) -> Answer {
    response(status, JSON, Payload::of(body.to_string()))
}

pub(super) fn html(status: StatusCode, text: &str) -> Answer {
    let page = format!("<!DOCTYPE html><html><body>{text}</body></html>");
    let answer = response(status, "text/html; charset=utf-8", Payload::of(page));
    with_header(answer, header::CACHE_CONTROL, "no-store")
}

/// 303 to this place.
pub(super) fn see_other(location: &str) -> Answer {
    let built = Response::builder().status(StatusCode::SEE_OTHER).body(Payload::default());
    let answer = Answer::Response(built.expect("nothing in it can be wrong"));
    let answer = with_header(answer, header::LOCATION, location);
    with_header(answer, header::CACHE_CONTROL, "no-store")
}

pub(super) fn with_header(answer: Answer, name: header::HeaderName, value: &str) -> Answer {
    let (Answer::Response(mut response), Ok(value)) = (answer, value.parse()) else {
        return Refusal::new("invalid_request", "a header with such a value cannot be sent")
            .answer();
    };
    response.headers_mut().insert(name, value);
    Answer::Response(response)
}

/// The URI with these parameters added to its query.
pub(super) fn with_query(uri: &str, parameters: &[(&str, &str)]) -> String {
    let query: Vec<_> = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
        .collect();
    let (uri, fragment) = uri.split_once('#').map_or((uri, None), |(uri, it)| (uri, Some(it)));
    let joint = match uri.split_once('?') {
        _ if query.is_empty() => "",
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    let fragment = fragment.map(|it| format!("#{it}")).unwrap_or_default();
    format!("{uri}{joint}{}{fragment}", query.join("&"))
}

/// As forms and queries write it.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                encoded.push(byte.into());
            }
            b' ' => encoded.push('+'),
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

/// As HTML writes it.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
