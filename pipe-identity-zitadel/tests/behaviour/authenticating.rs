//! Obtaining credentials.

use std::time::Duration;

use pipe_core::identity::{AuthMethod, Credential, ServiceAuthRequest};
use pipe_core::{ErrorKind, IdentityPlugin};
use pipe_identity_zitadel::{ApiClient, ServiceUser, Zitadel, ZitadelConfig, ZitadelScopes};
use pipe_testkit::fake;
use pipe_testkit::issuer::Fault;

use crate::setup::{api_client, config, key_file, plugin, value};

const TOKEN: &str = "/oauth/v2/token";

fn ask(service: &str, method: AuthMethod) -> ServiceAuthRequest {
    ServiceAuthRequest::new(service, method)
}

#[tokio::test]
async fn a_service_user_logs_in_with_its_key_file_and_its_token_works() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    let config = config(&server).with_service(key_file(&bot));
    let plugin = plugin(config.with_introspection(api_client(&server)));
    for method in [AuthMethod::Jwt, AuthMethod::OAuth2] {
        let credentials = plugin.authenticate_service(&ask(&bot.id, method)).await.unwrap();
        let Credential::Bearer(token) = &credentials.credential else { panic!("it is a token") };
        // Twelve hours, less a second.
        let life = credentials.expires_at.duration_since(server.clock().now()).unwrap();
        assert!(life > Duration::from_secs(43_000), "{life:?}");
        let context = plugin.validate_token(token, &plugin.expectation()).await.unwrap();
        assert_eq!(context.principal.id.as_str(), bot.id);
        assert_eq!(context.principal.kind, pipe_core::identity::PrincipalKind::Service);
    }
}

/// The server takes nothing from more than a second ahead of its own clock.
#[tokio::test]
async fn a_server_that_is_behind_takes_our_assertion() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    let ours = server.clock().now();
    let clock = pipe_core::Clock::new(move || ours);
    server.clock().back(Duration::from_secs(4));
    let plugin = plugin(config(&server).with_service(key_file(&bot)).with_clock(clock));
    plugin.authenticate_service(&ask(&bot.id, AuthMethod::Jwt)).await.unwrap();
}

/// Others take `expires_in` for a time of day, and ask for a token each time; or keep one for 59 minutes,
/// whatever the server says.
#[tokio::test]
async fn a_token_is_kept_as_long_as_it_lives() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    let plugin = plugin(config(&server).with_service(key_file(&bot)));
    for _ in 0..100 {
        plugin.authenticate_service(&ask(&bot.id, AuthMethod::Jwt)).await.unwrap();
    }
    assert_eq!(server.hits(TOKEN), 1);
}

#[tokio::test]
async fn names_and_secrets_with_odd_characters_are_encoded() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot+1%2F@acme.example");
    assert!(bot.client_secret.contains(['+', '/', '%', ':']));
    let service = ServiceUser::client_credentials(&bot.username, value(&bot.client_secret));
    let plugin = plugin(config(&server).with_service(service));
    let request = ask(&bot.username, AuthMethod::OAuth2);
    plugin.authenticate_service(&request).await.unwrap();
    let refused = plugin.authenticate_service(&ask(&bot.username, AuthMethod::Jwt)).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_personal_token_is_given_as_it_is() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    let plugin = plugin(config(&server).with_service(ServiceUser::token(value(&bot.token))));
    let credentials = plugin.authenticate_service(&ask("any", AuthMethod::OAuth2)).await.unwrap();
    let Credential::Bearer(token) = &credentials.credential else { panic!("it is a token") };
    assert_eq!(token.expose_str(), Some(bot.token.as_str()));
    let scoped = ask("any", AuthMethod::OAuth2).with_scope("openid");
    let error = plugin.authenticate_service(&scoped).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(server.hits(TOKEN), 0);
}

/// The server answers 500 to it, and says nothing.
#[tokio::test]
async fn an_applications_key_is_refused_with_the_explanation() {
    let server = fake::Zitadel::start().await;
    let wrong = ServiceUser::key_file(value(server.api_key_file()));
    let error = Zitadel::new(config(&server).with_service(wrong)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    let shown = format!("{error:#} {}", error.context("service").unwrap_or_default());
    assert!(shown.contains("application"), "{shown}");
    let bot = server.create_machine("bot");
    let wrong = ApiClient::key_file(value(&bot.key_file));
    let error = Zitadel::new(config(&server).with_introspection(wrong)).unwrap_err();
    let shown = format!("{error:#} {}", error.context("introspection").unwrap_or_default());
    assert!(shown.contains("service user"), "{shown}");
}

/// What is not held is dropped in silence, and the token is issued all the same.
#[tokio::test]
async fn a_scope_that_was_not_granted_is_an_error() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    let plugin = plugin(config(&server).with_service(key_file(&bot)));
    let own = ZitadelScopes::new().with_organization(&server.organization());
    let request = own.iter().fold(ask(&bot.id, AuthMethod::Jwt), ServiceAuthRequest::with_scope);
    plugin.authenticate_service(&request).await.unwrap();
    for scope in ["urn:zitadel:iam:org:id:999", "urn:example:files"] {
        let request = ask(&bot.id, AuthMethod::Jwt).with_scope(scope);
        let error = plugin.authenticate_service(&request).await.unwrap_err();
        assert!(!error.is_retryable(), "{scope}: {error:#}");
    }
}

#[tokio::test]
async fn an_audience_is_a_project() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    server.set_jwt_tokens(&bot.id, true);
    let plugin = plugin(config(&server).with_service(key_file(&bot)));
    let request = ask(&bot.id, AuthMethod::Jwt).with_audience("777");
    let credentials = plugin.authenticate_service(&request).await.unwrap();
    let Credential::Bearer(token) = &credentials.credential else { panic!("it is a token") };
    let expect = pipe_core::identity::TokenExpectation::audience("777");
    assert!(plugin.validate_token(token, &expect).await.is_ok());
    assert!(plugin.validate_token(token, &plugin.expectation()).await.is_ok(), "and our own");
    let other = pipe_core::identity::TokenExpectation::audience("888");
    assert!(plugin.validate_token(token, &other).await.is_err());
}

#[tokio::test]
async fn an_outage_is_no_refusal() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    server.fail(TOKEN, Fault::Html500);
    let plugin = plugin(config(&server).with_service(key_file(&bot)));
    let error = plugin.authenticate_service(&ask(&bot.id, AuthMethod::Jwt)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
}

#[test]
fn all_faults_of_the_settings_are_named() {
    let config = ZitadelConfig::new("https://login.example/", "my project")
        .with_domain("BNI", "acme.example")
        .with_name("a b");
    let error = Zitadel::new(config).unwrap_err();
    for setting in ["project", "issuer", "domains.BNI", "name"] {
        assert!(error.context(setting).is_some(), "{setting}: {error:#}");
    }
}
