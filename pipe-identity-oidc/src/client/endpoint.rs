//! Where the token endpoint is. It may have to be learned first, from a provider that is down when
//! we start.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use http::Uri;
use pipe_core::{Error, ErrorKind, Result, SecretSource, SecretValue};
use pipe_http::{HttpClient, HttpConfig, ServerAddress};

use super::form::LONGEST_ANSWER;

/// An endpoint, and a client that leads to its server.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) client: HttpClient,
    pub(crate) uri: Uri,
}

/// Tells where the endpoints of a provider are.
#[async_trait]
pub(crate) trait Endpoints: fmt::Debug + Send + Sync + 'static {
    /// The issuer, byte for byte.
    fn issuer(&self) -> &str;

    /// The token endpoint. With a client certificate (the chain and the key, PEM), the client
    /// presents it, and the endpoint is that of `mtls_endpoint_aliases` where there is one (RFC
    /// 8705 5).
    ///
    /// # Errors
    /// `Unavailable` when it is not known yet; `ConfigInvalid` when the certificate is not usable.
    async fn token_endpoint(&self, certificate: Option<&SecretValue>) -> Result<Endpoint>;
}

/// Makes clients, and keeps the last one while it leads to the right server with the right
/// certificate.
pub(crate) struct Connections {
    http: HttpConfig,
    last: Mutex<Option<Connection>>,
}

struct Connection {
    address: ServerAddress,
    certificate: Option<SecretValue>,
    client: HttpClient,
}

impl Connections {
    /// Clients with these settings, whose answers are small.
    pub(crate) fn new(http: HttpConfig) -> Self {
        let max_body = http.max_body.min(LONGEST_ANSWER);
        Self { http: http.with_max_body(max_body), last: Mutex::default() }
    }

    /// The endpoint at this URL.
    ///
    /// # Errors
    /// `ConfigInvalid` when it is no `https` URL (`http` on this machine), has a fragment, or when
    /// the certificate is not usable.
    pub(crate) fn to(&self, url: &str, certificate: Option<&SecretValue>) -> Result<Endpoint> {
        let address = ServerAddress::origin_of(url)?;
        let uri = url.parse().ok().filter(|_| !url.contains('#')).ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "the endpoint's URL is not usable")
                .hint("write it as https://host/path, without a fragment")
        })?;
        if certificate.is_some() && !address.is_https() {
            return Err(Error::new(
                ErrorKind::ConfigInvalid,
                "a certificate cannot be presented over plain http",
            )
            .with("server", &address)
            .hint("use an https URL, or another `client.authentication.method`"));
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && last.address == address
            && last.certificate.as_ref() == certificate
        {
            return Ok(Endpoint { client: last.client.clone(), uri });
        }
        let client = self.client(&address, certificate)?;
        let certificate = certificate.cloned();
        *last = Some(Connection { address, certificate, client: client.clone() });
        Ok(Endpoint { client, uri })
    }

    fn client(
        &self,
        address: &ServerAddress,
        certificate: Option<&SecretValue>,
    ) -> Result<HttpClient> {
        let Some(certificate) = certificate else { return HttpClient::new(&self.http, address) };
        let http =
            self.http.clone().with_client_certificate(SecretSource::Value(certificate.clone()));
        HttpClient::new(&http, address)
            .map_err(|error| error.with("setting", "client.authentication.certificate"))
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

/// A token endpoint from the configuration, so that nothing has to be learned.
#[derive(Debug)]
pub(crate) struct FixedEndpoint {
    issuer: String,
    url: String,
    connections: Connections,
}

impl FixedEndpoint {
    /// The token endpoint at this URL.
    ///
    /// # Errors
    /// As for [`Connections::to`].
    pub(crate) fn new(
        issuer: impl Into<String>,
        url: impl Into<String>,
        http: HttpConfig,
    ) -> Result<Self> {
        let (issuer, url, connections) = (issuer.into(), url.into(), Connections::new(http));
        connections
            .to(&url, None)
            .map_err(|error| error.with("setting", "client.token_endpoint"))?;
        Ok(Self { issuer, url, connections })
    }
}

#[async_trait]
impl Endpoints for FixedEndpoint {
    fn issuer(&self) -> &str {
        &self.issuer
    }

    async fn token_endpoint(&self, certificate: Option<&SecretValue>) -> Result<Endpoint> {
        self.connections.to(&self.url, certificate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(url: &str, certificate: Option<&SecretValue>) -> Error {
        let error = Connections::new(HttpConfig::new()).to(url, certificate).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
        error
    }

    #[test]
    fn a_url_that_is_not_usable_is_refused() {
        for url in [
            "",
            "idp.example/token",
            "http://idp.example/token",
            "ftp://idp.example/token",
            "https://bot:hunter2@idp.example/token",
            "https://idp.example/token#hunter2",
            "https://idp.example/to ken",
        ] {
            assert!(!fault(url, None).to_string().contains("hunter2"), "{url}");
        }
    }

    #[test]
    fn a_query_of_the_url_is_kept() {
        let connections = Connections::new(HttpConfig::new());
        let endpoint = connections.to("https://idp.example/t/token?p=policy", None).unwrap();
        assert_eq!(endpoint.uri, "https://idp.example/t/token?p=policy");
        assert_eq!(endpoint.client.address().as_str(), "https://idp.example");
    }

    /// REQ 004-72.6
    #[test]
    fn a_certificate_that_is_not_usable_is_named_and_not_shown() {
        let certificate = SecretValue::from("hunter2");
        let error = fault("https://idp.example/token", Some(&certificate));
        assert_eq!(error.context("setting"), Some("client.authentication.certificate"));
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[test]
    fn a_certificate_is_not_left_out_over_plain_http() {
        let error = fault("http://127.0.0.1/token", Some(&"PEM".into()));
        assert!(error.hint_text().contains("https"), "{error}");
    }

    #[test]
    fn a_client_without_a_certificate_does_not_serve_where_one_is_presented() {
        let connections = Connections::new(HttpConfig::new());
        let url = "https://idp.example/token";
        connections.to(url, None).unwrap();
        assert!(connections.to(url, Some(&"no certificate".into())).is_err());
        connections.to(url, None).unwrap();
    }

    #[test]
    fn the_faulty_setting_of_a_fixed_endpoint_is_named() {
        let error = FixedEndpoint::new("https://idp.example", "x", HttpConfig::new()).unwrap_err();
        assert_eq!(error.context("setting"), Some("client.token_endpoint"));
    }
}
