//! With axum, over a real socket (REQ 001-29).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::routing::get;
use axum::{Extension, Router};
use pipe_core::SecurityContext;
use pipe_testkit::reference::InMemoryIdentity;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{layer, role, token};

async fn who_am_i(Extension(caller): Extension<Arc<SecurityContext>>) -> String {
    assert_eq!(SecurityContext::current().as_ref(), Some(&caller));
    caller.principal.id.to_string()
}

async fn serve(identity: InMemoryIdentity) -> SocketAddr {
    let authenticate = layer(identity).with_realm("reports").unwrap();
    let writers = authenticate.clone().require_role(role("data_writer"));
    let app = Router::new()
        .route("/me", get(who_am_i))
        .route_layer(authenticate)
        .merge(Router::new().route("/write", get(who_am_i)).route_layer(writers))
        .route("/healthz", get(async || "alive"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    address
}

/// The whole answer, as it came over the wire.
async fn get_raw(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_handler_knows_its_caller() {
    let identity = InMemoryIdentity::new();
    let token = token(&identity, "bot").await;
    let address = serve(identity).await;
    let answer = get_raw(address, "/me", &format!("Authorization: Bearer {token}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nbot"), "{answer}");
}

#[tokio::test]
async fn a_stranger_is_challenged_and_told_nothing_else() {
    let address = serve(InMemoryIdentity::new()).await;
    for (headers, challenge) in [
        ("", "Bearer realm=\"reports\"\r\n"),
        ("Authorization: Bearer x\r\n", "Bearer realm=\"reports\",error=\"invalid_token\"\r\n"),
    ] {
        let answer = get_raw(address, "/me", headers).await;
        let challenge = format!("\r\nwww-authenticate: {challenge}");
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains(&challenge), "{answer}");
        assert!(answer.contains("\r\ncontent-length: 0\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_known_caller_without_the_role_is_forbidden() {
    let identity = InMemoryIdentity::new();
    let token = token(&identity, "bot").await;
    let address = serve(identity).await;
    let answer = get_raw(address, "/write", &format!("Authorization: Bearer {token}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[tokio::test]
async fn a_route_outside_of_the_layer_is_open() {
    let address = serve(InMemoryIdentity::new()).await;
    assert!(get_raw(address, "/healthz", "").await.ends_with("alive"));
    assert!(get_raw(address, "/nowhere", "").await.starts_with("HTTP/1.1 404 "));
}
