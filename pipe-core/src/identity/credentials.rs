//! Temporary credentials of a service (REQ 004-72).

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::BearerToken;
use crate::SecretValue;

/// How a service proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthMethod {
    /// An OAuth 2.0 grant, as configured in the plugin.
    OAuth2,
    /// A signed assertion: the JWT bearer grant, or a Kubernetes service-account token.
    Jwt,
    /// A client certificate.
    Mtls,
}

/// Asks for credentials (REQ 004-72.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ServiceAuthRequest {
    /// The service that asks.
    pub service: String,
    /// How it proves who it is.
    pub method: AuthMethod,
    /// Whom it wants to call; the plugin's default when `None`.
    pub audience: Option<String>,
    /// What it wants to be allowed.
    pub scopes: BTreeSet<String>,
}

impl ServiceAuthRequest {
    /// Credentials for this service, by this method.
    pub fn new(service: impl Into<String>, method: AuthMethod) -> Self {
        Self { service: service.into(), method, audience: None, scopes: BTreeSet::new() }
    }

    /// Whom the service wants to call.
    #[must_use]
    pub fn with_audience(self, audience: impl Into<String>) -> Self {
        Self { audience: Some(audience.into()), ..self }
    }

    /// What the service wants to be allowed; may be repeated.
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.insert(scope.into());
        self
    }
}

/// The credential itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential {
    /// A token that opens doors for whoever holds it.
    Bearer(BearerToken),
    /// A client certificate and its key, both PEM.
    Mtls {
        /// The certificate and the chain to its root.
        certificate_chain: String,
        /// The private key.
        private_key: SecretValue,
    },
}

/// Temporary credentials (REQ 004-72.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceCredentials {
    /// The credential itself.
    pub credential: Credential,
    /// When it stops working.
    pub expires_at: SystemTime,
    /// What was granted, which may be less than what was asked for.
    pub scopes: BTreeSet<String>,
}

impl ServiceCredentials {
    /// A credential with its end.
    #[must_use]
    pub fn new(credential: Credential, expires_at: SystemTime) -> Self {
        Self { credential, expires_at, scopes: BTreeSet::new() }
    }

    /// What was granted.
    #[must_use]
    pub fn with_scopes(self, scopes: BTreeSet<String>) -> Self {
        Self { scopes, ..self }
    }
}
