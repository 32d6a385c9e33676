//! The device grant.

use std::time::Duration;

use pipe_testkit::issuer::{Client, TestIssuer};
use serde_json::json;

use crate::wire::{Reply, alice, get, issuer, part, post, userinfo};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

async fn ask(issuer: &TestIssuer) -> (String, String) {
    issuer.add_client(Client::public("cli").device());
    let form = "client_id=cli&scope=openid%20email%20offline_access";
    let asked = post(issuer, "/device/auth", "", form).await;
    assert_eq!(asked.status(), 200, "{asked:?}");
    (asked.text("device_code"), asked.text("user_code"))
}

async fn poll(issuer: &TestIssuer, code: &str) -> Reply {
    let form = format!("client_id=cli&grant_type={GRANT}&device_code={code}");
    post(issuer, "/token", "", &form).await
}

/// G13
#[tokio::test]
async fn a_device_waits_until_its_person_allows_it() {
    let issuer = issuer().await;
    issuer.add_client(Client::public("cli").device());
    let asked = post(&issuer, "/device/auth", "", "client_id=cli&scope=openid%20email").await;
    let (code, user_code) = (asked.text("device_code"), asked.text("user_code"));
    let place = format!("{}/device", issuer.url());
    let expected = json!({
        "device_code": code,
        "user_code": user_code,
        "verification_uri": place,
        "verification_uri_complete": format!("{place}?user_code={user_code}"),
        "expires_in": 600,
    });
    assert_eq!(asked.json(), expected);
    assert_eq!((user_code.len(), user_code.find('-')), (9, Some(4)));
    for _ in 0..2 {
        let waiting = poll(&issuer, &code).await;
        assert_eq!(waiting.error(), (400, "authorization_pending".to_owned()));
    }
    assert!(!issuer.approve("XXXX-XXXX", &alice()));
    assert!(issuer.approve(&user_code.to_lowercase().replace('-', ""), &alice()));
    assert!(!issuer.approve(&user_code, &alice()) && !issuer.deny(&user_code));
    let tokens = poll(&issuer, &code).await;
    let claims = part(&tokens.text("id_token"), 1);
    assert_eq!((&claims["sub"], &claims["email"]), (&json!("alice"), &json!("alice@corp.test")));
    assert_eq!((claims.get("sid"), claims.get("nonce")), (None, None));
    assert_eq!(tokens.json().get("refresh_token"), None);
    assert_eq!(poll(&issuer, &code).await.error(), (400, "invalid_grant".to_owned()));
    // The second use ended the grant.
    assert_eq!(userinfo(&issuer, &tokens.text("access_token")).await.status(), 401);
}

#[tokio::test]
async fn a_device_gets_a_refresh_token_for_offline_access_without_a_prompt() {
    let issuer = issuer().await;
    let (code, user_code) = ask(&issuer).await;
    assert!(issuer.approve(&user_code, &alice()));
    let tokens = poll(&issuer, &code).await;
    let form = format!(
        "client_id=cli&grant_type=refresh_token&refresh_token={}",
        tokens.text("refresh_token")
    );
    assert_eq!(post(&issuer, "/token", "", &form).await.status(), 200);
    assert_eq!(issuer.refreshes("alice"), 1);
}

#[tokio::test]
async fn a_refused_device_is_told_once() {
    let issuer = issuer().await;
    let (code, user_code) = ask(&issuer).await;
    assert!(issuer.deny(&user_code));
    let told = poll(&issuer, &code).await;
    let expected = json!({
        "error": "access_denied",
        "error_description": "End-User aborted interaction",
    });
    assert_eq!((told.status(), told.json()), (400, expected));
    assert_eq!(poll(&issuer, &code).await.error(), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn a_device_code_expires_whatever_was_decided() {
    let issuer = issuer().await;
    let (code, user_code) = ask(&issuer).await;
    issuer.clock().forward(Duration::from_secs(599));
    assert_eq!(poll(&issuer, &code).await.error().1, "authorization_pending");
    assert!(issuer.approve(&user_code, &alice()));
    issuer.clock().forward(Duration::from_secs(1));
    assert_eq!(poll(&issuer, &code).await.error(), (400, "expired_token".to_owned()));
    let (_, late) = ask(&issuer).await;
    issuer.clock().forward(Duration::from_secs(600));
    assert!(!issuer.approve(&late, &alice()));
}

#[tokio::test]
async fn a_device_can_be_told_to_slow_down_and_an_interval() {
    let issuer = issuer().await;
    let (code, user_code) = ask(&issuer).await;
    assert!(issuer.slow_down(&user_code, 2) && !issuer.slow_down("XXXX-XXXX", 1));
    for error in ["slow_down", "slow_down", "authorization_pending"] {
        assert_eq!(poll(&issuer, &code).await.error(), (400, error.to_owned()));
    }
    issuer.set_device_interval(Some(7));
    let asked = post(&issuer, "/device/auth", "", "client_id=cli").await;
    assert_eq!(asked.json()["interval"], 7);
}

#[tokio::test]
async fn only_clients_with_the_grant_may_ask_and_only_for_themselves() {
    let issuer = issuer().await;
    let (code, _) = ask(&issuer).await;
    let unknown = post(&issuer, "/device/auth", "", "client_id=nobody").await;
    assert_eq!(unknown.error(), (401, "invalid_client".to_owned()));
    let refused = post(&issuer, "/device/auth", "", "client_id=spa").await;
    let description = format!("{GRANT} is not allowed for this client");
    assert_eq!(refused.error(), (400, "invalid_request".to_owned()));
    assert_eq!(refused.json()["error_description"], description);
    issuer.add_client(Client::public("other").device());
    for (client, code, error) in [
        ("spa", code.as_str(), "invalid_request"),
        ("other", &code, "invalid_grant"),
        ("cli", "nonsense", "invalid_grant"),
        ("cli", "", "invalid_request"),
    ] {
        let form = format!("client_id={client}&grant_type={GRANT}&device_code={code}");
        let reply = post(&issuer, "/token", "", &form).await;
        assert_eq!(reply.error(), (400, error.to_owned()), "{client} {code}");
    }
}

#[tokio::test]
async fn the_page_takes_the_code_and_the_name() {
    let issuer = issuer().await;
    issuer.add_person(&alice());
    for (decision, error) in [("confirm", None), ("abort", Some("access_denied"))] {
        let (code, user_code) = ask(&issuer).await;
        let page = get(&issuer, &format!("/device?user_code={user_code}"), "").await;
        assert!(page.body.contains(&user_code), "{page:?}");
        let form = format!("user_code={user_code}&login=alice&{decision}=yes");
        assert!(post(&issuer, "/device", "", &form).await.body.contains("Done"));
        let reply = poll(&issuer, &code).await;
        assert_eq!(reply.json()["error"].as_str(), error, "{reply:?}");
    }
}
