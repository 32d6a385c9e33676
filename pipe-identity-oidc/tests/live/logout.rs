//! Sessions that the certified provider ends.

use std::time::Duration;

use pipe_core::identity::{BearerToken, LoginRequest, UserLogin as _};
use pipe_core::{ErrorKind, LoginFault, TokenFault};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::Url;

use crate::admin::Fault;
use crate::browser::Browser;
use crate::people::{config, finish, log_in, login};
use crate::plugin::fault;
use crate::server::{Options, RS256, Server};

/// The logout token of the next request.
async fn received(listener: TcpListener) -> BearerToken {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let mut request = Vec::new();
    let body = loop {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await.expect("a request");
        assert!(length > 0, "the request ends before its body does");
        request.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let length: usize = length.expect("a length").trim().parse().expect("a number");
        if body.len() >= length {
            break body.to_owned();
        }
    };
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("an answer");
    let mut pairs = url::form_urlencoded::parse(body.as_bytes());
    let (_, token) = pairs.find(|(name, _)| name == "logout_token").expect("a logout token");
    BearerToken::new(token.into_owned())
}

/// G12
#[tokio::test]
async fn a_logout_at_the_provider_ends_the_session_here() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let logout_uri = format!("http://{}/back-channel", listener.local_addr().unwrap());
    let options = Options { logout_uri: Some(logout_uri), ..Options::default() };
    let Some(server) = Server::start_with(options).await else { return };
    let login = login(config(&server));
    let start = login.begin_login(&LoginRequest::new()).await.unwrap();
    let mut browser = Browser::new(&server);
    let callback = Url::parse(&browser.log_in(&start.location, "alice").await).unwrap();
    let alice = finish(&login, callback.query().unwrap(), &start.browser).await.unwrap();
    let elsewhere = log_in(&login, &server, "alice").await;
    let bob = log_in(&login, &server, "bob").await;

    let page = browser.read("/session/end").await;
    let (_, rest) = page.split_once("name=\"xsrf\" value=\"").expect("a form");
    let xsrf = rest.split('"').next().unwrap_or_default();
    let confirm = [("xsrf", xsrf), ("logout", "yes")];
    let (token, _) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(20), received(listener)),
        browser.post("/session/end/confirm", &confirm)
    );
    let token = token.expect("a logout token in time");
    assert_eq!(login.back_channel_logout(&token).await.unwrap(), 1);
    assert_eq!(login.session(&alice.id).await.unwrap(), None);
    assert!(login.session(&elsewhere.id).await.unwrap().is_some());
    assert!(login.session(&bob.id).await.unwrap().is_some());
    assert_eq!(fault(login.back_channel_logout(&token).await), TokenFault::Replayed);
}

/// G7
#[tokio::test]
async fn an_outage_ends_no_session_and_a_revocation_does() {
    let options = Options { token_lifetime: Duration::from_secs(2), ..Options::default() };
    let Some(server) = Server::start_with(options).await else { return };
    let login = login(config(&server).with_audience(RS256));
    let done = log_in(&login, &server, "alice").await;
    server.admin().fault("/token", Fault::Html500).await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert!(login.session(&done.id).await.unwrap().is_some());
    let unavailable = login.access_token(&done.id).await.unwrap_err();
    assert_eq!(unavailable.kind(), ErrorKind::Unavailable);

    server.admin().clear_faults().await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert!(login.access_token(&done.id).await.unwrap().is_some());

    server.admin().revoke_grants().await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let revoked = login.access_token(&done.id).await.unwrap_err();
    assert_eq!(revoked.kind(), ErrorKind::LoginRefused(LoginFault::SessionRevoked));
    assert_eq!(login.session(&done.id).await.unwrap(), None);
}
