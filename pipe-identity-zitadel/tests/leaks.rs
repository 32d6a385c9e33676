//! Neither keys, secrets and tokens nor claims are seen anywhere, not even when a hostile server repeats them
//! (REQ 004-72.7, 004-82.4, 004-85.1).

use std::time::Duration;

use pipe_core::identity::{AuthMethod, BearerToken, Permission, RolePolicy, ServiceAuthRequest};
use pipe_core::{IdentityPlugin, Plugin, SecretSource};
use pipe_http::HttpConfig;
use pipe_identity_zitadel::{ApiClient, PermissionScope, ServiceUser, Zitadel, ZitadelConfig};
use pipe_testkit::fake;
use pipe_testkit::issuer::Fault;
use pipe_testkit::leak::Canary;

async fn drive(server: &fake::Zitadel, canary: &Canary, service: ServiceUser, client: ApiClient) {
    let http = HttpConfig::new().with_timeout(Duration::from_secs(2));
    let config = ZitadelConfig::new(server.url(), server.project())
        .with_service(service)
        .with_service_name("bot")
        .with_introspection(client)
        .with_http(http);
    canary.look_at_debug("the config", &config);
    let echo = format!(
        r#"{{"error":"{0}","error_description":"{0}","code":"{0}","message":"{0} ({0})","access_token":["{0}"],"active":"{0}","authorizations":"{0}"}}"#,
        canary.value()
    );
    let statuses = [200, 400, 401, 403, 404, 409, 429, 500, 503];
    let echoes = statuses.map(|status| Some(Fault::Status(status, echo.clone())));
    for fault in [None, Some(Fault::Html500)].into_iter().chain(echoes) {
        let plugin = match Zitadel::new(config.clone()) {
            Ok(plugin) => plugin,
            Err(error) => {
                canary.look_at_result::<()>("new", &Err(error));
                continue;
            }
        };
        server.heal();
        if let Some(fault) = fault {
            server.fail("/oauth/v2/token", fault.clone());
            server.fail("/oauth/v2/introspect", fault.clone());
            server.fail("/zitadel.authorization.v2.AuthorizationService/ListAuthorizations", fault);
        }
        let request = ServiceAuthRequest::new("bot", AuthMethod::OAuth2);
        let credentials = plugin.authenticate_service(&request).await;
        canary.look_at_result("authenticate_service", &credentials);
        let token = BearerToken::new(canary.value());
        let expect = plugin.expectation();
        canary.look_at_result("validate_token", &plugin.validate_token(&token, &expect).await);
        canary.look_at_result("verify_token", &plugin.verify_token(&token, &expect).await);
        let scope = PermissionScope::new().in_organization("1");
        let permission = Permission::new("bots:read").expect("legal");
        let policy = RolePolicy::governance();
        let checked = plugin.check_permission("1", &permission, &scope, &policy).await;
        canary.look_at_result("check_permission", &checked);
        canary.look_at_result("read_user", &plugin.read_user("1").await);
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
async fn a_client_secret_is_not_shown() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    let canary = Canary::of(&bot.client_secret);
    let service = ServiceUser::client_credentials("bot", value(&bot.client_secret));
    let client = ApiClient::secret("x", value(&bot.client_secret));
    drive(&server, &canary, service, client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_personal_token_is_not_shown() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    let (id, secret) = server.api_client();
    let client = ApiClient::secret(id, value(&secret));
    let canary = Canary::of(&bot.token);
    drive(&server, &canary, ServiceUser::token(value(&bot.token)), client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_is_none_is_not_shown() {
    let server = fake::Zitadel::start().await;
    let canary = Canary::new();
    let file = format!(
        r#"{{"type":"serviceaccount","keyId":"1","key":"{0}","userId":"1"}}"#,
        canary.value()
    );
    let client = ApiClient::secret("x", value(canary.value()));
    drive(&server, &canary, ServiceUser::key_file(value(&file)), client).await;
}
