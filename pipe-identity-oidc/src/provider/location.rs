//! A URL that requests can be sent to.

use http::Uri;
use pipe_http::ServerAddress;
use url::Url;

/// A URL of `https`, or of `http` on a loopback address, without credentials and fragment.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub(crate) origin: ServerAddress,
    pub(crate) uri: Uri,
}

impl Location {
    /// The fault is a sentence that repeats nothing of the text.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "must be an absolute URL")?;
        if url.fragment().is_some() {
            return Err("must be a URL without a fragment");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must be a URL without credentials");
        }
        let origin = ServerAddress::origin_of(text)
            .map_err(|_| "must be an https URL; plain http is for a loopback address only")?;
        let uri = text.parse().ok().filter(|_| text.is_ascii());
        let uri = uri.ok_or("must be a URL with its path percent-encoded")?;
        Ok(Self { origin, uri })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_safe_url_is_refused() {
        for text in [
            "",
            "jwks",
            "//id.example/jwks",
            "http://id.example/jwks",
            "ftp://id.example/jwks",
            "file:///etc/passwd",
            "https://me@id.example/jwks",
            "https://me:pw@id.example/jwks",
            "https://id.example/jwks#top",
            "https://id.example/a b",
            "https://id.example\\@evil.example/",
            "https://id.example/\u{e4}",
        ] {
            assert!(Location::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn path_and_query_stay() {
        let at = Location::parse("https://id.example:8443/jwks?p=a").unwrap();
        assert_eq!(at.uri, "https://id.example:8443/jwks?p=a");
        assert_eq!(at.origin.as_str(), "https://id.example:8443");
        assert!(Location::parse("http://127.0.0.1:1/jwks").is_ok());
    }
}
