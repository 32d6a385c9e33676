//! The Status bodies with which the API server refuses, in its own words.

use hyper::StatusCode;
use hyper::header::HeaderValue;
use serde_json::{Value, json};

use super::super::http::{Answer, Payload, response};

/// An answer before it is sent.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) code: u16,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn json(code: u16, body: &Value) -> Self {
        Self::text(code, "application/json", body.to_string())
    }

    pub(super) fn text(code: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        Self { code, content_type, headers: Vec::new(), body: body.into() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With warnings, as `kubectl` shows them.
    pub(super) fn with_all(self, warnings: Vec<String>) -> Self {
        warnings.iter().fold(self, |reply, text| reply.with("warning", format!("299 - {text:?}")))
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
                let value = HeaderValue::try_from(value).expect("a test asks for a legal header");
                response.headers_mut().append(name, value);
            }
        }
        answer
    }
}

/// A refusal: what it is about is in `details`.
pub(super) fn status(code: u16, reason: &str, message: &str, details: Value) -> Reply {
    let mut body = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "code": code,
    });
    if !reason.is_empty() {
        body["reason"] = reason.into();
    }
    if !details.is_null() {
        body["details"] = details;
    }
    Reply::json(code, &body)
}

pub(super) fn bad_request(message: &str) -> Reply {
    status(400, "BadRequest", message, Value::Null)
}

pub(super) fn not_found(kind: &str, name: &str) -> Reply {
    let message = format!("{kind} {name:?} not found");
    status(404, "NotFound", &message, json!({"name": name, "kind": kind}))
}

/// What is answered where the API ends: not even as a Status.
pub(super) fn page_not_found() -> Reply {
    Reply::text(404, "text/plain; charset=utf-8", "404 page not found\n")
}

pub(super) fn no_resource() -> Reply {
    let message = "the server could not find the requested resource";
    status(404, "NotFound", message, json!({}))
}

/// What a patch is answered that does not fit, and says no more.
pub(super) fn rejected() -> Reply {
    let message = "the server rejected our request due to an error in our request";
    status(422, "Invalid", message, json!({}))
}

pub(super) fn unauthorized() -> Reply {
    status(401, "Unauthorized", "Unauthorized", Value::Null)
}

pub(super) fn stale(name: &str) -> Reply {
    let message = format!(
        "Operation cannot be fulfilled on secrets {name:?}: the object has been modified; please apply your \
         changes to the latest version and try again"
    );
    conflict("secrets", name, &message)
}

pub(super) fn conflict(kind: &str, name: &str, message: &str) -> Reply {
    status(409, "Conflict", message, json!({"name": name, "kind": kind}))
}

/// One fault of validation: its reason, its field and what is wrong.
#[derive(Debug)]
pub(super) struct Cause {
    pub(super) reason: &'static str,
    pub(super) field: String,
    pub(super) message: String,
}

/// `kind` may have its group behind it, as in `PatchOptions.meta.k8s.io`.
pub(super) fn invalid(kind: &str, name: &str, causes: &[Cause]) -> Reply {
    let texts: Vec<_> =
        causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
    let texts = match texts.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    let causes: Vec<_> = causes
        .iter()
        .map(|c| json!({"reason": c.reason, "message": c.message, "field": c.field}))
        .collect();
    let message = format!("{kind} {name:?} is invalid: {texts}");
    let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
    let mut details = json!({"causes": causes});
    for (field, text) in [("name", name), ("group", group), ("kind", kind)] {
        if !text.is_empty() {
            details[field] = text.into();
        }
    }
    status(422, "Invalid", &message, details)
}
