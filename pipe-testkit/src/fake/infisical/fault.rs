//! What can go wrong between a client and Infisical, on request.

use serde_json::json;

use super::super::http::{Answer, Call, Payload};
use super::reply::{JSON, Reply, refuse};

/// What a request meets instead of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InfisicalFault {
    /// This status, with this `error` and this `message`.
    Status(u16, &'static str, &'static str),
    /// 429 with `Retry-After`, as old servers send it.
    RateLimited(u64),
    /// 429 that says in its text only when to try again.
    RateLimitedInWords(&'static str),
    /// This status with a web page, as a proxy or a login portal sends it.
    Html(u16),
    /// Nothing, while the connection stays open.
    Hang,
    /// A closed connection; the request is not carried out.
    Reset,
    /// The first half of the answer, then a closed connection; the request *is* carried out.
    ResetMidBody,
    /// 307 to this location.
    Redirect(String),
    /// 200 with JSON in which nothing has its type, and every string repeats the request's secrets.
    WrongShape200,
    /// This status, with texts that repeat the request's token and body: a hostile server.
    EchoSecrets(u16),
    /// 200 with a body of that many bytes.
    HugeBody(usize),
}

/// A fault that waits for its requests.
#[derive(Debug)]
pub(super) struct Injected {
    pub(super) fault: InfisicalFault,
    /// `METHOD /path?query` has this in it.
    pub(super) part: String,
    pub(super) left: usize,
}

impl InfisicalFault {
    /// What is sent instead of the answer that `carry_out` makes.
    pub(super) fn answer(self, call: &Call, carry_out: impl FnOnce() -> Reply) -> Answer {
        let secrets = || {
            let token = call.header("authorization").unwrap_or_default();
            let sent = String::from_utf8_lossy(call.body.as_deref().unwrap_or_default());
            format!("{token} may not send {sent}")
        };
        match self {
            Self::Status(code, error, message) => refuse(code, error, message).send(),
            Self::RateLimited(seconds) => {
                let text = "Rate limit exceeded. Please try again in 1 minute";
                let reply = refuse(429, "RateLimitExceeded", text);
                reply.with("retry-after", seconds.to_string()).send()
            }
            Self::RateLimitedInWords(text) => refuse(429, "RateLimitExceeded", text).send(),
            Self::Html(code) => {
                Reply::new(code, "text/html", "<html><body>Please sign in</body></html>").send()
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
                Reply::new(307, "text/html", "").with("location", location).send()
            }
            Self::WrongShape200 => {
                let secret = secrets();
                let body = json!({
                    "secrets": secret,
                    "secret": {"secretValue": [secret], "secretKey": 7, "version": secret},
                    "accessToken": [secret],
                    "imports": secret,
                });
                Reply::new(200, JSON, body.to_string()).send()
            }
            Self::EchoSecrets(code) => {
                let secret = secrets();
                refuse(code, &secret, secret.clone()).send()
            }
            Self::HugeBody(bytes) => Reply::new(200, JSON, "").send_with(Payload::padded(
                r#"{"secrets":[{"secretKey":"k","version":1,"secretValue":""#,
                bytes,
                r#""}],"imports":[]}"#,
            )),
        }
    }
}
