//! The settings of a client, which are their own builder.

use std::collections::BTreeSet;

use pipe_core::SecretSource;
use serde::Deserialize;

use super::authentication::default_token_file;
use super::{ClientAuthentication, TokenOrigin};

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// The client that we are at the provider, and how we obtain credentials as it.
///
/// The grant follows the method of the request (REQ 004-72): `OAuth2` uses token exchange when
/// [`token_exchange`](Self::token_exchange) is set, and else client credentials; `Jwt` uses the JWT
/// bearer grant when [`jwt_bearer`](Self::jwt_bearer) is set, and else client credentials where the
/// client authenticates by a signed assertion; `Mtls` uses client credentials where it
/// authenticates by a certificate. What is not set up is `Unsupported`.
///
/// ```
/// use pipe_core::SecretSource;
/// use pipe_identity_oidc::{ClientAuthentication, ClientConfig};
///
/// let secret = SecretSource::file("/etc/pipe/client-secret");
/// let config = ClientConfig::new("billing", ClientAuthentication::client_secret_basic(secret))
///     .with_audience("https://api.example");
/// ```
///
/// In a document:
///
/// ```
/// # let document = r#"
/// {
///   "id": "billing",
///   "authentication": { "method": "client_secret_basic", "secret": { "env": "CLIENT_SECRET" } },
///   "audience": "https://api.example"
/// }
/// # "#;
/// # let config: pipe_identity_oidc::ClientConfig = serde_json::from_str(document).unwrap();
/// # assert_eq!(config.id, "billing");
/// ```
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ClientConfig {
    /// `client_id`
    pub id: String,
    /// How we authenticate.
    pub authentication: ClientAuthentication,
    /// The services that may ask for the credentials of this client, besides the one that is named
    /// as the client is. A request for any other service is refused: it would be given credentials
    /// that say that it is somebody else.
    #[serde(default)]
    pub services: BTreeSet<String>,
    /// The issuer whose client we are; the first of `issuers` when absent. It need not be trusted.
    #[serde(default)]
    pub issuer: Option<String>,
    /// The URL of the token endpoint; the discovered one when absent.
    #[serde(default)]
    pub token_endpoint: Option<String>,
    /// Whom we want to call when a request does not say.
    #[serde(default)]
    pub audience: Option<String>,
    /// How the provider is told whom we want to call.
    #[serde(default)]
    pub audience_parameter: AudienceParameter,
    /// Scopes to ask for with every request, besides its own. Whether they are granted is not looked at.
    #[serde(default)]
    pub extra_scopes: BTreeSet<String>,
    /// What it means when neither the provider nor the token tells which scopes were granted.
    #[serde(default)]
    pub silent_scope: SilentScope,
    /// The JWT bearer grant (RFC 7523), for `AuthMethod::Jwt`.
    #[serde(default)]
    pub jwt_bearer: Option<JwtBearer>,
    /// Token exchange (RFC 8693), for `AuthMethod::OAuth2`.
    #[serde(default)]
    pub token_exchange: Option<TokenExchange>,
}

impl ClientConfig {
    /// A client that uses the client credentials grant.
    pub fn new(id: impl Into<String>, authentication: ClientAuthentication) -> Self {
        Self {
            id: id.into(),
            authentication,
            services: BTreeSet::new(),
            issuer: None,
            token_endpoint: None,
            audience: None,
            audience_parameter: AudienceParameter::default(),
            extra_scopes: BTreeSet::new(),
            silent_scope: SilentScope::default(),
            jwt_bearer: None,
            token_exchange: None,
        }
    }

    /// A service that may ask for the credentials of this client; may be repeated.
    #[must_use]
    pub fn with_service(mut self, service: impl Into<String>) -> Self {
        self.services.insert(service.into());
        self
    }

