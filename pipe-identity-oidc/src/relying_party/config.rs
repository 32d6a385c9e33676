//! The settings of a login, which are their own builder.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pipe_core::Clock;
use pipe_core::identity::{RoleResolver, SessionStore};
use serde::Deserialize;

use super::SessionsConfig;
use crate::{AudienceParameter, ClientAuthentication, IssuerConfig};

/// Where people log in, as which client we ask the provider, and how long their sessions last.
///
/// ```
/// use pipe_core::SecretSource;
/// use pipe_identity_oidc::{ClientAuthentication, IssuerConfig, LoginClient, RelyingPartyConfig};
///
/// let secret = SecretSource::file("/etc/pipe/client-secret");
/// let client = LoginClient::new("shop", ClientAuthentication::client_secret_basic(secret));
/// let config = RelyingPartyConfig::new(
///     IssuerConfig::new("https://idp.example"),
///     client,
///     "https://shop.example/auth/callback",
/// );
/// ```
///
/// In a document:
///
/// ```
/// # let document = r#"
/// {
///   "issuer": { "issuer": "https://idp.example" },
///   "client": {
///     "id": "shop",
///     "authentication": { "method": "client_secret_basic", "secret": { "env": "CLIENT_SECRET" } }
///   },
///   "redirect_uri": "https://shop.example/auth/callback",
///   "session": { "idle": "30m", "longest": "12h" },
///   "sessions": { "store": "memory", "max_sessions": 10000 }
/// }
/// # "#;
/// # let config: pipe_identity_oidc::RelyingPartyConfig = serde_json::from_str(document).unwrap();
/// # assert_eq!(config.client.id, "shop");
/// ```
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RelyingPartyConfig {
    /// The instance's name in errors, audit and metrics; `oidc-login`.
    #[serde(default = "default_name")]
    pub name: String,
    /// The provider, and what its claims mean. Its endpoints are discovered.
    pub issuer: IssuerConfig,
    /// The client that we are at the provider.
    pub client: LoginClient,
    /// Where the provider sends browsers afterwards, byte by byte as it is registered there. Without
    /// it, people log in on devices without a browser alone.
    #[serde(default)]
    pub redirect_uri: Option<String>,
    /// Where the provider sends browsers after a logout, as it is registered there; its own page
    /// when absent.
    #[serde(default)]
    pub post_logout_redirect_uri: Option<String>,
    /// What is asked for besides `openid`; `profile` and `email`. A session lives past its first
    /// access token's life only where the provider gives a refresh token: most want
    /// `offline_access` for that.
    #[serde(default = "default_scopes")]
    pub scopes: BTreeSet<String>,
    /// Whom the person's access token is for, where the provider wants to know.
    #[serde(default)]
    pub audience: Option<String>,
    /// How the provider is told that.
    #[serde(default)]
    pub audience_parameter: AudienceParameter,
    /// How long ago people may have proved who they are; as the provider likes when absent.
    #[serde(default, with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub max_age: Option<Duration>,
    /// In which of these ways people have to prove who they are (`acr`); in any when empty.
    #[serde(default)]
    pub assurance: BTreeSet<String>,
    /// Whether the userinfo endpoint is asked for more claims than the ID token has.
    #[serde(default)]
    pub user_info: UserInfoUse,
    /// Whether requests are sent to the provider directly (RFC 9126) instead of through the browser.
    #[serde(default)]
    pub pushed_requests: PushedRequests,
    /// How long a person has to log in; 10 minutes, one hour at most.
    #[serde(default = "default_login_time", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub login_time: Duration,
    /// How long sessions last.
    #[serde(default)]
    pub session: SessionTimes,
    /// Where sessions are kept; in this process when absent.
    #[serde(default)]
    pub sessions: SessionsConfig,
    /// Looks roles up elsewhere, for each request; those in tokens then count for nothing. Not part
    /// of a document.
    #[serde(skip)]
    pub roles: Option<Arc<dyn RoleResolver>>,
    /// The time of day. Not part of a document.
    #[serde(skip)]
    pub clock: Clock,
}

fn default_name() -> String {
    "oidc-login".to_owned()
}

fn default_scopes() -> BTreeSet<String> {
    ["email", "profile"].map(str::to_owned).into()
}

fn default_login_time() -> Duration {
    Duration::from_secs(600)
}

impl RelyingPartyConfig {
    /// A login at this provider, as this client, with the callback at this URL.
    pub fn new(issuer: IssuerConfig, client: LoginClient, redirect_uri: impl Into<String>) -> Self {
        Self { redirect_uri: Some(redirect_uri.into()), ..Self::for_devices(issuer, client) }
    }

    /// A login at this provider, as this client, on devices without a browser.
    #[must_use]
    pub fn for_devices(issuer: IssuerConfig, client: LoginClient) -> Self {
        Self {
            name: default_name(),
            issuer,
            client,
            redirect_uri: None,
            post_logout_redirect_uri: None,
            scopes: default_scopes(),
            audience: None,
            audience_parameter: AudienceParameter::default(),
            max_age: None,
            assurance: BTreeSet::new(),
            user_info: UserInfoUse::default(),
            pushed_requests: PushedRequests::default(),
            login_time: default_login_time(),
            session: SessionTimes::default(),
            sessions: SessionsConfig::default(),
            roles: None,
            clock: Clock::default(),
        }
    }

