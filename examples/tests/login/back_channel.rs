//! Ends of sessions that the provider wants.

use reqwest::Method;

use crate::browser::{Answer, Browser};
use crate::site::{Site, alice, bob};

const FORM: &str = "application/x-www-form-urlencoded";

async fn post(browser: &mut Browser<'_>, kind: &str, body: String) -> Answer {
    let request = browser.request(Method::POST, "/auth/back-channel");
    browser.send(request.header("content-type", kind).body(body)).await
}

#[tokio::test]
async fn a_logout_at_the_provider_ends_the_session_here() {
    let site = Site::start().await;
    let (mut browser, _) = site.logged_in(&alice()).await;
    let (mut other, _) = site.logged_in(&bob()).await;
    let notices = site.issuer.log_out(&alice()).await;
    assert_eq!(notices.iter().map(|notice| notice.status).collect::<Vec<_>>(), [Some(200)]);
    assert!(browser.get("/profile").await.asks_to_log_in());
    assert_eq!(other.get("/profile").await.status, 200);
    // The same token again is a replay.
    let token = &notices[0].token;
    let again = post(&mut site.browser(), FORM, format!("logout_token={token}")).await;
    assert_eq!(again.status, 400);
}

#[tokio::test]
async fn what_is_no_logout_token_ends_nothing() {
    let site = Site::start().await;
    let (mut browser, _) = site.logged_in(&alice()).await;
    let token = site.issuer.logout_token("login-example", "alice", "x").sign();
    let mut stranger = site.browser();
    for (kind, body) in [
        (FORM, String::new()),
        (FORM, "logout_token=".to_owned()),
        (FORM, "logout_token=do-not-echo".to_owned()),
        (FORM, format!("logout_token={token}&logout_token={token}")),
        (FORM, format!("logout_token={}", site.issuer.token().sign())),
        (FORM, format!("logout_token={}", "a".repeat(70_000))),
        ("application/json", format!("logout_token={token}")),
        ("text/plain", format!("logout_token={token}")),
    ] {
        let answer = post(&mut stranger, kind, body.clone()).await;
        assert_eq!((answer.status, answer.header("cache-control")), (400, "no-store"), "{body}");
        assert_eq!(answer.body, "");
    }
    assert_eq!(browser.get("/profile").await.status, 200);
}
