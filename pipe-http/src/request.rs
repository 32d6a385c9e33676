//! A request that can lead nowhere but to the server of its client.

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;
use pipe_core::Result;
use reqwest::Request;
use zeroize::Zeroizing;

use crate::{HttpClient, HttpResponse, HttpStream};

/// A request to the server of an [`HttpClient`], made by [`HttpClient::request`].
#[must_use = "a request does nothing until it is sent"]
pub struct HttpRequest<'a> {
    client: &'a HttpClient,
    inner: Request,
}

impl<'a> HttpRequest<'a> {
    pub(crate) fn new(client: &'a HttpClient, inner: Request) -> Self {
        Self { client, inner }
    }

    /// The headers, empty at first.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.inner.headers_mut()
    }

    /// Sets the query, which is percent-encoded where it has to be.
    pub fn set_query(&mut self, query: &str) {
        self.inner.url_mut().set_query(Some(query));
    }

    /// Sets the body, which is wiped once it is sent.
    pub fn set_body(&mut self, body: Zeroizing<Vec<u8>>) {
        *self.inner.body_mut() = Some(Bytes::from_owner(body).into());
    }

    #[cfg(test)]
    pub(crate) fn url(&self) -> &url::Url {
        self.inner.url()
    }

    /// Sends it once, and returns when the head of the answer is there: for bodies that are long,
    /// or have no end.
    ///
    /// # Errors
    /// As for [`HttpClient::stream`].
    pub async fn stream(self) -> Result<HttpStream> {
        self.client.begin(self.inner).await
    }

    /// Sends it once, and reads the whole answer.
    ///
    /// # Errors
    /// As for [`HttpClient::send`].
    pub async fn send(self) -> Result<HttpResponse> {
        self.client.run(self.inner).await
    }
}

/// Nothing that could be secret: parts of paths and queries are.
impl fmt::Debug for HttpRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("client", &self.client)
            .field("method", self.inner.method())
            .finish_non_exhaustive()
    }
}
