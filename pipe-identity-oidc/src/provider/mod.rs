//! What an issuer publishes: where its endpoints are, and its keys.
//!
//! Nothing is fetched before it is needed, so a program starts while the provider is down.
//! Once there are keys, tokens of known keys are judged without waiting for anybody.

mod discovery;
mod endpoint;
mod fetch;
mod keys;
mod lane;
mod location;
mod ring;
mod settings;
mod source;
mod status;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use pipe_core::{ConfigFaults, Error, ErrorKind, Result, SecretValue};
use tokio::time::Instant;

use self::discovery::Discovery;
use self::endpoint::Endpoints;
use self::fetch::{Fetch, HttpFetch};
use self::keys::{Keys, Span};
use self::lane::Pace;
use self::settings::Addresses;
use self::source::{At, KeyFile, Load, Loaded, Remote};

pub(crate) use self::discovery::{EndpointUrls, Metadata};
pub(crate) use self::endpoint::Endpoint;
pub(crate) use self::location::Location;
pub(crate) use self::ring::KeyRing;
pub(crate) use self::settings::{KeySource, ProviderSettings, TTL_RANGE};
pub use self::status::{KeyState, ProviderCounters, ProviderStatus};

const MISSPELLED: &str =
    "`keys.discovery` ends in openid_configuration; openid-configuration is used";

/// One issuer. Clones share what is known of it; what is under way ends with the last one.
#[derive(Clone)]
pub(crate) struct Provider(Arc<Inner>);

struct Inner {
    issuer: String,
    keys: Keys,
    /// `None` when no network is used.
    discovery: Option<Arc<Discovery>>,
    endpoints: Endpoints,
    /// With the client certificate that was used last.
    certified: Mutex<Option<(SecretValue, Endpoints)>>,
    corrected: bool,
}

impl Provider {
    /// Checks the settings, and reads the files that they name. Asks nobody.
    ///
    /// # Errors
    /// `ConfigInvalid`, with all faults of the settings.
    pub(crate) fn new(settings: ProviderSettings) -> Result<Self> {
        let addresses = settings.check()?;
        let endpoints =
            Endpoints::new(settings.http.clone(), addresses.hosts.clone(), addresses.peers);
        let fetch = HttpFetch::new(&endpoints, &settings);
        if let Some(at) = addresses.jwks_uri.as_ref().or(addresses.discovery.first())
            && !settings.is_static()
        {
            let prepared = fetch.prepare(&at.uri.to_string());
            let mut faults = ConfigFaults::new();
            faults.keep_below("http", prepared);
            faults.into_result()?;
        }
        Self::with(&settings, addresses, endpoints, Arc::new(fetch))
    }

    fn with(
        settings: &ProviderSettings,
        addresses: Addresses,
        endpoints: Endpoints,
        fetch: Arc<dyn Fetch>,
    ) -> Result<Self> {
        let pace = Pace {
            rest: settings.min_refresh,
            backoff: settings.backoff,
            patience: settings.http.timeout,
        };
        let issuer = &*settings.issuer;
        if addresses.corrected {
            tracing::warn!(issuer, "{MISSPELLED}");
        }
        let discovery = (!settings.is_static())
            .then(|| Discovery::new(issuer, addresses.discovery, Arc::clone(&fetch), pace));
        let keys = |span, load| Keys::new(issuer, span, pace, load);
        let remote = |at| -> Arc<dyn Load> { Arc::new(Remote { fetch: Arc::clone(&fetch), at }) };
        let span = Span::Remote { ttl: settings.ttl, stale_bound: settings.stale_bound };
        let look = Span::Static { look: settings.min_refresh };
        let keys = match (&settings.keys, &discovery) {
            (KeySource::Inline(document), _) => {
                let keys = keys(look, None);
                keys.begin(document, None)
                    .map_err(|error| ConfigFaults::about("keys.inline", error))?;
                keys
            }
            (KeySource::File(path), _) => {
                let file = KeyFile::new(path.clone(), settings.max_document);
                let loaded = file.read(None)?;
                let keys = keys(look, Some(Arc::new(file)));
                if let Loaded::Document { body, version, .. } = loaded {
                    keys.begin(&body, version)
                        .map_err(|error| ConfigFaults::about("keys.file", error))?;
                }
                keys
            }
            (KeySource::JwksUri(url), _) => keys(span, Some(remote(At::Url(url.clone())))),
            (KeySource::Discovery, Some(discovery)) => {
                keys(span, Some(remote(At::Discovered(Arc::clone(discovery)))))
            }
            (KeySource::Discovery, None) => return Err(without_network()),
        };
        let corrected = addresses.corrected;
        let issuer = issuer.to_owned();
        Ok(Self(Arc::new(Inner {
            issuer,
            keys,
            discovery,
            endpoints,
            certified: Mutex::default(),
            corrected,
        })))
    }

