//! The server's API: which of its versions, and requests with a token that is replaced once when
//! the server refuses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{CONTENT_TYPE, IF_NONE_MATCH};
use http::{HeaderValue, Method, header};
use pipe_core::{Error, ErrorKind, Result};
use pipe_http::session::{Session, Token};
use pipe_http::{HttpClient, HttpResponse};
use serde::Serialize;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use crate::error::{Asked, Fault, refusal};
use crate::login::InfisicalLogin;
use crate::place::Place;

/// The largest body that the server takes.
const MAX_BODY: usize = 1 << 20;

/// A body that is wiped once it is sent.
pub(crate) type Body = Zeroizing<Vec<u8>>;

/// A version of the API of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Since late 2025.
    V4,
    /// Before; newer servers have it too.
    V3,
}

/// A request before it is known which version of the API it is for.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: &'static [&'static str],
    /// What is at the end of the path.
    pub(crate) name: Option<String>,
    pub(crate) query: Option<String>,
    pub(crate) body: Option<Body>,
    pub(crate) known: Option<HeaderValue>,
}

impl Call {
    pub(crate) fn get(path: &'static [&'static str], query: String) -> Self {
        Self { method: Method::GET, path, name: None, query: Some(query), body: None, known: None }
    }

    pub(crate) fn with_body(method: Method, path: &'static [&'static str], body: Body) -> Self {
        Self { method, path, name: None, query: None, body: Some(body), known: None }
    }

    /// About one of those that the path leads to.
    pub(crate) fn about(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// Asked only whether the answer is still the one with this entity tag.
    pub(crate) fn if_changed_from(self, known: Option<HeaderValue>) -> Self {
        Self { known, ..self }
    }
}

impl Version {
    /// What a project's id is called.
    pub(crate) fn project(self) -> &'static str {
        match self {
            Self::V4 => "projectId",
            Self::V3 => "workspaceId",
        }
    }

    /// Where secrets are.
    pub(crate) fn secrets(self) -> &'static [&'static str] {
        match self {
            Self::V4 => &["api", "v4", "secrets"],
            Self::V3 => &["api", "v3", "secrets", "raw"],
        }
    }

    /// Where several secrets are changed at once.
    pub(crate) fn batch(self) -> &'static [&'static str] {
        match self {
            Self::V4 => &["api", "v4", "secrets", "batch"],
            Self::V3 => &["api", "v3", "secrets", "batch", "raw"],
        }
    }

    /// Where folders are made.
    pub(crate) fn folders(self) -> &'static [&'static str] {
        match self {
            Self::V4 => &["api", "v2", "folders"],
            Self::V3 => &["api", "v1", "folders"],
        }
    }

    /// A query about a place, with switches as a query has them. All are said: their defaults
    /// differ between versions.
    pub(crate) fn query(self, place: &Place, switches: &str) -> String {
        // Projects and environments are words; only the path may have to be encoded.
        let room = switches.len() + place.project.len() + place.environment.len() + 96;
        let mut query = String::with_capacity(room + place.path.len());
        for part in [self.project(), "=", &place.project, "&environment=", &place.environment] {
            query.push_str(part);
        }
        let query = Serializer::new(query).append_pair("secretPath", &place.path).finish();
        query + "&" + switches
    }

    fn other(self) -> Self {
        match self {
            Self::V4 => Self::V3,
            Self::V3 => Self::V4,
        }
    }
}

/// The server, for somebody who is logged in.
#[derive(Debug)]
pub(crate) struct Api {
    http: HttpClient,
    pub(crate) session: Session<InfisicalLogin>,
    /// Whether the server turned out to have no v4.
    is_v3: AtomicBool,
}

impl Api {
    pub(crate) fn new(http: HttpClient, login: InfisicalLogin, timeout: Duration) -> Self {
        Self { http, session: Session::new(login, timeout), is_v3: AtomicBool::new(false) }
    }

    pub(crate) fn http(&self) -> &HttpClient {
        &self.http
    }

    fn version(&self) -> Version {
        if self.is_v3.load(Ordering::Relaxed) { Version::V3 } else { Version::V4 }
    }

    /// Sends a request in the version that the server has. Whatever the server decided is an
    /// answer.
    pub(crate) async fn send(
        &self,
        call: impl Fn(Version) -> Result<Call>,
    ) -> Result<HttpResponse> {
        let version = self.version();
        let answer = self.send_as(&call(version)?).await?;
        if !is_route_missing(&answer) {
            return Ok(answer);
        }
        let other = version.other();
        let answer = self.send_as(&call(other)?).await?;
        if is_route_missing(&answer) {
            return Err(refusal(&answer, Asked::Work));
        }
        self.is_v3.store(other == Version::V3, Ordering::Relaxed);
        Ok(answer)
    }

    async fn send_as(&self, call: &Call) -> Result<HttpResponse> {
        let token = self.session.token().await?;
        let answer = self.send_with(call, &token).await?;
        if !is_token_refused(&answer) {
            return Ok(answer);
        }
        let token = self.session.replace(&token).await?;
        let answer = self.send_with(call, &token).await?;
        if is_token_refused(&answer) {
            self.session.distrust(&token);
        }
        Ok(answer)
    }

    async fn send_with(&self, call: &Call, token: &Arc<Token>) -> Result<HttpResponse> {
        let path = call.path.iter().copied().chain(call.name.as_deref());
        let mut request = self.http.request(call.method.clone(), path)?;
        if let Some(query) = &call.query {
            request.set_query(query);
        }
        if let Some(body) = &call.body {
            request.set_body(body.clone());
        }
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, token.header());
        if call.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(known) = &call.known {
            headers.insert(IF_NONE_MATCH, known.clone());
        }
        request.send().await
    }
}

fn is_token_refused(answer: &HttpResponse) -> bool {
    matches!(answer.status, 401 | 403) && Fault::of(answer, Asked::Work) == Fault::BadToken
}

fn is_route_missing(answer: &HttpResponse) -> bool {
    answer.status == 404 && Fault::of(answer, Asked::Work) == Fault::RouteMissing
}

/// A body that is wiped once it is sent. `room` is what it takes, so that it is not moved about.
pub(crate) fn json_body(content: &impl Serialize, room: usize) -> Result<Body> {
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *body, content).map_err(|_| {
        Error::new(ErrorKind::InvalidArgument, "the request cannot be written as JSON")
    })?;
    if body.len() <= MAX_BODY {
        return Ok(body);
    }
    Err(Error::new(ErrorKind::InvalidArgument, "the request is larger than the server accepts")
        .with("bytes", body.len())
        .with("limit", MAX_BODY)
        .hint("store less in one secret"))
}
