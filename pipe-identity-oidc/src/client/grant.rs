//! The grants by which a token is asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use pipe_core::identity::AuthMethod;
use pipe_core::{Clock, Error, ErrorKind, Result};
use tokio::time::Instant;

use super::answer::{Expected, granted};
use super::source::{Obtain, Obtained};
use super::{
    AudienceParameter, Authenticator, ClientAuthentication, ClientConfig, Endpoints, FormRequest,
    JwtBearer, Recipient, SilentScope, TokenExchange,
};

/// Our standing with the provider, which all requests share.
pub(crate) struct Client {
    pub(crate) authenticator: Authenticator,
    pub(crate) endpoints: Arc<dyn Endpoints>,
    pub(crate) audience_parameter: AudienceParameter,
    pub(crate) extra_scopes: BTreeSet<String>,
    pub(crate) silent_scope: SilentScope,
    pub(crate) clock: Clock,
}

/// A grant, with what it presents.
#[derive(Clone, Debug)]
pub(crate) enum Grant {
    ClientCredentials,
    JwtBearer(JwtBearer),
    TokenExchange(TokenExchange),
}

impl Grant {
    /// The grant that the settings provide for this method.
    ///
    /// # Errors
    /// `Unsupported`, naming the setting that is missing.
    pub(crate) fn of(config: &ClientConfig, method: AuthMethod) -> Result<Self> {
        let authentication = &config.authentication;
        let is_public = matches!(authentication, ClientAuthentication::None(_));
        let is_certificate = matches!(authentication, ClientAuthentication::TlsClientAuth(_));
        let unsupported = |hint: &'static str| {
            Err(Error::new(ErrorKind::Unsupported, "the method is not set up")
                .with("method", format_args!("{method:?}"))
                .with("authentication", authentication.name())
                .hint(hint))
        };
        match (method, &config.token_exchange, &config.jwt_bearer) {
            (AuthMethod::OAuth2, Some(exchange), _) => Ok(Self::TokenExchange(exchange.clone())),
            (AuthMethod::OAuth2, None, _) if !is_public => Ok(Self::ClientCredentials),
            (AuthMethod::OAuth2, ..) => unsupported(
                "set `client.authentication` to a method other than none, or set \
                 `client.token_exchange`",
            ),
            (AuthMethod::Jwt, _, Some(bearer)) => Ok(Self::JwtBearer(bearer.clone())),
            (AuthMethod::Jwt, ..) if authentication.is_assertion() => Ok(Self::ClientCredentials),
            (AuthMethod::Jwt, ..) => unsupported(
                "set `client.jwt_bearer`, or `client.authentication` to private_key_jwt, \
                 client_secret_jwt or service_account_jwt",
            ),
            (AuthMethod::Mtls, ..) if is_certificate => Ok(Self::ClientCredentials),
            (AuthMethod::Mtls, ..) => unsupported("set `client.authentication` to tls_client_auth"),
            _ => unsupported("use OAuth2, Jwt or Mtls"),
        }
    }

    /// The name of the grant, as it stands in requests.
    fn name(&self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::JwtBearer(_) => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::TokenExchange(_) => "urn:ietf:params:oauth:grant-type:token-exchange",
        }
    }

    fn exchange(&self) -> Option<&TokenExchange> {
        match self {
            Self::TokenExchange(exchange) => Some(exchange),
            _ => None,
        }
    }

    /// Writes what this grant presents. Tokens are read anew each time.
    async fn write(&self, form: &mut FormRequest) -> Result<()> {
        form.add("grant_type", self.name());
        match self {
            Self::ClientCredentials => {}
            Self::JwtBearer(bearer) => {
                form.add("assertion", bearer.assertion.token().await?.expose());
            }
            Self::TokenExchange(exchange) => {
                form.add("subject_token", exchange.subject_token.token().await?.expose());
                form.add("subject_token_type", &exchange.subject_token_type);
                if let Some(kind) = &exchange.requested_token_type {
                    form.add("requested_token_type", kind);
                }
                if let Some(actor) = &exchange.actor_token {
                    form.add("actor_token", actor.token().await?.expose());
                    form.add("actor_token_type", &exchange.actor_token_type);
                }
            }
        }
        Ok(())
    }
}

/// Asks for one kind of credential, as often as it is needed.
pub(crate) struct TokenRequest {
    pub(crate) client: Arc<Client>,
    pub(crate) grant: Grant,
    pub(crate) audience: Option<String>,
    pub(crate) scopes: BTreeSet<String>,
}

#[async_trait]
impl Obtain for TokenRequest {
    async fn obtain(&self) -> Result<Obtained> {
        let Client {
            authenticator,
            endpoints,
            audience_parameter,
            extra_scopes,
            silent_scope,
            clock,
        } = &*self.client;
        let certificate = authenticator.certificate().await?;
        let endpoint = endpoints.token_endpoint(certificate.as_ref()).await?;
        let mut form = FormRequest::new();
        self.grant.write(&mut form).await?;
        let scopes: Vec<_> = self.scopes.union(extra_scopes).map(String::as_str).collect();
        if !scopes.is_empty() {
            form.add("scope", scopes.join(" "));
        }
        if let Some(audience) = &self.audience {
            if *audience_parameter != AudienceParameter::Audience {
                form.add("resource", audience);
            }
            if *audience_parameter != AudienceParameter::Resource {
                form.add("audience", audience);
            }
        }
        let token_endpoint = endpoint.uri.to_string();
        let recipient = Recipient { issuer: endpoints.issuer(), token_endpoint: &token_endpoint };
        authenticator.authenticate(&mut form, recipient).await?;
        // The provider counts from when it answers: by counting from here we end first.
        let (asked_at, today) = (Instant::now(), clock.now());
        let response = form.send(&endpoint).await?;
        let expected = Expected {
            scopes: &self.scopes,
            silent_scope: *silent_scope,
            exchange: self.grant.exchange(),
        };
        let granted = granted(&response, expected)
            .map_err(|error| error.with("server", endpoint.client.address()))?;
        tracing::debug!(
            grant = self.grant.name(),
            lifetime = granted.lifetime.as_secs(),
            "a token was granted"
        );
        Ok(Obtained {
            token: granted.token,
            scopes: granted.scopes,
            lifetime: granted.lifetime,
            asked_at,
            expires_at: today + granted.lifetime,
        })
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("grant", &self.grant.name())
            .field("audience", &self.audience)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}
