//! The answers of OpenBao 2.7.2, byte for byte where they are constant.

use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::super::http::{Answer, Payload};
use super::super::token_review::random_id;

/// An answer, whole.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: String,
    pub(super) headers: Vec<(String, String)>,
    /// Made before OpenBao's own handler, which sets headers on everything.
    pub(super) is_bare: bool,
}

/// `Err` is an answer too: one that ends the handling of a request early.
pub(super) type Outcome = Result<Reply, Reply>;

pub(super) const JSON: &str = "application/json";
pub(super) const HTML: &str = "text/html; charset=utf-8";

impl Reply {
    pub(super) fn new(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        Self { status, content_type, body: body.into(), headers: Vec::new(), is_bare: false }
    }

    /// This answer without the headers that all others have.
    pub(super) fn bare(mut self) -> Self {
        self.is_bare = true;
        self
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// This answer on the wire.
    pub(super) fn send(self) -> Answer {
        let payload = Payload::of(self.body.clone());
        self.send_with(payload)
    }

    /// The head of this answer, with another body.
    pub(super) fn send_with(self, payload: Payload) -> Answer {
        let bodiless = matches!(self.status, 204 | 304);
        let mut response = Response::new(if bodiless { Payload::default() } else { payload });
        *response.status_mut() =
            StatusCode::from_u16(self.status).expect("a status has three digits");
        let headers = response.headers_mut();
        if !self.is_bare {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(
                header::STRICT_TRANSPORT_SECURITY,
                HeaderValue::from_static("max-age=31536000; includeSubDomains"),
            );
        }
        if !self.content_type.is_empty() {
            let content_type = HeaderValue::from_static(self.content_type);
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        for (name, value) in self.headers {
            let name = HeaderName::try_from(name).expect("a header's name");
            headers.insert(name, HeaderValue::try_from(value).expect("a header's value"));
        }
        Answer::Response(response)
    }
}

/// `{"errors":[…]}`
pub(super) fn errors(status: u16, texts: &[&str]) -> Reply {
    Reply::new(status, JSON, format!("{}\n", json!({ "errors": texts })))
}

/// One error in the plain form.
pub(super) fn error(status: u16, text: &str) -> Reply {
    errors(status, &[text])
}

/// One error in the form of a list, as errors of the router and of the policies come.
pub(super) fn listed_error(status: u16, text: &str) -> Reply {
    error(status, &format!("1 error occurred:\n\t* {text}\n\n"))
}

/// Nothing is stored there.
pub(super) fn missing() -> Reply {
    errors(404, &[])
}

/// The token is not good, or there is none.
pub(super) fn token_refused() -> Reply {
    error(403, "permission denied")
}

/// The token is good, and its policies do not allow this.
pub(super) fn policy_refused() -> Reply {
    listed_error(403, "permission denied")
}

pub(super) fn no_route(path: &str) -> Reply {
    let text = format!("no handler for route {path:?}. route entry not found.");
    error(404, &text)
}

pub(super) fn unsupported_path() -> Reply {
    listed_error(404, "unsupported path")
}

pub(super) fn unsupported_operation() -> Reply {
    listed_error(405, "unsupported operation")
}

pub(super) fn no_content() -> Reply {
    Reply::new(204, JSON, "")
}

/// 200 with data.
pub(super) fn data(data: &Value) -> Reply {
    data_with(data, &Value::Null)
}

/// 200 with data and warnings.
pub(super) fn data_with(data: &Value, warnings: &Value) -> Reply {
    let body = envelope(data, &Value::Null, warnings);
    Reply::new(200, JSON, format!("{body}\n"))
}

/// 404 that says something all the same: what a deleted version was.
pub(super) fn missing_data(data: &Value) -> Reply {
    let body = envelope(data, &Value::Null, &Value::Null);
    Reply::new(404, JSON, body.to_string())
}

/// 404 that says what was wrong with the path.
pub(super) fn missing_because(warning: &str) -> Reply {
    let body = envelope(&Value::Null, &Value::Null, &json!([warning]));
    Reply::new(404, JSON, body.to_string())
}

/// 200 with a token.
pub(super) fn auth(auth: &Value, warnings: &Value) -> Reply {
    let body = envelope(&Value::Null, auth, warnings);
    Reply::new(200, JSON, format!("{body}\n"))
}

fn envelope(data: &Value, auth: &Value, warnings: &Value) -> Value {
    json!({
        "request_id": random_id(),
        "lease_id": "",
        "renewable": false,
        "lease_duration": 0,
        "data": data,
        "wrap_info": null,
        "warnings": warnings,
        "auth": auth,
    })
}
