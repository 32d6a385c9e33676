//! The way to the server: vaultrs' endpoints over our own HTTP client.
//!
//! vaultrs' client follows redirects with the token, has no timeout, drops leases and prints
//! bodies; its endpoint structs and `EndpointResult` are sound. Nothing of vaultrs or rustify is
//! ever formatted: their `Debug` shows tokens and bodies.

use std::iter;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use pipe_core::{Error, ErrorKind, Namespace, Result};
use pipe_http::{HttpClient, HttpRequest, HttpResponse, HttpStream};
use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use serde::Deserialize;
use url::Url;
use vaultrs::api::EndpointResult;
use zeroize::Zeroizing;

use crate::error::{Asked, Fault};

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Asked for by servers that are set up to refuse requests which a browser was tricked into.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// In seconds, when it is a number alone.
const WRAP_TTL: HeaderName = HeaderName::from_static("x-vault-wrap-ttl");

const INLINE_PATH: HeaderName = HeaderName::from_static("x-vault-inline-auth-path");
const INLINE_NAMESPACE: HeaderName = HeaderName::from_static("x-vault-inline-auth-namespace");
/// Says that a request did not get through its own login.
const INLINE_FAILED: HeaderName = HeaderName::from_static("x-vault-inline-auth-failed");

const INDEX: HeaderName = HeaderName::from_static("x-vault-index");
const INCONSISTENT: HeaderName = HeaderName::from_static("x-vault-inconsistent");

/// What goes with a request besides path and body.
#[derive(Clone, Default)]
pub(crate) struct Headers {
    token: Option<HeaderValue>,
    namespace: Option<HeaderValue>,
    wrap_ttl: Option<HeaderValue>,
    /// The login that the request does itself: headers, in the order of their names.
    inline: Arc<[(HeaderName, HeaderValue)]>,
}

impl Headers {
    /// In a namespace, without a token.
    pub(crate) fn in_namespace(namespace: Option<&Namespace>) -> Self {
        // A namespace is ASCII by construction.
        let namespace = namespace.and_then(|n| HeaderValue::from_str(n.as_str()).ok());
        Self { namespace, ..Self::default() }
    }

    /// Logging in with each request, at this path and in the namespace of these headers.
    pub(crate) fn logging_in(path: &str, parameters: Vec<HeaderValue>, at: &Self) -> Result<Self> {
        let unusable = || {
            Error::new(ErrorKind::ConfigInvalid, "the login cannot be told in a header")
                .hint("check `auth.mount` and `auth.username`")
        };
        let path = HeaderValue::from_str(path).map_err(|_| unusable())?;
        let mut inline = vec![(INLINE_PATH, path)];
        let namespace = at.namespace.clone();
        // The request's own namespace may be another.
        inline.push((INLINE_NAMESPACE, namespace.unwrap_or(HeaderValue::from_static("/"))));
        for (number, parameter) in parameters.into_iter().enumerate() {
            let name = format!("x-vault-inline-auth-parameter-{number}");
            inline.push((HeaderName::try_from(name).map_err(|_| unusable())?, parameter));
        }
        Ok(Self { inline: inline.into(), ..Self::default() })
    }

    /// With the login of others.
    pub(crate) fn with_login_of(self, other: &Self) -> Self {
        Self { inline: Arc::clone(&other.inline), ..self }
    }

