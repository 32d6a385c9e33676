//! A form with files in it (RFC 7578).

use http::HeaderValue;
use pipe_core::{Error, ErrorKind, Result};

/// A form under construction.
pub(crate) struct Form {
    boundary: String,
    body: Vec<u8>,
}

impl Form {
    /// An empty form.
    ///
    /// # Errors
    /// `Unavailable` when the system has no random numbers.
    pub(crate) fn new() -> Result<Self> {
        // Nobody who writes a text can know it beforehand, so no text ends a part.
        let random = || {
            getrandom::u64().map_err(|_| {
                Error::new(ErrorKind::Unavailable, "the system gives no random numbers")
            })
        };
        let boundary = format!("pipe-{:016x}{:016x}", random()?, random()?);
        Ok(Self { boundary, body: Vec::new() })
    }

    /// A field. Name and value are our own.
    pub(crate) fn field(mut self, name: &'static str, value: &str) -> Self {
        self.begin(&format!("form-data; name=\"{name}\""), None);
        self.end(value.as_bytes())
    }

    /// A file, whose name is our own.
    pub(crate) fn file(mut self, name: &'static str, file: &str, content: &[u8]) -> Self {
        let disposition = format!("form-data; name=\"{name}\"; filename=\"{file}\"");
        self.begin(&disposition, Some("application/octet-stream"));
        self.end(content)
    }

    /// The content type, and the body.
    pub(crate) fn finish(mut self) -> Result<(HeaderValue, Vec<u8>)> {
        self.body.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        let content_type = format!("multipart/form-data; boundary={}", self.boundary);
        let content_type = HeaderValue::try_from(content_type)
            .map_err(|_| Error::new(ErrorKind::Unexpected, "the form has no content type"))?;
        Ok((content_type, self.body))
    }

    fn begin(&mut self, disposition: &str, content_type: Option<&str>) {
        let mut head = format!("--{}\r\ncontent-disposition: {disposition}\r\n", self.boundary);
        if let Some(content_type) = content_type {
            head.push_str(&format!("content-type: {content_type}\r\n"));
        }
        head.push_str("\r\n");
        self.body.extend_from_slice(head.as_bytes());
    }

    fn end(mut self, content: &[u8]) -> Self {
        self.body.extend_from_slice(content);
        self.body.extend_from_slice(b"\r\n");
        self
    }
}
