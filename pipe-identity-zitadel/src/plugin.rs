//! The trait implementation, thin, around the OpenID plugin.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pipe_core::identity::{
    AuthMethod, BearerToken, ContextRequest, Credential, IdentityCapabilities, JwtRequest,
    ServiceAuthRequest, ServiceCredentials, SignedJwt, TokenExpectation,
};
use pipe_core::{
    Clock, ConfigFaults, Error, ErrorKind, Health, IdentityPlugin, Plugin, Result, SecretReader,
    SecretSource, SecurityContext,
};
use pipe_http::{HttpClient, ServerAddress};
use pipe_identity_oidc::jwt::Algorithm;
use pipe_identity_oidc::{
    AssertionAudience, ClaimPointer, ClientAuthentication, ClientConfig, IntrospectionConfig,
    IssuerConfig, JwtBearer, Oidc, OidcConfig, PrivateKeyJwt, SilentScope, TenantSource,
    TokenOrigin,
};

use crate::api::Api;
use crate::assertion::ServiceAssertion;
use crate::claims::{RESOURCE_OWNER, ZitadelClaims};
use crate::key_file::{ApplicationKey, ServiceKey};
use crate::{ApiClient, ServiceUser, ZitadelConfig, ZitadelScopes, ZitadelToken};

/// A personal access token is read again after this.
const PERSONAL: Duration = Duration::from_secs(60);

/// Zitadel as an [`IdentityPlugin`]. Clones share keys, caches and credentials.
#[derive(Clone)]
pub struct Zitadel(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) oidc: Oidc,
    pub(crate) api: Api,
    pub(crate) project: String,
    pub(crate) domains: BTreeMap<String, String>,
    pub(crate) service: Option<Service>,
    scopes: Vec<String>,
    services: Vec<String>,
    clock: Clock,
}

/// Who we are when we call others.
pub(crate) enum Service {
    /// A client of the OpenID plugin, by its id and the grant that it uses.
    Client(String, AuthMethod),
    /// A personal access token.
    Personal(SecretReader),
}

impl Zitadel {
    /// A plugin with these settings. It reads the files that they name, and talks to nobody yet.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming all settings that are wrong.
    pub fn new(config: ZitadelConfig) -> Result<Self> {
        let name = config.name.clone();
        let inner = build(config).map_err(|error| error.at(&name, "new"))?;
        Ok(Self(Arc::new(inner)))
    }

    /// Checks a token as [`validate_token`](IdentityPlugin::validate_token) does, and returns all that
    /// Zitadel says in it: roles by project and organisation, metadata, and the claims of actions.
    ///
    /// # Errors
    /// As for [`validate_token`](IdentityPlugin::validate_token).
    pub async fn verify_token(
        &self,
        token: &BearerToken,
        expect: &TokenExpectation,
    ) -> Result<ZitadelToken> {
        let verified = self.0.oidc.verify_token(token, expect).await;
        let verified = verified.map_err(|error| self.locate(error, "verify_token"))?;
        Ok(ZitadelToken::new(verified, &self.0.project))
    }

    /// Forgets every token that was verified or introspected, as after a revocation.
    pub fn forget_tokens(&self) {
        self.0.oidc.forget_tokens();
    }

    /// What is expected of a token that calls us: that it is meant for the project.
    #[must_use]
    pub fn expectation(&self) -> TokenExpectation {
        TokenExpectation::audience(&self.0.project)
    }

    /// The id of a domain's organisation.
    #[must_use]
    pub fn domain(&self, name: &str) -> Option<&str> {
        self.0.domains.get(name).map(String::as_str)
    }

    pub(crate) fn locate(&self, error: Error, operation: &'static str) -> Error {
        error.at(&self.0.name, operation)
    }
}