    /// The answer is to wait at the server, behind a token.
    pub(crate) fn wrapped(self, ttl: Duration) -> Self {
        Self { wrap_ttl: Some(HeaderValue::from(ttl.as_secs())), ..self }
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

    pub(crate) fn get_with(path: impl Into<String>, query: String) -> Self {
        Self { query: Some(query), ..Self::get(path) }
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self { method: RequestMethod::DELETE, ..Self::get(path) }
    }

    /// A JSON merge patch (RFC 7396).
    pub(crate) fn patch(path: impl Into<String>, body: Zeroizing<Vec<u8>>) -> Self {
        Self { method: RequestMethod::PATCH, ..Self::post(path, body) }
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

/// The server, as endpoints see it: one node or several of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Transport(Arc<Nodes>);

#[derive(Debug)]
struct Nodes {
    all: Vec<HttpClient>,
    /// Which one is asked first: the one that answered last.
    preferred: AtomicUsize,
    seen: Mutex<Option<SeenIndex>>,
}

impl Transport {
    /// The nodes of a cluster, of which there is at least one.
    pub(crate) fn new(first: HttpClient, others: impl IntoIterator<Item = HttpClient>) -> Self {
        let all = iter::once(first).chain(others).collect();
        Self(Arc::new(Nodes { all, preferred: AtomicUsize::new(0), seen: Mutex::default() }))
    }

    /// All nodes, beginning with the one that is asked first.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &HttpClient> {
        let all = &self.0.all;
        let first = self.0.preferred.load(Ordering::Relaxed);
        all.iter().cycle().skip(first).take(all.len())
    }

    /// From now on, this node is asked first.
    pub(crate) fn prefer(&self, node: &HttpClient) {
        let at = self.0.all.iter().position(|other| std::ptr::eq(other, node));
        self.0.preferred.store(at.unwrap_or(0), Ordering::Relaxed);
    }

    /// Sends a request once. Any status is an answer.
    ///
    /// What a node surely did not do, because it could not be reached, is sealed, lags or found no
    /// active node, is asked of the others, each once. After an outage, the next request begins with
    /// another node.
    pub(crate) async fn send(&self, endpoint: impl Endpoint, headers: &Headers) -> Result<Answer> {
        let all = &self.0.all;
        let mut node = self.0.preferred.load(Ordering::Relaxed);
        let mut asked = vec![false; all.len()];
        loop {
            let outcome = self.send_to(&all[node], &endpoint, headers).await;
            asked[node] = true;
            let Some(verdict) = Verdict::on(&outcome).filter(|_| all.len() > 1) else {
                return outcome;
            };
            let next = self.after(node, &asked, &outcome);
            // Unless somebody else has already left it.
            let preferred = &self.0.preferred;
            let _ = preferred.compare_exchange(node, next, Ordering::Relaxed, Ordering::Relaxed);
            if asked[next] || verdict == Verdict::MayHaveBeenDone {
                return outcome;
            }
            node = next;
        }
    }

    /// As `send`, of one node alone.
    pub(crate) async fn send_to(
        &self,
        node: &HttpClient,
        endpoint: &impl Endpoint,
        headers: &Headers,
    ) -> Result<Answer> {
        let answer = self.request(node, endpoint, headers)?.send().await?;
        self.see(&answer.headers);
        Ok(Answer(answer))
    }

    /// As `send_to`, up to the head of the answer.
    pub(crate) async fn stream_from(
        &self,
        node: &HttpClient,
        endpoint: &impl Endpoint,
        headers: &Headers,
    ) -> Result<HttpStream> {
        self.request(node, endpoint, headers)?.stream().await
    }

    /// The node that a standby points to, when it is one of ours; else the next one.
    fn after(&self, node: usize, asked: &[bool], outcome: &Result<Answer>) -> usize {
        let all = &self.0.all;
        let location = outcome.as_ref().ok().and_then(|answer| answer.0.headers.get(LOCATION));
        let target = location.and_then(|location| location.to_str().ok()?.parse::<Url>().ok());
        let pointed_at = target
            .and_then(|target| all.iter().position(|other| other.address().has_origin_of(&target)));
        match pointed_at {
            Some(other) if !asked[other] => other,
            _ => {
                let others = (1..all.len()).map(|step| (node + step) % all.len());
                others.clone().find(|other| !asked[*other]).unwrap_or((node + 1) % all.len())
            }
        }
    }

    fn request<'a>(
        &self,
        node: &'a HttpClient,
        endpoint: &impl Endpoint,
        headers: &Headers,
    ) -> Result<HttpRequest<'a>> {
        let unusable = |_| Error::new(ErrorKind::InvalidArgument, "the request cannot be built");
        // Some of vaultrs' paths begin with a slash or a tab, and `//` is answered by a redirect.
        let path = endpoint.path();
        let segments = path.trim().split('/').filter(|segment| !segment.is_empty());
        let segments = iter::once("v1").chain(segments);
        let mut request = node.request(endpoint.method().into(), segments)?;
        if let Some(query) = endpoint.query().map_err(unusable)?.filter(|query| !query.is_empty()) {
            request.set_query(&query);
        }
        if let Some(body) = endpoint.body().map_err(unusable)? {
            request.set_body(Zeroizing::new(body));
        }
        let is_patch = matches!(endpoint.method(), RequestMethod::PATCH);
        let outgoing = request.headers_mut();
        if is_patch {
            // Another type is refused.
            outgoing.insert(CONTENT_TYPE, HeaderValue::from_static("application/merge-patch+json"));
        }
        outgoing.insert(REQUEST, HeaderValue::from_static("true"));
        if let Some(seen) = &*self.seen() {
            outgoing.insert(INDEX, seen.header.clone());
            // Else a node that lags answers 429, and the caller has to try again.
            outgoing.insert(INCONSISTENT, HeaderValue::from_static("forward-active-node"));
        }
        if let Some(token) = &headers.token {
            outgoing.insert(TOKEN, token.clone());
        }
        if let Some(namespace) = &headers.namespace {
            outgoing.insert(NAMESPACE, namespace.clone());
        }
        for (name, value) in &*headers.inline {
            outgoing.insert(name.clone(), value.clone());
        }
        if let Some(ttl) = &headers.wrap_ttl {
            outgoing.insert(WRAP_TTL, ttl.clone());
        }
        Ok(request)
    }

