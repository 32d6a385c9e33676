//! Clients for the servers that a discovery document names.

use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request, Uri};
use pipe_core::{Error, ErrorKind, Result, SecretSource, SecretValue};
use pipe_http::{AddressPolicy, HttpClient, HttpConfig, ServerAddress};

use super::location::Location;
use super::settings::host_of;

/// More servers than this one provider has no use for.
const MOST_CLIENTS: usize = 16;

/// A URL, and a client that reaches its server.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) client: HttpClient,
    pub(crate) uri: Uri,
}

impl Endpoint {
    /// A request to exactly this URL, for [`HttpClient::send`].
    pub(crate) fn request(&self, method: Method, body: Vec<u8>) -> Request<Vec<u8>> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        request
    }

    pub(super) fn get(&self) -> Request<Vec<u8>> {
        self.request(Method::GET, Vec::new())
    }
}

/// Makes and keeps the clients. Where they lead is decided by who named the host: a person may
/// name one that is inside, a document only where the issuer itself is inside.
#[derive(Debug)]
pub(super) struct Endpoints {
    http: HttpConfig,
    hosts: Arc<[String]>,
    peers: AddressPolicy,
    /// The one that was used last is at the end.
    made: Mutex<Vec<HttpClient>>,
}

impl Endpoints {
    pub(super) fn new(http: HttpConfig, hosts: Vec<String>, peers: AddressPolicy) -> Self {
        Self { http, hosts: hosts.into(), peers, made: Mutex::default() }
    }

    /// The same servers with other HTTP settings.
    pub(super) fn with_http(&self, http: HttpConfig) -> Self {
        Self { http, hosts: Arc::clone(&self.hosts), peers: self.peers, made: Mutex::default() }
    }

    /// The same servers, with this client certificate.
    pub(super) fn with_certificate(&self, certificate: &SecretValue) -> Self {
        let source = SecretSource::Value(certificate.clone());
        self.with_http(self.http.clone().with_client_certificate(source))
    }

    /// # Errors
    /// `ConfigInvalid` when it is no safe URL, or leads where it may not.
    pub(super) fn endpoint(&self, url: &str) -> Result<Endpoint> {
        let Location { origin, uri } = Location::parse(url).map_err(|fault| {
            Error::new(ErrorKind::ConfigInvalid, "an endpoint of the provider is not usable")
                .with("endpoint", fault)
                .hint("correct the provider's discovery document, or the setting that has this URL")
        })?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match made.iter().position(|client| *client.address() == origin) {
            Some(place) => made.remove(place),
            None => HttpClient::new_guarded(&self.http, &origin, self.policy(&origin))
                .map_err(|error| error.with("setting", "allowed_hosts"))?,
        };
        if made.len() >= MOST_CLIENTS {
            made.remove(0);
        }
        made.push(client.clone());
        Ok(Endpoint { client, uri })
    }

    fn policy(&self, address: &ServerAddress) -> AddressPolicy {
        let is_named = host_of(address).is_some_and(|host| self.hosts.contains(&host));
        if is_named { AddressPolicy::Loopback } else { self.peers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::{KeySource, ProviderSettings};

    fn endpoints(issuer: &str, allowed: &[&str]) -> Endpoints {
        let mut settings = ProviderSettings::new(issuer, KeySource::Discovery);
        settings.allowed_hosts = allowed.iter().map(|host| (*host).to_owned()).collect();
        let addresses = settings.check().unwrap();
        Endpoints::new(settings.http, addresses.hosts, addresses.peers)
    }

    /// F5
    #[test]
    fn a_document_of_a_public_issuer_leads_nowhere_inside() {
        let endpoints = endpoints("https://id.example", &[]);
        for url in [
            "https://10.0.0.1/jwks",
            "https://127.0.0.1/jwks",
            "http://localhost/jwks",
            "https://[::ffff:192.168.0.1]/jwks",
            "https://169.254.169.254/jwks",
            "https://metadata.google.internal/jwks",
            "http://keys.example/jwks",
            "https://me@keys.example/jwks",
        ] {
            let error = endpoints.endpoint(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{url}");
        }
        assert!(endpoints.endpoint("https://keys.example/jwks").is_ok());
    }

    /// F5
    #[test]
    fn an_issuer_inside_and_an_allowed_host_may_be_inside() {
        let private = endpoints("https://10.1.1.1", &[]);
        assert!(private.endpoint("https://10.0.0.1/jwks").is_ok());
        assert!(private.endpoint("https://127.0.0.1/jwks").is_err());
        assert!(private.endpoint("https://169.254.169.254/jwks").is_err());
        let allowed = endpoints("https://id.example", &["10.0.0.1", "169.254.169.254"]);
        assert!(allowed.endpoint("https://10.0.0.1/jwks").is_ok());
        assert!(allowed.endpoint("https://10.0.0.2/jwks").is_err());
        assert!(allowed.endpoint("https://169.254.169.254/jwks").is_err());
        let local = endpoints("http://127.0.0.1:18300", &[]);
        assert!(local.endpoint("http://localhost:18301/jwks").is_ok());
    }

    #[test]
    fn clients_are_kept_per_server_and_not_without_end() {
        let endpoints = endpoints("http://127.0.0.1:1", &[]);
        for port in 1..100 {
            for path in ["a", "b?c=d"] {
                let url = format!("http://127.0.0.1:{port}/{path}");
                assert_eq!(endpoints.endpoint(&url).unwrap().uri, *url);
            }
        }
        assert_eq!(endpoints.made.lock().unwrap().len(), MOST_CLIENTS);
    }
}