fn build(config: ZitadelConfig) -> Result<Inner> {
    let mut faults = ConfigFaults::new();
    config.check(&mut faults);
    let owner = TenantSource::Claim(ClaimPointer::claim(RESOURCE_OWNER));
    let mut claims = config.claims.clone().unwrap_or_default();
    claims.tenant.get_or_insert(owner);
    let mut issuer = IssuerConfig::new(&config.issuer)
        .with_types(config.types)
        .with_claims(claims)
        .with_reader(Arc::new(ZitadelClaims {
            project: config.project.clone(),
            organizations: config.role_organizations.clone(),
        }))
        .keeping_claims()
        .with_max_lifetime(config.max_lifetime)
        .with_http(config.http.clone());
    if let Some(client) = &config.introspection {
        let introspection = faults.keep("introspection", introspection(client));
        if let Some(introspection) = introspection {
            issuer = issuer.with_introspection(
                introspection
                    .with_tokens(config.introspected)
                    .with_active_ttl(config.active_ttl)
                    .with_inactive_ttl(config.inactive_ttl),
            );
        }
    }
    let mut oidc = OidcConfig::new()
        .with_name(&config.name)
        .with_issuer(issuer)
        .with_clock(config.clock.clone());
    let service = config.service.as_ref().and_then(|service| {
        let made = faults.keep("service", client(&config, service));
        made.map(|(service, client)| {
            if let Some(client) = client {
                oidc = oidc.clone().with_client(client);
            }
            service
        })
    });
    let address = faults.keep("issuer", config.issuer.parse::<ServerAddress>());
    let http = address
        .and_then(|address| faults.keep_below("http", HttpClient::new(&config.http, &address)));
    // What the OpenID plugin calls a setting of its one issuer is one of ours.
    let oidc = Oidc::new(oidc).map_err(|error| {
        for (setting, fault) in error.contexts() {
            let setting = setting.strip_prefix("issuers[0].").unwrap_or(setting);
            faults.add(setting.to_owned(), fault);
        }
        if error.contexts().len() == 0 {
            faults.add("issuer", error.message());
        }
    });
    let oidc = oidc.ok();
    match (oidc, http) {
        (Some(oidc), Some(http)) if faults.is_empty() => Ok(Inner {
            name: config.name,
            oidc,
            api: Api::new(http),
            project: config.project,
            domains: config.domains,
            service,
            scopes: config.scopes,
            services: config.services,
            clock: config.clock,
        }),
        _ => Err(faults.into_error()),
    }
}

fn introspection(client: &ApiClient) -> Result<IntrospectionConfig> {
    Ok(match client {
        ApiClient::Secret { client_id, secret } => IntrospectionConfig::new(
            client_id,
            ClientAuthentication::client_secret_basic(secret.clone()),
        ),
        ApiClient::KeyFile { key } => {
            let key = ApplicationKey::parse(&key.read_once()?)?;
            let proof = PrivateKeyJwt::new(SecretSource::Value(key.pem), Algorithm::Rs256)
                .with_key_id(key.key_id);
            let proof = ClientAuthentication::PrivateKeyJwt(proof);
            let proof = proof.with_assertion_audience(AssertionAudience::Issuer);
            IntrospectionConfig::new(key.client, proof)
        }
    })
}

/// The client of the OpenID plugin that obtains tokens, where it is one of its.
fn client(
    config: &ZitadelConfig,
    service: &ServiceUser,
) -> Result<(Service, Option<ClientConfig>)> {
    let finish = |id: String, method, client: ClientConfig| {
        // What was asked for and not granted is dropped in silence.
        let client = client.with_silent_scope(SilentScope::Refused).with_issuer(&config.issuer);
        let usual = ZitadelScopes::new().with_project(&config.project).with_roles();
        let client = usual.iter().fold(client, ClientConfig::with_extra_scope);
        Ok((Service::Client(id, method), Some(client)))
    };
    match service {
        ServiceUser::Token { token } => Ok((Service::Personal(token.reader()), None)),
        ServiceUser::ClientCredentials { username, secret } => {
            let proof = ClientAuthentication::client_secret_basic(secret.clone());
            finish(username.clone(), AuthMethod::OAuth2, ClientConfig::new(username, proof))
        }
        ServiceUser::KeyFile { key } => {
            let user = ServiceKey::parse(&key.read_once()?)?.user;
            let assertion =
                ServiceAssertion::new(key.reader(), &config.issuer, config.clock.clone());
            let client = ClientConfig::new(&user, ClientAuthentication::none())
                .with_jwt_bearer(JwtBearer::new(TokenOrigin::new(assertion)));
            finish(user, AuthMethod::Jwt, client)
        }
    }
}

