//! People who log in, at a provider in the process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod crowds;
mod devices;
mod faults;
mod groups;
mod secrets;
mod settings;
mod shared_store;
mod two_providers;

use std::sync::Arc;
use std::time::Duration;

use pipe_core::SecretSource;
use pipe_core::identity::{
    LoggedIn, LoginCallback, LoginRequest, MemorySessions, SessionStore, UserLogin as _,
};
use pipe_identity_oidc::{
    ClientAuthentication, IssuerConfig, LoginClient, RelyingParty, RelyingPartyConfig,
};
use pipe_testkit::issuer::{AUDIENCE, Client, Person, TestIssuer};

const CLIENT: &str = "shop";
const SECRET: &str = "shop-secret:0123456789";
const REDIRECT_URI: &str = "https://shop.example/auth/callback";

/// A provider with a client for people.
async fn provider() -> TestIssuer {
    let issuer = TestIssuer::start().await;
    issuer.add_client(Client::confidential(CLIENT, SECRET).redirect_uri(REDIRECT_URI).device());
    issuer
}

fn client() -> LoginClient {
    let secret = SecretSource::Value(SECRET.into());
    LoginClient::new(CLIENT, ClientAuthentication::client_secret_basic(secret))
}

fn config(issuer: &TestIssuer) -> RelyingPartyConfig {
    RelyingPartyConfig::new(IssuerConfig::new(issuer.url()), client(), REDIRECT_URI)
        .with_scope("offline_access")
        .with_audience(AUDIENCE)
        .with_clock(issuer.clock().shared())
}

fn login(config: RelyingPartyConfig) -> RelyingParty {
    RelyingParty::new(config).unwrap()
}

fn store() -> Arc<dyn SessionStore> {
    Arc::new(MemorySessions::new())
}

/// What the browser of this person brings back.
async fn begin(login: &RelyingParty, issuer: &TestIssuer, person: &Person) -> LoginCallback {
    let start = login.begin_login(&LoginRequest::new()).await.unwrap();
    let callback = issuer.authorize(&start.location, person);
    let (_, query) = callback.split_once('?').unwrap();
    LoginCallback::new(query).with_browser(start.browser)
}

async fn log_in(login: &RelyingParty, issuer: &TestIssuer, person: &Person) -> LoggedIn {
    let callback = begin(login, issuer, person).await;
    login.finish_login(&callback).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// Sets all clocks forward.
async fn forward(issuer: &TestIssuer, by: Duration) {
    issuer.clock().forward(by);
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}
