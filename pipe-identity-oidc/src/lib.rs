#![doc = include_str!("../README.md")]

#[allow(dead_code, unused_imports, reason = "what is not public is wired by the plugin")]
mod client;
pub mod jwt;

pub use self::client::{
    AssertionAudience, AudienceParameter, ClientAuthentication, ClientConfig, ClientSecret,
    ClientSecretJwt, CredentialSource, JwtBearer, PluginTokens, PrivateKeyJwt, PublicClient,
    ServiceAccountJwt, SignedAssertion, SilentScope, TlsClientAuth, TokenExchange, TokenOrigin,
    TokenSource,
};
