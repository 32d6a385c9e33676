//! The discovery document (OpenID Connect Discovery 1.0, RFC 8414, RFC 8705 5).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pipe_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::fetch::{Fetch, object};
use super::lane::{Counts, Lane, Pace, Turn};
use super::location::Location;

/// How long a document is used before it is asked for again, in the background. The last good
/// one stays in use: it says where to ask, not whom to trust.
const LIFETIME: Duration = Duration::from_secs(3600);

/// What an issuer says about itself. Its URLs can be sent requests to; whether they may be
/// reached is decided when their client is made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Metadata {
    /// The issuer, byte by byte the configured one.
    pub(crate) issuer: String,
    pub(crate) jwks_uri: Option<String>,
    #[serde(flatten)]
    pub(crate) endpoints: EndpointUrls,
    pub(crate) authorization_endpoint: Option<String>,
    pub(crate) end_session_endpoint: Option<String>,
    pub(crate) userinfo_endpoint: Option<String>,
    /// Where the endpoints take a client certificate.
    #[serde(default)]
    pub(crate) mtls_endpoint_aliases: EndpointUrls,
    pub(crate) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    pub(crate) id_token_signing_alg_values_supported: Option<Vec<String>>,
    /// Whether answers to authorization requests carry `iss` (RFC 9207).
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: bool,
    /// Whether authorization requests have to be pushed (RFC 9126 5).
    #[serde(default)]
    pub(crate) require_pushed_authorization_requests: bool,
}

/// The endpoints that a client calls itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct EndpointUrls {
    pub(crate) token_endpoint: Option<String>,
    pub(crate) introspection_endpoint: Option<String>,
    pub(crate) revocation_endpoint: Option<String>,
    pub(crate) device_authorization_endpoint: Option<String>,
    pub(crate) pushed_authorization_request_endpoint: Option<String>,
}

impl Metadata {
    /// Reads a document that has to be this issuer's.
    fn parse(document: &[u8], issuer: &str) -> Result<Self> {
        // The library's error is dropped: it quotes values.
        let mut metadata: Self = serde_json::from_slice(document).map_err(|_| {
            fault("the discovery document is not valid: it is no JSON, or a member that we read is there twice or has the wrong type")
        })?;
        if metadata.issuer != issuer {
            return Err(other_issuer(issuer, &metadata.issuer));
        }
        // Nothing is sent to these from here, and clusters of EKS say that theirs is
        // `urn:kubernetes:programmatic_authorization`: no reason to do without their keys.
        for url in [
            &mut metadata.authorization_endpoint,
            &mut metadata.end_session_endpoint,
            &mut metadata.userinfo_endpoint,
        ] {
            url.take_if(|url| Location::parse(url).is_err());
        }
        for (member, url) in metadata.urls() {
            if let Some(Err(why)) = url.as_deref().map(Location::parse) {
                return Err(fault("the discovery document names an endpoint that is not usable")
                    .with("member", member)
                    .with("fault", why));
            }
        }
        Ok(metadata)
    }

    fn urls(&self) -> impl Iterator<Item = (&'static str, &Option<String>)> {
        [("jwks_uri", &self.jwks_uri)]
            .into_iter()
            .chain(self.endpoints.urls())
            .chain(self.mtls_endpoint_aliases.urls())
    }
}

impl EndpointUrls {
    fn urls(&self) -> [(&'static str, &Option<String>); 5] {
        [
            ("token_endpoint", &self.token_endpoint),
            ("introspection_endpoint", &self.introspection_endpoint),
            ("revocation_endpoint", &self.revocation_endpoint),
            ("device_authorization_endpoint", &self.device_authorization_endpoint),
            ("pushed_authorization_request_endpoint", &self.pushed_authorization_request_endpoint),
        ]
    }
}

/// The document of one issuer: fetched when it is first needed, and kept.
pub(super) struct Discovery {
    issuer: String,
    urls: Vec<Location>,
    fetch: Arc<dyn Fetch>,
    lane: Arc<Lane>,
    held: ArcSwapOption<Held>,
    /// Whether the document turned out to be wrong before its time was over.
    is_doubted: AtomicBool,
}

struct Held {
    metadata: Arc<Metadata>,
    fetched_at: Instant,
}

impl Discovery {
    pub(super) fn new(
        issuer: &str,
        urls: Vec<Location>,
        fetch: Arc<dyn Fetch>,
        pace: Pace,
    ) -> Arc<Self> {
        Arc::new(Self {
            issuer: issuer.to_owned(),
            urls,
            fetch,
            lane: Lane::new(pace),
            held: ArcSwapOption::empty(),
            is_doubted: AtomicBool::new(false),
        })
    }

