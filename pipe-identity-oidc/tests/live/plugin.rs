//! The plugin under test, on a provider.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pipe_core::identity::{
    AuthMethod, BearerToken, Credential, ServiceAuthRequest, ServiceCredentials, TokenExpectation,
};
use pipe_core::{
    ErrorKind, IdentityPlugin as _, Result, SecretSource, SecurityContext, TokenFault,
};
use pipe_http::{CaBundle, HttpConfig};
use pipe_identity_oidc::{
    ClaimMapping, ClaimPointer, ClientAuthentication, ClientConfig, IntrospectionConfig,
    IssuerConfig, KeyTimes, Oidc, OidcConfig,
};

use crate::credentials::Certificate;
use crate::server::Server;

/// After an answer, keys are asked for again this soon: no test has half a minute.
pub(crate) const MIN_REFRESH: Duration = Duration::from_millis(10);
/// How long a request may take. What hangs is given up then.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) fn value(text: &str) -> SecretSource {
    SecretSource::Value(text.into())
}

/// The provider's tokens, with the claims mapped that `accounts.mjs` writes.
pub(crate) fn trusting(server: &Server) -> IssuerConfig {
    let claims = ClaimMapping::new()
        .with_roles(ClaimPointer::claim("roles"))
        .with_namespaces(ClaimPointer::claim("namespace"));
    let http = HttpConfig::new()
        .with_timeout(TIMEOUT)
        .with_max_body(1 << 20)
        .with_ca(CaBundle::pem(server.ca()));
    IssuerConfig::new(server.issuer())
        .with_claims(claims)
        .with_key_times(KeyTimes::new().with_min_refresh(MIN_REFRESH))
        .with_http(http)
}

/// How the resource server `rs` asks about tokens.
pub(crate) fn introspection(server: &Server) -> IntrospectionConfig {
    let secret = ClientAuthentication::client_secret_basic(value(server.secret("rs")));
    IntrospectionConfig::new("rs", secret)
}

/// Trusts this issuer, and remembers no token: each is verified.
pub(crate) fn forgetful(trusted: IssuerConfig) -> Oidc {
    let config = OidcConfig::new().with_issuer(trusted).with_cache_ttl(Duration::ZERO);
    Oidc::new(config).expect("the settings are sound")
}

/// Trusts the provider, and is a client of it.
pub(crate) fn client(server: &Server, client: ClientConfig) -> Oidc {
    let config = OidcConfig::new().with_issuer(trusting(server)).with_client(client);
    Oidc::new(config).expect("the settings are sound")
}

/// The client `svc-basic`.
pub(crate) fn basic(server: &Server) -> ClientConfig {
    let secret = ClientAuthentication::client_secret_basic(value(server.secret("svc-basic")));
    ClientConfig::new("svc-basic", secret)
}

pub(crate) async fn validate(
    plugin: &Oidc,
    token: impl Into<String>,
    audience: &str,
) -> Result<SecurityContext> {
    let expect = TokenExpectation::audience(audience);
    plugin.validate_token(&BearerToken::new(token.into()), &expect).await
}

pub(crate) async fn authenticate(
    plugin: &Oidc,
    service: &str,
    method: AuthMethod,
    audience: &str,
) -> Result<ServiceCredentials> {
    let request = ServiceAuthRequest::new(service, method).with_audience(audience);
    plugin.authenticate_service(&request).await
}

pub(crate) fn bearer(credentials: &ServiceCredentials) -> BearerToken {
    match &credentials.credential {
        Credential::Bearer(token) => token.clone(),
        other => panic!("no token: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn fault<T: std::fmt::Debug>(result: Result<T>) -> TokenFault {
    match result.map_err(|error| error.kind()) {
        Err(ErrorKind::TokenRejected(fault)) => fault,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// A certificate as a TLS server sees it.
pub(crate) fn der(certificate: &Certificate) -> Vec<u8> {
    let lines = certificate.certificate.lines();
    let base64: String = lines.filter(|line| !line.starts_with('-')).collect();
    BASE64_STANDARD.decode(base64).expect("PEM is base64")
}

/// A file with this text, which goes with the value.
#[derive(Debug)]
pub(crate) struct Scratch(pub(crate) std::path::PathBuf);

impl Scratch {
    pub(crate) fn new(text: &str) -> Self {
        let name = format!("pipe-oidc-live-{:x}", fastrand::u128(..));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("write to the temporary directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
