//! Whatever is secret is in nothing that can be printed.

use std::fmt::{Debug, Display};

use pipe_core::{Error, SecretValue};
use pipe_http::{CaBundle, HttpClient, HttpConfig, ServerAddress};

use crate::authority::Authority;
use crate::peer::{client, get, hasty, listen, reply};

const CANARY: &str = "c4nary";

fn assert_silent(shown: impl Debug) {
    for text in [format!("{shown:?}"), format!("{shown:#?}")] {
        assert!(!text.contains(CANARY), "{text}");
    }
}

fn assert_silent_text(shown: impl Debug + Display) {
    for text in [format!("{shown}"), format!("{shown:#}")] {
        assert!(!text.contains(CANARY), "{text}");
    }
    assert_silent(shown);
}

/// A request with a secret wherever one can be.
fn telling(address: &ServerAddress) -> http::Request<Vec<u8>> {
    http::Request::post(address.join(&format!("v1/x?token={CANARY}")).unwrap())
        .header("authorization", format!("Bearer {CANARY}"))
        .header("x-vault-token", CANARY)
        .header("x-other", CANARY)
        .body(CANARY.into())
        .unwrap()
}

async fn failure(address: &ServerAddress) -> Error {
    hasty(address).send(telling(address)).await.unwrap_err()
}

#[test]
fn settings_do_not_show_their_secrets() {
    let config = HttpConfig::new()
        .with_proxy(format!("http://{CANARY}:{CANARY}@proxy.example").parse().unwrap())
        .with_client_certificate(SecretValue::from(CANARY))
        .with_ca(CaBundle::pem(CANARY));
    assert_silent(&config);
    let address: ServerAddress = "https://bao.example".parse().unwrap();
    assert_silent_text(HttpClient::new(&config, &address).unwrap_err());
}

#[test]
fn a_client_does_not_show_its_secrets() {
    let authority = Authority::new();
    let config = HttpConfig::new()
        .with_proxy(format!("http://{CANARY}:{CANARY}@proxy.example").parse().unwrap())
        .with_ca(authority.bundle())
        .with_client_certificate(authority.issue(CANARY).secret());
    let address: ServerAddress = "https://bao.example".parse().unwrap();
    assert_silent(HttpClient::new(&config, &address).unwrap());
}

#[test]
fn a_document_that_does_not_parse_is_not_repeated() {
    for json in [
        format!(r#"{{"proxy":"{CANARY}:{CANARY}@proxy.example"}}"#),
        format!(r#"{{"proxy":"ftp://{CANARY}@proxy.example"}}"#),
        format!(r#"{{"client_certificate":"{CANARY}"}}"#),
        format!(r#"{{"ca":{{"pem":"{CANARY}","file":"/a"}}}}"#),
    ] {
        assert_silent_text(serde_json::from_str::<HttpConfig>(&json).unwrap_err());
    }
}

#[tokio::test]
async fn a_failed_exchange_tells_nothing_of_the_request() {
    let (listener, refused) = listen().await;
    drop(listener);
    assert_silent_text(failure(&refused).await);

    let (silent, _peer) = reply("").await;
    assert_silent_text(failure(&silent).await);

    let (other, _peer) = reply("SSH-2.0-OpenSSH_9.9\r\n").await;
    assert_silent_text(failure(&other).await);

    let elsewhere: ServerAddress = "https://bao.example".parse().unwrap();
    let error = hasty(&refused).send(telling(&elsewhere)).await.unwrap_err();
    assert_silent_text(error);
}

#[tokio::test]
async fn an_error_tells_nothing_of_the_answer() {
    let (broken, _peer) =
        reply(format!("HTTP/1.1 200 OK\r\nx-a: {CANARY}\r\ncontent-length: 100\r\n\r\n{CANARY}"))
            .await;
    assert_silent_text(failure(&broken).await);

    let (refusing, _peer) = reply(format!(
        "HTTP/1.1 403 {CANARY}\r\nset-cookie: {CANARY}\r\nlocation: {CANARY}\r\n\
         content-length: 6\r\n\r\n{CANARY}"
    ))
    .await;
    let response = client(&refusing).send(get(&refusing)).await.unwrap();
    assert_silent(&response);
    assert_silent(&response.headers);
    assert_silent_text(response.error("read refused"));
}