    fn seen(&self) -> MutexGuard<'_, Option<SeenIndex>> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Why another node is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    NotDone,
    MayHaveBeenDone,
}

impl Verdict {
    pub(crate) fn on(outcome: &Result<Answer>) -> Option<Self> {
        match outcome {
            Ok(answer) if matches!(answer.0.status, 300..400 | 429 | 500..) => {
                match Fault::of(&answer.0, Asked::Work) {
                    Fault::Sealed
                    | Fault::NoActiveNode
                    | Fault::ReplicaBehind
                    | Fault::Redirected => Some(Self::NotDone),
                    Fault::LeadershipLost => Some(Self::MayHaveBeenDone),
                    // What stands in front of a node does not reach it.
                    Fault::Foreign if answer.0.status > 500 => Some(Self::MayHaveBeenDone),
                    _ => None,
                }
            }
            Ok(_) => None,
            Err(error) if pipe_http::was_not_sent(error) => Some(Self::NotDone),
            Err(error) if error.is_retryable() => Some(Self::MayHaveBeenDone),
            Err(_) => None,
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

/// An [`EndpointResult`] of which nothing but the data is of interest: the rest is skipped.
#[derive(Deserialize)]
struct Data<T> {
    data: Option<T>,
    #[serde(rename = "request_id")]
    _request_id: serde::de::IgnoredAny,
}

/// A whole answer of the server.
pub(crate) struct Answer(pub(crate) HttpResponse);

impl Answer {
    /// Whether it is the request's own login that was refused.
    pub(crate) fn is_of_login(&self) -> bool {
        // A login that the auth method answers has the header, one that it cannot has the text.
        const TEXT: &[u8] = b"failed to perform inline authentication";
        self.0.headers.get(INLINE_FAILED).is_some_and(|failed| failed == "true")
            || (self.0.error_kind().is_some() && memchr::memmem::find(&self.0.body, TEXT).is_some())
    }

    /// The data of an answer of a KV v2 engine.
    pub(crate) fn data<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        let not_kv2 = |message: &'static str| {
            Error::new(ErrorKind::Unexpected, message)
                .hint("set `mount` to the mount of a KV v2 engine")
        };
        match self.parse_as::<Data<T>>() {
            Ok(Data { data: Some(data), .. }) => Ok(data),
            Ok(_) => Err(not_kv2("the answer holds no data")),
            Err(error) => match self.parse::<serde::de::IgnoredAny>() {
                Ok(_) => Err(not_kv2("the answer is not that of a KV v2 engine")),
                Err(_) => Err(error),
            },
        }
    }

    /// The answer's content. What serde has to say is left out: it quotes values.
    pub(crate) fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<EndpointResult<T>> {
        self.parse_as()
    }

    pub(crate) fn parse_as<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        serde_json::from_slice(&self.0.body).map_err(|_| {
            Error::new(ErrorKind::Unexpected, "the answer has another form than OpenBao's")
                .with("status", self.0.status)
                .hint("check that the address leads to OpenBao and not to something in front of it")
        })
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
        let client = HttpClient::new(&HttpConfig::new(), &address).unwrap();
        let transport = Transport::new(client, []);
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
