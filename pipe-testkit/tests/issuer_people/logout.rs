//! Logout.

use pipe_testkit::issuer::{Client, LogoutNotice, TestIssuer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::wire::{
    CALLBACK, OFFLINE, SECRET, alice, encoded, exchange, get, issuer, parameter, part, post,
    refresh, request, userinfo,
};

/// Who waits for one request, and answers it with this status.
async fn listener(status: u16) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let uri = format!("http://{}/logout?a=b", listener.local_addr().expect("an address"));
    let answered = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a request");
        let mut text = String::new();
        while !text.contains("logout_token=") || text.ends_with("logout_token=") {
            let mut bytes = [0; 8192];
            let read = stream.read(&mut bytes).await.expect("a request");
            text += &String::from_utf8_lossy(&bytes[..read]);
        }
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.expect("it is read");
        text
    });
    (uri, answered)
}

fn tell(issuer: &TestIssuer, uri: &str) {
    let web = Client::confidential("web", SECRET).redirect_uri(CALLBACK);
    issuer.add_client(web.post_logout_redirect_uri(CALLBACK).backchannel_logout_uri(uri));
}

fn end(issuer: &TestIssuer, parameters: &[(&str, &str)]) -> String {
    let query: Vec<_> =
        parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    format!("{}/session/end?{}", issuer.url(), query.join("&"))
}

