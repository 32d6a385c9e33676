//! The interface by which a test changes the provider.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Client, Method};
use serde::Serialize;
use serde_json::{Value, json};

use crate::web;

/// What a path shows instead of its answer.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Fault {
    /// 500 with an HTML page.
    Html500,
    /// 200 with an HTML page, as a login page in front of the provider would be.
    Html200,
    /// 200 with this text as JSON.
    Json { body: String },
    /// 429 with a `Retry-After` of so many seconds.
    TooManyRequests { retry_after: u32 },
    /// 302 to this address.
    Redirect { location: String },
    /// The connection is reset.
    Reset,
    /// No answer, ever.
    Hang,
    /// The true answer, later.
    Slow { milliseconds: u32 },
    /// 200 with a JWK set of this size.
    Huge { megabytes: u32 },
}

/// A client of the provider's admin port. What the provider refuses is a panic.
#[derive(Debug)]
pub(crate) struct Admin {
    http: Client,
    address: String,
}

impl Admin {
    pub(crate) fn new(address: String) -> Self {
        Self { http: web::client(), address }
    }

    /// Signs with new keys, and still publishes the old ones. Returns the ids of all published
    /// keys, as the other changes of keys do.
    pub(crate) async fn rotate(&self) -> Vec<String> {
        self.change_keys("rotate").await
    }

    /// Signs with new keys, and publishes no others.
    pub(crate) async fn replace(&self) -> Vec<String> {
        self.change_keys("replace").await
    }

    /// Publishes new keys, and still signs with the old ones.
    pub(crate) async fn publish_next(&self) -> Vec<String> {
        self.change_keys("publish-next").await
    }

    /// Signs with the keys that were published last; the others stay published.
    pub(crate) async fn promote_next(&self) -> Vec<String> {
        self.change_keys("promote-next").await
    }

    /// Publishes only the keys that sign.
    pub(crate) async fn drop_old(&self) -> Vec<String> {
        self.change_keys("drop-old").await
    }

    /// Makes a path such as `/jwks` show a fault, for both schemes, until
    /// [`clear_faults`](Self::clear_faults).
    pub(crate) async fn fault(&self, path: &str, fault: Fault) {
        self.call(Method::PUT, "faults", &json!({ "path": path, "fault": fault })).await;
    }

    pub(crate) async fn clear_faults(&self) {
        self.call(Method::DELETE, "faults", &Value::Null).await;
    }

    /// Takes back what was granted to everybody.
    pub(crate) async fn revoke_grants(&self) {
        self.call(Method::DELETE, "grants", &Value::Null).await;
    }

    /// How many requests for a path there were since the start or the last reset.
    pub(crate) async fn hits(&self, path: &str) -> u64 {
        let answer = self.call(Method::GET, "hits", &Value::Null).await;
        let hits: BTreeMap<String, u64> = serde_json::from_value(answer).expect("hits are numbers");
        hits.get(path).copied().unwrap_or_default()
    }

    pub(crate) async fn reset_hits(&self) {
        self.call(Method::DELETE, "hits", &Value::Null).await;
    }

    /// How long access tokens live that are issued from now on, to the second.
    pub(crate) async fn set_token_lifetime(&self, lifetime: Duration) {
        let seconds = lifetime.as_secs();
        self.call(Method::PUT, "token-lifetime", &json!({ "seconds": seconds })).await;
    }

    async fn change_keys(&self, path: &str) -> Vec<String> {
        let answer = self.call(Method::POST, path, &Value::Null).await;
        serde_json::from_value(answer["kids"].clone()).expect("kids are strings")
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = self.http.request(method, format!("{}/{path}", self.address));
        let (status, answer) = web::json(request.body(body.to_string())).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }
}
