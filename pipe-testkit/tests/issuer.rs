//! The provider in the process answers as the real one does.
#![cfg(feature = "issuer")]

use pipe_testkit::issuer::{
    AUDIENCE, CLIENT_ID, CLIENT_SECRET, DISCOVERY, Fault, OldKeys, RESOURCE_SERVER_ID,
    RESOURCE_SERVER_SECRET, SigningAlgorithm, TestIssuer,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Reply {
    head: String,
    body: String,
}

impl Reply {
    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

async fn send(issuer: &TestIssuer, request: String) -> Reply {
    let address = issuer.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    Reply { head: head.to_owned(), body: body.to_owned() }
}

async fn get(issuer: &TestIssuer, path: &str) -> Reply {
    send(issuer, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
}

async fn post(issuer: &TestIssuer, path: &str, authorization: &str, form: &str) -> Reply {
    let length = form.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}\
         Content-Length: {length}\r\n\r\n{form}"
    );
    send(issuer, request).await
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn secret(form: &str) -> String {
    format!("client_id={CLIENT_ID}&client_secret={}&{form}", encoded(CLIENT_SECRET))
}

fn resource_server(form: &str) -> String {
    format!("client_id={RESOURCE_SERVER_ID}&client_secret={RESOURCE_SERVER_SECRET}&{form}")
}

const CC: &str = "grant_type=client_credentials";

#[tokio::test]
async fn discovery_names_the_issuer_and_where_everything_is() {
    let issuer = TestIssuer::start().await;
    let document = get(&issuer, DISCOVERY).await.json();
    assert_eq!(document["issuer"], issuer.url());
    assert_eq!(document["jwks_uri"], format!("{}/jwks", issuer.url()));
    assert_eq!(issuer.hits(DISCOVERY), 1);
}

#[tokio::test]
async fn a_rotation_keeps_or_drops_the_old_keys_and_uses_the_announced_ones() {
    let issuer = TestIssuer::start().await;
    assert_eq!(issuer.jwks()["keys"].as_array().map(Vec::len), Some(5));
    issuer.publish_next();
    let next = issuer.next_key(SigningAlgorithm::Es256).expect("announced");
    assert_eq!(issuer.jwks()["keys"].as_array().map(Vec::len), Some(10));
    issuer.rotate(OldKeys::Kept);
    assert_eq!(issuer.key(SigningAlgorithm::Es256).kid(), next.kid());
    assert_eq!(issuer.jwks()["keys"].as_array().map(Vec::len), Some(10));
    issuer.drop_old();
    assert_eq!(issuer.jwks()["keys"].as_array().map(Vec::len), Some(5));
    issuer.rotate(OldKeys::Dropped);
    assert_eq!(issuer.jwks()["keys"].as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn a_grant_without_resource_gives_an_opaque_token_and_with_one_a_jwt() {
    let issuer = TestIssuer::start().await;
    let opaque = post(&issuer, "/token", "", &secret(CC)).await.json();
    assert_eq!(opaque["access_token"].as_str().map(str::len), Some(43));
    assert_eq!((&opaque["expires_in"], &opaque["token_type"]), (&json!(3600), &json!("Bearer")));
    let form = secret(&format!("{CC}&resource={}&scope=secrets:read%20unknown", encoded(AUDIENCE)));
    let jwt = post(&issuer, "/token", "", &form).await.json();
    assert_eq!(jwt["scope"], "secrets:read");
    assert_eq!(jwt["access_token"].as_str().map(|token| token.split('.').count()), Some(3));
    let form = secret(&format!("{CC}&resource=https%3A%2F%2Fnobody"));
    let refused = post(&issuer, "/token", "", &form).await;
    assert_eq!((refused.status(), &refused.json()["error"]), ("400", &json!("invalid_target")));
}

/// G10
#[tokio::test]
async fn basic_authentication_is_form_encoded_first() {
    use base64::Engine as _;
    let issuer = TestIssuer::start().await;
    for (pair, status) in [
        (format!("{CLIENT_ID}:{}", encoded(CLIENT_SECRET)), "200"),
        (format!("{CLIENT_ID}:{CLIENT_SECRET}"), "401"),
    ] {
        let basic = base64::engine::general_purpose::STANDARD.encode(pair);
        let header = format!("Authorization: Basic {basic}\r\n");
        let reply = post(&issuer, "/token", &header, CC).await;
        assert_eq!(reply.status(), status);
        assert_eq!(reply.head.to_lowercase().contains("www-authenticate"), status == "401");
    }
}

/// G11
#[tokio::test]
async fn a_client_assertion_is_good_once() {
    let issuer = TestIssuer::start().await;
    let key = issuer.key(SigningAlgorithm::Es256).with_kid("client");
    issuer.register("svc-pkjwt", &key);
    let assertion = issuer.token().key(&key).claim("iss", "svc-pkjwt").claim("sub", "svc-pkjwt");
    let assertion = assertion.claim("aud", issuer.url()).sign();
    let form = format!(
        "{CC}&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer\
         &client_assertion={assertion}"
    );
    assert_eq!(post(&issuer, "/token", "", &form).await.status(), "200");
    let again = post(&issuer, "/token", "", &form).await;
    assert_eq!((again.status(), &again.json()["error"]), ("401", &json!("invalid_client")));
}

#[tokio::test]
async fn opaque_tokens_are_introspected_until_they_are_revoked_and_jwts_never() {
    let issuer = TestIssuer::start().await;
    let token = issuer.opaque_token(json!({"sub": "alice"}));
    let ask = |token: &str| resource_server(&format!("token={token}"));
    let told = post(&issuer, "/token/introspection", "", &ask(&token)).await.json();
    assert_eq!((&told["active"], &told["sub"]), (&json!(true), &json!("alice")));
    for _ in 0..2 {
        let revoked = post(&issuer, "/token/revocation", "", &ask(&token)).await;
        assert_eq!((revoked.status(), revoked.body.as_str()), ("200", ""));
    }
    let told = post(&issuer, "/token/introspection", "", &ask(&token)).await.json();
    assert_eq!(told, json!({"active": false}));
    let jwt = ask(&issuer.token().sign());
    for path in ["/token/introspection", "/token/revocation"] {
        let refused = post(&issuer, path, "", &jwt).await;
        let error = &refused.json()["error"];
        assert_eq!((refused.status(), error), ("400", &json!("unsupported_token_type")));
    }
    let anonymous = post(&issuer, "/token/introspection", "", &format!("token={token}")).await;
    assert_eq!(anonymous.status(), "400");
}

#[tokio::test]
async fn faults_are_met_and_healed() {
    let issuer = TestIssuer::start().await;
    for (fault, status) in [
        (Fault::Html500, "500"),
        (Fault::Html200, "200"),
        (Fault::RateLimited { retry_after: Some(2) }, "429"),
        (Fault::Redirect("file:///etc/passwd".to_owned()), "302"),
        (Fault::NoContent, "204"),
        (Fault::Status(503, "{}".to_owned()), "503"),
        (Fault::Json("[]".to_owned()), "200"),
        (Fault::ContentType("text/html".to_owned()), "200"),
        (Fault::Reset, ""),
    ] {
        issuer.fail("/jwks", fault.clone());
        let reply = get(&issuer, "/jwks").await;
        assert_eq!(reply.status(), status, "{fault:?}");
    }
    issuer.fail("/jwks", Fault::Huge(1 << 20));
    let huge = get(&issuer, "/jwks").await;
    assert!(huge.body.len() > 1 << 20 && huge.body.contains("{}]}"));
    issuer.heal("/jwks");
    assert!(get(&issuer, "/jwks").await.body.contains("keys"));
    assert_eq!(issuer.hits("/jwks"), 11);
}

#[tokio::test]
async fn it_can_go_away_and_come_back() {
    let mut issuer = TestIssuer::start().await;
    let address = issuer.url().trim_start_matches("http://").to_owned();
    issuer.stop().await;
    assert!(TcpStream::connect(&address).await.is_err());
    issuer.restart().await;
    assert_eq!(get(&issuer, "/jwks").await.status(), "200");
}

#[test]
fn a_signature_and_its_twin_verify_and_its_der_form_does_not() {
    use pipe_testkit::issuer::{SigningKey, der, twin};
    let key = SigningKey::generate(SigningAlgorithm::Es256, "k");
    let signature = key.sign(b"message");
    assert!(key.verify(b"message", &signature) && key.verify(b"message", &twin(&signature)));
    assert_ne!(twin(&signature), signature);
    assert_eq!(twin(&twin(&signature)), signature);
    assert!(!key.verify(b"message", &der(&signature)));
}
