#![doc = include_str!("../README.md")]

mod binding;
mod cache;
mod client;
mod config;
mod elsewhere;
mod endpoints;
mod error;
mod flights;
mod health;
mod introspection;
mod issue;
pub mod jwt;
mod keys;
mod mapping;
mod plugin;
mod pointer;
mod preset;
mod provider;
mod reader;
#[cfg(feature = "redis")]
mod redis;
mod relying_party;
mod trusted;

pub use self::client::{
    AssertionAudience, AudienceParameter, ClientAuthentication, ClientConfig, ClientSecret,
    ClientSecretJwt, CredentialSource, JwtBearer, PluginTokens, PrivateKeyJwt, PublicClient,
    ServiceAccountJwt, SignedAssertion, SilentScope, TlsClientAuth, TokenExchange, TokenOrigin,
    TokenSource,
};
pub(crate) use self::config::TENANT_PLACE;
pub use self::config::{
    IntrospectedTokens, IntrospectionConfig, IssuerConfig, KeyTimes, Keys, OidcConfig,
    SigningConfig, TokenTypes,
};
pub use self::issue::TokenIssuer;
pub use self::mapping::{ClaimMapping, TenantSource};
pub use self::plugin::Oidc;
pub use self::pointer::ClaimPointer;
pub use self::preset::Preset;
pub use self::provider::{KeyState, ProviderCounters, ProviderStatus};
pub use self::reader::{ClaimsReader, VerifiedToken};
#[cfg(feature = "redis")]
pub use self::redis::{RedisConfig, RedisSessions};
pub use self::relying_party::{
    DeviceLogin, LoginClient, MemorySessionsConfig, PushedRequests, RelyingParty,
    RelyingPartyConfig, SessionTimes, SessionsConfig, UserInfoUse,
};
pub use pipe_core::rbac::GroupGrant;
