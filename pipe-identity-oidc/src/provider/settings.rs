//! What a provider is told, and the addresses that follow from it.

use std::path::PathBuf;
use std::time::Duration;

use pipe_core::{Error, ErrorKind, Result, SecretSource};
use pipe_http::{AddressPolicy, HttpConfig, ServerAddress};
use url::{Host, Url};

use super::location::Location;

/// How long keys may be used before they are asked for again, whatever anybody says.
pub(crate) const TTL_RANGE: (Duration, Duration) =
    (Duration::from_secs(60), Duration::from_secs(24 * 3600));

/// An issuer that is back is found after this long at the latest.
const LONGEST_REST: Duration = Duration::from_secs(3600);

const OIDC: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
/// A spelling that is met in documents, and on no server.
const MISSPELLED: &str = "/.well-known/openid_configuration";

/// Where the keys of an issuer come from.
#[derive(Clone, Debug)]
pub(crate) enum KeySource {
    /// From the `jwks_uri` of the discovery document.
    Discovery,
    /// From this URL.
    JwksUri(String),
    /// From this file, which is looked at again now and then. No network is used.
    File(PathBuf),
    /// From this document. No network is used.
    Inline(Vec<u8>),
}

/// How to know an issuer.
#[derive(Clone, Debug)]
pub(crate) struct ProviderSettings {
    /// As it stands in tokens and in the discovery document, byte by byte; `{tenantid}` included.
    pub(crate) issuer: String,
    pub(crate) keys: KeySource,
    /// Where the discovery document is, when it is not where the issuer's URL says.
    pub(crate) discovery_url: Option<String>,
    pub(crate) http: HttpConfig,
    /// How long keys are fresh when the server does not say.
    pub(crate) ttl: Duration,
    /// How long an unknown key waits for the next fetch after a successful one.
    pub(crate) min_refresh: Duration,
    /// How long nothing is fetched after a failure; it doubles from the first to the second.
    pub(crate) backoff: (Duration, Duration),
    /// How long keys serve past their time while no others can be had.
    pub(crate) stale_bound: Duration,
    /// How many bytes a discovery document or a key set may have.
    pub(crate) max_document: usize,
    /// Hosts that may be on a private network or on this machine, though a document named them.
    pub(crate) allowed_hosts: Vec<String>,
    /// What to present when asking for documents, to the servers that the settings name.
    pub(crate) bearer: Option<SecretSource>,
}

impl ProviderSettings {
    pub(crate) fn new(issuer: impl Into<String>, keys: KeySource) -> Self {
        Self {
            issuer: issuer.into(),
            keys,
            discovery_url: None,
            http: HttpConfig::new()
                .with_connect_timeout(Duration::from_secs(3))
                .with_timeout(Duration::from_secs(5))
                .with_max_body(1 << 20),
            ttl: Duration::from_secs(600),
            min_refresh: Duration::from_secs(30),
            backoff: (Duration::from_secs(1), Duration::from_secs(60)),
            stale_bound: Duration::from_secs(3600),
            max_document: 256 << 10,
            allowed_hosts: Vec::new(),
            bearer: None,
        }
    }

    /// Whether the network is not to be used.
    pub(super) fn is_static(&self) -> bool {
        matches!(self.keys, KeySource::File(_) | KeySource::Inline(_))
    }

    /// The servers that a person named, not a document.
    pub(super) fn named_servers(&self) -> Vec<ServerAddress> {
        let keys = match &self.keys {
            KeySource::JwksUri(url) => Some(url),
            _ => None,
        };
        let urls = [Some(&self.issuer), self.discovery_url.as_ref(), keys];
        urls.into_iter().flatten().filter_map(|url| ServerAddress::origin_of(url).ok()).collect()
    }

