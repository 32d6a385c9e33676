//! What bots administer.

use pipe_core::identity::{AuthMethod, ServiceAuthRequest};
use pipe_core::{ErrorKind, IdentityPlugin, SecretSource};
use pipe_identity_zitadel::{PermissionScope, ServiceUser};
use pipe_testkit::fake;

use crate::setup::{config, key_file, plugin};

#[tokio::test]
async fn a_bot_makes_another_and_gives_it_what_it_needs() {
    let server = fake::Zitadel::start().await;
    let maker = server.create_machine("maker");
    server.make_manager(&maker.id);
    let zitadel = plugin(config(&server).with_service(key_file(&maker)));
    let organization = server.organization();

    let id = zitadel.create_machine_user(&organization, "new-bot", "New bot").await.unwrap();
    let again = zitadel.create_machine_user(&organization, "new-bot", "New bot").await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    assert_eq!(again.context("id"), Some("user.already_exists"));

    let user = zitadel.read_user(&id).await.unwrap().unwrap();
    assert_eq!((user.username.as_str(), user.is_machine, user.is_active), ("new-bot", true, true));
    assert_eq!(user.organization.as_deref(), Some(organization.as_str()));
    assert_eq!(zitadel.read_user("1").await.unwrap(), None);

    assert!(zitadel.add_project_role(None, "bot-operator", "Bot operator").await.unwrap());
    assert!(!zitadel.add_project_role(None, "bot-operator", "Bot operator").await.unwrap());
    let scope = PermissionScope::new().in_organization(&organization);
    zitadel.grant_roles(&id, &scope, &["bot-operator"]).await.unwrap();
    assert_eq!(zitadel.list_authorizations(&id, &scope).await.unwrap().len(), 1);

    let key = zitadel.create_machine_key(&id).await.unwrap();
    assert!(!format!("{key:?}").contains("PRIVATE"), "{key:?}");
    let bot = config(&server).with_service(ServiceUser::key_file(SecretSource::Value(key.file)));
    let bot = plugin(bot);
    bot.authenticate_service(&ServiceAuthRequest::new(&id, AuthMethod::Jwt)).await.unwrap();
    let error = zitadel.create_machine_key("1").await.unwrap_err();
    assert_eq!((error.kind(), error.context("id")), (ErrorKind::NotFound, Some("QUERY-Dfbg2")));
}

#[tokio::test]
async fn who_is_no_manager_is_told_so() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    let zitadel = plugin(config(&server).with_service(key_file(&bot)));
    let error = zitadel.create_machine_user("1", "x", "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.hint_text().contains("manager"), "{error:#}");
    // One's own authorizations are always visible, those of others are left out.
    let scope = PermissionScope::new();
    server.grant(&bot.id, &server.project(), "222", &["x"]);
    assert_eq!(zitadel.list_authorizations(&bot.id, &scope).await.unwrap().len(), 1);
    let nobody = plugin(config(&server));
    let error = nobody.read_user("1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_personal_token_administers_too() {
    let server = fake::Zitadel::start().await;
    let bot = server.create_machine("bot");
    server.make_manager(&bot.id);
    let token = ServiceUser::token(crate::setup::value(&bot.token));
    let zitadel = plugin(config(&server).with_service(token));
    assert!(zitadel.read_user(&bot.id).await.unwrap().is_some());
}
