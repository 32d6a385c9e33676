//! What the application needs besides itself, in the process: a provider with two people, and a
//! service that knows their orders. It shows a login where nothing is installed.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use pipe_core::identity::{Role, TokenExpectation};
use pipe_core::{IdentityPlugin, Result, SecretSource, SecurityContext};
use pipe_identity_oidc::{
    ClaimMapping, ClaimPointer, ClientAuthentication, GroupGrant, IssuerConfig, LoginClient, Oidc,
    OidcConfig, RelyingPartyConfig,
};
use pipe_testkit::issuer::{AUDIENCE, Client, Person, TestIssuer};
use pipe_tower::AuthenticateLayer;
use serde_json::json;

use super::{BACK_CHANNEL, CALLBACK, pages};

const CLIENT: &str = "login-example";
const CLIENT_SECRET: &str = "of-no-use-anywhere-else-0123456789";

/// Registers the application at this address with the provider, and the people who log in there with
/// any password: alice and bob.
///
/// # Errors
/// Never: the names of roles are sound.
pub fn relying_party(issuer: &TestIssuer, address: &str) -> Result<RelyingPartyConfig> {
    let client = Client::confidential(CLIENT, CLIENT_SECRET)
        .redirect_uri(format!("{address}{CALLBACK}"))
        .post_logout_redirect_uri(format!("{address}/"))
        .backchannel_logout_uri(format!("{address}{BACK_CHANNEL}"));
    issuer.add_client(client);
    issuer.add_person(&Person::new("alice").name("Alice Ashby").groups(["editors", "oncall"]));
    issuer.add_person(&Person::new("bob").name("Bob Birch").groups(["auditors"]));
    let secret = SecretSource::Value(CLIENT_SECRET.into());
    let client = LoginClient::new(CLIENT, ClientAuthentication::client_secret_basic(secret));
    let config = RelyingPartyConfig::new(trusted(issuer)?, client, format!("{address}{CALLBACK}"));
    Ok(config
        .with_post_logout_redirect_uri(format!("{address}/"))
        .with_scopes(["offline_access", "email", "profile", "groups"])
        .with_audience(AUDIENCE)
        .with_clock(issuer.clock().shared()))
}

/// The service that knows orders. It lets in who has a token of the provider that is meant for it.
///
/// # Errors
/// Never: the settings are sound.
pub fn orders(issuer: &TestIssuer) -> Result<Router> {
    let config =
        OidcConfig::new().with_issuer(trusted(issuer)?).with_clock(issuer.clock().shared());
    Ok(orders_service(Oidc::new(config)?))
}

/// The same with this plugin, for tokens with the audience [`AUDIENCE`].
pub fn orders_service(identity: impl IdentityPlugin) -> Router {
    let authenticate = AuthenticateLayer::new(identity, TokenExpectation::audience(AUDIENCE));
    Router::new().route("/orders", get(orders_of)).route_layer(authenticate)
}

async fn orders_of(Extension(caller): Extension<Arc<SecurityContext>>) -> Response {
    let customer = caller.principal.id.as_str();
    let roles: Vec<_> = caller.roles.iter().map(|role| role.as_str()).collect();
    let body = json!({ "customer": customer, "roles": roles, "orders": ["a lamp", "two chairs"] });
    pages::json(StatusCode::OK, &body)
}

/// Its groups are what this application calls roles.
fn trusted(issuer: &TestIssuer) -> Result<IssuerConfig> {
    let claims = ClaimMapping::new()
        .with_groups(ClaimPointer::claim("groups"))
        .with_grant(GroupGrant::new("editors").with_role(Role::new("editor")?))
        .with_grant(GroupGrant::new("auditors").with_role(Role::new("auditor")?));
    Ok(IssuerConfig::new(issuer.url()).with_claims(claims))
}

/// Lets the provider's clock run, which stands still for tests. Never returns.
pub async fn run_clock(issuer: &TestIssuer) {
    let second = Duration::from_secs(1);
    let mut ticks = tokio::time::interval(second);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        issuer.clock().forward(second);
    }
}
