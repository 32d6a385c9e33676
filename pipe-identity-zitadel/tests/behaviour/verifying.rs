//! Checking tokens: here where they can be read, and by asking where they cannot.

use std::time::Duration;

use pipe_core::identity::{BearerToken, Role, TokenExpectation};
use pipe_core::{ErrorKind, IdentityPlugin, TokenFault};
use pipe_http::HttpConfig;
use pipe_identity_oidc::IntrospectedTokens;
use pipe_identity_zitadel::{ApiClient, RoleOrganizations};
use pipe_testkit::fake;
use pipe_testkit::issuer::{Fault, SigningAlgorithm};
use serde_json::json;

use crate::setup::{api_client, config, plugin, scopes, token, value};

const INTROSPECT: &str = "/oauth/v2/introspect";
const REJECTED: ErrorKind = ErrorKind::TokenRejected(TokenFault::Inactive);

fn role(name: &str) -> Role {
    Role::new(name).unwrap()
}

/// Whatever has a dot is no JWT for that.
#[tokio::test]
async fn an_opaque_token_is_introspected_although_it_has_dots() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    server.grant(&bot.id, &server.project(), &server.organization(), &["bot-operator"]);
    let token = token(&server, &bot.id);
    assert_eq!(token.expose().iter().filter(|byte| **byte == b'.').count(), 4);
    for client in [api_client(&server), ApiClient::key_file(value(server.api_key_file()))] {
        let plugin = plugin(config(&server).with_introspection(client));
        let context = plugin.validate_token(&token, &plugin.expectation()).await.unwrap();
        assert!(context.has_role(&role("bot-operator")));
        let tenant = context.tenant.as_ref().map(|tenant| tenant.as_str().to_owned());
        assert_eq!(tenant, Some(server.organization()));
    }
    let error = plugin(config(&server));
    let refused = error.validate_token(&token, &error.expectation()).await.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::TokenRejected(_)), "{refused:#}");
}

#[tokio::test]
async fn a_personal_token_is_introspected_too() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    let config = config(&server).with_introspection(api_client(&server));
    let token = BearerToken::new(bot.token.as_str());
    let short = plugin(config.clone());
    let error = short.validate_token(&token, &short.expectation()).await.unwrap_err();
    assert!(error.hint_text().contains("`max_lifetime`"), "{error:#}");
    let plugin = plugin(config.with_max_lifetime(Duration::from_secs(10_000 * 365 * 24 * 3600)));
    let context = plugin.validate_token(&token, &plugin.expectation()).await.unwrap();
    assert_eq!(context.principal.id.as_str(), bot.id);
}

