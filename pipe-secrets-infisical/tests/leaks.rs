//! Neither our own credentials nor stored values are seen anywhere, not even when a hostile server
//! repeats them (REQ 004-72.7, 004-82.4, 004-85.1, 004-85.2).

use std::time::Duration;

use pipe_core::secrets::{ListQuery, SecretVersion};
use pipe_core::{Plugin, SecretData, SecretRef, SecretSource, SecretsPlugin};
use pipe_http::HttpConfig;
use pipe_secrets_infisical::{Auth, Infisical, InfisicalConfig, JwtAuth, UniversalAuth};
use pipe_testkit::fake::{
    self, InfisicalFault, InfisicalIdentity, InfisicalRelease, InfisicalRights,
};
use pipe_testkit::leak::Canary;

async fn drive(server: &fake::Infisical, canary: &Canary, auth: Auth) {
    canary.look_at_debug("the auth", &auth);
    let http = HttpConfig::new().with_timeout(Duration::from_secs(5));
    let config = InfisicalConfig::new(server.address(), server.project(), auth).with_http(http);
    canary.look_at_debug("the config", &config);
    let secret = SecretRef::new("apps/db").expect("legal");
    let statuses = [200, 304, 400, 401, 403, 404, 409, 422, 429, 500, 503];
    let echoes = statuses.map(|code| Some(InfisicalFault::EchoSecrets(code)));
    let others = [None, Some(InfisicalFault::WrongShape200), Some(InfisicalFault::ResetMidBody)];
    for fault in others.into_iter().chain(echoes) {
        server.clear_faults();
        // A plugin of its own for each fault: a failed login is not repeated at once, and its
        // credentials would then not be sent at all.
        let plugin = Infisical::new(config.clone()).expect("the settings are sound");
        if let Some(fault) = fault {
            server.inject(fault, "", usize::MAX);
        }
        let data = SecretData::new().with("password", canary.value());
        canary.look_at_result("create_secret", &plugin.create_secret(&secret, data).await);
        canary.look_at_result("get_secret", &plugin.get_secret(&secret).await);
        canary.look_at_result("list_secrets", &plugin.list_secrets(&ListQuery::new()).await);
        let version = plugin.read_version(&secret, "password", SecretVersion::new(1)).await;
        canary.look_at_result("read_version", &version);
        match plugin.watch_secret(&secret).await {
            Ok(mut stream) => {
                canary.look_at_result("the first state", &stream.next().await.expect("a state"));
            }
            Err(error) => canary.look_at_result::<()>("watch_secret", &Err(error)),
        }
        canary.look_at_result("delete_secret", &plugin.delete_secret(&secret).await);
        canary.look_at_debug("health", &plugin.health().await);
        canary.look_at_debug("the plugin", &plugin);
        canary.look_at_result("close", &plugin.close().await);
    }
    canary.assert_unseen();
}

fn value(text: &str) -> SecretSource {
    SecretSource::Value(text.into())
}

async fn server() -> fake::Infisical {
    fake::Infisical::start(InfisicalRelease::June2025).await
}

fn everything() -> InfisicalIdentity {
    InfisicalIdentity::new(InfisicalRights::All)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_secret_is_not_shown() {
    let server = server().await;
    let (id, secret) = server.create_identity(everything());
    let canary = Canary::of(&secret);
    drive(&server, &canary, UniversalAuth::new(id, value(&secret)).into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_not_shown() {
    let server = server().await;
    let (id, _) = server.create_identity(everything());
    let token = server.create_token(&id);
    drive(&server, &Canary::of(&token), Auth::token(value(&token))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_a_line_break_is_not_shown() {
    let canary = Canary::new();
    let token = format!("{0}\n{0}", canary.value());
    drive(&server().await, &canary, Auth::token(value(&token))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jwt_is_not_shown() {
    let server = server().await;
    let canary = Canary::new();
    let id = server.create_jwt_identity(canary.value(), everything());
    drive(&server, &canary, Auth::Jwt(JwtAuth::new(id, value(canary.value())))).await;
}

/// The server repeats values that it holds, which we never sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_stored_value_is_not_shown() {
    let server = server().await;
    let canary = Canary::new();
    server.write("dev", "/apps/db", "theirs", canary.value());
    let (id, secret) = server.create_identity(everything());
    drive(&server, &canary, UniversalAuth::new(id, value(&secret)).into()).await;
}
