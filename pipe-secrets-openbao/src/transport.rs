//! The way to the server: vaultrs' endpoints over our own HTTP client.
//!
//! vaultrs' client follows redirects with the token, has no timeout, drops leases and prints
//! bodies; its endpoint structs and `EndpointResult` are sound. Nothing of vaultrs or rustify is
//! ever formatted: their `Debug` shows tokens and bodies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response};
use pipe_core::{Error, ErrorKind, Namespace, Result};
use pipe_http::{HttpClient, HttpResponse};
use rustify::endpoint::{Endpoint, MiddleWare};
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use serde::Deserialize;
use vaultrs::api::EndpointResult;
use zeroize::Zeroizing;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Asked for by servers that are set up to refuse requests which a browser was tricked into.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

const INDEX: HeaderName = HeaderName::from_static("x-vault-index");
const INCONSISTENT: HeaderName = HeaderName::from_static("x-vault-inconsistent");

/// What goes with a request besides path and body.
#[derive(Clone, Default)]
pub(crate) struct Headers {
    token: Option<HeaderValue>,
    namespace: Option<HeaderValue>,
}

impl Headers {
    /// In a namespace, without a token.
    pub(crate) fn in_namespace(namespace: Option<&Namespace>) -> Self {
        // A namespace is ASCII by construction.
        let namespace = namespace.and_then(|n| HeaderValue::from_str(n.as_str()).ok());
        Self { token: None, namespace }
    }

    pub(crate) fn with_token(self, token: HeaderValue) -> Self {
        Self { token: Some(token), ..self }
    }
}

/// A token as a header, which some tokens cannot be: those with a line break in them, say.
pub(crate) fn token_header(token: &[u8]) -> Result<HeaderValue> {
    let mut header = HeaderValue::from_bytes(token).map_err(|_| {
        Error::new(ErrorKind::ConfigInvalid, "the token has characters that no token has")
            .hint("check where the token comes from: a line break or a space may have crept in")
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// A request that vaultrs has no endpoint for, or whose body must be wiped.
#[derive(Clone)]
pub(crate) struct Call {
    method: RequestMethod,
    path: String,
    query: Option<String>,
    body: Option<Zeroizing<Vec<u8>>>,
}

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: RequestMethod::GET, path: path.into(), query: None, body: None }
    }

    pub(crate) fn list(path: impl Into<String>, query: String) -> Self {
        Self { method: RequestMethod::LIST, path: path.into(), query: Some(query), body: None }
    }

    pub(crate) fn post(path: impl Into<String>, body: Zeroizing<Vec<u8>>) -> Self {
        Self { method: RequestMethod::POST, path: path.into(), query: None, body: Some(body) }
    }
}

#[async_trait]
impl Endpoint for Call {
    type Response = ();
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        self.path.clone()
    }

    fn method(&self) -> RequestMethod {
        self.method.clone()
    }

    fn query(&self) -> Result<Option<String>, ClientError> {
        Ok(self.query.clone())
    }

    fn body(&self) -> Result<Option<Vec<u8>>, ClientError> {
        Ok(self.body.as_ref().map(|body| body.to_vec()))
    }
}

/// The server, as rustify's endpoints see it.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    http: HttpClient,
    seen: Arc<Mutex<Option<SeenIndex>>>,
}

impl Transport {
    pub(crate) fn new(http: HttpClient) -> Self {
        Self { http, seen: Arc::default() }
    }

    pub(crate) fn address(&self) -> &pipe_http::ServerAddress {
        self.http.address()
    }

    /// Sends a request once. Any status is an answer.
    pub(crate) async fn send(&self, endpoint: impl Endpoint, headers: &Headers) -> Result<Answer> {
        let seen = self.seen().as_ref().map(|seen| seen.header.clone());
        let middleware = Middleware { headers, base: self.address().as_str(), seen };
        let result = endpoint.with_middleware(&middleware).exec(self).await;
        // Neither side of this can be reached but by a request that cannot be built.
        let (mut parts, body) = result
            .map_err(|_| Error::new(ErrorKind::InvalidArgument, "the request cannot be built"))?
            .response
            .into_parts();
        match parts.extensions.remove::<Error>() {
            Some(error) => Err(error),
            None => {
                self.see(&parts.headers);
                Ok(Answer(HttpResponse::new(parts.status.as_u16(), parts.headers, body)))
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Option<SeenIndex>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, headers: &HeaderMap) {
        let Some(new) = headers.get(INDEX).and_then(SeenIndex::of) else { return };
        let mut seen = self.seen();
        // Answers overtake each other; another cluster counts anew.
        if seen.as_ref().is_none_or(|old| old.cluster != new.cluster || old.value < new.value) {
            *seen = Some(new);
        }
    }
}

/// How much of a cluster's log we have seen. Sent along, it keeps a standby that lags from
/// answering as if our own writes had not happened.
#[derive(Debug)]
struct SeenIndex {
    header: HeaderValue,
    cluster: String,
    value: u64,
}

impl SeenIndex {
    fn of(header: &HeaderValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct Index {
            cluster: String,
            value: String,
        }
        let json = STANDARD.decode(header.as_bytes()).ok()?;
        let index: Index = serde_json::from_slice(&json).ok()?;
        let value = index.value.parse().ok()?;
        Some(Self { header: header.clone(), cluster: index.cluster, value })
    }
}

/// A whole answer of the server.
pub(crate) struct Answer(pub(crate) HttpResponse);

impl Answer {
    /// The data of an answer of a KV v2 engine.
    pub(crate) fn data<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        let not_kv2 = |message: &'static str| {
            Error::new(ErrorKind::Unexpected, message)
                .hint("set `mount` to the mount of a KV v2 engine")
        };
        match self.parse::<T>() {
            Ok(EndpointResult { data: Some(data), .. }) => Ok(data),
            Ok(_) => Err(not_kv2("the answer holds no data")),
            Err(error) => match self.parse::<serde::de::IgnoredAny>() {
                Ok(_) => Err(not_kv2("the answer is not that of a KV v2 engine")),
                Err(_) => Err(error),
            },
        }
    }

