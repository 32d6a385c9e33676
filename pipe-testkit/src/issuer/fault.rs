//! What can go wrong between a plugin and its provider, on request.

use std::time::Duration;

use hyper::{Response, StatusCode, header};

use super::TestIssuer;
use crate::fake::http::{Answer, Payload, response};

/// What a request meets instead of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// 500 with a web page.
    Html500,
    /// 200 with a web page, as a proxy or a login portal sends it.
    Html200,
    /// 429, with `Retry-After` in seconds when there is one.
    RateLimited {
        /// The header, when it is sent.
        retry_after: Option<u64>,
    },
    /// A closed connection.
    Reset,
    /// The beginning of a JSON object, then a closed connection.
    ResetMidBody,
    /// Nothing, while the connection stays open.
    Hang,
    /// The right answer, after this time.
    Slow(Duration),
    /// The right answer, once the path is healed. The request takes effect before.
    Held,
    /// 200 with a JSON document of about this many bytes: a key set with nothing in it but keys that
    /// cannot be used.
    Huge(usize),
    /// 200 with JSON that never ends.
    Endless,
    /// 200 with JSON of which a byte comes now and then.
    Trickle(Duration),
    /// 302 to this location.
    Redirect(String),
    /// 200 with this document.
    Json(String),
    /// 200 with the right answer, as another type of content.
    ContentType(String),
    /// 204.
    NoContent,
    /// This status with this JSON document.
    Status(u16, String),
    /// A closed connection after the request took effect.
    LostAnswer,
}

impl Fault {
    /// What is sent instead of the answer that `answer` makes.
    pub(crate) fn answer(self, answer: impl FnOnce() -> Answer) -> Answer {
        let json = |body| response(StatusCode::OK, JSON, body);
        match self {
            Self::Html500 => html(StatusCode::INTERNAL_SERVER_ERROR, "<html>boom</html>"),
            Self::Html200 => html(StatusCode::OK, "<html>login</html>"),
            Self::RateLimited { retry_after } => {
                let mut answer = Response::builder().status(StatusCode::TOO_MANY_REQUESTS);
                if let Some(seconds) = retry_after {
                    answer = answer.header(header::RETRY_AFTER, seconds);
                }
                Answer::Response(answer.body(Payload::default()).expect("a legal answer"))
            }
            Self::Reset => Answer::Close,
            Self::ResetMidBody => json(Payload::broken(r#"{"keys":["#)),
            // Who knows the path holds the answer itself.
            Self::Hang | Self::Held => Answer::Hang,
            Self::Slow(delay) => Answer::Later(delay, Box::new(answer())),
            Self::Huge(bytes) => json(Payload::repeated(r#"{"keys":["#, OCT, bytes, "{}]}")),
            Self::Endless => json(Payload::endless(r#"{"keys":["#, OCT)),
            Self::Trickle(pause) => json(Payload::trickle(r#"{"keys":["#, " ", pause)),
            Self::Redirect(location) => {
                let built = Response::builder().status(StatusCode::FOUND);
                let built = built.header(header::LOCATION, location).body(Payload::default());
                Answer::Response(built.expect("the location is a legal header"))
            }
            Self::Json(document) => json(Payload::of(document)),
            Self::ContentType(other) => match answer() {
                Answer::Response(mut response) => {
                    let value = other.parse().expect("the content type is a legal header");
                    response.headers_mut().insert(header::CONTENT_TYPE, value);
                    Answer::Response(response)
                }
                answer => answer,
            },
            Self::NoContent => response(StatusCode::NO_CONTENT, JSON, Payload::default()),
            Self::Status(status, document) => {
                let status = StatusCode::from_u16(status).expect("a legal status");
                response(status, JSON, Payload::of(document))
            }
            Self::LostAnswer => {
                drop(answer());
                Answer::Close
            }
        }
    }
}

impl TestIssuer {
    /// From now on, requests for this path meet the fault; `*` stands for all paths without one of
    /// their own.
    pub fn fail(&self, path: &str, fault: Fault) {
        self.provider.lock().faults.insert(path.to_owned(), (fault, None));
    }

    /// As [`fail`](Self::fail), for this many requests.
    pub fn fail_times(&self, path: &str, fault: Fault, times: usize) {
        if times > 0 {
            self.provider.lock().faults.insert(path.to_owned(), (fault, Some(times)));
        }
    }

    /// Requests for this path (`*`: for all) are answered again.
    pub fn heal(&self, path: &str) {
        let mut state = self.provider.lock();
        if path == "*" {
            state.faults.clear();
            state.held.clear();
        } else {
            state.faults.remove(path);
            state.held.retain(|(held, _)| held != path);
        }
    }

    /// How many requests for this path arrived.
    #[must_use]
    pub fn hits(&self, path: &str) -> usize {
        let state = self.provider.lock();
        let asked = |target: &&String| target.split('?').next() == Some(path);
        state.requests.iter().filter(asked).count()
    }

    /// The targets of all requests, with their queries.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.provider.lock().requests.clone()
    }
}

pub(super) const JSON: &str = "application/json; charset=utf-8";
const OCT: &str = r#"{"kty":"oct"},"#;

fn html(status: StatusCode, page: &'static str) -> Answer {
    response(status, "text/html; charset=utf-8", Payload::of(page))
}
