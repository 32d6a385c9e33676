//! The credentials of a plugin: one source for each kind that is asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pipe_core::identity::{AuthMethod, ServiceAuthRequest, ServiceCredentials};
use pipe_core::{Clock, Error, ErrorKind, Result};
use quick_cache::Equivalent;
use quick_cache::sync::Cache;

use super::grant::{Client, Grant, TokenRequest};
use super::{Authenticator, ClientConfig, CredentialSource, Endpoints};

/// How many kinds of credentials are kept fresh at a time; the least used make way.
const MOST_SOURCES: usize = 1_000;
const MOST_SCOPES: usize = 100;
const LONGEST_SCOPE: usize = 256;
const LONGEST_AUDIENCE: usize = 2_048;

/// Obtains credentials as the configured client.
pub(crate) struct Credentials {
    config: ClientConfig,
    client: Arc<Client>,
    patience: Duration,
    sources: Cache<Kind, CredentialSource>,
    closed: AtomicBool,
}

/// What is asked for. Who asks plays no part: the credentials are the client's.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Kind {
    method: AuthMethod,
    audience: Option<String>,
    scopes: BTreeSet<String>,
}

/// The same, borrowed from a request.
struct Asked<'a> {
    method: AuthMethod,
    audience: Option<&'a str>,
    scopes: &'a BTreeSet<String>,
}

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As `Kind` hashes itself.
        self.method.hash(state);
        self.audience.hash(state);
        self.scopes.hash(state);
    }
}

impl Equivalent<Kind> for Asked<'_> {
    fn equivalent(&self, kind: &Kind) -> bool {
        self.method == kind.method
            && self.audience == kind.audience.as_deref()
            && *self.scopes == kind.scopes
    }
}

impl Credentials {
    /// The credentials of this client, with this much time for each attempt to obtain one:
    /// learning the endpoint and the request itself.
    pub(crate) fn new(
        config: ClientConfig,
        endpoints: Arc<dyn Endpoints>,
        clock: Clock,
        patience: Duration,
    ) -> Self {
        let authenticator = Authenticator::new(&config.id, &config.authentication, clock.clone());
        let client = Arc::new(Client {
            authenticator,
            endpoints,
            audience_parameter: config.audience_parameter,
            extra_scopes: config.extra_scopes.clone(),
            silent_scope: config.silent_scope,
            clock,
        });
        let sources = Cache::new(MOST_SOURCES);
        Self { config, client, patience, sources, closed: AtomicBool::new(false) }
    }

    /// Whether any method of a request can succeed.
    pub(crate) fn can_authenticate(&self) -> bool {
        [AuthMethod::OAuth2, AuthMethod::Jwt, AuthMethod::Mtls]
            .into_iter()
            .any(|method| Grant::of(&self.config, method).is_ok())
    }

    /// Credentials that are valid now. Without waiting, while there are some.
    ///
    /// # Errors
    /// - As for [`source`](Self::source).
    /// - `Unauthenticated`: the provider does not accept us.
    /// - `PermissionDenied`: not all of the scopes are granted.
    /// - `Unavailable`, `Timeout`, `RateLimited`: the provider cannot be asked now.
    /// - `Unexpected`: the answer is not that of a token endpoint.
    pub(crate) async fn authenticate(
        &self,
        request: &ServiceAuthRequest,
    ) -> Result<ServiceCredentials> {
        self.source(request)?.get().await
    }

    /// What hands these credentials out.
    ///
    /// # Errors
    /// `InvalidArgument` for a service that this client does not stand for, an illegal scope or
    /// audience; `Unsupported`, naming the setting, for a method that is not set up; `Unavailable`
    /// after [`close`](Self::close).
    pub(crate) fn source(&self, request: &ServiceAuthRequest) -> Result<CredentialSource> {
        self.check_service(&request.service)?;
        let audience = request.audience.as_deref().or(self.config.audience.as_deref());
        let asked = Asked { method: request.method, audience, scopes: &request.scopes };
        if let Some(source) = self.sources.get(&asked) {
            return Ok(source);
        }
        check_scopes(&request.scopes)?;
        audience.map_or(Ok(()), check_audience)?;
        let grant = Grant::of(&self.config, request.method)?;
        let kind = Kind {
            method: request.method,
            audience: audience.map(str::to_owned),
            scopes: request.scopes.clone(),
        };
        let make = || {
            let token_request = TokenRequest {
                client: Arc::clone(&self.client),
                grant,
                audience: kind.audience.clone(),
                scopes: kind.scopes.clone(),
            };
            let clock = self.client.clock.clone();
            Ok::<_, Error>(CredentialSource::new(token_request, clock, self.patience))
        };
        let source = self.sources.get_or_insert_with(&kind, make)?;
        if self.closed.load(Ordering::SeqCst) {
            source.close();
        }
        Ok(source)
    }

    /// Ends all refreshing, and lets go of all credentials.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.sources.iter().for_each(|(_, source)| source.close());
    }

    /// REQ 004-72.1: the client's credentials say that their bearer is the client.
    fn check_service(&self, service: &str) -> Result<()> {
        if service == self.config.id || self.config.services.contains(service) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidArgument,
            "the client's credentials are not for this service",
        )
        .with("service", service)
        .with("client", &self.config.id)
        .hint("ask as the service `client.id`, or name this one in `client.services`"))
    }
}

/// RFC 6749 3.3. A scope with a space in it would be two.
pub(crate) fn check_scopes(scopes: &BTreeSet<String>) -> Result<()> {
    let is_legal = |scope: &String| {
        (1..=LONGEST_SCOPE).contains(&scope.len())
            && scope.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
    };
    if scopes.len() > MOST_SCOPES {
        return Err(Error::new(ErrorKind::InvalidArgument, "too many scopes are asked for")
            .with("most", MOST_SCOPES)
            .hint("ask for what is needed"));
    }
    if scopes.iter().all(is_legal) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidArgument, "a scope has characters that none may have")
        .hint("give each scope of its own: printable ASCII without spaces, quotes and backslashes"))
}

fn check_audience(audience: &str) -> Result<()> {
    if (1..=LONGEST_AUDIENCE).contains(&audience.len()) && !audience.contains(char::is_control) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidArgument, "the audience is empty, too long or not printable")
        .hint("name whom the token is for as the provider knows it"))
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("client", &self.config.id)
            .field("sources", &self.sources.len())
            .finish_non_exhaustive()
    }
}
