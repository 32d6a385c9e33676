//! Requests with a token that is replaced once when the server refuses it.

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};
use pipe_core::{Error, ErrorKind, Result};
use pipe_http::session::{Session, Token};
use pipe_http::{HttpClient, HttpResponse};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::config::{Auth, Clients};
use crate::error::{Asked, Fault, malformed};
use crate::login::CogneeLogin;

/// The server, for somebody who is logged in.
#[derive(Debug)]
pub(crate) struct Api {
    clients: Clients,
    /// None where the server asks nobody.
    session: Option<Session<CogneeLogin>>,
    header: HeaderName,
}

/// A request.
pub(crate) struct Call<'a> {
    method: Method,
    path: &'a [&'a str],
    query: Option<&'a str>,
    body: Option<(HeaderValue, Vec<u8>)>,
    patience: Patience,
}

/// How long a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// `http.timeout`
    Read,
    /// `write_timeout`
    Write,
    /// `cognify_timeout`
    Cognify,
}

impl Patience {
    /// Says which setting was not patient enough, where one was not.
    fn named_in(self, error: Error) -> Error {
        let (setting, hint) = match self {
            Self::Read => ("http.timeout", "try again, or raise `http.timeout`"),
            Self::Write => ("write_timeout", "try again, or raise `write_timeout`"),
            Self::Cognify => ("cognify_timeout", "try again, or raise `cognify_timeout`"),
        };
        match error.kind() {
            ErrorKind::Timeout => error.with("setting", setting).hint(hint),
            _ => error,
        }
    }
}

impl<'a> Call<'a> {
    pub(crate) fn get(path: &'a [&'a str]) -> Self {
        Self { method: Method::GET, path, query: None, body: None, patience: Patience::Read }
    }

    pub(crate) fn post(path: &'a [&'a str], body: &Value) -> Self {
        let json = HeaderValue::from_static("application/json");
        let body = Some((json, body.to_string().into_bytes()));
        Self { method: Method::POST, path, query: None, body, patience: Patience::Read }
    }

    /// With an upload that takes the place of another.
    pub(crate) fn patch(path: &'a [&'a str], content_type: HeaderValue, body: Vec<u8>) -> Self {
        Self { method: Method::PATCH, ..Self::upload(path, content_type, body) }
    }

    /// It may take this long.
    pub(crate) fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// With this query, of our own words and ids.
    pub(crate) fn with_query(self, query: &'a str) -> Self {
        Self { query: Some(query), ..self }
    }

    /// An upload, which may take as long as a write.
    pub(crate) fn upload(path: &'a [&'a str], content_type: HeaderValue, body: Vec<u8>) -> Self {
        let body = Some((content_type, body));
        Self { method: Method::POST, path, query: None, body, patience: Patience::Write }
    }
}

/// What the server says to a request that was understood.
pub(crate) enum Reply {
    /// A success.
    Json(Value),
    /// It refuses, for this reason.
    Refused(Fault, Error),
}

impl Reply {
    /// The success, or the error.
    pub(crate) fn json(self) -> Result<Value> {
        match self {
            Self::Json(value) => Ok(value),
            Self::Refused(_, error) => Err(error),
        }
    }
}

impl Api {
    pub(crate) fn new(clients: Clients, auth: &Auth, patience: std::time::Duration) -> Self {
        let login = CogneeLogin::new(clients.reads.clone(), auth);
        let session = login.map(|login| Session::new(login, patience));
        Self { clients, session, header: CogneeLogin::header_name(auth) }
    }

    pub(crate) fn http(&self) -> &HttpClient {
        &self.clients.reads
    }

    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Reply> {
        let answer = self.exchange(call).await?;
        if answer.error_kind().is_some() {
            let fault = Fault::of(&answer, Asked::Work);
            return Ok(Reply::Refused(fault, fault.error(&answer)));
        }
        let json = serde_json::from_slice(&answer.body).map_err(|_| malformed(&answer))?;
        Ok(Reply::Json(json))
    }

    pub(crate) async fn close(&self) -> Result<()> {
        match &self.session {
            Some(session) => session.close().await,
            None => Ok(()),
        }
    }

    async fn exchange(&self, call: &Call<'_>) -> Result<HttpResponse> {
        let Some(session) = &self.session else { return self.send_with(call, None).await };
        let token = session.token().await?;
        let answer = self.send_with(call, Some(&token)).await?;
        // Of a dataset that we may read and not write, the server says 401 too.
        if answer.status != 401 || Fault::of(&answer, Asked::Work) == Fault::Denied {
            return Ok(answer);
        }
        let token = session.replace(&token).await?;
        let answer = self.send_with(call, Some(&token)).await?;
        if answer.status == 401 {
            session.distrust(&token);
        }
        Ok(answer)
    }

    async fn send_with(
        &self,
        call: &Call<'_>,
        token: Option<&std::sync::Arc<Token>>,
    ) -> Result<HttpResponse> {
        let client = match call.patience {
            Patience::Read => &self.clients.reads,
            Patience::Write => &self.clients.writes,
            Patience::Cognify => &self.clients.runs,
        };
        let mut request = client.request(call.method.clone(), call.path.iter().copied())?;
        if let Some(query) = call.query {
            request.set_query(query);
        }
        if let Some((content_type, body)) = &call.body {
            request.headers_mut().insert(CONTENT_TYPE, content_type.clone());
            request.set_body(Zeroizing::new(body.clone()));
        }
        if let Some(token) = token {
            request.headers_mut().insert(self.header.clone(), token.header());
        }
        request.send().await.map_err(|error| call.patience.named_in(error))
    }
}

/// The server answered something that its protocol does not allow.
pub(crate) fn unexpected(message: &'static str) -> Error {
    Error::new(ErrorKind::Unexpected, message)
        .hint("check that the server's version is 1.6 or later, and its log")
}
