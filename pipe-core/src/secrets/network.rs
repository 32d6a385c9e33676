//! Which hosts an application may reach (REQ 003-20).

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::name::parsed_name;
use crate::{Error, ErrorKind, Result};

parsed_name! {
    /// A fully qualified domain name in lower case: two labels at least, of letters, digits and
    /// inner hyphens, at most 253 bytes, without a final dot. An address is none; a name in another
    /// script is written as `xn--`.
    Fqdn, "host", check_fqdn
}

/// Which hosts are meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum OutboundHost {
    /// `*`: every host.
    Any,
    /// `api.example.org`: this one.
    Exact(Fqdn),
    /// `*.example.org`: those below, and not this one itself.
    Below(Fqdn),
}

/// One line of `allowOutbound`: `api.example.org`, `*.example.org` or either with a port, as in
/// `api.example.org:443`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Outbound {
    /// Which hosts are meant.
    pub host: OutboundHost,
    /// Which port; any when `None`.
    pub port: Option<u16>,
}

/// The hosts that an application may reach; none unless named.
///
/// ```
/// use pipe_core::secrets::NetworkAccess;
///
/// let document = r#"{ "allowOutbound": ["api.example.org:443", "*.example.net"] }"#;
/// let access: NetworkAccess = serde_json::from_str(document).unwrap();
/// assert_eq!(access.outbound().count(), 2);
/// assert!(serde_json::from_str::<NetworkAccess>(r#"{ "allowOutbound": ["*"] }"#).is_err());
/// ```
///
/// `*` takes a second setting, `"allowAnyHost": true`, so that it is nobody's oversight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Document")]
pub struct NetworkAccess(BTreeSet<Outbound>);

impl NetworkAccess {
    /// These hosts.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the entry, for what is neither a name nor a wildcard, and for `*`.
    pub fn new<S: AsRef<str>>(entries: impl IntoIterator<Item = S>) -> Result<Self> {
        let access = Self::allowing_any_host(entries)?;
        if access.is_open() {
            return Err(Error::new(ErrorKind::InvalidArgument, "every host would be allowed")
                .with("allowOutbound", "*")
                .hint("name the hosts, or set `allowAnyHost` too"));
        }
        Ok(access)
    }

    /// These hosts, of which one may be `*`.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the entry, for what is neither a name nor a wildcard.
    pub fn allowing_any_host<S: AsRef<str>>(entries: impl IntoIterator<Item = S>) -> Result<Self> {
        entries.into_iter().map(|entry| entry.as_ref().parse()).collect::<Result<_>>().map(Self)
    }

    /// What is allowed, each once.
    pub fn outbound(&self) -> impl ExactSizeIterator<Item = &Outbound> {
        self.0.iter()
    }

    /// Whether every host is allowed, if only on some port.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.iter().any(|outbound| outbound.host == OutboundHost::Any)
    }
}

impl fmt::Display for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            OutboundHost::Any => f.write_str("*"),
            OutboundHost::Exact(host) => write!(f, "{host}"),
            OutboundHost::Below(host) => write!(f, "*.{host}"),
        }?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// The name may have capital letters; it is kept in lower case.
impl FromStr for Outbound {
    type Err = Error;

    fn from_str(entry: &str) -> Result<Self> {
        let fault = |message: &'static str, hint: &'static str| {
            Error::new(ErrorKind::InvalidArgument, message)
                .with("allowOutbound", format_args!("{entry:?}"))
                .hint(hint)
        };
        if entry.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            return Err(fault("an address is no host name", "name the host by its domain name"));
        }
        let (host, port) = match entry.split_once(':') {
            None => (entry, None),
            Some((host, port)) => {
                let port = parse_port(port)
                    .ok_or_else(|| fault("not a port", "use a number from 1 to 65535"))?;
                (host, Some(port))
            }
        };
        let host = host.to_ascii_lowercase();
        let name = host.strip_prefix("*.").unwrap_or(&host);
        let host = match host.as_str() {
            "*" => OutboundHost::Any,
            _ => {
                let hint = "use a domain name such as api.example.org, or *.example.org";
                let name_of = |_| fault("not a fully qualified domain name", hint);
                let fqdn = Fqdn::new(name).map_err(name_of)?;
                if name.len() < host.len() {
                    OutboundHost::Below(fqdn)
                } else {
                    OutboundHost::Exact(fqdn)
                }
            }
        };
        Ok(Self { host, port })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    allow_outbound: Vec<String>,
    #[serde(default)]
    allow_any_host: bool,
}

