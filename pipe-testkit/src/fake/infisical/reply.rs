//! Answers in the server's own words.

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::super::http::{Answer, Payload, response};
use super::super::token_review::random_id;

pub(super) const JSON: &str = "application/json; charset=utf-8";

/// An answer before it is sent.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) code: u16,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// A refusal.
pub(super) type Refusal = Box<Reply>;

impl Reply {
    pub(super) fn ok(body: &Value) -> Self {
        Self::new(200, JSON, body.to_string())
    }

    pub(super) fn new(code: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        Self { code, content_type, headers: Vec::new(), body: body.into() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a strong entity tag; nothing but that where the client knows it already.
    pub(super) fn tagged(self, known: Option<&str>) -> Self {
        let digest = Sha256::digest(self.body.as_bytes());
        let tag: String = digest[..12].iter().map(|byte| format!("{byte:02x}")).collect();
        let tag = format!("\"{tag}\"");
        if self.code == 200 && known == Some(tag.as_str()) {
            return Self::new(304, JSON, "").with("etag", tag);
        }
        self.with("etag", tag)
    }

    pub(super) fn send(mut self) -> Answer {
        let body = Payload::of(std::mem::take(&mut self.body));
        self.send_with(body)
    }

    pub(super) fn send_with(self, body: Payload) -> Answer {
        let code = StatusCode::from_u16(self.code).expect("a test asks for a status that exists");
        let mut answer = response(code, self.content_type, body);
        if let Answer::Response(response) = &mut answer {
            for (name, value) in self.headers {
                let name = HeaderName::from_static(name);
                let value = HeaderValue::try_from(value).expect("a test asks for a legal header");
                response.headers_mut().insert(name, value);
            }
        }
        answer
    }
}

/// A refusal: `error` is a word, or an operation's name, or a sentence.
pub(super) fn refuse(code: u16, error: &str, message: impl Into<Value>) -> Refusal {
    let body = json!({
        "reqId": format!("req-{}", &random_id()[..14]),
        "statusCode": code,
        "message": message.into(),
        "error": error,
    });
    Box::new(Reply::new(code, JSON, body.to_string()))
}

pub(super) fn not_found(message: &str) -> Refusal {
    refuse(404, "NotFound", message)
}

pub(super) fn bad_request(message: &str) -> Refusal {
    refuse(400, "BadRequest", message)
}

/// What the server has no route for, in the framework's words.
pub(super) fn no_route(method: &str, path: &str) -> Refusal {
    let message = format!("Route {method}:{path} not found");
    let body = json!({"message": message, "error": "Not Found", "statusCode": 404});
    Box::new(Reply::new(404, JSON, body.to_string()))
}
