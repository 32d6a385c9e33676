//! Minting tokens of service accounts: for one audience, for a time, bound to an object.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use http::Method;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Resource as _;
use pipe_core::identity::BearerToken;
use pipe_core::{Error, ErrorKind, Namespace, Result, SecretValue};
use serde::Deserialize;

use crate::client::{Client, with_body};
use crate::error::{Asked, Resource, malformed};
use crate::names::{is_subdomain, namespace_or};

/// The server's limits.
const SHORTEST: Duration = Duration::from_secs(600);
const LONGEST: Duration = Duration::from_secs(1 << 32);
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

/// Asks for a token of a service account.
///
/// ```
/// use pipe_secrets_k8s::ServiceAccountTokenRequest;
///
/// // A token that OpenBao's `kubernetes` auth method takes, and nobody else.
/// let request = ServiceAccountTokenRequest::new("exporter", "openbao");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceAccountTokenRequest {
    /// The namespace of the service account; the plugin's own when `None`.
    pub namespace: Option<Namespace>,
    /// The service account.
    pub service_account: String,
    /// Whom the token is for. Never empty: a token without one is for the API server itself.
    pub audiences: BTreeSet<String>,
    /// How long it is good for; an hour. The server may give less, or more.
    pub lifetime: Duration,
    /// What it ends with.
    pub bound_to: Option<BoundObject>,
}

impl ServiceAccountTokenRequest {
    /// A token of this service account, for this audience.
    pub fn new(service_account: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            namespace: None,
            service_account: service_account.into(),
            audiences: BTreeSet::from([audience.into()]),
            lifetime: DEFAULT_LIFETIME,
            bound_to: None,
        }
    }

    /// The namespace of the service account.
    #[must_use]
    pub fn with_namespace(self, namespace: Namespace) -> Self {
        Self { namespace: Some(namespace), ..self }
    }

    /// Also for this audience; may be repeated.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.insert(audience.into());
        self
    }

    /// How long it is good for: ten minutes at least.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// What it ends with, a few seconds later: a Pod or a Secret of the same namespace.
    #[must_use]
    pub fn bound_to(self, object: BoundObject) -> Self {
        Self { bound_to: Some(object), ..self }
    }

    fn check(&self) -> Result<()> {
        let fault = |message: &'static str, hint: &'static str| {
            Err(Error::new(ErrorKind::InvalidArgument, message).hint(hint))
        };
        if !is_subdomain(&self.service_account) {
            return fault("not a name of a service account", "use a-z 0-9 - . as Kubernetes does");
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return fault("the token has no audience", "name whom the token is for");
        }
        if self.lifetime < SHORTEST || self.lifetime > LONGEST {
            return fault(
                "the lifetime is out of bounds",
                "use ten minutes at least, and 2^32 seconds at most",
            );
        }
        Ok(())
    }
}

/// What a token ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BoundObject {
    /// A Pod of this name and uid.
    Pod {
        /// Its name.
        name: String,
        /// Its uid; not checked when `None`.
        uid: Option<String>,
    },
    /// A Kubernetes Secret of this name and uid.
    Secret {
        /// Its name.
        name: String,
        /// Its uid; not checked when `None`.
        uid: Option<String>,
    },
}

impl From<&BoundObject> for BoundObjectReference {
    fn from(object: &BoundObject) -> Self {
        let (kind, name, uid) = match object {
            BoundObject::Pod { name, uid } => ("Pod", name, uid),
            BoundObject::Secret { name, uid } => ("Secret", name, uid),
        };
        Self {
            api_version: Some("v1".to_owned()),
            kind: Some(kind.to_owned()),
            name: Some(name.clone()),
            uid: uid.clone(),
        }
    }
}

/// A token that was minted.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceAccountToken {
    /// The token.
    pub token: BearerToken,
    /// When it stops being good.
    pub expires_at: SystemTime,
}

impl fmt::Debug for ServiceAccountToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccountToken")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

pub(crate) async fn mint(
    client: &Client,
    own_namespace: &str,
    request: &ServiceAccountTokenRequest,
) -> Result<ServiceAccountToken> {
    #[derive(Deserialize)]
    struct Answer {
        status: Minted,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Minted {
        token: SecretValue,
        expiration_timestamp: String,
    }
    request.check()?;
    let namespace = namespace_or(request.namespace.as_ref(), own_namespace)?;
    let asked = Asked {
        verbs: &["create"],
        resource: Resource::ServiceAccountTokens,
        namespace,
        name: &request.service_account,
    };
    let body = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(request.audiences.iter().cloned().collect()),
            expiration_seconds: i64::try_from(request.lifetime.as_secs()).ok(),
            bound_object_ref: request.bound_to.as_ref().map(Into::into),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let accounts = ServiceAccount::url_path(&(), Some(namespace));
    let url = client.url(&format!("{accounts}/{}/token", request.service_account));
    let answer = client
        .expect(&asked, || {
            let body = serde_json::to_vec(&body).map_err(|_| {
                Error::new(ErrorKind::InvalidArgument, "the request cannot be written as JSON")
            })?;
            with_body(Method::POST, url.clone(), body)
        })
        .await?;
    let minted = serde_json::from_slice::<Answer>(&answer.body).map_err(|_| malformed(&answer))?;
    let expires_at = humantime::parse_rfc3339_weak(&minted.status.expiration_timestamp);
    Ok(ServiceAccountToken {
        token: BearerToken::new(minted.status.token),
        expires_at: expires_at.map_err(|_| malformed(&answer))?,
    })
}
