//! Pushed authorization requests.

use std::time::Duration;

use pipe_testkit::issuer::TestIssuer;
use serde_json::json;

use crate::wire::{
    CALLBACK, CHALLENGE, Reply, SECRET, alice, encoded, exchange, get, issuer, parameter, post,
    request,
};

/// The form of a good request.
fn form(issuer: &TestIssuer) -> String {
    let url = request(issuer, "&scope=openid");
    let (_, query) = url.split_once('?').expect("a query");
    format!("{query}&client_secret={SECRET}")
}

async fn push(issuer: &TestIssuer, form: &str) -> Reply {
    post(issuer, "/request", "", form).await
}

fn address(issuer: &TestIssuer, client: &str, request_uri: &str) -> String {
    let uri = encoded(request_uri);
    format!("{}/auth?client_id={client}&request_uri={uri}", issuer.url())
}

#[tokio::test]
async fn a_pushed_request_is_good_once() {
    let issuer = issuer().await;
    let pushed = push(&issuer, &form(&issuer)).await;
    let uri = pushed.text("request_uri");
    assert!(uri.starts_with("urn:ietf:params:oauth:request_uri:"), "{uri}");
    assert_eq!((pushed.status(), &pushed.json()["expires_in"]), (201, &json!(60)));
    let url = address(&issuer, "web", &uri);
    let callback = issuer.authorize(&url, &alice());
    assert_eq!(parameter(&callback, "state").as_deref(), Some("st"));
    assert_eq!(exchange(&issuer, &callback).await.status(), 200);
    let again = get(&issuer, &url, "").await;
    let location = again.header("location").unwrap_or_default();
    assert!(location.starts_with(CALLBACK), "{again:?}");
    assert_eq!(parameter(location, "error").as_deref(), Some("invalid_request_uri"));
    assert_eq!(parameter(location, "state"), None);
}

#[tokio::test]
async fn a_pushed_request_lives_a_minute_and_is_its_clients_alone() {
    let issuer = issuer().await;
    for (age, error) in [(59, None), (60, Some("invalid_request_uri"))] {
        let uri = push(&issuer, &form(&issuer)).await.text("request_uri");
        issuer.clock().forward(Duration::from_secs(age));
        let callback = issuer.authorize(&address(&issuer, "web", &uri), &alice());
        assert_eq!(parameter(&callback, "error").as_deref(), error, "{age}");
    }
    let uri = push(&issuer, &form(&issuer)).await.text("request_uri");
    for (client, uri, error) in [
        ("spa", uri.as_str(), "invalid_request_object"),
        ("web", "urn:ietf:params:oauth:request_uri:x", "invalid_request_uri"),
        ("web", "https://evil.test/request", "request_uri_not_supported"),
    ] {
        let callback = issuer.authorize(&address(&issuer, client, uri), &alice());
        assert_eq!(parameter(&callback, "error").as_deref(), Some(error));
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_when_it_is_pushed() {
    let issuer = issuer().await;
    let good = form(&issuer);
    let wrong = encoded(&format!("{CALLBACK}/x"));
    for (form, status, error) in [
        (good.replace(&format!("&client_secret={SECRET}"), ""), 401, "invalid_client"),
        (good.replace(SECRET, "wrong"), 401, "invalid_client"),
        (good.replace(&encoded(CALLBACK), &wrong), 400, "invalid_request"),
        (good.replace(&format!("&code_challenge={CHALLENGE}"), ""), 400, "invalid_request"),
        (good.clone() + "&request_uri=urn:x", 400, "request_uri_not_supported"),
    ] {
        assert_eq!(push(&issuer, &form).await.error(), (status, error.to_owned()), "{form}");
    }
    // The form has to name the client, even when it proves who it is by the header.
    use base64::Engine as _;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("web:{SECRET}"));
    let header = format!("Authorization: Basic {basic}\r\n");
    let form = good.replace(&format!("&client_secret={SECRET}"), "");
    assert_eq!(post(&issuer, "/request", &header, &form).await.status(), 201);
    let form = form.replace("client_id=web&", "");
    let refused = post(&issuer, "/request", &header, &form).await;
    assert_eq!(refused.json()["error_description"], "missing required parameter 'client_id'");
}