#[tokio::test]
async fn the_four_outcomes_are_kept_apart() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    let http = HttpConfig::new().with_timeout(Duration::from_millis(400));
    let plugin_of =
        |client| plugin(config(&server).with_introspection(client).with_http(http.clone()));
    let token = token(&server, &bot.id);
    let own = plugin_of(api_client(&server));
    let expect = own.expectation();
    // Active.
    assert!(own.validate_token(&token, &expect).await.is_ok());
    // Not active: revoked, garbage, or meant for somebody else.
    let other = BearerToken::new(server.token(&bot.id, &["openid"]));
    for bad in [&other, &BearerToken::new("garbage"), &BearerToken::new("a.b.c.d.e")] {
        let error = own.validate_token(bad, &expect).await.unwrap_err();
        assert_eq!(error.kind(), REJECTED, "{error:#}");
    }
    // We are misconfigured: it is not the token's fault.
    let (id, _) = server.api_client();
    let wrong = plugin_of(ApiClient::secret(id, value("wrong")));
    let error = wrong.validate_token(&token, &expect).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:#}");
    assert!(error.hint_text().contains("introspection"), "{error:#}");
    for status in [400, 401, 403] {
        server.fail(INTROSPECT, Fault::Status(status, r#"{"error":"invalid_request"}"#.into()));
        let fresh = plugin_of(api_client(&server));
        let error = fresh.validate_token(&token, &expect).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{status}: {error:#}");
    }
    // It cannot be asked, and that is not remembered.
    for (fault, kind) in [
        (Fault::Html500, ErrorKind::Unavailable),
        (Fault::Status(503, String::new()), ErrorKind::Unavailable),
        (Fault::Hang, ErrorKind::Timeout),
    ] {
        let fresh = plugin_of(api_client(&server));
        server.fail(INTROSPECT, fault);
        let error = fresh.validate_token(&token, &expect).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:#}");
        server.heal();
        assert!(fresh.validate_token(&token, &expect).await.is_ok());
    }
}

/// Introspection takes half a second and more on real instances.
#[tokio::test]
async fn ten_thousand_verifications_of_a_token_are_one_request_in_each_period() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    let ttl = Duration::from_secs(60);
    let config = config(&server).with_introspection(api_client(&server)).with_active_ttl(ttl);
    let plugin = plugin(config);
    let (token, expect) = (token(&server, &bot.id), plugin.expectation());
    let many = (0..5_000).map(|_| plugin.validate_token(&token, &expect));
    assert!(futures_util::future::join_all(many).await.iter().all(Result::is_ok));
    for period in 1..=3 {
        // Some one after the other, and many at once.
        for _ in 0..5_000 {
            plugin.validate_token(&token, &expect).await.unwrap();
        }
        let many = (0..5_000).map(|_| plugin.validate_token(&token, &expect));
        assert!(futures_util::future::join_all(many).await.iter().all(Result::is_ok));
        assert_eq!(server.hits(INTROSPECT), period);
        pass(ttl).await;
    }
}

#[tokio::test]
async fn a_revoked_token_is_taken_for_the_stated_time_at_most() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    server.set_jwt_tokens(&bot.id, true);
    let ttl = Duration::from_secs(30);
    let config = config(&server)
        .with_introspection(api_client(&server))
        .with_introspected(IntrospectedTokens::All)
        .with_active_ttl(ttl)
        .with_inactive_ttl(Duration::from_secs(5));
    let plugin = plugin(config);
    let (token, expect) = (token(&server, &bot.id), plugin.expectation());
    plugin.validate_token(&token, &expect).await.unwrap();
    server.revoke(token.expose_str().unwrap());
    plugin.validate_token(&token, &expect).await.unwrap();
    pass(ttl).await;
    for _ in 0..10 {
        let error = plugin.validate_token(&token, &expect).await.unwrap_err();
        assert_eq!(error.kind(), REJECTED, "{error:#}");
    }
    // Remembered for seconds.
    assert_eq!(server.hits(INTROSPECT), 2);
    pass(Duration::from_secs(6)).await;
    assert!(plugin.validate_token(&token, &expect).await.is_err());
    assert_eq!(server.hits(INTROSPECT), 3);
}

async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time + Duration::from_secs(1)).await;
    tokio::time::resume();
}

/// Others panic at the first key that is not of RSA.
#[tokio::test]
async fn keys_of_all_kinds_stand_beside_each_other() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    server.set_jwt_tokens(&bot.id, true);
    server.publish(json!({
        "use": "sig", "kty": "EC", "crv": "P-521", "alg": "ES512", "kid": "p521",
        "x": "AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt",
        "y": "AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1",
    }));
    let plugin = plugin(config(&server));
    let expect = plugin.expectation();
    let before = token(&server, &bot.id);
    plugin.validate_token(&before, &expect).await.unwrap();
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::Es384, SigningAlgorithm::EdDsa] {
        server.rotate(algorithm);
        let after = token(&server, &bot.id);
        // The keys may be asked for again after a while only.
        pass(Duration::from_secs(31)).await;
        plugin.validate_token(&after, &expect).await.unwrap();
        plugin.validate_token(&before, &expect).await.unwrap();
    }
    assert_eq!(server.hits(INTROSPECT), 0);
    let scopes = scopes(&server);
    let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
    let stranger = pipe_testkit::issuer::SigningKey::generate(SigningAlgorithm::Es256, "key-1");
    let forged = BearerToken::new(server.token_signed_by(&bot.id, &scopes, &stranger));
    assert!(plugin.validate_token(&forged, &expect).await.is_err());
}