    /// The document. Waits only while there is none.
    pub(super) async fn metadata(self: &Arc<Self>) -> Result<Arc<Metadata>> {
        if let Some(held) = self.held.load_full() {
            if held.fetched_at.elapsed() > LIFETIME || self.is_doubted.load(Ordering::Relaxed) {
                self.lane.nudge(|| self.work());
            }
            return Ok(Arc::clone(&held.metadata));
        }
        match self.lane.join(|| self.work()) {
            Turn::Wait(flight) => self.lane.wait(flight).await?,
            Turn::Failing(error) => return Err(error),
            Turn::Resting => {}
        }
        let held = self.held.load();
        let held = held.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, "there is no discovery document yet")
        })?;
        Ok(Arc::clone(&held.metadata))
    }

    /// Says that an URL of the document leads nowhere: it may have changed.
    pub(super) fn doubt(&self) {
        self.is_doubted.store(true, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        self.lane.counts()
    }

    /// What the last attempt failed with, and how long there will be no other.
    pub(super) fn trouble(&self) -> (Option<Error>, Option<Duration>) {
        self.lane.trouble()
    }

    fn work(self: &Arc<Self>) -> BoxFuture<'static, Result<()>> {
        let weak = Arc::downgrade(self);
        let (urls, fetch) = (self.urls.clone(), Arc::clone(&self.fetch));
        let issuer = self.issuer.clone();
        async move {
            let outcome = fetch_from(&urls, &*fetch, &issuer).await;
            if let Err(error) = &outcome {
                tracing::warn!(issuer, %error, "the discovery document cannot be had");
            }
            let metadata = Arc::new(outcome?);
            if let Some(discovery) = weak.upgrade() {
                let held = Held { metadata, fetched_at: Instant::now() };
                discovery.held.store(Some(Arc::new(held)));
                discovery.is_doubted.store(false, Ordering::Relaxed);
            }
            Ok(())
        }
        .boxed()
    }
}

async fn fetch_from(urls: &[Location], fetch: &dyn Fetch, issuer: &str) -> Result<Metadata> {
    let mut missing = None;
    for url in urls {
        let response = fetch.get(&url.uri.to_string(), None).await?;
        // The first place that says 404 is asked for; others may refuse the second in other words.
        if response.status == 404 || (missing.is_some() && (400..500).contains(&response.status)) {
            missing.get_or_insert(response);
            continue;
        }
        return Metadata::parse(&object(response, "the discovery document")?, issuer);
    }
    Err(match missing {
        Some(response) => response
            .error("the provider has no discovery document where `issuer` says")
            .hint("check `issuer`, or set `keys.discovery` or `keys.jwks_uri`"),
        None => Error::new(ErrorKind::ConfigInvalid, "there is no discovery for this issuer")
            .hint("set `keys.discovery`"),
    })
}

/// The issuer of a document says whose keys it names: another one must not get away with it.
fn other_issuer(configured: &str, seen: &str) -> Error {
    let hint = if seen.trim_end_matches('/') == configured.trim_end_matches('/') {
        "set `issuer` with the slash at its end exactly as the provider has it"
    } else if seen.contains("{tenantid}") {
        "set `issuer` to the template with {tenantid}, and say which tenants are allowed"
    } else {
        "set `issuer` to what the provider's discovery document says, byte by byte"
    };
    let error =
        fault("the discovery document is another issuer's").with("issuer", configured).hint(hint);
    match Url::parse(seen).ok().and_then(|url| url.host_str().map(str::to_owned)) {
        Some(host) => error.with("seen_host", host),
        None => error,
    }
}

fn fault(message: &'static str) -> Error {
    Error::new(ErrorKind::Unexpected, message)
        .hint("check `issuer` and `keys.discovery`, and the provider's discovery document")
}

#[cfg(test)]
mod tests;
