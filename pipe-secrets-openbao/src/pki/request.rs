//! What a certificate is asked to say.

use std::net::IpAddr;
use std::time::Duration;

use pipe_core::{Error, ErrorKind, Result};
use serde::Serialize;
use url::Url;

/// The server keeps whole seconds, and takes its own default for none.
const SHORTEST: Duration = Duration::from_secs(1);
/// RFC 5280, appendix A.1: `ub-common-name`.
const LONGEST_COMMON_NAME: usize = 64;
/// The server refuses requests with far more strings than this; no certificate needs them.
const MOST_NAMES: usize = 200;

/// The names and the lifetime that a certificate is to have.
///
/// ```
/// # use std::time::Duration;
/// use pipe_secrets_openbao::CertificateRequest;
///
/// let web = CertificateRequest::new()
///     .with_common_name("shop.example.com")
///     .with_ip_address([10, 0, 0, 7].into())
///     .with_ttl(Duration::from_secs(24 * 3600));
/// let workload = CertificateRequest::new().with_uri("spiffe://example.com/shop");
/// # drop((web, workload));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateRequest {
    pub(super) common_name: Option<String>,
    pub(super) dns_names: Vec<String>,
    pub(super) ip_addresses: Vec<IpAddr>,
    pub(super) uris: Vec<String>,
    pub(super) ttl: Option<Duration>,
    pub(super) exclude_cn_from_sans: bool,
}

impl CertificateRequest {
    /// No names yet, and the role's own lifetime.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The common name of the subject. When it is a DNS name, it becomes a SAN as well.
    #[must_use]
    pub fn with_common_name(self, name: impl Into<String>) -> Self {
        Self { common_name: Some(name.into()), ..self }
    }

    /// One more DNS SAN, in ASCII; its first label may be `*`.
    #[must_use]
    pub fn with_dns_name(mut self, name: impl Into<String>) -> Self {
        self.dns_names.push(name.into());
        self
    }

    /// One more IP SAN.
    #[must_use]
    pub fn with_ip_address(mut self, address: IpAddr) -> Self {
        self.ip_addresses.push(address);
        self
    }

    /// One more URI SAN, such as a SPIFFE id. A certificate may have these alone, when the role's
    /// `require_cn` is false.
    #[must_use]
    pub fn with_uri(mut self, uri: impl Into<String>) -> Self {
        self.uris.push(uri.into());
        self
    }

    /// How long it is to live, in whole seconds; without it, as long as the role says.
    #[must_use]
    pub fn with_ttl(self, ttl: Duration) -> Self {
        Self { ttl: Some(ttl), ..self }
    }

    /// The common name stays out of the SANs.
    #[must_use]
    pub fn exclude_cn_from_sans(self) -> Self {
        Self { exclude_cn_from_sans: true, ..self }
    }

    /// Refuses what no certificate can say. The server leaves some of it out instead.
    pub(super) fn check(&self) -> Result<()> {
        let refuse = |message: &'static str, found: &str, hint: &'static str| {
            Err(Error::new(ErrorKind::InvalidArgument, message).with("name", found).hint(hint))
        };
        if let Some(name) = &self.common_name
            && (name.trim() != name
                || name.is_empty()
                || name.chars().count() > LONGEST_COMMON_NAME
                || name.contains(char::is_control))
        {
            return refuse(
                "not a common name",
                name,
                "give 1 to 64 characters; put a longer name into the DNS SANs alone",
            );
        }
        if let Some(name) = self.dns_names.iter().find(|name| !is_dns_name(name)) {
            return refuse(
                "not a DNS name",
                name,
                "give a DNS SAN in ASCII, of labels with A-Z a-z 0-9 -; other names are written as `xn--`",
            );
        }
        if let Some(uri) = self.uris.iter().find(|uri| !is_uri(uri)) {
            return refuse(
                "not a URI for a certificate",
                uri,
                "give an absolute URI in ASCII; a SPIFFE id is spiffe://<trust domain>/<path>",
            );
        }
        if self.dns_names.len() + self.ip_addresses.len() + self.uris.len() > MOST_NAMES {
            return Err(Error::new(ErrorKind::InvalidArgument, "too many names for a certificate")
                .with("limit", MOST_NAMES)
                .hint("ask for several certificates"));
        }
        if self.ttl.is_some_and(|ttl| ttl < SHORTEST) {
            return Err(Error::new(ErrorKind::InvalidArgument, "the lifetime is too short")
                .hint("give certificates a ttl of a second or more"));
        }
        Ok(())
    }