    /// The answer's content. What serde has to say is left out: it quotes values.
    pub(crate) fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<EndpointResult<T>> {
        serde_json::from_slice(&self.0.body).map_err(|_| {
            Error::new(ErrorKind::Unexpected, "the answer has another form than OpenBao's")
                .with("status", self.0.status)
                .hint("check that the address leads to OpenBao and not to something in front of it")
        })
    }
}

#[async_trait]
impl rustify::client::Client for Transport {
    fn base(&self) -> &str {
        self.http.address().as_str()
    }

    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, ClientError> {
        let mut response = Response::new(Vec::new());
        match self.http.send(request).await {
            Ok(mut answer) => {
                *response.status_mut() =
                    http::StatusCode::from_u16(answer.status).unwrap_or_default();
                *response.headers_mut() = answer.headers;
                *response.body_mut() = std::mem::take(&mut *answer.body);
            }
            // rustify's own error type would log it, and cannot carry ours.
            Err(error) => drop(response.extensions_mut().insert(error)),
        }
        Ok(response)
    }

    /// As `send`: rustify's own would log every 404 as an error, and copy the body into it.
    async fn execute(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, ClientError> {
        rustify::client::Client::send(self, request).await
    }
}

struct Middleware<'a> {
    headers: &'a Headers,
    base: &'a str,
    seen: Option<HeaderValue>,
}

impl MiddleWare for Middleware<'_> {
    fn request<E: Endpoint>(
        &self,
        endpoint: &E,
        request: &mut Request<Vec<u8>>,
    ) -> Result<(), ClientError> {
        // Some of vaultrs' paths begin with a slash or a tab, and `//` is answered by a redirect.
        let path = endpoint.path();
        let segments = path.trim().split('/').filter(|segment| !segment.is_empty());
        let unusable = |source| ClientError::UrlParseError { source };
        let mut url = url::Url::parse(self.base).map_err(unusable)?;
        url.path_segments_mut()
            .map_err(|()| unusable(url::ParseError::RelativeUrlWithCannotBeABaseBase))?
            .pop_if_empty()
            .push("v1")
            .extend(segments);
        url.set_query(endpoint.query()?.as_deref().filter(|query| !query.is_empty()));
        *request.uri_mut() =
            url.as_str().parse().map_err(|source| ClientError::UrlBuildError { source })?;
        let headers = request.headers_mut();
        headers.insert(REQUEST, HeaderValue::from_static("true"));
        if let Some(seen) = &self.seen {
            headers.insert(INDEX, seen.clone());
            // Else a node that lags answers 429, and the caller has to try again.
            headers.insert(INCONSISTENT, HeaderValue::from_static("forward-active-node"));
        }
        if let Some(token) = &self.headers.token {
            headers.insert(TOKEN, token.clone());
        }
        if let Some(namespace) = &self.headers.namespace {
            headers.insert(NAMESPACE, namespace.clone());
        }
        Ok(())
    }

    fn response<E: Endpoint>(&self, _: &E, _: &mut Response<Vec<u8>>) -> Result<(), ClientError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pipe_http::HttpConfig;

    use super::*;

    fn headers(cluster: &str, value: u64) -> HeaderMap {
        let index = format!(r#"{{"cluster":"{cluster}","value":"{value}"}}"#);
        let header = HeaderValue::from_str(&STANDARD.encode(index)).unwrap();
        HeaderMap::from_iter([(INDEX, header)])
    }

    /// A standby that lags would else show what was there before our own write.
    #[test]
    fn the_highest_index_of_the_cluster_is_kept() {
        let address = "http://127.0.0.1:1".parse().unwrap();
        let transport = Transport::new(HttpClient::new(&HttpConfig::new(), &address).unwrap());
        let after = |headers: HeaderMap| {
            transport.see(&headers);
            transport.seen().as_ref().map(|seen| (seen.cluster.clone(), seen.value))
        };
        assert_eq!(after(HeaderMap::new()), None);
        assert_eq!(after(headers("a", 5)), Some(("a".to_owned(), 5)));
        assert_eq!(after(headers("a", 3)), Some(("a".to_owned(), 5)));
        assert_eq!(after(headers("a", 10)), Some(("a".to_owned(), 10)));
        assert_eq!(after(headers("b", 1)), Some(("b".to_owned(), 1)));
    }
}