    /// The issuer whose client we are.
    #[must_use]
    pub fn with_issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer: Some(issuer.into()), ..self }
    }

    /// The URL of the token endpoint, in place of the discovered one.
    #[must_use]
    pub fn with_token_endpoint(self, url: impl Into<String>) -> Self {
        Self { token_endpoint: Some(url.into()), ..self }
    }

    /// Whom we want to call when a request does not say.
    #[must_use]
    pub fn with_audience(self, audience: impl Into<String>) -> Self {
        Self { audience: Some(audience.into()), ..self }
    }

    /// How the provider is told whom we want to call.
    #[must_use]
    pub fn with_audience_parameter(self, audience_parameter: AudienceParameter) -> Self {
        Self { audience_parameter, ..self }
    }

    /// A scope to ask for with every request; may be repeated.
    #[must_use]
    pub fn with_extra_scope(mut self, scope: impl Into<String>) -> Self {
        self.extra_scopes.insert(scope.into());
        self
    }

    /// What it means when neither the provider nor the token tells which scopes were granted.
    #[must_use]
    pub fn with_silent_scope(self, silent_scope: SilentScope) -> Self {
        Self { silent_scope, ..self }
    }

    /// The JWT bearer grant, for `AuthMethod::Jwt`.
    #[must_use]
    pub fn with_jwt_bearer(self, jwt_bearer: JwtBearer) -> Self {
        Self { jwt_bearer: Some(jwt_bearer), ..self }
    }

    /// Token exchange, for `AuthMethod::OAuth2`.
    #[must_use]
    pub fn with_token_exchange(self, token_exchange: TokenExchange) -> Self {
        Self { token_exchange: Some(token_exchange), ..self }
    }

    /// Everything that is wrong with the settings and can be seen without asking anybody: the
    /// setting, and what is wrong with it.
    pub(crate) fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let mut faults = Vec::new();
        if self.id.is_empty() || self.id.contains(char::is_control) {
            faults.push(("client.id", "must not be empty or have control characters in it"));
        }
        if self.services.iter().any(String::is_empty) {
            faults.push(("client.services", "must not have an empty name in it"));
        }
        if self.audience.as_ref().is_some_and(String::is_empty) {
            faults.push(("client.audience", "must not be empty"));
        }
        if super::credentials::check_scopes(&self.extra_scopes).is_err() {
            faults.push(("client.extra_scopes", "must be at most 100 legal scopes"));
        }
        if let Some(exchange) = &self.token_exchange {
            for (setting, kind) in [
                ("client.token_exchange.subject_token_type", Some(&exchange.subject_token_type)),
                (
                    "client.token_exchange.requested_token_type",
                    exchange.requested_token_type.as_ref(),
                ),
                ("client.token_exchange.actor_token_type", Some(&exchange.actor_token_type)),
            ] {
                if kind.is_some_and(String::is_empty) {
                    faults.push((setting, "must not be empty"));
                }
            }
        }
        faults.extend(self.authentication.fault());
        faults
    }
}

/// The parameter by which the provider is told whom a token is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AudienceParameter {
    /// `resource`, the standard's (RFC 8707).
    #[default]
    Resource,
    /// `audience`, as Auth0 has it, and token exchange for logical names.
    Audience,
    /// Both of them.
    Both,
}

/// What a provider means that does not say which scopes it granted, when the token is opaque or
/// silent too.
///
/// By the standard it granted all (RFC 6749 5.1). There are providers that drop the scopes that they
/// do not know and, when none is left, say nothing: with those, silence is better refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SilentScope {
    /// All that were asked for were granted.
    #[default]
    Granted,
    /// None was granted.
    Refused,
}

/// The JWT bearer grant: an assertion is exchanged for a token (RFC 7523 2.1).
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JwtBearer {
    /// Where the assertion is; the pod's service-account token when absent.
    #[serde(default = "service_account_token")]
    pub assertion: TokenOrigin,
}

impl JwtBearer {
    /// This assertion.
    pub fn new(assertion: impl Into<TokenOrigin>) -> Self {
        Self { assertion: assertion.into() }
    }
}

/// The assertion is the pod's service-account token.
impl Default for JwtBearer {
    fn default() -> Self {
        Self { assertion: service_account_token() }
    }
}

fn service_account_token() -> TokenOrigin {
    TokenOrigin::file(default_token_file())
}

