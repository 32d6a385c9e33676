//! A token endpoint that takes no code, and remembers what it was sent.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::StatusCode;

use crate::fake::http::{Answer, Call, Handler, Payload, Server, response};
use crate::issuer::requests::{Form, form};
use crate::leak::Canary;

/// A token endpoint that takes no code, and remembers what it was sent.
pub(crate) struct Recorder {
    server: Server,
    sent: Arc<Sent>,
}

#[derive(Default)]
struct Sent(Mutex<Vec<(Form, Canary)>>);

impl Recorder {
    pub(crate) async fn start() -> Self {
        let sent = Arc::new(Sent::default());
        Self { server: Server::start(0, Arc::clone(&sent)).await, sent }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/token", self.server.address())
    }

    /// The forms, each with its verifier, which has been watched since it came.
    pub(crate) fn take(&self) -> Vec<(Form, Canary)> {
        std::mem::take(&mut *self.sent.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Handler for Sent {
    fn answer(&self, call: &Call) -> Answer {
        let form = form(call);
        if let Some(verifier) = form.get("code_verifier").filter(|it| it.len() >= 12) {
            let canary = Canary::of(verifier);
            let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            sent.push((form, canary));
        }
        let refusal = r#"{"error":"invalid_grant"}"#;
        response(StatusCode::BAD_REQUEST, "application/json", Payload::of(refusal))
    }
}