    /// Refuses a request for a certificate that names nobody, which the server would issue.
    pub(super) fn check_names(&self) -> Result<()> {
        let sans = self.dns_names.len() + self.ip_addresses.len() + self.uris.len();
        if self.common_name.is_none() && sans == 0 {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the certificate would name nobody",
            )
            .hint("give a common name, or a DNS, IP or URI SAN"));
        }
        Ok(())
    }

    /// The DNS SANs that the certificate has to have.
    pub(super) fn expected_dns_names(&self) -> impl Iterator<Item = &str> {
        let common = self.common_name.as_deref().filter(|name| {
            !self.exclude_cn_from_sans && is_dns_name(name) && name.parse::<IpAddr>().is_err()
        });
        self.dns_names.iter().map(String::as_str).chain(common)
    }

    /// The request's body; a private key is asked for where no CSR is given.
    pub(super) fn body<'a>(&'a self, csr: Option<&'a str>) -> Body<'a> {
        Body {
            common_name: self.common_name.as_deref(),
            alt_names: self.dns_names.join(","),
            ip_sans: &self.ip_addresses,
            uri_sans: &self.uris,
            ttl: self.ttl.map(|ttl| ttl.as_secs()),
            exclude_cn_from_sans: self.exclude_cn_from_sans,
            private_key_format: csr.is_none().then_some("pkcs8"),
            csr,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    common_name: Option<&'a str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    alt_names: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    ip_sans: &'a [IpAddr],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    uri_sans: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
    exclude_cn_from_sans: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key_format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    csr: Option<&'a str>,
}

/// A name with an underscore, say, would be left out by the server without a word.
fn is_dns_name(name: &str) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    (1..=253).contains(&name.len())
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

fn is_uri(text: &str) -> bool {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return false;
    }
    let Ok(url) = Url::parse(text) else { return false };
    // The SPIFFE-ID specification, section 2.
    url.scheme() != "spiffe"
        || (url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.port().is_none()
            && url.query().is_none()
            && url.fragment().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint_of(request: &CertificateRequest) -> String {
        let error = request.check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        error.hint_text().to_owned()
    }

    #[test]
    fn names_that_certificates_can_have_are_taken() {
        let request = CertificateRequest::new()
            .with_common_name("a.example.com")
            .with_dns_name("*.Example.com")
            .with_dns_name("xn--bcher-kva.example")
            .with_ip_address("::1".parse().unwrap())
            .with_uri("spiffe://example.com/a,b")
            .with_uri("urn:x:y")
            .with_ttl(Duration::from_secs(1));
        request.check().unwrap();
        request.check_names().unwrap();
    }

    #[test]
    fn names_that_the_server_would_leave_out_are_refused() {
        for name in [
            "",
            "b_c.example.com",
            "a..b",
            "-a.b",
            "b\u{fc}cher.example",
            "a,b",
            "a@b",
            "a b",
            "x.*",
        ] {
            let request = CertificateRequest::new().with_dns_name(name);
            assert!(hint_of(&request).contains("DNS SAN"), "{name}");
        }
        for uri in [
            "",
            "/path",
            "a b:c",
            "spiffe:///x",
            "spiffe://a/x?y",
            "spiffe://u@a/x",
            "spiffe://a:1/x",
        ] {
            let request = CertificateRequest::new().with_uri(uri);
            assert!(hint_of(&request).contains("URI"), "{uri}");
        }
        for name in ["", " a", "a\nb", &"a".repeat(65)] {
            assert!(
                hint_of(&CertificateRequest::new().with_common_name(name)).contains("64"),
                "{name}"
            );
        }
    }

    #[test]
    fn a_lifetime_of_less_than_a_second_is_refused() {
        let request = CertificateRequest::new().with_ttl(Duration::from_millis(999));
        assert!(hint_of(&request).contains("ttl"));
    }

    #[test]
    fn a_certificate_that_names_nobody_is_refused() {
        let error = CertificateRequest::new().check_names().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }

    #[test]
    fn the_common_name_is_expected_as_a_san_unless_it_is_excluded_or_no_dns_name() {
        let expected = |request: CertificateRequest| {
            request.expected_dns_names().map(str::to_owned).collect::<Vec<_>>()
        };
        let named = CertificateRequest::new().with_common_name("a.example.com");
        assert_eq!(expected(named.clone()), ["a.example.com"]);
        assert!(expected(named.exclude_cn_from_sans()).is_empty());
        assert!(expected(CertificateRequest::new().with_common_name("bot user")).is_empty());
    }

    #[test]
    fn the_body_has_what_was_asked_for_and_nothing_else() {
        let request = CertificateRequest::new()
            .with_dns_name("a.example")
            .with_dns_name("b.example")
            .with_uri("urn:x:y,z")
            .with_ip_address([10, 0, 0, 1].into())
            .with_ttl(Duration::from_secs(60));
        let body = serde_json::to_value(request.body(None)).unwrap();
        let expected = serde_json::json!({
            "alt_names": "a.example,b.example",
            "uri_sans": ["urn:x:y,z"],
            "ip_sans": ["10.0.0.1"],
            "ttl": 60,
            "exclude_cn_from_sans": false,
            "private_key_format": "pkcs8",
        });
        assert_eq!(body, expected);
    }
}
