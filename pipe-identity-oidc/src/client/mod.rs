//! Credentials of our own: asking the provider's token endpoint (RFC 6749), and keeping what it
//! gives fresh.
//!
//! [`config`] says who we are and which grants we use, [`authenticator`] proves it, [`grant`] asks,
//! [`answer`] and [`refusal`] read what comes back, and [`source`] hands it out and renews it.

mod answer;
mod assertion;
mod authentication;
mod authenticator;
mod config;
mod credentials;
mod endpoint;
mod form;
mod grant;
mod refusal;
mod source;
mod token_origin;

#[cfg(test)]
mod tests;

pub(crate) use self::answer::{Expected, granted};
pub use self::authentication::{
    AssertionAudience, ClientAuthentication, ClientSecret, ClientSecretJwt, PrivateKeyJwt,
    PublicClient, ServiceAccountJwt, SignedAssertion, TlsClientAuth,
};
pub(crate) use self::authenticator::{Authenticator, Recipient};
pub use self::config::{AudienceParameter, ClientConfig, JwtBearer, SilentScope, TokenExchange};
pub(crate) use self::credentials::{Credentials, check_scopes};
pub(crate) use self::endpoint::{Endpoint, Endpoints};
pub(crate) use self::form::FormRequest;
pub(crate) use self::refusal::{Refusal, refused};
pub use self::source::CredentialSource;
pub use self::token_origin::{PluginTokens, TokenOrigin, TokenSource};