    /// Checks everything that can be checked without a network.
    pub(super) fn check(&self) -> Result<Addresses> {
        let mut faults = Vec::new();
        let range = TTL_RANGE.0..=TTL_RANGE.1;
        if !range.contains(&self.ttl) {
            faults.push(("key_times.ttl", "must be between one minute and 24 hours"));
        }
        if self.stale_bound > TTL_RANGE.1 {
            faults.push(("key_times.stale", "must be 24 hours at most"));
        }
        if self.min_refresh.is_zero() || self.min_refresh > LONGEST_REST {
            faults.push(("key_times.min_refresh", "must be more than zero and one hour at most"));
        }
        let (first, longest) = self.backoff;
        if first.is_zero() || longest < first || longest > LONGEST_REST {
            faults.push(("backoff", "must grow from more than zero to one hour at most"));
        }
        if self.max_document == 0 {
            faults.push(("max_document", "must be more than zero"));
        }
        let issuer = match (self.is_static(), parse_issuer(&self.issuer)) {
            // Whoever is never asked may have any name.
            (true, issuer) => issuer.ok(),
            (false, issuer) => keep(&mut faults, "issuer", issuer),
        };
        let mut corrected = false;
        let mut discovery = Vec::new();
        match &self.discovery_url {
            Some(url) => {
                let url = match url.strip_suffix(MISSPELLED) {
                    Some(start) => {
                        corrected = true;
                        format!("{start}{OIDC}")
                    }
                    None => url.clone(),
                };
                discovery.extend(keep(&mut faults, "keys.discovery", Location::parse(&url)));
            }
            None if self.issuer.contains('{') => {
                if matches!(self.keys, KeySource::Discovery) {
                    let fault = "is required, because `issuer` is a template";
                    faults.push(("keys.discovery", fault));
                }
            }
            None if issuer.is_some() => {
                discovery
                    .extend(well_known(&self.issuer).iter().flat_map(|url| Location::parse(url)));
            }
            None => {}
        }
        let jwks_uri = match &self.keys {
            KeySource::JwksUri(uri) => keep(&mut faults, "keys.jwks_uri", Location::parse(uri)),
            _ => None,
        };
        let mut hosts = Vec::new();
        for host in &self.allowed_hosts {
            let host = Host::parse(host).map(|host| host.to_string());
            hosts.extend(keep(&mut faults, "allowed_hosts", host.map_err(|_| "has no host in it")));
        }
        if !faults.is_empty() {
            let error =
                Error::new(ErrorKind::ConfigInvalid, "the settings of the issuer are not usable")
                    .hint("correct each of the named settings");
            return Err(faults.into_iter().fold(error, |error, (name, why)| error.with(name, why)));
        }
        let named = issuer.iter().chain(discovery.iter().map(|at| &at.origin));
        let peers = named.clone().map(AddressPolicy::of_peers).max();
        // Who writes a host into a configuration means it, wherever it is.
        let named = named.chain(jwks_uri.iter().map(|at| &at.origin));
        hosts.extend(named.filter_map(host_of));
        Ok(Addresses {
            discovery,
            corrected,
            jwks_uri,
            hosts,
            peers: peers.unwrap_or(AddressPolicy::Public),
        })
    }
}

/// What the settings say about where to look.
#[derive(Debug)]
pub(super) struct Addresses {
    /// Where the discovery document may be, the likeliest first.
    pub(super) discovery: Vec<Location>,
    /// Whether a misspelled discovery URL was corrected.
    pub(super) corrected: bool,
    pub(super) jwks_uri: Option<Location>,
    /// Hosts that may be inside.
    pub(super) hosts: Vec<String>,
    /// What other hosts may be.
    pub(super) peers: AddressPolicy,
}

fn keep<T>(
    faults: &mut Vec<(&'static str, &'static str)>,
    setting: &'static str,
    value: Result<T, &'static str>,
) -> Option<T> {
    value.map_err(|fault| faults.push((setting, fault))).ok()
}

pub(super) fn host_of(address: &ServerAddress) -> Option<String> {
    Url::parse(address.as_str()).ok()?.host_str().map(str::to_owned)
}

fn parse_issuer(issuer: &str) -> Result<ServerAddress, &'static str> {
    if issuer.ends_with(OIDC) || issuer.ends_with(OAUTH) || issuer.ends_with(MISSPELLED) {
        return Err(
            "is the URL of the discovery document; the issuer is what stands before /.well-known",
        );
    }
    if issuer.contains(['?', '#']) {
        return Err("must be a URL without query and fragment (OpenID Connect Discovery 3)");
    }
    Location::parse(&issuer.replace("{tenantid}", "tenantid")).map(|at| at.origin)
}

