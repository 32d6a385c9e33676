//! From settings to a connector. All faults of the settings are reported at once.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use http::HeaderValue;
use pipe_core::{Error, ErrorKind, Result};
use reqwest::{Client, ClientBuilder, Proxy, redirect, retry};

use crate::guard::Guard;
use crate::{CaTrust, HttpConfig, ProxyAddress, ServerAddress, tls};

/// What stands between us and the network, with every default decided here.
pub(crate) fn connector(
    config: &HttpConfig,
    address: &ServerAddress,
    proxy: Option<&ProxyAddress>,
    guard: Option<Guard>,
) -> Result<Client> {
    let mut faults = Faults::default();
    faults.refuse_zero("connect_timeout", config.connect_timeout.is_zero());
    faults.refuse_zero("timeout", config.timeout.is_zero());
    faults.refuse_zero("max_body", config.max_body == 0);
    let authorities = faults.keep("ca", config.ca.as_ref().map(tls::authorities));
    let identity =
        faults.keep("client_certificate", config.client_certificate.as_ref().map(tls::identity));
    let proxy = faults.keep("proxy", proxy.map(intermediary));
    let user_agent = faults.keep("user_agent", Some(header(&config.user_agent)));
    faults.check()?;

    let mut builder = policy(address).connect_timeout(config.connect_timeout);
    // The one name that is resolved on the way through a proxy is the proxy's own.
    if let Some(guard) = guard.filter(|_| proxy.is_none()) {
        builder = builder.dns_resolver(guard);
    }
    if let Some(user_agent) = user_agent {
        builder = builder.user_agent(user_agent);
    }
    if let Some(identity) = identity {
        builder = builder.identity(identity);
    }
    if let Some(proxy) = proxy {
        builder = builder.proxy(proxy);
    }
    let trust = config.ca.as_ref().map(|ca| ca.trust);
    builder = match (authorities, trust) {
        (Some(authorities), Some(CaTrust::Added)) => builder.tls_certs_merge(authorities),
        (Some(authorities), _) => builder.tls_certs_only(authorities),
        // Without TLS no authority is needed, and a minimal container has none.
        (None, _) if !address.is_https() => builder.tls_certs_only([]),
        (None, _) => builder,
    };
    // Whatever else could fail here was checked above.
    builder.build().map_err(|_| {
        let mut faults = Faults::default();
        faults.add("ca", "is not set, and the platform has no authorities of its own");
        faults.into_error()
    })
}

/// What no setting changes.
fn policy(address: &ServerAddress) -> ClientBuilder {
    let builder = Client::builder()
        .tls_backend_rustls()
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .https_only(address.is_https())
        .redirect(redirect::Policy::none())
        .referer(false)
        // The default sends again what an HTTP/2 server says it did not process.
        .retry(retry::never())
        // Forgets the environment's proxies.
        .no_proxy()
        // Less than what load balancers commonly allow before they drop a connection.
        .pool_idle_timeout(Duration::from_secs(30))
        // Finds a dead HTTP/2 connection, on which every later request would time out.
        .http2_keep_alive_interval(Duration::from_secs(10))
        .http2_keep_alive_timeout(Duration::from_secs(10));
    if !address.is_loopback() {
        return builder;
    }
    // Whatever the hosts file and DNS say. Port 0 stands for the port of the address.
    let pinned =
        [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))];
    builder.resolve_to_addrs("localhost", &pinned)
}

fn intermediary(proxy: &ProxyAddress) -> Result<Proxy, String> {
    Proxy::all(proxy.expose()).map_err(|_| "is not usable".to_owned())
}

fn header(user_agent: &str) -> Result<HeaderValue, String> {
    match HeaderValue::from_str(user_agent) {
        Ok(value) if !value.is_empty() => Ok(value),
        _ => Err("must be visible ASCII".to_owned()),
    }
}

/// Settings and what is wrong with them.
#[derive(Default)]
struct Faults(Vec<(&'static str, String)>);

impl Faults {
    fn add(&mut self, setting: &'static str, fault: impl Into<String>) {
        self.0.push((setting, fault.into()));
    }

    fn refuse_zero(&mut self, setting: &'static str, is_zero: bool) {
        if is_zero {
            self.add(setting, "must be more than zero");
        }
    }

    fn keep<T>(&mut self, setting: &'static str, value: Option<Result<T, String>>) -> Option<T> {
        match value? {
            Ok(value) => Some(value),
            Err(fault) => {
                self.add(setting, fault);
                None
            }
        }
    }

    fn check(self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(self.into_error())
    }

    fn into_error(self) -> Error {
        let error = Error::new(ErrorKind::ConfigInvalid, "the HTTP settings are not usable")
            .hint("correct each of the named settings");
        self.0.into_iter().fold(error, |error, (setting, fault)| error.with(setting, fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use pipe_core::{SecretSource, SecretValue};

    use crate::{CaBundle, HttpClient};

    fn fault(config: &HttpConfig) -> Error {
        let address = "https://bao.example".parse().unwrap();
        HttpClient::new(config, &address).unwrap_err()
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let error = fault(
            &HttpConfig::new()
                .with_connect_timeout(Duration::ZERO)
                .with_timeout(Duration::ZERO)
                .with_max_body(0)
                .with_ca(CaBundle::pem("no certificate"))
                .with_client_certificate(SecretValue::from("no certificate"))
                .with_user_agent("line\nbreak"),
        );
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        for setting in
            ["connect_timeout", "timeout", "max_body", "ca", "client_certificate", "user_agent"]
        {
            assert!(error.context(setting).is_some(), "{setting}: {error}");
        }
    }

    #[test]
    fn a_ca_without_a_usable_certificate_is_refused() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        for pem in ["", "text", broken, cut] {
            let error = fault(&HttpConfig::new().with_ca(CaBundle::pem(pem)));
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{pem:?}");
            assert!(error.context("ca").is_some(), "{error}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let missing = HttpConfig::new()
            .with_ca(CaBundle::file("/nonexistent/ca.pem"))
            .with_client_certificate(SecretSource::file("/nonexistent/client.pem"));
        let error = fault(&missing);
        let named = |setting, path| error.context(setting).unwrap().contains(path);
        assert!(named("ca", "/nonexistent/ca.pem"), "{error}");
        assert!(named("client_certificate", "/nonexistent/client.pem"), "{error}");
        let directory = HttpConfig::new().with_ca(CaBundle::file(std::env::temp_dir()));
        assert!(fault(&directory).context("ca").unwrap().ends_with("is not a file"));
    }

    #[test]
    fn a_huge_file_is_refused() {
        let path = std::env::temp_dir().join(format!("pipe-http-{}-huge", std::process::id()));
        std::fs::write(&path, vec![b'\n'; (1 << 20) + 1]).unwrap();
        let error = fault(&HttpConfig::new().with_ca(CaBundle::file(&path)));
        std::fs::remove_file(&path).unwrap();
        assert!(error.context("ca").unwrap().ends_with("is larger than 1 MiB"));
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let source = SecretSource::env("PIPE_HTTP_NOT_SET");
        let error = fault(&HttpConfig::new().with_client_certificate(source));
        let named = error.context("client_certificate").unwrap();
        assert!(named.contains("PIPE_HTTP_NOT_SET"), "{error}");
    }

    #[test]
    fn a_client_is_made_outside_of_a_runtime() {
        let address = "http://localhost:8200".parse().unwrap();
        assert!(HttpClient::new(&HttpConfig::new(), &address).is_ok());
    }
}
