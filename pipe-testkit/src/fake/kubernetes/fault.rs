//! What can go wrong between a client and the API server, on request.

use serde_json::json;

use super::super::http::{Answer, Call, Payload};
use super::status::{Reply, bad_request, status};

/// What a request meets instead of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiFault {
    /// A Status of this code and reason, in which nothing else is told.
    Status(u16, &'static str),
    /// 429 of flow control: plain text, and `Retry-After: 1`.
    TooManyRequests,
    /// 504 as when etcd hangs: a Status that does not say what it is, as plain text.
    EtcdTimeout,
    /// 500 because an admission webhook cannot be reached.
    WebhookDown,
    /// 404 in plain text, as a server without this API, or somebody else, answers.
    PageNotFound,
    /// 401: the token is not taken, whatever it is.
    Unauthorized,
    /// Nothing, while the connection stays open.
    Hang,
    /// A closed connection; the request is not carried out.
    Reset,
    /// The first half of the answer, then a closed connection; the request *is* carried out.
    ResetMidBody,
    /// 307 to this location.
    Redirect(String),
    /// This status with a web page, as a proxy or a login portal sends it.
    Html(u16),
    /// 200 with JSON in which nothing has its type, and every string repeats the request's secrets.
    WrongShape200,
    /// This status with a Status that repeats the request's token and body in every text: as a failed
    /// merge patch does, and a hostile server.
    EchoSecrets(u16),
    /// 200 with a body of that many bytes.
    HugeBody(usize),
}

/// A fault that waits for its requests.
#[derive(Debug)]
pub(super) struct Injected {
    pub(super) fault: ApiFault,
    /// `METHOD /path?query` has this in it.
    pub(super) part: String,
    pub(super) left: usize,
}

impl ApiFault {
    /// What is sent instead of the answer that `carry_out` makes.
    pub(super) fn answer(self, call: &Call, carry_out: impl FnOnce() -> Reply) -> Answer {
        let plain = "text/plain; charset=utf-8";
        match self {
            Self::Status(code, reason) => status(code, reason, "", serde_json::Value::Null).send(),
            Self::TooManyRequests => {
                let text = "Too many requests, please try again later.\n";
                Reply::text(429, plain, text).with("retry-after", "1").send()
            }
            Self::EtcdTimeout => {
                let body = json!({
                    "metadata": {},
                    "status": "Failure",
                    "message": "Timeout: request did not complete within the allotted timeout",
                    "reason": "Timeout",
                    "details": {},
                    "code": 504,
                });
                Reply::text(504, plain, body.to_string()).send()
            }
            Self::WebhookDown => {
                let message = "Internal error occurred: failed calling webhook \"hook.example.com\": failed to call \
                               webhook: Post \"https://127.0.0.1:16999/x?timeout=2s\": dial tcp: connection refused";
                status(500, "InternalError", message, json!({"causes": [{"message": message}]}))
                    .send()
            }
            Self::PageNotFound => super::status::page_not_found().send(),
            Self::Unauthorized => super::status::unauthorized().send(),
            Self::Hang => Answer::Hang,
            Self::Reset => Answer::Close,
            Self::ResetMidBody => {
                let mut reply = carry_out();
                let half = reply.body.split_off(0);
                let half = half.as_bytes()[..half.len() / 2].to_vec();
                reply.send_with(Payload::broken(half))
            }
            Self::Redirect(location) => {
                let reply = Reply::text(307, "text/html", "Temporary Redirect");
                reply.with("location", location).send()
            }
            Self::Html(code) => {
                Reply::text(code, "text/html", "<html><body>Please sign in</body></html>").send()
            }
            Self::WrongShape200 => {
                let secret = sent(call);
                let body = json!({
                    "kind": secret,
                    "metadata": secret,
                    "items": secret,
                    "data": {"k": secret},
                    "status": secret,
                });
                Reply::json(200, &body).send()
            }
            Self::EchoSecrets(code) => {
                let secret = sent(call);
                let cause =
                    json!({"reason": "FieldManagerConflict", "message": secret, "field": secret});
                let details = json!({"name": secret, "kind": secret, "causes": [cause]});
                let mut reply =
                    status(code, "", &format!("patch: Invalid value: {secret}"), details);
                if code == 418 {
                    reply = bad_request(&secret);
                }
                reply.send()
            }
            Self::HugeBody(bytes) => Reply::text(200, "application/json", "")
                .send_with(Payload::padded(r#"{"kind":"Secret","data":{"k":""#, bytes, r#""}}"#)),
        }
    }
}

/// The request's token and body.
fn sent(call: &Call) -> String {
    let token = call.header("authorization").unwrap_or_default();
    let body = String::from_utf8_lossy(call.body.as_deref().unwrap_or_default());
    format!("{token} {body}")
}