/// OpenID Connect appends to the path of the issuer, RFC 8414 puts itself before it.
fn well_known(issuer: &str) -> [String; 2] {
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    let authority = issuer.find("://").map_or(0, |scheme| scheme + 3);
    let path = issuer[authority..].find('/').map_or(issuer.len(), |path| authority + path);
    let (origin, path) = issuer.split_at(path);
    [format!("{issuer}{OIDC}"), format!("{origin}{OAUTH}{path}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discovery(issuer: &str) -> Vec<String> {
        let addresses = ProviderSettings::new(issuer, KeySource::Discovery).check().unwrap();
        addresses.discovery.iter().map(|at| at.uri.to_string()).collect()
    }

    #[test]
    fn discovery_appends_first_and_inserts_second() {
        assert_eq!(
            discovery("https://id.example/realms/a"),
            [
                "https://id.example/realms/a/.well-known/openid-configuration",
                "https://id.example/.well-known/oauth-authorization-server/realms/a",
            ]
        );
        for issuer in ["https://id.example", "https://id.example/"] {
            assert_eq!(
                discovery(issuer),
                [
                    "https://id.example/.well-known/openid-configuration",
                    "https://id.example/.well-known/oauth-authorization-server",
                ]
            );
        }
    }

    #[test]
    fn a_misspelled_discovery_url_is_corrected_and_said_so() {
        let mut settings = ProviderSettings::new("https://id.example", KeySource::Discovery);
        for (url, corrected) in [
            ("https://id.example/a/.well-known/openid_configuration", true),
            ("https://id.example/a/.well-known/openid-configuration", false),
        ] {
            settings.discovery_url = Some(url.to_owned());
            let addresses = settings.check().unwrap();
            let [at] = &addresses.discovery[..] else { panic!() };
            assert_eq!(at.uri, "https://id.example/a/.well-known/openid-configuration");
            assert_eq!(addresses.corrected, corrected);
        }
    }

    #[test]
    fn an_issuer_that_cannot_be_one_is_refused() {
        for issuer in [
            "",
            "id.example",
            "http://id.example",
            "https://me:hunter2@id.example",
            "https://id.example?hunter2",
            "https://id.example#hunter2",
            "https://id.example/{tenant}",
            "https://id.example/a/../b",
            "https://id.example/.well-known/openid-configuration",
            "https://id.example/.well-known/openid_configuration",
        ] {
            let error = ProviderSettings::new(issuer, KeySource::Discovery).check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{issuer}");
            assert!(error.context("issuer").is_some(), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let mut settings =
            ProviderSettings::new("id", KeySource::JwksUri("http://id.example/jwks".to_owned()));
        settings.discovery_url = Some("ftp://id.example".to_owned());
        settings.ttl = Duration::from_secs(59);
        settings.stale_bound = Duration::MAX;
        settings.min_refresh = Duration::ZERO;
        settings.backoff = (Duration::from_secs(2), Duration::from_secs(1));
        settings.max_document = 0;
        settings.allowed_hosts = vec!["a b".to_owned()];
        let error = settings.check().unwrap_err();
        for setting in [
            "issuer",
            "keys.jwks_uri",
            "keys.discovery",
            "key_times.ttl",
            "key_times.stale",
            "key_times.min_refresh",
            "backoff",
            "max_document",
            "allowed_hosts",
        ] {
            assert!(error.context(setting).is_some(), "{setting}: {error}");
        }
    }

    #[test]
    fn a_template_needs_a_discovery_url() {
        let issuer = "https://login.example/{tenantid}/v2.0";
        let mut settings = ProviderSettings::new(issuer, KeySource::Discovery);
        assert!(settings.check().unwrap_err().context("keys.discovery").is_some());
        settings.discovery_url =
            Some("https://login.example/common/v2.0/.well-known/openid-configuration".to_owned());
        assert!(settings.check().is_ok());
    }
}
