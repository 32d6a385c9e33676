//! Whether somebody may do something.

use std::time::Duration;

use pipe_core::ErrorKind;
use pipe_core::IdentityPlugin;
use pipe_core::identity::{Permission, RolePolicy, RoleResolver};
use pipe_core::wrap::CachedRoles;
use pipe_http::HttpConfig;
use pipe_identity_zitadel::{DOMAINS, PermissionScope, Zitadel};
use pipe_testkit::fake;
use pipe_testkit::issuer::Fault;

use crate::setup::{config, key_file, plugin, token};

const LIST: &str = "/zitadel.authorization.v2.AuthorizationService/ListAuthorizations";

fn permission(name: &str) -> Permission {
    Permission::new(name).unwrap()
}

/// A plugin whose service user may see everybody's authorizations.
fn seeing(server: &fake::Zitadel) -> Zitadel {
    let bot = server.create_machine("seeing-bot");
    server.make_manager(&bot.id);
    let http = HttpConfig::new().with_timeout(Duration::from_millis(400));
    let config = config(server).with_service(key_file(&bot)).with_http(http);
    plugin(config.with_domain("BNI", server.organization()))
}

#[tokio::test]
async fn only_an_active_grant_of_the_project_and_the_organisation_authorises() {
    let server = fake::Zitadel::start().await;
    let plugin = seeing(&server);
    let policy = RolePolicy::governance();
    let (own, project) = (server.organization(), server.project());
    let scope = PermissionScope::new().in_organization(&own);
    let restart = permission("bots:restart");
    let check = async |user: &str, scope: &PermissionScope| {
        plugin.check_permission(user, &restart, scope, &policy).await.unwrap()
    };
    let user = server.create_machine("user").id;
    assert!(!check(&user, &scope).await, "nothing is granted");
    server.grant(&user, "777", &own, &["bot-operator"]);
    assert!(!check(&user, &scope).await, "it is of another project");
    server.grant(&user, &project, "222", &["bot-operator"]);
    assert!(!check(&user, &scope).await, "it is for another organisation");
    let gone = server.grant(&user, &project, &own, &["bot-operator"]);
    server.deactivate(&gone);
    assert!(!check(&user, &scope).await, "it is not active");
    server.grant(&user, &project, &own, &["compliance-auditor"]);
    assert!(!check(&user, &scope).await, "an auditor may change nothing");
    server.grant(&user, &project, &own, &["bot-operator"]);
    assert!(check(&user, &scope).await);
    assert!(check(&user, &PermissionScope::new().in_domain("BNI")).await);
    assert!(check(&user, &PermissionScope::new().in_organization("222")).await);
    assert!(!check(&user, &scope.clone().in_project("888")).await);
    let other = server.create_machine("other").id;
    assert!(!check(&other, &scope).await, "it is somebody else's");
}

