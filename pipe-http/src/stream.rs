//! An answer that is read while it comes, for servers that tell of changes in one endless body.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderMap;
use pipe_core::{Error, ErrorKind, Result};
use reqwest::Response;

use crate::error::transport;
use crate::{HttpClient, HttpResponse};

/// An answer whose head is there and whose body is still coming. Dropping it ends the exchange.
pub struct HttpStream {
    response: Response,
    client: HttpClient,
}

impl HttpStream {
    pub(crate) fn new(response: Response, client: HttpClient) -> Self {
        Self { response, client }
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next piece of the body; `None` at its end. It may end anywhere, in the middle of a
    /// character too. Pieces are not limited together: who keeps them sets a bound.
    ///
    /// # Errors
    /// - `Timeout`: nothing came within `limit`.
    /// - `Unavailable`: the connection broke.
    pub async fn next(&mut self, limit: Duration) -> Result<Option<Bytes>> {
        match tokio::time::timeout(limit, self.response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => Err(self.client.locate(transport(&error))),
            Err(_) => {
                let error = Error::new(ErrorKind::Timeout, "no more of the answer came in time");
                Err(self.client.locate(error))
            }
        }
    }

    /// Reads the whole body, for an answer that is none of the endless ones, as a refusal.
    ///
    /// # Errors
    /// As for [`HttpClient::send`].
    pub async fn whole(self) -> Result<HttpResponse> {
        let Self { response, client } = self;
        client.within_timeout(client.collect(response)).await
    }
}

impl fmt::Debug for HttpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpStream")
            .field("status", &self.status())
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
