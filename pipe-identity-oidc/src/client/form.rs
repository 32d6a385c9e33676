//! A request to an endpoint that takes a form, as those of OAuth 2.0 do.

use std::fmt;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request};
use pipe_core::{Error, ErrorKind, Result};
use pipe_http::HttpResponse;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::Endpoint;

/// What these endpoints answer is small; a body beyond this is refused.
pub(crate) const LONGEST_ANSWER: usize = 1 << 20;

/// A form to be sent. It is wiped afterwards, and all of its memory that it outgrew before.
pub(crate) struct FormRequest {
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
}

impl FormRequest {
    /// An empty form.
    pub(crate) fn new() -> Self {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, form), (ACCEPT, json)]);
        Self { headers, body: Zeroizing::default() }
    }

    /// Adds a field.
    pub(crate) fn add(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let separator = if self.body.is_empty() { "" } else { "&" };
        let value = value.as_ref();
        let length = separator.len() + encoded_length(name.as_bytes()) + 1 + encoded_length(value);
        let needed = self.body.len() + length;
        if needed > self.body.capacity() {
            let room = needed.max(self.body.capacity().saturating_mul(2)).max(512);
            let mut grown = Zeroizing::new(Vec::with_capacity(room));
            grown.extend_from_slice(&self.body);
            self.body = grown;
        }
        self.body.extend_from_slice(separator.as_bytes());
        encode(&mut self.body, name.as_bytes());
        self.body.push(b'=');
        encode(&mut self.body, value);
    }

    /// Sets the `Authorization` header, kept out of whatever prints headers.
    pub(crate) fn authorize(&mut self, value: &[u8]) -> Result<()> {
        let mut value = HeaderValue::from_bytes(value).map_err(|_| {
            Error::new(ErrorKind::ConfigInvalid, "the credential cannot stand in a header")
        })?;
        value.set_sensitive(true);
        self.headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    /// Sends it once, and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// As for [`pipe_http::HttpClient::send`], and `Unexpected` for a body of more than 1 MiB.
    pub(crate) async fn send(mut self, endpoint: &Endpoint) -> Result<HttpResponse> {
        let mut request = Request::new(std::mem::take(&mut *self.body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint.uri.clone();
        *request.headers_mut() = self.headers;
        let response = endpoint.client.send(request).await?;
        if response.body.len() > LONGEST_ANSWER {
            return Err(Error::new(ErrorKind::Unexpected, "the answer is longer than 1 MiB")
                .with("server", endpoint.client.address())
                .hint("check that the address is that of an OAuth 2.0 endpoint"));
        }
        Ok(response)
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[cfg(test)]
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

impl fmt::Debug for FormRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormRequest").field("length", &self.body.len()).finish_non_exhaustive()
    }
}

/// How long the value is once it is encoded.
pub(crate) fn encoded_length(value: &[u8]) -> usize {
    byte_serialize(value).map(str::len).sum()
}

/// Appends the value as a form writes it (RFC 6749 appendix B).
pub(crate) fn encode(into: &mut Vec<u8>, value: &[u8]) {
    byte_serialize(value).for_each(|part| into.extend_from_slice(part.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded_as_a_form_writes_them() {
        let mut form = FormRequest::new();
        form.add("grant_type", "client_credentials");
        form.add("scope", "a b");
        form.add("secret", "p:%&=+/\u{fc}");
        assert_eq!(
            form.text(),
            "grant_type=client_credentials&scope=a+b&secret=p%3A%25%26%3D%2B%2F%C3%BC"
        );
    }

    #[test]
    fn a_form_keeps_what_it_held_when_it_grows() {
        let mut form = FormRequest::new();
        let value = "x".repeat(400);
        for name in ["a", "b", "c"] {
            form.add(name, &value);
        }
        assert_eq!(form.text(), format!("a={value}&b={value}&c={value}"));
    }

    /// H2
    #[test]
    fn debug_shows_how_long_a_form_is() {
        let mut form = FormRequest::new();
        form.add("client_secret", "do-not-print");
        form.authorize(b"Basic do-not-print").unwrap();
        assert_eq!(format!("{form:?}"), "FormRequest { length: 26, .. }");
        assert!(!format!("{:?}", form.headers()).contains("do-not-print"));
    }
}