impl TryFrom<Document> for NetworkAccess {
    type Error = Error;

    fn try_from(document: Document) -> Result<Self> {
        if document.allow_any_host {
            return Self::allowing_any_host(document.allow_outbound);
        }
        Self::new(document.allow_outbound)
    }
}

fn parse_port(port: &str) -> Option<u16> {
    let number = port.parse().ok().filter(|number| *number > 0)?;
    (port == u16::to_string(&number)).then_some(number)
}

fn check_fqdn(what: &'static str, name: &str) -> Result<()> {
    let is_label = |label: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // What ends in a number is an address to some parsers (WHATWG URL, 3.5).
    let is_number = |label: &str| {
        let digits = label.strip_prefix("0x").unwrap_or(label);
        label.bytes().all(|b| b.is_ascii_digit())
            || (digits.len() < label.len() && digits.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let is_fqdn = name.len() <= 253
        && name.split('.').all(is_label)
        && name.rsplit_once('.').is_some_and(|(_, last)| !is_number(last));
    if is_fqdn {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidArgument, "not a fully qualified domain name")
        .with(what, format_args!("{name:?}"))
        .hint("use a domain name such as api.example.org"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_printed_as_it_was_written() {
        for entry in [
            "api.example.org",
            "api.example.org:443",
            "*.example.org",
            "*.example.org:8443",
            "a.b",
            "*",
            "*:443",
            "xn--mller-kva.example",
            "1.2.3.4.example.org",
        ] {
            assert_eq!(entry.parse::<Outbound>().unwrap().to_string(), entry);
        }
        assert_eq!("API.Example.ORG".parse::<Outbound>().unwrap().to_string(), "api.example.org");
    }

    /// REQ 003-20
    #[test]
    fn an_address_a_part_of_a_name_and_a_url_are_refused() {
        for entry in [
            "",
            " ",
            "localhost",
            "openbao",
            "10.0.0.1",
            "10.0.0.1:443",
            "10.0.0.0/8",
            "::1",
            "[::1]",
            "[::1]:443",
            "0x7f.1",
            "0x7f.0x1",
            "127.1",
            "*.1",
            "*.org",
            "**.example.org",
            "*example.org",
            "api.*.org",
            "api.*",
            "*.*.org",
            "*.*",
            "*.",
            "example.org.",
            ".example.org",
            "a..b",
            "-a.org",
            "a-.org",
            "a_b.org",
            "müller.example",
            "a.org:",
            "a.org:0",
            "a.org:65536",
            "a.org:+443",
            "a.org:0443",
            "a.org:443:1",
            "a.org:https",
            "https://a.org",
            "a.org/path",
            "user@a.org",
            " a.org",
            "a.org\n",
            "a b.org",
        ] {
            let error = entry.parse::<Outbound>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{entry:?}");
        }
        let long = format!("{}.org", "a".repeat(64));
        assert!(long.parse::<Outbound>().is_err());
        assert!(format!("{}org", "abc.".repeat(63)).parse::<Outbound>().is_err());
    }

    /// REQ 003-20
    #[test]
    fn every_host_is_allowed_only_when_it_is_said_twice() {
        let parse = |document: &str| serde_json::from_str::<NetworkAccess>(document);
        for entry in ["*", "*:443"] {
            let error = NetworkAccess::new(["a.org", entry]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(NetworkAccess::allowing_any_host([entry]).unwrap().is_open());
        }
        assert!(parse(r#"{"allowOutbound":["*"]}"#).is_err());
        assert!(parse(r#"{"allowOutbound":["*"],"allowAnyHost":false}"#).is_err());
        assert!(parse(r#"{"allowOutbound":["*"],"allowAnyHost":true}"#).unwrap().is_open());
        assert!(parse(r#"{"allowInbound":["a.org"]}"#).is_err());
        assert!(!parse(r#"{"allowOutbound":["a.org","A.ORG"]}"#).unwrap().is_open());
        assert_eq!(parse("{}").unwrap(), NetworkAccess::default());
    }

    #[test]
    fn a_wildcard_does_not_mean_the_domain_itself() {
        let access = NetworkAccess::new(["*.a.org", "a.org", "a.org"]).unwrap();
        let host = Fqdn::new("a.org").unwrap();
        let hosts: Vec<_> = access.outbound().map(|outbound| outbound.host.clone()).collect();
        assert_eq!(hosts, [OutboundHost::Exact(host.clone()), OutboundHost::Below(host)]);
    }
}
