//! Where people log in, from one document.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use pipe_core::{ConfigFaults, Error, ErrorKind, Result, without_inline_secrets};
use pipe_http::{HttpClient, HttpConfig, ServerAddress};
use pipe_identity_oidc::{RelyingParty, RelyingPartyConfig};
use serde::Deserialize;

use super::application;

/// The path that `redirect_uri` has to have.
pub const CALLBACK: &str = "/auth/callback";
/// The path at which the provider says that a session has ended.
pub const BACK_CHANNEL: &str = "/auth/back-channel";

/// The settings of the application; `login.toml` in `examples` is one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LoginSettings {
    /// Where it listens; port 8080 of 127.0.0.1.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// The service that it asks for `/orders` in a person's name.
    #[serde(default)]
    pub orders: Option<ServerAddress>,
    /// Where people log in, and where they come back to: at the address that they see, with the path
    /// [`CALLBACK`].
    pub login: RelyingPartyConfig,
}

fn default_listen() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 8080).into()
}

impl LoginSettings {
    /// People log in so.
    #[must_use]
    pub fn new(login: RelyingPartyConfig) -> Self {
        Self { listen: default_listen(), orders: None, login }
    }

    /// This service is asked in a person's name.
    #[must_use]
    pub fn with_orders(self, orders: ServerAddress) -> Self {
        Self { orders: Some(orders), ..self }
    }

    /// Reads a document of TOML, which has no secrets in it: it says where they are.
    ///
    /// # Errors
    /// `ConfigInvalid` with the line, and with none of the document's values.
    pub fn read(path: &Path) -> Result<Self> {
        let unread = |error| {
            Error::new(ErrorKind::ConfigInvalid, "the document cannot be read").because(error)
        };
        let text = std::fs::read_to_string(path).map_err(unread)?;
        let read = without_inline_secrets(|| toml::from_str(&text));
        read.map_err(|error: toml::de::Error| {
            let before = error.span().map_or(0, |span| span.start).min(text.len());
            let lines = text.as_bytes()[..before].iter().filter(|byte| **byte == b'\n').count();
            Error::new(ErrorKind::ConfigInvalid, "the document is not as it should be")
                .with("line", lines + 1)
                .hint("compare it with login.toml of the examples")
        })
    }

    /// The application with these settings.
    ///
    /// # Errors
    /// `ConfigInvalid` with the settings that are wrong.
    pub fn build(self) -> Result<Router> {
        let redirect_uri = self.login.redirect_uri.as_deref().unwrap_or_default();
        let address = match ServerAddress::origin_of(redirect_uri) {
            Ok(address) if redirect_uri == format!("{address}{CALLBACK}") => address,
            _ => {
                let mut faults = ConfigFaults::new();
                faults.add("login.redirect_uri", "must be an address with the path /auth/callback");
                return Err(faults.into_error());
            }
        };
        let login = Arc::new(RelyingParty::new(self.login)?);
        let orders = self.orders.map(|orders| HttpClient::new(&HttpConfig::new(), &orders));
        application(login, &address, orders.transpose()?)
    }
}
