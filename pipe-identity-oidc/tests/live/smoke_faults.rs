//! Each fault shows, and nothing but the faulty path is touched.

use std::time::Duration;

use reqwest::{Certificate, StatusCode};
use serde_json::json;

use crate::admin::Fault;
use crate::server::Server;
use crate::web::{builder, client, json, send};

const PATH: &str = "/jwks";

#[tokio::test]
async fn a_fault_is_counted_and_touches_only_its_path() {
    let Some(server) = Server::start().await else { return };
    server.admin().fault(PATH, Fault::Html500).await;
    assert_eq!(send(client().get(server.url(PATH))).await.status(), 500);
    let discovery = server.url("/.well-known/openid-configuration");
    assert_eq!(send(client().get(discovery)).await.status(), 200);
    assert_eq!(server.admin().hits(PATH).await, 1);

    server.admin().reset_hits().await;
    assert_eq!(server.admin().hits(PATH).await, 0);

    server.admin().clear_faults().await;
    assert_eq!(json(client().get(server.url(PATH))).await.0, 200);
}

#[tokio::test]
async fn faults_that_answer_do_so() {
    let Some(server) = Server::start().await else { return };
    let get = async |fault| {
        server.admin().fault(PATH, fault).await;
        send(client().get(server.url(PATH))).await
    };

    let response = get(Fault::Html200).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/html");

    let response = get(Fault::Json { body: r#"{"keys":[]}"#.to_owned() }).await;
    assert_eq!(response.text().await.unwrap(), r#"{"keys":[]}"#);

    let response = get(Fault::TooManyRequests { retry_after: 2 }).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "2");

    let location = "http://169.254.169.254/".to_owned();
    let response = get(Fault::Redirect { location: location.clone() }).await;
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(response.headers()["location"], location);

    let response = get(Fault::Slow { milliseconds: 50 }).await;
    assert_eq!(response.status(), StatusCode::OK);

    let body = get(Fault::Huge { megabytes: 3 }).await.bytes().await.unwrap();
    assert!(body.len() >= 3 << 20, "{} bytes", body.len());
    let first: serde_json::Value = serde_json::from_slice(&body).expect("it is a JWK set");
    assert_eq!(first["keys"][0], json!({ "kty": "oct" }));
}

#[tokio::test]
async fn a_reset_ends_the_connection() {
    let Some(server) = Server::start().await else { return };
    server.admin().fault(PATH, Fault::Reset).await;
    let ca = Certificate::from_pem(server.ca().as_bytes()).unwrap();
    let client = builder().tls_certs_only([ca]).build().unwrap();
    for url in [server.url(PATH), server.tls_url(PATH)] {
        let error = client.get(&url).send().await.unwrap_err();
        assert!(!error.is_connect() && !error.is_timeout(), "{url}: {error:?}");
    }
    server.admin().clear_faults().await;
    assert_eq!(send(client.get(server.tls_url(PATH))).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_hanging_path_never_answers() {
    let Some(server) = Server::start().await else { return };
    server.admin().fault(PATH, Fault::Hang).await;
    let impatient = builder().timeout(Duration::from_millis(300)).build().unwrap();
    assert!(impatient.get(server.url(PATH)).send().await.unwrap_err().is_timeout());
}
