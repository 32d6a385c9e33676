//! Our own credentials are seen nowhere either, not even when a hostile server repeats them
//! (REQ 004-72.7, 004-82.4, 004-85.1, 004-85.2). The secrets themselves are the suite's business.

use std::time::Duration;

use pipe_core::{Plugin, SecretData, SecretRef, SecretSource, SecretsPlugin};
use pipe_http::HttpConfig;
use pipe_secrets_openbao::{
    AppRoleAuth, Auth, JwtAuth, KubernetesAuth, OpenBao, OpenBaoConfig, UserpassAuth,
};
use pipe_testkit::fake::{self, Fault};
use pipe_testkit::leak::Canary;

async fn drive(server: &fake::OpenBao, canary: &Canary, auth: Auth) {
    canary.look_at_debug("the auth", &auth);
    let http = HttpConfig::new().with_timeout(Duration::from_secs(2));
    let config = OpenBaoConfig::new(server.address(), auth).with_http(http);
    canary.look_at_debug("the config", &config);
    let secret = SecretRef::new("apps/db").expect("legal");
    let faults = [
        None,
        Some(Fault::EchoSecrets(400)),
        Some(Fault::EchoSecrets(403)),
        Some(Fault::EchoSecrets(404)),
        Some(Fault::EchoSecrets(500)),
        Some(Fault::EchoSecrets(503)),
        Some(Fault::WrongShape200),
        Some(Fault::Reset),
    ];
    for fault in faults {
        server.clear_faults();
        // A plugin of its own for each fault: a failed login is not repeated within a second, and
        // its credentials would then not be sent at all.
        let plugin = OpenBao::new(config.clone()).expect("the settings are sound");
        if let Some(fault) = fault.clone() {
            server.inject(fault, "", usize::MAX);
        }
        let data = SecretData::new().with("password", canary.value());
        canary.look_at_result("create_secret", &plugin.create_secret(&secret, data).await);
        canary.look_at_result("get_secret", &plugin.get_secret(&secret).await);
        canary.look_at_result("read_secret", &plugin.read_secret("secret/data/apps/db").await);
        let leases = plugin.leases();
        canary.look_at_result("open", &leases.open("database/creds/app").await);
        canary.look_at_result("renew", &leases.renew("a/b", Duration::from_secs(60)).await);
        canary.look_at_result("lookup", &leases.lookup("a/b").await);
        canary.look_at_result("revoke", &leases.revoke("a/b").await);
        canary.look_at_debug("the leases", &leases);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_not_shown() {
    let server = fake::OpenBao::start().await;
    let canary = Canary::new();
    drive(&server, &canary, Auth::token(value(canary.value()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_works_is_not_shown() {
    let server = fake::OpenBao::start().await;
    // The fake's own tokens are as secret as a canary.
    let canary = Canary::of(&server.root_token());
    drive(&server, &canary, Auth::token(value(&server.root_token()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn role_and_secret_ids_are_not_shown() {
    let server = fake::OpenBao::start().await;
    let canary = Canary::new();
    let auth = || AppRoleAuth::new(value(canary.value()), value(canary.value()));
    drive(&server, &canary, auth().into()).await;
    drive(&server, &canary, auth().with_wrapped_secret_id().into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_token_is_not_shown() {
    let server = fake::OpenBao::start().await;
    let canary = Canary::new();
    let file = std::env::temp_dir().join(format!("pipe-leaks-{}", std::process::id()));
    std::fs::write(&file, canary.value()).unwrap();
    drive(&server, &canary, KubernetesAuth::new("bots").with_token_file(&file).into()).await;
    let audience = KubernetesAuth::new("bots").with_token_file(&file).with_audience("openbao");
    drive(&server, &canary, audience.into()).await;
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jwt_and_a_password_are_not_shown() {
    let server = fake::OpenBao::start().await;
    let canary = Canary::new();
    drive(&server, &canary, JwtAuth::new("bots", value(canary.value())).into()).await;
    drive(&server, &canary, UserpassAuth::new("bot", value(canary.value())).into()).await;
}

/// A token's file with a line break in its middle made vaultrs panic.
#[tokio::test]
async fn a_broken_token_is_not_shown() {
    let server = fake::OpenBao::start().await;
    let canary = Canary::new();
    let broken = format!("{0}\n{0}", canary.value());
    drive(&server, &canary, Auth::token(value(&broken))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leased_credentials_are_not_shown() {
    let server = fake::OpenBao::start().await;
    let canary = Canary::new();
    let body = format!(
        r#"{{"request_id":"x","lease_id":"database/creds/app/1","renewable":true,"lease_duration":60,
        "data":{{"password":"{}"}},"warnings":null,"auth":null,"wrap_info":null}}"#,
        canary.value()
    );
    let leased = Fault::Status { code: 200, body, headers: Vec::new() };
    server.inject(leased, "database/", usize::MAX);
    let auth = Auth::token(value(&server.root_token()));
    let plugin = OpenBao::new(OpenBaoConfig::new(server.address(), auth)).expect("sound");
    let secret = plugin.leases().open("database/creds/app").await.expect("the answer is leased");
    let mut events = secret.events();
    canary.look_at_debug("the lease", &secret);
    canary.look_at_debug("the events", &events);
    canary.look_at_debug("the credentials", &secret.current().expect("valid"));
    // The fake knows no such lease, so others are obtained.
    secret.suspect();
    let event = tokio::time::timeout(Duration::from_secs(5), events.next()).await;
    canary.look_at_debug("the event", &event);
    canary.look_at_result("close", &secret.close().await);
    canary.look_at_result("current of a closed one", &secret.current());
    canary.assert_unseen();
}
