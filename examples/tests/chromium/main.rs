//! The application in a real browser, with the certified provider of `live/oidc-provider`. Where either
//! is not installed, the test says so and is skipped; with `PIPE_TESTKIT_REQUIRE=1` that is a failure.
//! `live/README.md` says how to install them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

// The provider is started as the live suite of OpenID Connect starts it.
#[allow(dead_code, reason = "the suite that has it uses more of it")]
#[path = "../../../pipe-identity-oidc/tests/live/admin.rs"]
mod admin;
#[allow(dead_code, reason = "the suite that has it uses more of it")]
#[path = "../../../pipe-identity-oidc/tests/live/credentials.rs"]
mod credentials;
mod devtools;
mod page;
#[allow(dead_code, reason = "the suite that has it uses more of it")]
#[path = "../../../pipe-identity-oidc/tests/live/process.rs"]
mod process;
#[allow(dead_code, reason = "the suite that has it uses more of it")]
#[path = "../../../pipe-identity-oidc/tests/live/server.rs"]
mod server;
#[allow(dead_code, reason = "the suite that has it uses more of it")]
#[path = "../../../pipe-identity-oidc/tests/live/web.rs"]
mod web;

use std::path::Path;

use axum::Router;
use pipe_core::SecretSource;
use pipe_core::identity::Role;
use pipe_examples::login::{LoginSettings, demo};
use pipe_http::ServerAddress;
use pipe_identity_oidc::{
    ClaimMapping, ClaimPointer, ClientAuthentication, GroupGrant, IssuerConfig, LoginClient, Oidc,
    OidcConfig, RelyingPartyConfig,
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::devtools::DevTools;
use crate::page::Page;
use crate::server::{Options, RS256, Server};

const AUDIENCE: &str = RS256;
/// The screenshot in the documentation is to be small.
const LARGEST_SCREENSHOT: usize = 60 << 10;

/// REQ 002-24 to 002-32
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_logs_in_and_out_with_a_browser() {
    let Some(devtools) = DevTools::start() else { return };
    let (listener, address) = listen().await;
    let options = Options {
        redirect_uri: format!("{address}/auth/callback"),
        post_logout_uri: Some(format!("{address}/")),
        ..Options::default()
    };
    let Some(provider) = Server::start_with(options).await else { return };
    let (orders_listener, orders_address) = listen().await;
    let identity = Oidc::new(OidcConfig::new().with_issuer(issuer(&provider))).unwrap();
    serve(orders_listener, demo::orders_service(identity));
    let settings = LoginSettings::new(relying_party(&provider, &address))
        .with_orders(ServerAddress::origin_of(&orders_address).unwrap());
    serve(listener, settings.build().unwrap());
    let browse = move || browse(Page::open(devtools), &address);
    tokio::task::spawn_blocking(browse).await.unwrap_or_else(|_| panic!("{}", provider.log()));
}

fn browse(mut page: Page, address: &str) {
    page.go(&format!("{address}/"));
    page.click("#login");
    page.fill("input[name=login]", "alice");
    page.fill("input[name=password]", "any");
    page.click("button[type=submit]");
    page.wait_for("input[name=prompt][value=consent]");
    page.click("button[type=submit]");

    page.wait_for("#subject");
    assert_eq!(page.location(), format!("{address}/profile"));
    let shows = |page: &mut Page| {
        assert_eq!(page.text("#subject"), "alice");
        assert_eq!(page.text("#roles"), "editor");
        assert_eq!(page.text("#groups"), "bni-editors, platform-admins");
    };
    shows(&mut page);
    // The style sheet is in force, in spite of the policy for content.
    assert_eq!(page.style("main", "max-width"), "640px");
    let picture = page.screenshot();
    assert!(picture.starts_with(b"\x89PNG") && picture.len() < LARGEST_SCREENSHOT);
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("login.png"), picture).unwrap();

    let kept = page.cookies(address);
    let (names, flags): (Vec<_>, Vec<_>) = kept.iter().map(|(name, flag)| (&**name, flag)).unzip();
    assert!(names.contains(&"session") && names.contains(&"login"), "{names:?}");
    assert!(flags.iter().all(|flag| **flag == json!([true, "Lax"])), "{flags:?}");
    assert_eq!(page.evaluate("document.cookie"), "");

    page.reload();
    page.wait_for("#subject");
    shows(&mut page);
    page.go(&format!("{address}/api/orders"));
    assert!(page.text("body").contains("\"customer\":\"alice\""));

    page.go(&format!("{address}/profile"));
    page.click("#logout");
    page.click("button[name=logout]");
    page.wait_for("#login");
    assert_eq!(page.location(), format!("{address}/"));
    assert!(page.cookies(address).iter().all(|(name, _)| name != "session"));
    // The session ended at the provider too: it asks again.
    page.go(&format!("{address}/profile"));
    page.wait_for("input[name=password]");
}

fn issuer(provider: &Server) -> IssuerConfig {
    let claims = ClaimMapping::new()
        .with_groups(ClaimPointer::claim("groups"))
        .with_grant(GroupGrant::new("bni-editors").with_role(Role::new("editor").unwrap()));
    IssuerConfig::new(provider.issuer()).with_claims(claims)
}

fn relying_party(provider: &Server, address: &str) -> RelyingPartyConfig {
    let secret = SecretSource::Value(provider.secret("web").into());
    let client = LoginClient::new("web", ClientAuthentication::client_secret_basic(secret));
    RelyingPartyConfig::new(issuer(provider), client, format!("{address}/auth/callback"))
        .with_post_logout_redirect_uri(format!("{address}/"))
        .with_scopes(["offline_access", "email", "profile", "groups"])
        .with_audience(AUDIENCE)
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

fn serve(listener: TcpListener, router: Router) {
    tokio::spawn(async { axum::serve(listener, router).await });
}