    /// The instance's name in errors, audit and metrics.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Where the provider sends browsers after a logout.
    #[must_use]
    pub fn with_post_logout_redirect_uri(self, uri: impl Into<String>) -> Self {
        Self { post_logout_redirect_uri: Some(uri.into()), ..self }
    }

    /// What is asked for besides what is asked for already; may be repeated.
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.insert(scope.into());
        self
    }

    /// What is asked for besides `openid`, and nothing else.
    #[must_use]
    pub fn with_scopes(self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { scopes: scopes.into_iter().map(Into::into).collect(), ..self }
    }

    /// Whom the person's access token is for.
    #[must_use]
    pub fn with_audience(self, audience: impl Into<String>) -> Self {
        Self { audience: Some(audience.into()), ..self }
    }

    /// How the provider is told whom the access token is for.
    #[must_use]
    pub fn with_audience_parameter(self, audience_parameter: AudienceParameter) -> Self {
        Self { audience_parameter, ..self }
    }

    /// How long ago people may have proved who they are.
    #[must_use]
    pub fn with_max_age(self, max_age: Duration) -> Self {
        Self { max_age: Some(max_age), ..self }
    }

    /// A way in which people may prove who they are; may be repeated.
    #[must_use]
    pub fn with_assurance(mut self, acr: impl Into<String>) -> Self {
        self.assurance.insert(acr.into());
        self
    }

    /// Whether the userinfo endpoint is asked.
    #[must_use]
    pub fn with_user_info(self, user_info: UserInfoUse) -> Self {
        Self { user_info, ..self }
    }

    /// Whether requests are sent to the provider directly.
    #[must_use]
    pub fn with_pushed_requests(self, pushed_requests: PushedRequests) -> Self {
        Self { pushed_requests, ..self }
    }

    /// How long a person has to log in.
    #[must_use]
    pub fn with_login_time(self, login_time: Duration) -> Self {
        Self { login_time, ..self }
    }

    /// How long sessions last.
    #[must_use]
    pub fn with_session(self, session: SessionTimes) -> Self {
        Self { session, ..self }
    }

    /// Where sessions are kept, so that all instances of the application know them.
    #[must_use]
    pub fn with_sessions(self, sessions: Arc<dyn SessionStore>) -> Self {
        Self { sessions: SessionsConfig::Given(sessions), ..self }
    }

    /// Looks roles up elsewhere. It is asked for each request: see
    /// [`CachedRoles`](pipe_core::wrap::CachedRoles).
    #[must_use]
    pub fn with_roles(self, roles: Arc<dyn RoleResolver>) -> Self {
        Self { roles: Some(roles), ..self }
    }

    /// The time of day.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }
}

impl fmt::Debug for RelyingPartyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelyingPartyConfig")
            .field("name", &self.name)
            .field("issuer", &self.issuer)
            .field("client", &self.client)
            .field("redirect_uri", &self.redirect_uri)
            .field("scopes", &self.scopes)
            .field("session", &self.session)
            .field("sessions", &self.sessions)
            .finish_non_exhaustive()
    }
}

/// The client that we are where people log in.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LoginClient {
    /// `client_id`
    pub id: String,
    /// How we authenticate. An application that is a server can keep a secret, and should have one;
    /// PKCE is used in any case.
    pub authentication: ClientAuthentication,
    /// The URL of the token endpoint; the discovered one when absent.
    #[serde(default)]
    pub token_endpoint: Option<String>,
}

impl LoginClient {
    /// This client, which authenticates in this way.
    pub fn new(id: impl Into<String>, authentication: ClientAuthentication) -> Self {
        Self { id: id.into(), authentication, token_endpoint: None }
    }

    /// The URL of the token endpoint, in place of the discovered one.
    #[must_use]
    pub fn with_token_endpoint(self, url: impl Into<String>) -> Self {
        Self { token_endpoint: Some(url.into()), ..self }
    }
}

/// Whether the userinfo endpoint is asked for more claims than the ID token has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UserInfoUse {
    /// The ID token has all that is mapped.
    #[default]
    Never,
    /// When the person logs in, and whenever the session is renewed. What the ID token says as well
    /// counts as it says.
    Always,
}

/// Whether authorization requests are pushed (RFC 9126).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PushedRequests {
    /// Where the provider offers it.
    #[default]
    WhereOffered,
    /// Always: a login fails where the provider does not offer it.
    Always,
    /// Only where the provider demands it.
    Never,
}

/// How long sessions last.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SessionTimes {
    /// How long a session lasts that is not used; 30 minutes.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub idle: Duration,
    /// How long a session lasts in any case; 12 hours, 30 days at most.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub longest: Duration,
}

impl Default for SessionTimes {
    fn default() -> Self {
        Self { idle: Duration::from_secs(30 * 60), longest: Duration::from_secs(12 * 3600) }
    }
}

impl SessionTimes {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a session lasts that is not used.
    #[must_use]
    pub fn with_idle(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }

    /// How long a session lasts in any case.
    #[must_use]
    pub fn with_longest(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }
}
