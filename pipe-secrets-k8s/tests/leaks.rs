//! Neither our own credentials nor stored values are seen anywhere, not even when a hostile server
//! repeats them (REQ 004-72.7, 004-82.4, 004-85.1, 004-85.2).

use std::time::Duration;

use pipe_core::identity::{BearerToken, TokenExpectation};
use pipe_core::secrets::ListQuery;
use pipe_core::{IdentityPlugin, Plugin, SecretData, SecretRef, SecretSource, SecretsPlugin};
use pipe_http::HttpConfig;
use pipe_secrets_k8s::{
    Connection, Kubernetes, KubernetesConfig, KubernetesIdentity, SecretOptions,
    ServiceAccountTokenRequest,
};
use pipe_testkit::fake::{self, ApiFault};
use pipe_testkit::leak::Canary;

async fn drive(server: &fake::Kubernetes, canary: &Canary, token: &str) {
    let http = HttpConfig::new().with_timeout(Duration::from_secs(5));
    let connection = Connection::cluster(server.address(), SecretSource::Value(token.into()));
    let config = KubernetesConfig::new(connection).with_namespace("default").with_http(http);
    canary.look_at_debug("the config", &config);
    let plugin = Kubernetes::new(config.clone()).expect("the settings are sound");
    let identity = KubernetesIdentity::new(config).expect("the settings are sound");
    let secret = SecretRef::new("apps/db").expect("legal");
    let data = || SecretData::new().with("password", canary.value());
    let faults = [200, 400, 401, 403, 404, 409, 410, 418, 422, 429, 500, 503, 504]
        .map(|code| Some(ApiFault::EchoSecrets(code)));
    let others = [None, Some(ApiFault::WrongShape200), Some(ApiFault::ResetMidBody)];
    for fault in others.into_iter().chain(faults) {
        server.clear_faults();
        if let Some(fault) = fault {
            server.inject(fault, "", usize::MAX);
        }
        let options = SecretOptions::new();
        canary.look_at_result("create_secret", &plugin.create_secret(&secret, data()).await);
        let only = plugin.create_secret_only(&secret, data(), &options).await;
        canary.look_at_result("create_secret_only", &only);
        canary.look_at_result("get_secret", &plugin.get_secret(&secret).await);
        canary.look_at_result("list_secrets", &plugin.list_secrets(&ListQuery::new()).await);
        match plugin.watch_secret(&secret).await {
            Ok(mut stream) => {
                canary.look_at_result("the first state", &stream.next().await.expect("a state"));
            }
            Err(error) => canary.look_at_result::<()>("watch_secret", &Err(error)),
        }
        let request = ServiceAccountTokenRequest::new("default", "somebody");
        let minted = plugin.service_account_token(&request).await;
        canary.look_at_result("service_account_token", &minted);
        let presented = BearerToken::new(canary.value());
        let expect = TokenExpectation::audience("somebody");
        let reviewed = identity.validate_token(&presented, &expect).await;
        canary.look_at_result("validate_token", &reviewed);
        canary.look_at_debug("access", &plugin.check_access(None).await.is_ok());
        canary.look_at_debug("health", &plugin.health().await);
        canary.look_at_debug("health of the identity", &identity.health().await);
        canary.look_at_debug("the plugin", &plugin);
        canary.look_at_debug("the identity plugin", &identity);
        canary.look_at_result("delete_secret", &plugin.delete_secret(&secret).await);
        canary.look_at_result("close", &plugin.close().await);
    }
    canary.assert_unseen();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_is_not_shown() {
    let server = fake::Kubernetes::start().await;
    let canary = Canary::new();
    drive(&server, &canary, canary.value()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_works_is_not_shown() {
    let server = fake::Kubernetes::start().await;
    let token = server.admin_token();
    let canary = Canary::of(&token);
    drive(&server, &canary, &token).await;
}

/// The server repeats values that it holds, which we never sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_stored_value_is_not_shown() {
    let server = fake::Kubernetes::start().await;
    let canary = Canary::new();
    let name = Kubernetes::object_name(&SecretRef::new("apps/db").expect("legal"));
    server.write("default", &name, &[("theirs", canary.value().as_bytes())], "hand");
    drive(&server, &canary, &server.admin_token()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_a_line_break_is_not_shown() {
    let server = fake::Kubernetes::start().await;
    let canary = Canary::new();
    drive(&server, &canary, &format!("{0}\n{0}", canary.value())).await;
}
