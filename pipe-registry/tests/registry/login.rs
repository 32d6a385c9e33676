//! The section of logins.

use pipe_core::identity::{LoginRequest, SessionId};
use pipe_core::{ErrorKind, HealthStatus};
use serde_json::json;

use crate::{faults, load, registry};

const SHOP: &str = r#"
[login.shop]
kind = "oidc"
decorators = { timeout = "30s", retry = { attempts = 2 } }

[login.shop.settings]
name = "shop-login"
issuer = { issuer = "http://127.0.0.1:9" }
client = { id = "shop", authentication = { method = "none" } }
redirect_uri = "https://shop.example/auth/callback"
sessions = { store = "memory", max_sessions = 10 }
"#;

/// REQ 002-10
#[tokio::test]
async fn a_document_names_a_login_and_where_its_sessions_are() {
    let plugins = load(SHOP).unwrap();
    let login = plugins.login("shop").unwrap();
    assert_eq!((login.name(), plugins.all_logins().len()), ("shop-login", 1));
    assert!(plugins.login("default").unwrap_err().hint_text().contains("shop"));
    // Sessions are there although the provider is not.
    assert!(login.session(&SessionId::generate().unwrap()).await.unwrap().is_none());
    let error = login.begin_login(&LoginRequest::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
    let health = plugins.health().await;
    assert_eq!(health.plugins["login.shop"].status, HealthStatus::Unhealthy);
    plugins.close().await.unwrap();
}

#[test]
fn what_is_wrong_with_a_login_is_told_with_its_place() {
    assert_eq!(
        faults("login.kind = 'any'"),
        ["login.kind: is unknown; the known kinds are `oidc`"]
    );
    let told = faults(&SHOP.replace("max_sessions = 10", "max_sessions = 0"));
    assert_eq!(told, ["login.shop.settings.sessions.max_sessions: must be at least one"]);
    let told = faults(&SHOP.replace("\"memory\"", "\"files\""));
    assert!(told[0].starts_with("login.shop.settings.sessions"), "{told:?}");
    let told = faults(&SHOP.replace("max_sessions", "most_sessions"));
    assert!(told[0].starts_with("login.shop.settings.sessions"), "{told:?}");
}

/// A session that has ended is nothing to anybody any more.
#[test]
fn a_login_is_not_cached() {
    let told = faults(&SHOP.replace("retry = {", "cache = {"));
    let expected =
        "login.shop.decorators: has an unknown setting; the known ones are `timeout`, `retry`";
    assert_eq!(told, [expected]);
    let schema = registry().schema();
    assert_eq!(schema["$defs"]["login"]["properties"]["kind"]["enum"], json!(["oidc"]));
}