impl Inner {
    /// Credentials of ours with these scopes, or the personal token, which has all.
    pub(crate) async fn credentials(&self, scopes: &ZitadelScopes) -> Result<ServiceCredentials> {
        match self.service.as_ref().ok_or_else(nobody)? {
            Service::Personal(reader) => {
                let token = BearerToken::new(reader.read().await?);
                let expires_at = self.clock.now() + PERSONAL;
                Ok(ServiceCredentials::new(Credential::Bearer(token), expires_at))
            }
            Service::Client(id, method) => {
                let request = ServiceAuthRequest::new(id, *method);
                let request = scopes.iter().fold(request, ServiceAuthRequest::with_scope);
                self.oidc.authenticate_service(&request).await
            }
        }
    }

    async fn authenticate(&self, request: &ServiceAuthRequest) -> Result<ServiceCredentials> {
        let service = self.service.as_ref().ok_or_else(nobody)?;
        self.check_method(service, request.method)?;
        if let Service::Client(id, _) = service
            && request.service != *id
            && !self.services.contains(&request.service)
        {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the service user's credentials are not for this service",
            )
            .with("service", &request.service)
            .hint("ask as the service user, or add the name to `services`"));
        }
        if matches!(service, Service::Personal(_)) && !request.scopes.is_empty() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a personal access token has all that the user may, whatever is asked for",
            )
            .hint("ask without scopes, or set `service` to a key file or to client credentials"));
        }
        // Whom to call is a project here, and what to be allowed a role.
        let mut scopes = ZitadelScopes::new();
        if let Some(project) = &request.audience {
            scopes = scopes.with_project(project);
        }
        for scope in &self.scopes {
            scopes = scopes.with(scope);
        }
        for scope in &request.scopes {
            scopes = if is_scope(scope) { scopes.with(scope) } else { scopes.with_role(scope) };
        }
        // All were granted, else there would be no credentials.
        Ok(self.credentials(&scopes).await?.with_scopes(request.scopes.clone()))
    }

    fn check_method(&self, service: &Service, asked: AuthMethod) -> Result<()> {
        let offered = match (service, asked) {
            // Whatever grant is set up.
            (_, AuthMethod::OAuth2) | (Service::Client(_, AuthMethod::Jwt), AuthMethod::Jwt) => {
                true
            }
            _ => false,
        };
        if offered {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, "the service user does not log in this way")
            .hint("set `service` to a key file for `Jwt`, or ask with `OAuth2`"))
    }
}

/// Whether it is a scope as it stands, and no role.
fn is_scope(scope: &str) -> bool {
    const STANDARD: [&str; 6] =
        ["openid", "profile", "email", "phone", "address", "offline_access"];
    scope.starts_with("urn:") || STANDARD.contains(&scope)
}

fn nobody() -> Error {
    Error::new(ErrorKind::Unsupported, "the plugin obtains no credentials").hint("set `service`")
}

impl fmt::Debug for Zitadel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zitadel")
            .field("name", &self.0.name)
            .field("oidc", &self.0.oidc)
            .field("project", &self.0.project)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Plugin for Zitadel {
    fn name(&self) -> &str {
        &self.0.name
    }

    async fn health(&self) -> Health {
        self.0.oidc.health().await
    }

    async fn close(&self) -> Result<()> {
        self.0.oidc.close().await
    }
}

#[async_trait]
impl IdentityPlugin for Zitadel {
    fn capabilities(&self) -> IdentityCapabilities {
        match self.0.service {
            None => IdentityCapabilities::VERIFY_ONLY,
            Some(_) => IdentityCapabilities::VERIFY_ONLY.with_authenticate(),
        }
    }

    async fn authenticate_service(
        &self,
        request: &ServiceAuthRequest,
    ) -> Result<ServiceCredentials> {
        let obtained = self.0.authenticate(request).await;
        obtained.map_err(|error| self.locate(error, "authenticate_service"))
    }

    /// Zitadel alone signs its tokens.
    async fn generate_jwt(&self, _request: &JwtRequest) -> Result<SignedJwt> {
        Err(Error::unsupported(self.name(), "generate_jwt"))
    }

    async fn validate_token(
        &self,
        token: &BearerToken,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext> {
        self.0.oidc.validate_token(token, expect).await
    }

    async fn get_security_context(&self, request: &ContextRequest) -> Result<SecurityContext> {
        self.0.oidc.get_security_context(request).await
    }
}