#[tokio::test]
async fn several_audiences_are_normal_and_ours_has_to_be_one() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    server.set_jwt_tokens(&bot.id, true);
    let plugin = plugin(config(&server));
    let token = token(&server, &bot.id);
    let verified = plugin.verify_token(&token, &plugin.expectation()).await.unwrap();
    assert!(verified.claims.audiences().count() > 1);
    let other = TokenExpectation::audience("999");
    let error = plugin.validate_token(&token, &other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TokenRejected(TokenFault::WrongAudience));
}

#[tokio::test]
async fn only_roles_of_our_project_and_of_the_users_organisation_count() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    let (own, project) = (server.organization(), server.project());
    server.grant(&bot.id, &project, &own, &["reviewer"]);
    server.grant(&bot.id, &project, "222", &["of-another-tenant"]);
    server.grant(&bot.id, "777", &own, &["of-another-project"]);
    let gone = server.grant(&bot.id, &project, &own, &["deactivated"]);
    server.deactivate(&gone);
    for jwt in [true, false] {
        server.set_jwt_tokens(&bot.id, jwt);
        let config = config(&server).with_introspection(api_client(&server));
        let token = token(&server, &bot.id);
        let roles = async |organizations| {
            let plugin = plugin(config.clone().with_role_organizations(organizations));
            let context = plugin.validate_token(&token, &plugin.expectation()).await.unwrap();
            context.roles.iter().map(|role| role.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(roles(RoleOrganizations::Own).await, ["reviewer"], "{jwt}");
        let other = roles(RoleOrganizations::Only("222".to_owned())).await;
        assert_eq!(other, ["of-another-tenant"], "{jwt}");
        let any = roles(RoleOrganizations::Any).await;
        assert_eq!(any, ["of-another-tenant", "reviewer"], "{jwt}");
        // Without the claim of the owner, nobody's organisation is known.
        let scope = format!("urn:zitadel:iam:org:project:id:{project}:aud");
        let bare =
            BearerToken::new(server.token(&bot.id, &["openid", &scope, crate::setup::ROLES]));
        let plugin = plugin(config.clone());
        let context = plugin.validate_token(&bare, &plugin.expectation()).await.unwrap();
        assert!(context.roles.is_empty(), "{jwt}");
    }
}

#[tokio::test]
async fn a_verified_token_tells_all_that_zitadel_says() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    server.set_jwt_tokens(&bot.id, true);
    // Encoded, it has `-` and `_` in it, and no padding.
    let odd = [0xfb, 0xff, 0xbf, 0x00];
    server.set_metadata(&bot.id, "odd", &odd);
    server.set_claim(&bot.id, "example.com/team", json!({"name": "core"}));
    server.grant(&bot.id, &server.project(), "222", &["data reader"]);
    let plugin = plugin(config(&server));
    let mut scopes = scopes(&server);
    scopes.push("urn:zitadel:iam:user:metadata".to_owned());
    let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
    let token = BearerToken::new(server.token(&bot.id, &scopes));
    let verified = plugin.verify_token(&token, &plugin.expectation()).await.unwrap();
    assert_eq!(verified.metadata("odd").unwrap(), Some(odd.to_vec()));
    assert_eq!(verified.metadata("none").unwrap(), None);
    assert_eq!(verified.claim("example.com/team"), Some(&json!({"name": "core"})));
    assert!(verified.has_role("data reader", None, Some("222")));
    assert!(verified.has_role("data reader", Some(&server.project()), None));
    assert!(!verified.has_role("data reader", None, Some(&server.organization())));
    assert!(!verified.has_role("data reader", Some("777"), None));
    assert_eq!(verified.resource_owner(), Some(server.organization().as_str()));
    let shown = format!("{:?}", verified.context);
    assert!(!shown.contains("core"), "{shown}");
}