#[tokio::test]
async fn a_logout_ends_the_session_tells_the_client_and_leads_back() {
    let issuer = issuer().await;
    let (uri, told) = listener(200).await;
    tell(&issuer, &uri);
    let mut browser = issuer.browser(&alice());
    let callback = browser.authorize(&request(&issuer, "&scope=openid"));
    let tokens = exchange(&issuer, &callback).await;
    let id_token = tokens.text("id_token");
    let url = end(
        &issuer,
        &[("id_token_hint", &id_token), ("post_logout_redirect_uri", CALLBACK), ("state", "lo")],
    );
    assert_eq!(browser.log_out(&url), format!("{CALLBACK}?state=lo"));
    assert!(!browser.is_logged_in());
    let told = told.await.expect("it was told");
    assert!(told.starts_with("POST /logout?a=b HTTP/1.1\r\n"), "{told}");
    assert!(told.contains("Content-Type: application/x-www-form-urlencoded\r\n"), "{told}");
    let (_, token) = told.split_once("logout_token=").expect("a token");
    let (before, claims) = (part(&id_token, 1), part(token, 1));
    let now = issuer.clock().seconds();
    assert_eq!(part(token, 0)["typ"], "logout+jwt");
    let expected = json!({
        "iss": issuer.url(), "sub": "alice", "aud": "web", "iat": now, "exp": now + 120,
        "jti": claims["jti"], "sid": before["sid"],
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    assert_eq!(claims, expected);
    assert!(claims["jti"].is_string() && claims["sid"].is_string());
    assert_eq!(userinfo(&issuer, &tokens.text("access_token")).await.status(), 401);
    let callback = browser.authorize(&request(&issuer, "&scope=openid&prompt=none"));
    assert_eq!(parameter(&callback, "error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn what_is_wrong_with_a_logout_is_said_without_a_redirect() {
    let issuer = issuer().await;
    let tokens = crate::wire::logged_in(&issuer, &alice(), "&scope=openid").await;
    let hint = tokens.text("id_token");
    let foreign = TestIssuer::start().await;
    foreign.add_client(Client::public("web"));
    let forged = foreign.id_token("web", &alice()).claim("iss", issuer.url()).sign();
    let wrong = format!("{CALLBACK}/x");
    let uri = "post_logout_redirect_uri";
    for (parameters, error, description) in [
        (
            vec![("id_token_hint", hint.as_str()), (uri, &wrong)],
            "invalid_request",
            "post_logout_redirect_uri not registered",
        ),
        (
            vec![("client_id", "web"), (uri, &wrong)],
            "invalid_request",
            "post_logout_redirect_uri not registered",
        ),
        (vec![("id_token_hint", "x")], "invalid_request", "could not decode id_token_hint"),
        (vec![("id_token_hint", &forged)], "invalid_request", "could not validate id_token_hint"),
        (
            vec![("id_token_hint", &hint), ("client_id", "spa")],
            "invalid_request",
            "client_id does not match the provided id_token_hint",
        ),
        (vec![("client_id", "nobody")], "invalid_client", "client is invalid"),
    ] {
        let reply = get(&issuer, &end(&issuer, &parameters), "").await;
        assert_eq!(reply.error(), (400, error.to_owned()), "{parameters:?}");
        assert_eq!(reply.json()["error_description"], description);
    }
    // Nobody is led to a place that no client has registered.
    let url = end(&issuer, &[(uri, "https://evil.test/")]);
    let gone = issuer.browser(&alice()).log_out(&url);
    assert_eq!(gone, format!("{}/session/end/success", issuer.url()));
    let unasked = post(&issuer, "/session/end/confirm", "", "xsrf=x&logout=yes").await;
    assert_eq!(unasked.error(), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn an_expired_hint_is_good_enough() {
    let issuer = issuer().await;
    let mut browser = issuer.browser(&alice());
    let callback = browser.authorize(&request(&issuer, OFFLINE));
    let hint = exchange(&issuer, &callback).await.text("id_token");
    issuer.clock().forward(std::time::Duration::from_secs(7200));
    let url = end(&issuer, &[("id_token_hint", &hint), ("post_logout_redirect_uri", CALLBACK)]);
    assert_eq!(browser.log_out(&url), CALLBACK);
}

/// G12
#[tokio::test]
async fn a_person_who_is_logged_out_is_so_in_each_session_and_nobody_else_is() {
    let issuer = issuer().await;
    let bob = pipe_testkit::issuer::Person::new("bob");
    let (uri, told) = listener(204).await;
    tell(&issuer, &uri);
    let alices = crate::wire::logged_in(&issuer, &alice(), OFFLINE).await;
    let bobs = crate::wire::logged_in(&issuer, &bob, "&scope=openid").await;
    let notices = issuer.log_out(&alice()).await;
    told.await.expect("it was told");
    let sid = part(&alices.text("id_token"), 1)["sid"].as_str().map(str::to_owned);
    let [LogoutNotice { client, sid: ended, token, status, .. }] = notices.as_slice() else {
        panic!("one session: {notices:?}")
    };
    assert_eq!((client.as_str(), ended, *status), ("web", &sid, Some(204)));
    assert_eq!(part(token, 1)["sub"], "alice");
    assert!(issuer.log_out(&alice()).await.is_empty());
    assert_eq!(userinfo(&issuer, &bobs.text("access_token")).await.status(), 200);
    // `offline_access` means that.
    assert_eq!(refresh(&issuer, &alices.text("refresh_token")).await.status(), 200);
}

#[tokio::test]
async fn any_logout_token_can_be_minted_and_sent() {
    let issuer = issuer().await;
    let (uri, told) = listener(400).await;
    tell(&issuer, &uri);
    let good = issuer.logout_token("web", "alice", "the-sid");
    let claims = part(&good.sign(), 1);
    assert_eq!((&claims["sub"], &claims["sid"]), (&json!("alice"), &json!("the-sid")));
    let bad = good.claim("nonce", "n").without("events").header("typ", "JWT").sign();
    assert_eq!(issuer.send_logout_token("web", &bad).await, Some(400));
    assert!(told.await.expect("it was told").ends_with(&bad));
    let nobody = issuer.send_logout_token("web", &bad).await;
    assert_eq!(nobody, None);
}

#[tokio::test]
async fn a_client_without_a_logout_session_gets_no_sid() {
    let issuer = issuer().await;
    let (uri, told) = listener(200).await;
    let web = Client::confidential("web", SECRET).redirect_uri(CALLBACK);
    issuer.add_client(web.backchannel_logout_uri(uri).without_logout_session());
    let tokens = crate::wire::logged_in(&issuer, &alice(), "&scope=openid").await;
    assert_eq!(part(&tokens.text("id_token"), 1).get("sid"), None);
    let notices = issuer.log_out(&alice()).await;
    told.await.expect("it was told");
    assert_eq!(part(&notices[0].token, 1).get("sid"), None);
}
