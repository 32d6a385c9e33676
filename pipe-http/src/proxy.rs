//! The address of a proxy, which may carry credentials and therefore is never shown whole.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use pipe_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use url::Url;

/// An HTTP proxy: `http://user:password@proxy.example:3128`.
///
/// User and password are optional and percent-encoded. `Display` and `Debug` leave them out, and
/// no error repeats them.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(into = "String"))]
#[serde(try_from = "String")]
pub struct ProxyAddress(Url);

impl ProxyAddress {
    /// The whole URL with its credentials.
    pub(crate) fn expose(&self) -> Url {
        self.0.clone()
    }
}

impl FromStr for ProxyAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .filter(|url| url.path() == "/" && url.query().is_none() && url.fragment().is_none())
            // A proxy that the connector cannot parse would silently be no proxy at all.
            .filter(|url| url.as_str().parse::<Uri>().is_ok())
            .map(Self)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::ConfigInvalid,
                    "the proxy address is not an http or https URL without a path",
                )
                .hint("write it as http://host:port, user and password percent-encoded before an @")
            })
    }
}

impl TryFrom<String> for ProxyAddress {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_kept_and_not_shown() {
        let proxy: ProxyAddress = "http://me:hunter2@proxy.example:3128".parse().unwrap();
        assert_eq!(proxy.expose().password(), Some("hunter2"));
        assert_eq!(proxy.to_string(), "http://proxy.example:3128");
        assert_eq!(format!("{proxy:?}"), "\"http://proxy.example:3128\"");
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_repeating_it() {
        for text in [
            "",
            "hunter2",
            "me:hunter2@proxy.example:3128",
            "socks5://me:hunter2@proxy.example",
            "http://me:hunter2@",
            "http://me:hunter2@proxy.example/path",
            "http://me:hunter2@proxy.example?query",
            "http://me:hun/ter2@proxy.example",
        ] {
            let error = text.parse::<ProxyAddress>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{text}");
            assert!(!format!("{error:?}").contains("hun"), "{error:?}");
        }
    }
}
