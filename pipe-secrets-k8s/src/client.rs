//! Requests to the API server: `kube`'s, sent by our transport.
//!
//! `kube` knows how requests of the API look, and its client follows no redirects; but that client
//! logs bodies that it cannot read, values and all, and waits without end for an answer.

use std::fmt;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{HeaderName, Method};
use pipe_core::{Error, ErrorKind, Result};
use pipe_http::{HttpClient, HttpResponse, HttpStream};

use crate::auth::Auth;
use crate::config::Impersonation;
use crate::error::{Asked, refusal};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");
const IMPERSONATE_GROUP: HeaderName = HeaderName::from_static("impersonate-group");

/// The API server, as one identity sees it.
pub(crate) struct Client {
    requests: HttpClient,
    watches: HttpClient,
    auth: Auth,
    impersonate: HeaderMap,
    pub(crate) timeout: Duration,
    pub(crate) max_body: usize,
}

impl Client {
    pub(crate) fn new(
        requests: HttpClient,
        watches: HttpClient,
        auth: Auth,
        impersonate: Option<&Impersonation>,
        (timeout, max_body): (Duration, usize),
    ) -> Self {
        let mut headers = HeaderMap::new();
        if let Some(Impersonation { user, groups }) = impersonate {
            // Both are visible ASCII, which was checked with the settings.
            if let Ok(user) = HeaderValue::try_from(user) {
                headers.insert(IMPERSONATE_USER, user);
            }
            for group in groups {
                if let Ok(group) = HeaderValue::try_from(group) {
                    headers.append(IMPERSONATE_GROUP, group);
                }
            }
        }
        Self { requests, watches, auth, impersonate: headers, timeout, max_body }
    }

    /// The whole URL of a path of the API.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.requests.address().as_str().trim_end_matches('/'))
    }

    /// Sends a request once, and once more when its token was refused and there is another by now.
    pub(crate) async fn send(&self, request: impl Make) -> Result<HttpResponse> {
        let shown = self.auth.header().await?;
        let answer = self.requests.send(self.ready(request()?, shown.clone())).await?;
        let (401, Some(refused)) = (answer.status, shown) else { return Ok(answer) };
        match self.auth.other_than(&refused).await {
            Some(other) => self.requests.send(self.ready(request()?, Some(other))).await,
            None => Ok(answer),
        }
    }

    /// Sends a request, and turns whatever is no success into an error.
    pub(crate) async fn expect(
        &self,
        asked: &Asked<'_>,
        request: impl Make,
    ) -> Result<HttpResponse> {
        let answer = self.send(request).await?;
        match answer.error_kind() {
            None => Ok(answer),
            Some(_) => Err(refusal(&answer, asked)),
        }
    }

    /// Opens an endless answer.
    pub(crate) async fn stream(&self, asked: &Asked<'_>, request: impl Make) -> Result<HttpStream> {
        let shown = self.auth.header().await?;
        let mut answer = self.watches.stream(self.ready(request()?, shown.clone())).await?;
        if let (401, Some(refused)) = (answer.status(), shown)
            && let Some(other) = self.auth.other_than(&refused).await
        {
            answer = self.watches.stream(self.ready(request()?, Some(other))).await?;
        }
        if answer.status() == 200 {
            return Ok(answer);
        }
        Err(refusal(&answer.whole().await?, asked))
    }

    fn ready(
        &self,
        mut request: http::Request<Vec<u8>>,
        authorization: Option<HeaderValue>,
    ) -> http::Request<Vec<u8>> {
        let headers = request.headers_mut();
        headers.entry(ACCEPT).or_insert(JSON);
        for (name, value) in &self.impersonate {
            headers.append(name, value.clone());
        }
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        request
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("server", self.requests.address())
            .field("auth", &self.auth)
            .field("impersonate", &self.impersonate)
            .finish_non_exhaustive()
    }
}

/// Makes a request, and makes it again where it has to be sent again: no copy of a body is kept.
pub(crate) trait Make: Fn() -> Result<http::Request<Vec<u8>>> + Send + Sync {}
impl<F: Fn() -> Result<http::Request<Vec<u8>>> + Send + Sync> Make for F {}

/// A request that carries JSON. The body is wiped once it is sent.
pub(crate) fn with_body(
    method: Method,
    url: String,
    body: Vec<u8>,
) -> Result<http::Request<Vec<u8>>> {
    let request = http::Request::builder().method(method).uri(url).header(CONTENT_TYPE, JSON);
    request.body(body).map_err(|_| unbuildable())
}

/// A request that `kube` made. Its own errors repeat names only, but are not ours.
pub(crate) fn built<E>(
    request: Result<http::Request<Vec<u8>>, E>,
) -> Result<http::Request<Vec<u8>>> {
    request.map_err(|_| unbuildable())
}

fn unbuildable() -> Error {
    Error::new(ErrorKind::InvalidArgument, "the request cannot be written down")
}
