//! Servers of a test's own end, start again and forget as the other live tests rely on.

use reqwest::StatusCode;
use serde_json::json;

use crate::server::Server;
use crate::smoke::{secret, secrets};

#[tokio::test]
async fn a_restart_keeps_the_data_and_a_drop_nothing() {
    let Some(mut server) = Server::start().await else { return };
    let path = secrets(&server.admin().fresh_namespace().await);
    server.admin().create(&path, &secret("db", "s3cret")).await;
    let mut watch = server.admin().watch(&path, "").await;
    assert_eq!(watch.next().await.unwrap()["type"], "ADDED");

    server.kill();
    assert_eq!(watch.next().await, None);
    server.restart().await;

    let (status, read) = server.admin().get(&format!("{path}/db")).await;
    assert_eq!((status, &read["data"]), (StatusCode::OK, &secret("db", "s3cret")["data"]));

    let file = server.write("scratch", "");
    drop(server);
    assert!(!file.parent().unwrap().exists());
}

#[tokio::test]
async fn a_watch_from_a_forgotten_revision_expires() {
    let Some(mut server) = Server::start().await else { return };
    let path = secrets(&server.admin().fresh_namespace().await);
    let (_, list) = server.admin().get(&path).await;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    server.admin().create(&path, &secret("db", "s3cret")).await;

    server.kill();
    server.compact().await;
    server.restart().await;

    let query = format!("resourceVersion={version}");
    let event = server.admin().watch(&path, &query).await.next().await.unwrap();
    assert_eq!(event["type"], "ERROR");
    assert_eq!(event["object"]["code"], json!(410));
}