/// Token exchange: a token that speaks for somebody is exchanged for another (RFC 8693).
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TokenExchange {
    /// Where the token is that is exchanged.
    pub subject_token: TokenOrigin,
    /// What kind of token that is; `urn:ietf:params:oauth:token-type:jwt`.
    #[serde(default = "jwt")]
    pub subject_token_type: String,
    /// What kind of token is wanted; the provider's choice when absent.
    #[serde(default)]
    pub requested_token_type: Option<String>,
    /// Where the token is of the one who acts on behalf of the subject.
    #[serde(default)]
    pub actor_token: Option<TokenOrigin>,
    /// What kind of token that is; `urn:ietf:params:oauth:token-type:jwt`.
    #[serde(default = "jwt")]
    pub actor_token_type: String,
}

fn jwt() -> String {
    JWT.to_owned()
}

impl TokenExchange {
    /// Exchanges this token, a JWT.
    pub fn new(subject_token: impl Into<TokenOrigin>) -> Self {
        Self {
            subject_token: subject_token.into(),
            subject_token_type: jwt(),
            requested_token_type: None,
            actor_token: None,
            actor_token_type: jwt(),
        }
    }

    /// What kind of token is exchanged.
    #[must_use]
    pub fn with_subject_token_type(self, kind: impl Into<String>) -> Self {
        Self { subject_token_type: kind.into(), ..self }
    }

    /// What kind of token is wanted.
    #[must_use]
    pub fn with_requested_token_type(self, kind: impl Into<String>) -> Self {
        Self { requested_token_type: Some(kind.into()), ..self }
    }

    /// The token, a JWT, of the one who acts on behalf of the subject.
    #[must_use]
    pub fn with_actor_token(self, actor_token: impl Into<TokenOrigin>) -> Self {
        Self { actor_token: Some(actor_token.into()), ..self }
    }

    /// What kind of token the actor's is.
    #[must_use]
    pub fn with_actor_token_type(self, kind: impl Into<String>) -> Self {
        Self { actor_token_type: kind.into(), ..self }
    }

    /// Whether an issued token of this kind is one that was asked for. An access token may be a
    /// JWT, and be called either.
    pub(crate) fn is_wanted(&self, issued: &str) -> bool {
        let is_access = |kind: &str| matches!(kind, ACCESS_TOKEN | JWT);
        self.requested_token_type
            .as_deref()
            .is_none_or(|wanted| wanted == issued || (is_access(wanted) && is_access(issued)))
    }
}

impl From<SecretSource> for JwtBearer {
    fn from(assertion: SecretSource) -> Self {
        Self::new(assertion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_whole_and_what_is_unknown_refused() {
        let document = serde_json::json!({
            "id": "svc",
            "authentication": { "method": "tls_client_auth", "certificate": { "file": "/c" } },
            "services": ["billing"],
            "token_endpoint": "https://idp.example/token",
            "audience": "https://api.example",
            "audience_parameter": "both",
            "silent_scope": "refused",
            "jwt_bearer": {},
            "token_exchange": { "subject_token": { "file": "/t" } },
        });
        let config: ClientConfig = serde_json::from_value(document.clone()).unwrap();
        assert!(config.faults().is_empty());
        assert_eq!(config.audience_parameter, AudienceParameter::Both);
        assert_eq!(config.token_exchange.unwrap().subject_token_type, JWT);
        for place in ["", "/jwt_bearer", "/token_exchange", "/authentication"] {
            let mut document = document.clone();
            document.pointer_mut(place).unwrap()["surprise"] = true.into();
            assert!(serde_json::from_value::<ClientConfig>(document).is_err(), "{place}");
        }
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let exchange = TokenExchange::new(SecretSource::env("T"))
            .with_subject_token_type("")
            .with_requested_token_type("")
            .with_actor_token_type("");
        let config = ClientConfig::new("", ClientAuthentication::none())
            .with_service("")
            .with_audience("")
            .with_token_exchange(exchange);
        assert_eq!(config.faults().len(), 6);
    }
}
