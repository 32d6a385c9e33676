//! Against a real instance, which `ZITADEL_ISSUER`, `ZITADEL_KEY_FILE`, `ZITADEL_PROJECT_ID`, `ZITADEL_API_CLIENT_ID` and
//! `ZITADEL_API_CLIENT_SECRET` name. Where they are not set, every test says so and is skipped; with
//! `PIPE_TESTKIT_REQUIRE=1` that is a failure.
//!
//! All endpoints come from discovery, so that any server with Zitadel's OpenID library will do for what
//! is not about Zitadel's own claims.

use pipe_core::identity::{AuthMethod, BearerToken, Credential, ServiceAuthRequest};
use pipe_core::{ErrorKind, IdentityPlugin, SecretSource};
use pipe_identity_zitadel::{ApiClient, ServiceUser, Zitadel, ZitadelConfig};

struct Instance {
    config: ZitadelConfig,
    user: String,
}

fn instance(test: &str) -> Option<Instance> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let found = || {
        let file = variable("ZITADEL_KEY_FILE")?;
        let key = std::fs::read_to_string(&file).expect("the key file can be read");
        let key: serde_json::Value = serde_json::from_str(&key).expect("the key file is JSON");
        let user = key["userId"].as_str().expect("it is that of a service user").to_owned();
        let secret = SecretSource::env("ZITADEL_API_CLIENT_SECRET");
        variable("ZITADEL_API_CLIENT_SECRET")?;
        let client = ApiClient::secret(variable("ZITADEL_API_CLIENT_ID")?, secret);
        let issuer = variable("ZITADEL_ISSUER")?;
        let config = ZitadelConfig::new(issuer, variable("ZITADEL_PROJECT_ID")?)
            .with_service(ServiceUser::key_file(SecretSource::file(file)))
            .with_introspection(client);
        Some(Instance { config, user })
    };
    let found = found();
    if found.is_none() {
        let required = std::env::var_os("PIPE_TESTKIT_REQUIRE").is_some_and(|value| value == "1");
        assert!(!required, "{test}: an instance is required, and absent");
        eprintln!("SKIPPED {test}: ZITADEL_ISSUER and its kin are not set");
    }
    found
}

async fn obtain(plugin: &Zitadel, user: &str) -> BearerToken {
    let request = ServiceAuthRequest::new(user, AuthMethod::Jwt);
    let credentials = plugin.authenticate_service(&request).await.expect("it may log in");
    let Credential::Bearer(token) = &credentials.credential else { panic!("it is a token") };
    BearerToken::new(token.expose())
}

#[tokio::test]
async fn a_service_user_logs_in_and_its_token_is_taken() {
    let Some(Instance { config, user }) = instance("a_service_user_logs_in") else { return };
    let plugin = Zitadel::new(config).unwrap();
    let token = obtain(&plugin, &user).await;
    let context = plugin.validate_token(&token, &plugin.expectation()).await.unwrap();
    assert_eq!(context.principal.id.as_str(), user);
}

#[tokio::test]
async fn garbage_is_not_active() {
    let Some(Instance { config, .. }) = instance("garbage_is_not_active") else { return };
    let plugin = Zitadel::new(config).unwrap();
    for text in ["garbage", "a.b.c.d.e"] {
        let token = BearerToken::new(text);
        let error = plugin.validate_token(&token, &plugin.expectation()).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TokenRejected(_)), "{error:#}");
    }
}

#[tokio::test]
async fn a_client_that_is_refused_is_our_fault() {
    let Some(Instance { config, user }) = instance("a_client_that_is_refused") else { return };
    let plugin = Zitadel::new(config.clone()).unwrap();
    let token = obtain(&plugin, &user).await;
    if token.expose().iter().filter(|byte| **byte == b'.').count() == 2 {
        // It is verified here, and nobody asked.
        return;
    }
    let wrong = ApiClient::secret("nobody", SecretSource::Value("wrong".into()));
    let plugin = Zitadel::new(config.with_introspection(wrong)).unwrap();
    let error = plugin.validate_token(&token, &plugin.expectation()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:#}");
}