#[tokio::test]
async fn what_cannot_be_found_out_is_never_allowed() {
    let server = fake::Zitadel::start().await;
    let plugin = seeing(&server);
    let user = server.create_machine("user").id;
    server.grant(&user, &server.project(), &server.organization(), &["bot-operator"]);
    let scope = PermissionScope::new().in_organization(server.organization());
    let check = async || {
        let policy = RolePolicy::governance();
        plugin.check_permission(&user, &permission("bots:restart"), &scope, &policy).await
    };
    assert!(check().await.unwrap());
    for (fault, kind) in [
        (Fault::Html500, ErrorKind::Unexpected),
        (Fault::Html200, ErrorKind::Unexpected),
        (Fault::Status(503, r#"{"code":"unavailable","message":"x"}"#.into()), ErrorKind::Unavailable),
        (Fault::Status(403, r#"{"code":7,"message":"x"}"#.into()), ErrorKind::PermissionDenied),
        (Fault::Status(429, r#"{"code":"resource_exhausted","message":"x"}"#.into()), ErrorKind::RateLimited),
        (Fault::Hang, ErrorKind::Timeout),
        (Fault::Reset, ErrorKind::Unavailable),
        (Fault::Json(r#"{"authorizations":"all"}"#.into()), ErrorKind::Unexpected),
        // A server that gives page after page, and never the end.
        (
            Fault::Json(r#"{"pagination":{"totalResult":"9999999"},"authorizations":[{"id":"1","user":{"id":"9"},"project":{"id":"9"},"organization":{"id":"9"}}]}"#.into()),
            ErrorKind::Unexpected,
        ),
    ] {
        server.fail(LIST, fault.clone());
        let error = check().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:?}: {error:#}");
        server.heal();
    }
}

#[tokio::test]
async fn a_scope_names_an_organisation_that_is_known() {
    let server = fake::Zitadel::start().await;
    let plugin = seeing(&server);
    let policy = RolePolicy::governance();
    let check = async |scope| {
        plugin.check_permission("1", &permission("bots:restart"), &scope, &policy).await
    };
    let error = check(PermissionScope::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    for domain in DOMAINS.iter().filter(|domain| **domain != "BNI") {
        let error = check(PermissionScope::new().in_domain(*domain)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{domain}");
        assert!(error.hint_text().contains("`domains`"));
    }
    assert_eq!(server.hits(LIST), 0);
}

#[tokio::test]
async fn a_token_is_looked_at_first() {
    let server = fake::Zitadel::start().await;
    let plugin = seeing(&server);
    let policy = RolePolicy::governance();
    let user = server.create_machine("user").id;
    server.set_jwt_tokens(&user, true);
    let scope = PermissionScope::new().in_organization(server.organization());
    let check = async |token: &_| {
        let verified = plugin.verify_token(token, &plugin.expectation()).await.unwrap();
        let restart = permission("bots:restart");
        plugin.check_token_permission(&verified, &restart, &scope, &policy).await.unwrap()
    };
    let before = token(&server, &user);
    assert!(!check(&before).await);
    assert_eq!(server.hits(LIST), 1);
    // Granted after the token was made.
    server.grant(&user, &server.project(), &server.organization(), &["bot-operator"]);
    assert!(check(&before).await);
    assert_eq!(server.hits(LIST), 2);
    assert!(check(&token(&server, &user)).await);
    assert_eq!(server.hits(LIST), 2);
}

#[tokio::test]
async fn long_lists_are_read_to_their_end() {
    let server = fake::Zitadel::start().await;
    let plugin = seeing(&server);
    let user = server.create_machine("user").id;
    for number in 0..250 {
        server.grant(&user, &server.project(), &format!("{number}"), &["bot-operator"]);
    }
    let all = plugin.list_authorizations(&user, &PermissionScope::new()).await.unwrap();
    assert_eq!(all.len(), 250);
    assert_eq!(server.hits(LIST), 3);
}

#[tokio::test]
async fn roles_are_resolved_for_callers_and_kept_for_a_while() {
    let server = fake::Zitadel::start().await;
    let plugin = seeing(&server);
    let user = server.create_machine("user").id;
    server.set_jwt_tokens(&user, true);
    let token = token(&server, &user);
    let caller = plugin.validate_token(&token, &plugin.expectation()).await.unwrap();
    server.grant(&user, &server.project(), &server.organization(), &["bot-operator"]);
    server.grant(&user, &server.project(), "222", &["governance-admin"]);
    let ttl = Duration::from_secs(60);
    let roles = CachedRoles::new(plugin.role_resolver(PermissionScope::new()), ttl);
    for _ in 0..100 {
        let found = roles.resolve(&caller).await.unwrap();
        let found: Vec<_> = found.iter().map(|role| role.as_str()).collect();
        assert_eq!(found, ["bot-operator"], "those of the caller's own organisation");
    }
    assert_eq!(server.hits(LIST), 1);
}
