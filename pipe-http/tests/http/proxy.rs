use std::process::Command;

use pipe_core::ErrorKind;
use pipe_http::{HttpClient, HttpConfig, ServerAddress};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::authority::Authority;
use crate::peer::{drain, get, listen, read_request, reply, serve, was_left_alone};

/// A name that only the proxy has to know.
fn remote() -> ServerAddress {
    "https://secrets.invalid".parse().unwrap()
}

fn through(proxy: &ServerAddress) -> HttpConfig {
    let proxy = proxy.as_str().replace("http://", "http://me:p%40ss@");
    HttpConfig::new().with_proxy(proxy.parse().unwrap())
}

#[tokio::test]
async fn an_exchange_goes_through_the_configured_proxy_inside_tls() {
    let authority = Authority::new();
    let acceptor = authority.issue("secrets.invalid").acceptor();
    let (proxy, peer) = serve(async move |mut stream: TcpStream| {
        let connect = read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        stream.flush().await.unwrap();
        drain(&mut stream).await;
        (connect, request)
    })
    .await;
    let config = through(&proxy).with_ca(authority.bundle());
    let client = HttpClient::new(&config, &remote()).unwrap();
    let mut request = get(&remote());
    request.headers_mut().insert("x-vault-token", "t0ken".parse().unwrap());
    let response = client.send(request).await.unwrap();
    drop(client);
    let (connect, request) = peer.await.unwrap();
    assert_eq!(response.status, 204);
    assert!(connect.starts_with("CONNECT secrets.invalid:443 "), "{connect}");
    // `me:p@ss`
    let credentials = "proxy-authorization: basic bwu6cebzcw==";
    assert!(connect.to_lowercase().contains(credentials), "{connect}");
    assert!(!connect.contains("t0ken"), "{connect}");
    assert!(request.contains("x-vault-token: t0ken"), "{request}");
    assert!(!request.to_lowercase().contains("proxy-"), "{request}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_credentials() {
    let (proxy, _peer) = reply("HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n").await;
    let config = through(&proxy).with_ca(Authority::new().bundle());
    let client = HttpClient::new(&config, &remote()).unwrap();
    let error = client.send(get(&remote())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(error.context("proxy"), Some(proxy.as_str()));
}

#[tokio::test]
async fn a_loopback_server_is_spoken_to_directly() {
    let (listener, proxy) = listen().await;
    let (address, _peer) = reply("HTTP/1.1 204 No Content\r\n\r\n").await;
    let client = HttpClient::new(&through(&proxy), &address).unwrap();
    assert_eq!(client.send(get(&address)).await.unwrap().status, 204);
    assert!(was_left_alone(listener));
}

const CHILD: &str = "proxy::asks_a_server_that_is_not_there";

#[tokio::test]
async fn proxies_of_the_environment_are_ignored() {
    let (listener, proxy) = listen().await;
    // A process of its own, because an environment belongs to all threads.
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", CHILD, "--ignored"]);
    for name in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"] {
        child.env(name, proxy.as_str());
        child.env(name.to_lowercase(), proxy.as_str());
    }
    for name in ["NO_PROXY", "no_proxy", "REQUEST_METHOD"] {
        child.env_remove(name);
    }
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert!(was_left_alone(listener));
}

#[tokio::test]
#[ignore = "run by proxies_of_the_environment_are_ignored, in another environment"]
async fn asks_a_server_that_is_not_there() {
    let (listener, free) = listen().await;
    drop(listener);
    // Leads here as well, yet is no loopback address, so that a proxy would be used.
    let address = free.as_str().replace("http://127.0.0.1", "https://0.0.0.0");
    let address: ServerAddress = address.parse().unwrap();
    let config = HttpConfig::new().with_ca(Authority::new().bundle());
    let client = HttpClient::new(&config, &address).unwrap();
    let error = client.send(get(&address)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}
