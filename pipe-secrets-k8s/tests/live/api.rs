//! Plain requests to the API server, for setup and for a second opinion beside the plugin's.

use std::time::Duration;

use reqwest::{Client, Identity, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use crate::credentials::Certificate;

const DEADLINE: Duration = Duration::from_secs(20);

/// Who makes a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Login<'a> {
    Anonymous,
    Token(&'a str),
    Certificate(&'a Certificate),
}

/// The API server as one user sees it. Paths are like `/api/v1/namespaces/x/secrets`.
///
/// An answer that is not JSON is returned as the string that it is.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    http: Client,
    url: String,
    token: Option<String>,
}

impl Api {
    pub(crate) fn new(url: &str, ca_pem: &str, login: Login<'_>) -> Self {
        let ca =
            reqwest::Certificate::from_pem(ca_pem.as_bytes()).expect("the CA is a certificate");
        let builder = Client::builder()
            .no_proxy()
            .tls_certs_only([ca])
            .timeout(DEADLINE)
            // Every test has a runtime of its own, and a pooled connection ends with the runtime
            // that opened it.
            .pool_max_idle_per_host(0);
        let (builder, token) = match login {
            Login::Anonymous => (builder, None),
            Login::Token(token) => (builder, Some(token.to_owned())),
            Login::Certificate(certificate) => {
                let identity = Identity::from_pem(certificate.pem().as_bytes());
                (builder.identity(identity.expect("it is a certificate with its key")), None)
            }
        };
        let http = builder.build().expect("build the HTTP client");
        Self { http, url: url.to_owned(), token }
    }

    /// Whether a path is there and answered with 200.
    pub(crate) async fn is_ok(&self, path: &str) -> bool {
        let answer = self.request(Method::GET, path).send().await;
        answer.is_ok_and(|response| response.status() == StatusCode::OK)
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(with_body(self.request(Method::POST, path), "application/json", body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(with_body(self.request(Method::PUT, path), "application/json", body)).await
    }

    /// A patch of the type `merge-patch+json`, `json-patch+json`, `strategic-merge-patch+json` or
    /// `apply-patch+yaml`.
    pub(crate) async fn patch(&self, path: &str, kind: &str, body: &Value) -> (StatusCode, Value) {
        let content_type = format!("application/{kind}");
        answer(with_body(self.request(Method::PATCH, path), &content_type, body)).await
    }

    /// Server-side apply, without force.
    pub(crate) async fn apply(
        &self,
        path: &str,
        field_manager: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let path = format!("{path}?fieldManager={field_manager}");
        self.patch(&path, "apply-patch+yaml", body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::DELETE, path)).await
    }

    /// Any request, and the whole answer.
    pub(crate) async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Response {
        let request = self.request(method, path).body(body);
        let with =
            |request: RequestBuilder, (name, value): &(&str, &str)| request.header(*name, *value);
        send(headers.iter().fold(request, with)).await
    }

    /// Posts what must be created, and returns it as the server made it.
    pub(crate) async fn create(&self, path: &str, body: &Value) -> Value {
        let (status, created) = self.post(path, body).await;
        assert_eq!(status, StatusCode::CREATED, "{path}: {created}");
        created
    }

    /// Begins a watch of a collection. `query` is what follows `watch=true`, and may be empty.
    pub(crate) async fn watch(&self, path: &str, query: &str) -> Watch {
        let path = format!("{path}?watch=true&{query}");
        // The deadline is that of each event, not of the watch.
        let request = self.request(Method::GET, &path).timeout(Duration::from_secs(600));
        let response = send(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        Watch { response, received: Vec::new() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

/// A running watch, whose end is that of its connection.
#[derive(Debug)]
pub(crate) struct Watch {
    response: Response,
    received: Vec<u8>,
}

impl Watch {
    /// The next event, and `None` once the server has ended the watch. No event for 20 seconds is a
    /// panic.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line = Vec::from_iter(self.received.drain(..=end));
                return Some(serde_json::from_slice(&line).expect("an event is a line of JSON"));
            }
            let chunk = timeout(DEADLINE, self.response.chunk()).await.expect("an event in time");
            // A connection that breaks is an end too.
            self.received.extend(chunk.ok().flatten()?);
        }
    }
}

fn with_body(request: RequestBuilder, content_type: &str, body: &Value) -> RequestBuilder {
    request.header("content-type", content_type).body(body.to_string())
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = send(request).await;
    let status = response.status();
    let text = response.text().await.expect("the answer has a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.expect("the server answers")
}
