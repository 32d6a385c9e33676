//! Where a server is: parsed once, so that nothing downstream has to look at it again.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use pipe_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use url::{Host, Url};

/// The address of a server: `https://bao.example:8200`, with or without a path prefix.
///
/// `https` is required, except on a true loopback address: `127.0.0.0/8`, `[::1]`, or exactly
/// `localhost`, which [`HttpClient`](crate::HttpClient) pins to these. There are no credentials,
/// no query and no fragment in it, so it may be shown.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(into = "String"))]
#[serde(try_from = "String")]
pub struct ServerAddress(Url);

impl ServerAddress {
    /// The server that a URL leads to, without the URL's path and query; for a URL that comes
    /// from a document, such as the `jwks_uri` of a provider.
    ///
    /// # Errors
    /// `ConfigInvalid`, as for parsing an address.
    pub fn origin_of(url: &str) -> Result<Self> {
        let mut url = parse(url)?;
        url.set_path("");
        url.set_query(None);
        url.set_fragment(None);
        Self::check(url)
    }

    /// The address as text, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The URL of a path below this address. A query may follow the path.
    ///
    /// # Errors
    /// `InvalidArgument` when the path is not in its final form: it has segments such as `..`,
    /// characters that must be percent-encoded, or a fragment.
    pub fn join(&self, path: &str) -> Result<Uri> {
        let text = format!("{self}/{}", path.strip_prefix('/').unwrap_or(path));
        let is_final =
            Url::parse(&text).is_ok_and(|url| url.as_str() == text && url.fragment().is_none());
        match text.parse() {
            Ok(uri) if is_final => Ok(uri),
            _ => Err(path_not_final()),
        }
    }

    /// Whether the server is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// Whether the server is spoken to through TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The host, with addresses told from names.
    pub(crate) fn host(&self) -> Option<Host<&str>> {
        self.0.host()
    }

    /// The URL of what is below this address, by the segments of its path.
    pub(crate) fn below<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Result<Url> {
        let mut url = self.0.clone();
        let mut is_final = true;
        // The parser would drop such segments.
        let segments = segments
            .into_iter()
            .inspect(|segment| is_final &= !matches!(*segment, "" | "." | ".."));
        let Ok(mut path) = url.path_segments_mut() else { return Err(path_not_final()) };
        path.pop_if_empty().extend(segments);
        drop(path);
        if is_final { Ok(url) } else { Err(path_not_final()) }
    }

    /// Whether a URL leads to this server: same scheme, host and port.
    #[must_use]
    pub fn has_origin_of(&self, url: &Url) -> bool {
        self.0.origin() == url.origin()
    }

    fn check(mut url: Url) -> Result<Self> {
        if url.query().is_some() || url.fragment().is_some() {
            return Err(fault("the server address has a query or a fragment")
                .hint("end the address after its path"));
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(fault("the server address is not https")
                .with("host", url.host_str().unwrap_or_default())
                .hint("use https; plain http is for a loopback address only"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }
}

impl FromStr for ServerAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::check(parse(text)?)
    }
}

impl TryFrom<String> for ServerAddress {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A URL whose path the parser had to change could leave the path prefix of its server.
pub(crate) fn path_not_final() -> Error {
    Error::new(ErrorKind::InvalidArgument, "the path of the request is not in its final form")
        .hint("percent-encode each segment; `.` and `..` cannot be segments")
}

/// None of these errors repeats the text: it may hold a password in an unexpected place.
fn parse(text: &str) -> Result<Url> {
    // The parser drops line breaks and turns backslashes: what it connects to is not what one reads.
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(fault("the server address has spaces, line breaks or backslashes in it"));
    }
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| fault("the server address is not an absolute http or https URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault("the server address has credentials in it").hint(
            "take user and password out of the address; credentials have their own settings",
        ));
    }
    Ok(url)
}

/// The one name is compared as a whole: `localhost.` and `localhost.example` are other names.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn fault(message: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message)
        .hint("write the address as https://host:port, with a path prefix if there is one")
}

#[cfg(test)]
mod tests;
