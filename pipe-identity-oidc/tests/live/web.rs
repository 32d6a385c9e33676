//! Plain HTTP requests.

use std::time::Duration;

use reqwest::{Client, ClientBuilder, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use url::form_urlencoded::Serializer;

/// Settings that suit tests on the loopback interface.
pub(crate) fn builder() -> ClientBuilder {
    Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(20))
        // Every test has a runtime of its own, and a pooled connection ends with the runtime that
        // opened it.
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
}

pub(crate) fn client() -> Client {
    builder().build().expect("build the HTTP client")
}

/// A request with a form as its body.
pub(crate) fn form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

/// Sends a request; the answer is a panic unless it is JSON.
pub(crate) async fn json(request: RequestBuilder) -> (StatusCode, Value) {
    let response = send(request).await;
    let status = response.status();
    let body = response.bytes().await.expect("the answer has a body");
    (status, serde_json::from_slice(&body).expect("the answer is JSON"))
}

pub(crate) async fn send(request: RequestBuilder) -> Response {
    request.send().await.expect("the server answers")
}