    /// The keys that are known, fresh or stale. Asks nobody.
    #[cfg(test)]
    pub(crate) fn current(&self) -> Option<Arc<KeyRing>> {
        self.0.keys.current()
    }

    /// The generation of [`current`](Self::current), without touching what other threads touch.
    pub(crate) fn generation_at(&self, now: Instant) -> Option<u64> {
        self.0.keys.generation_at(now)
    }

    #[cfg(test)]
    fn generation(&self) -> Option<u64> {
        self.generation_at(Instant::now())
    }

    /// The keys to verify a token with. Returns at once when they have the token's key, or the
    /// token names none; else after one fetch that all who want one share, if the last one is
    /// long enough ago. A ring without the key means that the issuer has no such key.
    ///
    /// # Errors
    /// `Unavailable` when there are no keys, or when the key is unknown and the provider cannot
    /// be asked now: the token may be good, so it is not refused as unknown (503, not 401).
    pub(crate) async fn ring_for(&self, kid: Option<&str>) -> Result<Arc<KeyRing>> {
        self.0.keys.ring_for(kid).await
    }

    /// The keys after another fetch, if the last one is long enough ago: for a token that
    /// names no key, or one whose key was replaced under its name, and that none of the keys verifies.
    ///
    /// # Errors
    /// As for [`ring_for`](Self::ring_for).
    pub(crate) async fn renewed(&self) -> Result<Arc<KeyRing>> {
        self.0.keys.newer().await
    }

    /// The discovery document; waits for it only while there is none.
    ///
    /// # Errors
    /// What the last attempt failed with, and `ConfigInvalid` when no network is to be used.
    pub(crate) async fn metadata(&self) -> Result<Arc<Metadata>> {
        self.0.discovery.as_ref().ok_or_else(without_network)?.metadata().await
    }

    /// A client for an endpoint of the discovery document or of the settings, with a client
    /// certificate (the chain and the key, PEM) if one is given.
    ///
    /// # Errors
    /// `ConfigInvalid` when it is no safe URL, leads where it may not, or no network is to be used.
    pub(crate) fn client_for(
        &self,
        url: &str,
        certificate: Option<&SecretValue>,
    ) -> Result<Endpoint> {
        let Some(certificate) = certificate else { return self.0.endpoints.endpoint(url) };
        if !url.starts_with("https://") {
            let message = "a certificate cannot be presented over plain http";
            return Err(Error::new(ErrorKind::ConfigInvalid, message)
                .hint("use an https URL, or another method of authentication"));
        }
        let mut certified = self.0.certified.lock().unwrap_or_else(PoisonError::into_inner);
        // A certificate that was rotated takes the place of the old one.
        if let Some((last, endpoints)) = &*certified
            && last == certificate
        {
            return endpoints.endpoint(url);
        }
        let endpoints = self.0.endpoints.with_certificate(certificate);
        let endpoint = endpoints.endpoint(url)?;
        *certified = Some((certificate.clone(), endpoints));
        Ok(endpoint)
    }

    /// How the keys are. Asks nobody.
    pub(crate) fn status(&self) -> ProviderStatus {
        let Inner { issuer, keys, discovery, corrected, .. } = &*self.0;
        let ring = keys.held();
        let mut trouble = keys.trouble();
        if let Some(discovery) = discovery.as_ref().filter(|_| trouble.0.is_none()) {
            let of_discovery = discovery.trouble();
            trouble = if of_discovery.0.is_some() { of_discovery } else { trouble };
        }
        let (last_error, next_attempt_in) = trouble;
        let fetches = keys.counts();
        let discoveries = discovery.as_ref().map(|it| it.counts()).unwrap_or_default();
        ProviderStatus {
            issuer: issuer.clone(),
            state: keys.state(),
            keys: ring.as_ref().map_or(0, |ring| ring.keys().len()),
            age: ring.map(|ring| ring.age()),
            last_error,
            next_attempt_in: next_attempt_in.filter(|wait| !wait.is_zero()),
            corrected: corrected.then_some(MISSPELLED),
            counters: ProviderCounters {
                discoveries: discoveries.attempts,
                fetches: fetches.attempts,
                failures: fetches.failures + discoveries.failures,
                unknown_kid_suppressed: keys.suppressed(),
            },
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("issuer", &self.0.issuer)
            .field("keys", &self.0.keys.state())
            .finish_non_exhaustive()
    }
}

fn without_network() -> Error {
    Error::new(ErrorKind::ConfigInvalid, "this issuer has a static key set, and is never asked")
        .hint("take keys from discovery or `keys.jwks_uri`, or set the endpoint itself")
}

#[cfg(test)]
mod tests;
