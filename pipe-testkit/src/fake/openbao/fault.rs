//! What can go wrong between a client and OpenBao, on request.

use serde_json::json;

use super::super::http::{Answer, Call, Payload};
use super::answers::{self, HTML, JSON, Reply};

/// What a request meets instead of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// This answer, as JSON. See also [`Fault::status`].
    Status {
        /// The HTTP status.
        code: u16,
        /// The body.
        body: String,
        /// Further headers, name and value.
        headers: Vec<(String, String)>,
    },
    /// 429 in OpenBao's words. It sends `Retry-After` only when it was configured to.
    RateLimited {
        /// The seconds of `Retry-After`; OpenBao rounds down, so 0 is possible.
        retry_after: Option<u64>,
    },
    /// Nothing, while the connection stays open.
    Hang,
    /// A closed connection; the request is not carried out.
    Reset,
    /// The first half of the answer, then a closed connection; the request *is* carried out.
    ResetMidBody,
    /// 307 to this location.
    Redirect(String),
    /// 200 with a web page, as a proxy or a login portal sends it.
    Html200,
    /// 200 with JSON that is cut off.
    Garbage200,
    /// 200 with JSON in which nothing has its type, and every string repeats the request's secrets.
    WrongShape200,
    /// 200 with a good answer for a secret whose only value has this many bytes.
    HugeBody(usize),
    /// This status, with an error text that repeats the request's token and body: a hostile server.
    EchoSecrets(u16),
}

impl Fault {
    /// This status with an empty list of errors.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::Status { code, body: r#"{"errors":[]}"#.to_owned(), headers: Vec::new() }
    }

    /// What is sent instead of the answer that `carry_out` makes.
    pub(super) fn answer(self, call: &Call, carry_out: impl FnOnce() -> Reply) -> Answer {
        match self {
            Self::Status { code, body, headers } => {
                Reply { headers, ..Reply::new(code, JSON, body) }.send()
            }
            Self::RateLimited { retry_after } => {
                let path = call.path.strip_prefix("/v1/").unwrap_or(&call.path);
                let text = format!("request path {path:?}: rate limit quota exceeded");
                let reply = answers::error(429, &text);
                match retry_after {
                    Some(seconds) => reply.with("Retry-After", seconds.to_string()),
                    None => reply,
                }
                .send()
            }
            Self::Hang => Answer::Hang,
            Self::Reset => Answer::Close,
            Self::ResetMidBody => {
                let reply = carry_out();
                if reply.body.is_empty() {
                    return Answer::Close;
                }
                let half = reply.body.as_bytes()[..reply.body.len() / 2].to_vec();
                reply.send_with(Payload::broken(half))
            }
            Self::Redirect(location) => {
                Reply::new(307, HTML, "Temporary Redirect").with("Location", location).send()
            }
            Self::Html200 => {
                Reply::new(200, HTML, "<html><body>Please sign in</body></html>").send()
            }
            Self::Garbage200 => Reply::new(200, JSON, r#"{"request_id":"1","data":{"da"#).send(),
            Self::WrongShape200 => {
                // What a parser quotes when it complains is the request's own secret.
                let token = call.header("x-vault-token").unwrap_or_default();
                let sent = String::from_utf8_lossy(call.body.as_deref().unwrap_or_default());
                let secret = format!("{token} {sent}");
                let body = json!({
                    "request_id": 7,
                    "lease_duration": secret,
                    "data": {"data": secret, "metadata": secret, "keys": secret},
                    "auth": secret,
                });
                Reply::new(200, JSON, body.to_string()).send()
            }
            Self::HugeBody(bytes) => Reply::new(200, JSON, "").send_with(Payload::padded(
                r#"{"data":{"data":{"k":""#,
                bytes,
                r#""},"metadata":{"version":1,"deletion_time":"","destroyed":false}}}"#,
            )),
            Self::EchoSecrets(code) => {
                let token = call.header("x-vault-token").unwrap_or_default();
                let body = String::from_utf8_lossy(call.body.as_deref().unwrap_or_default());
                answers::error(code, &format!("token {token} may not send {body}")).send()
            }
        }
    }
}
