//! The client: one attempt at a time, bounded in time and size, to one server only.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use pipe_core::{Error, ErrorKind, Result, TraceContext};
use reqwest::{Request, Response};
use url::Url;
use zeroize::Zeroizing;

use crate::address::path_not_final;
use crate::connector::connector;
use crate::error::transport;
use crate::guard::Guard;
use crate::{
    AddressPolicy, HttpConfig, HttpRequest, HttpResponse, HttpStream, ProxyAddress, ServerAddress,
};

/// The headers of W3C's Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// An HTTP client for one server. Clones share their connections.
///
/// It follows no redirect, retries nothing, reads no proxy from the environment and speaks TLS
/// 1.2 at least. `Debug` shows where it leads and nothing else.
#[derive(Clone)]
pub struct HttpClient {
    inner: reqwest::Client,
    address: ServerAddress,
    proxy: Option<ProxyAddress>,
    timeout: Duration,
    max_body: usize,
}

impl HttpClient {
    /// A client for this server. Reads the files that the settings name; touches no network.
    ///
    /// # Errors
    /// `ConfigInvalid` that names *every* faulty setting.
    pub fn new(config: &HttpConfig, address: &ServerAddress) -> Result<Self> {
        Self::behind(config, address, None)
    }

    /// A client for a server that nobody configured: one that a document named. It reaches only
    /// what the policy allows, wherever the server's name leads when it connects.
    ///
    /// Beyond a proxy, names are resolved by the proxy, and its rules hold; addresses and
    /// names in the URL are judged all the same.
    ///
    /// # Errors
    /// `ConfigInvalid` when the server is at an address that may not be reached, and as for
    /// [`new`](Self::new).
    pub fn new_guarded(
        config: &HttpConfig,
        address: &ServerAddress,
        policy: AddressPolicy,
    ) -> Result<Self> {
        Self::behind(config, address, Some(Guard::new(policy)))
    }

    pub(crate) fn behind(
        config: &HttpConfig,
        address: &ServerAddress,
        guard: Option<Guard>,
    ) -> Result<Self> {
        if let Some(guard) = &guard {
            guard.policy().check(address).map_err(|error| error.with("server", address))?;
        }
        // Beyond a proxy, a loopback address means another machine.
        let proxy = config.proxy.as_ref().filter(|_| !address.is_loopback());
        Ok(Self {
            inner: connector(config, address, proxy, guard)?,
            address: address.clone(),
            proxy: proxy.cloned(),
            timeout: config.timeout,
            max_body: config.max_body,
        })
    }

    /// The server this client is for.
    #[must_use]
    pub fn address(&self) -> &ServerAddress {
        &self.address
    }

    /// A request for what is below the server's address, by the segments of its path, which are
    /// percent-encoded where they have to be.
    ///
    /// # Errors
    /// `InvalidArgument` when a segment is empty, `.` or `..`.
    pub fn request<'a>(
        &self,
        method: Method,
        segments: impl IntoIterator<Item = &'a str>,
    ) -> Result<HttpRequest<'_>> {
        let url = self.address.below(segments).map_err(|error| self.locate(error))?;
        Ok(HttpRequest::new(self, Request::new(method, url)))
    }

    /// Sends a request once and reads the whole answer. Any status is an answer.
    ///
    /// The headers that carry credentials are marked sensitive; so stay those that the caller
    /// marked. The trace of the task goes along, as a span of its own, unless the request has a
    /// `traceparent` (REQ 001-83). Dropping the future abandons the exchange and its connection.
    ///
    /// # Errors
    /// - `InvalidArgument`: the URL leads to another server, or its path is not in its final form.
    /// - `Timeout`: no complete answer within `timeout`. The request may have had its effect.
    /// - `Unavailable`: the server cannot be reached, or the connection broke.
    /// - `ConfigInvalid`: the certificate of the server was refused, or it is at an address that
    ///   may not be reached.
    /// - `Unauthenticated`: the server refused our client certificate, or missed one.
    /// - `Unexpected`: the body is longer than `max_body`, or the server does not speak HTTP.
    pub async fn send(&self, request: http::Request<Vec<u8>>) -> Result<HttpResponse> {
        self.run(self.prepare(request)?).await
    }

    /// Sends a request once, as [`send`](Self::send) does, and returns when the head of the answer
    /// is there: for bodies without an end, which the caller reads and bounds.
    ///
    /// # Errors
    /// As for [`send`](Self::send), up to the head of the answer.
    pub async fn stream(&self, request: http::Request<Vec<u8>>) -> Result<HttpStream> {
        self.begin(self.prepare(request)?).await
    }

    pub(crate) async fn begin(&self, request: Request) -> Result<HttpStream> {
        let answer = self.execute(request);
        let head = async { answer.await.map_err(|error| transport(&error)) };
        let response = self.within_timeout(head).await?;
        Ok(HttpStream::new(response, self.clone()))
    }

    /// Sends a request that is known to be for this server.
    pub(crate) async fn run(&self, request: Request) -> Result<HttpResponse> {
        let answer = self.execute(request);
        self.within_timeout(async {
            self.collect(answer.await.map_err(|error| transport(&error))?).await
        })
        .await
    }

    fn execute(
        &self,
        mut request: Request,
    ) -> impl Future<Output = reqwest::Result<Response>> + use<> {
        continue_trace(request.headers_mut());
        mark_sensitive(request.headers_mut());
        self.inner.execute(request)
    }

    pub(crate) async fn within_timeout<T>(
        &self,
        exchange: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::time::timeout(self.timeout, exchange)
            .await
            .unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Timeout, "no complete answer within `timeout`"))
            })
            .map_err(|error| self.locate(error))
    }

    /// Takes over method, URL, headers and body; a version or an extension has no meaning here.
    fn prepare(&self, request: http::Request<Vec<u8>>) -> Result<Request> {
        let (parts, body) = request.into_parts();
        let body = Zeroizing::new(body);
        let url = Url::parse(&parts.uri.to_string())
            .ok()
            .filter(|url| url.username().is_empty() && url.password().is_none())
            .filter(|url| self.address.has_origin_of(url))
            .ok_or_else(|| {
                self.locate(
                    Error::new(
                        ErrorKind::InvalidArgument,
                        "the request is not for the server of this client",
                    )
                    .hint("build the URL from the client's address, or make a client for the other server"),
                )
            })?;
        if url.path() != parts.uri.path() {
            return Err(self.locate(path_not_final()));
        }
        let mut request = Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        *request.body_mut() = Some(Bytes::from_owner(body).into());
        Ok(request)
    }

    pub(crate) async fn collect(&self, mut response: Response) -> Result<HttpResponse> {
        let body = self.read(&mut response).await?;
        let mut headers = std::mem::take(response.headers_mut());
        mark_sensitive(&mut headers);
        Ok(HttpResponse { status: response.status().as_u16(), headers, body })
    }

    async fn read(&self, response: &mut Response) -> Result<Zeroizing<Vec<u8>>> {
        let too_long = || {
            Error::new(ErrorKind::Unexpected, "the body is longer than `max_body`")
                .with("max_body", self.max_body)
                .hint("check that the address belongs to this kind of backend, or raise `max_body`")
        };
        let announced = response.content_length().unwrap_or(0);
        let room = usize::try_from(announced)
            .ok()
            .filter(|length| *length <= self.max_body)
            .ok_or_else(too_long)?;
        let mut body = Zeroizing::new(Vec::with_capacity(room));
        while let Some(chunk) = response.chunk().await.map_err(|error| transport(&error))? {
            if chunk.len() > self.max_body - body.len() {
                return Err(too_long());
            }
            append(&mut body, &chunk);
        }
        Ok(body)
    }

    pub(crate) fn locate(&self, error: Error) -> Error {
        let error = error.with("server", &self.address);
        match &self.proxy {
            Some(proxy) => error.with("proxy", proxy),
            None => error,
        }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("address", &self.address)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

/// Passes the task's trace on, unless the caller has done so.
fn continue_trace(headers: &mut HeaderMap) {
    let Some(trace) = TraceContext::current() else { return };
    if headers.contains_key(TRACEPARENT) {
        return;
    }
    let span = trace.child();
    // Neither can be refused: both are printable ASCII by construction.
    if let Ok(parent) = HeaderValue::try_from(span.to_string()) {
        headers.insert(TRACEPARENT, parent);
    }
    if let Some(Ok(state)) = span.state().map(HeaderValue::from_str) {
        headers.insert(TRACESTATE, state);
    }
}

/// Keeps credentials out of whatever prints headers, and out of HTTP/2's header index.
fn mark_sensitive(headers: &mut HeaderMap) {
    for (name, value) in headers.iter_mut() {
        if matches!(
            name.as_str(),
            "authorization"
                | "cookie"
                | "location"
                | "proxy-authorization"
                | "set-cookie"
                | "x-api-key"
                | "x-vault-token"
        ) {
            value.set_sensitive(true);
        }
    }
}

/// Appends so that the bytes that are outgrown are wiped: a plain `Vec` would leave them behind.
fn append(body: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    let needed = body.len() + chunk.len();
    if needed > body.capacity() {
        let room = needed.max(body.capacity().saturating_mul(2));
        let mut grown = Zeroizing::new(Vec::with_capacity(room));
        grown.extend_from_slice(body);
        *body = grown;
    }
    body.extend_from_slice(chunk);
}

#[cfg(test)]
mod tests;
