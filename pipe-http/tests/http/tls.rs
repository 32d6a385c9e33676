use pipe_core::{Error, ErrorKind, SecretSource, SecretValue};
use pipe_http::{CaBundle, CaTrust, HttpClient, HttpConfig, HttpResponse, ServerAddress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;
use crate::peer::{drain, get, read_request, reply, serve};

/// A server whose task tells whether the client presented a certificate.
async fn serve_tls(acceptor: TlsAcceptor) -> (ServerAddress, JoinHandle<bool>) {
    let (address, peer) = serve(async move |stream: TcpStream| {
        match acceptor.accept(stream).into_fallible().await {
            Ok(mut stream) => {
                read_request(&mut stream).await;
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
                stream.flush().await.unwrap();
                drain(&mut stream).await;
                stream.get_ref().1.peer_certificates().is_some()
            }
            // To close with something unread would reset the connection and lose the alert.
            Err((_, mut stream)) => {
                drain(&mut stream).await;
                false
            }
        }
    })
    .await;
    (secure(&address), peer)
}

fn secure(address: &ServerAddress) -> ServerAddress {
    address.as_str().replace("http:", "https:").parse().unwrap()
}

async fn ask(config: &HttpConfig, address: &ServerAddress) -> Result<HttpResponse, Error> {
    HttpClient::new(config, address)?.send(get(address)).await
}

fn scratch(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("pipe-http-{}-{name}", std::process::id()))
}

#[tokio::test]
async fn a_private_authority_is_trusted_in_each_way_it_can_be_set() {
    let authority = Authority::new();
    let file = scratch("ca.pem");
    std::fs::write(&file, format!("a comment\n{}", authority.pem())).unwrap();
    for ca in
        [authority.bundle(), CaBundle::file(&file), authority.bundle().with_trust(CaTrust::Added)]
    {
        let (address, _peer) = serve_tls(authority.issue("127.0.0.1").acceptor()).await;
        let response = ask(&HttpConfig::new().with_ca(ca), &address).await.unwrap();
        assert_eq!(response.status, 204);
    }
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn an_unknown_issuer_is_refused_with_a_hint_to_the_ca() {
    for trust in [CaTrust::Exclusive, CaTrust::Added] {
        let (address, _peer) = serve_tls(Authority::new().issue("127.0.0.1").acceptor()).await;
        let ca = Authority::new().bundle().with_trust(trust);
        let error = ask(&HttpConfig::new().with_ca(ca), &address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
        assert!(error.hint_text().contains("`ca`"), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let (address, _peer) = serve_tls(authority.issue("127.0.0.2").acceptor()).await;
    let config = HttpConfig::new().with_ca(authority.bundle());
    let error = ask(&config, &address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
    assert!(error.message().contains("another name"), "{error}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let (address, _peer) = serve_tls(authority.issue_expired("127.0.0.1").acceptor()).await;
    let config = HttpConfig::new().with_ca(authority.bundle());
    let error = ask(&config, &address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
    assert!(error.message().contains("expired"), "{error}");
}

#[tokio::test]
async fn a_client_certificate_is_presented() {
    let authority = Authority::new();
    let file = scratch("client.pem");
    let client = authority.issue("bot");
    std::fs::write(&file, client.secret().expose()).unwrap();
    for source in [SecretSource::from(client.secret()), SecretSource::file(&file)] {
        let acceptor = authority.issue("127.0.0.1").strict_acceptor(&authority);
        let (address, peer) = serve_tls(acceptor).await;
        let config = HttpConfig::new().with_ca(authority.bundle()).with_client_certificate(source);
        assert_eq!(ask(&config, &address).await.unwrap().status, 204);
        assert!(peer.await.unwrap());
    }
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn a_missing_client_certificate_is_named() {
    let authority = Authority::new();
    let acceptor = authority.issue("127.0.0.1").strict_acceptor(&authority);
    let (address, _peer) = serve_tls(acceptor).await;
    let config = HttpConfig::new().with_ca(authority.bundle());
    let error = ask(&config, &address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
    assert!(error.hint_text().contains("`client_certificate`"), "{error}");
}

#[test]
fn a_client_certificate_needs_its_own_key() {
    let authority = Authority::new();
    let (one, other) = (authority.issue("one"), authority.issue("other"));
    for secret in [one.certificate_pem() + &other.key_pem(), one.certificate_pem(), one.key_pem()] {
        let config = HttpConfig::new().with_client_certificate(SecretValue::from(secret));
        let address = "https://bao.example".parse().unwrap();
        let error = HttpClient::new(&config, &address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.context("client_certificate").is_some(), "{error}");
    }
}

/// RFC 9113 8.7 lets a client send a refused stream again; here that is the caller's decision.
#[tokio::test]
async fn a_stream_that_http2_refuses_is_not_sent_again() {
    const HEADERS: u8 = 1;
    let authority = Authority::new();
    let acceptor = authority.issue("127.0.0.1").http2_acceptor();
    let (address, peer) = serve(async move |stream: TcpStream| {
        let mut stream = acceptor.accept(stream).await.unwrap();
        stream.read_exact(&mut [0; 24]).await.unwrap();
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        stream.write_all(&settings).await.unwrap();
        let mut requests = 0;
        let mut head = [0; 9];
        while stream.read_exact(&mut head).await.is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            stream.read_exact(&mut payload).await.unwrap();
            if head[3] == HEADERS {
                requests += 1;
                let reset = [&[0, 0, 4, 3, 0], &head[5..9], &[0, 0, 0, 7]].concat();
                stream.write_all(&reset).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
        requests
    })
    .await;
    let config = HttpConfig::new().with_ca(authority.bundle());
    let error = ask(&config, &secure(&address)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(peer.await.unwrap(), 1);
}

#[tokio::test]
async fn a_server_without_tls_is_named() {
    let (address, _peer) = serve(async |mut stream: TcpStream| {
        let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        drain(&mut stream).await;
    })
    .await;
    let config = HttpConfig::new().with_ca(Authority::new().bundle());
    let error = ask(&config, &secure(&address)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected, "{error}");
    assert!(error.message().contains("TLS"), "{error}");
}

#[tokio::test]
async fn plain_http_on_this_machine_needs_no_authority_of_the_platform() {
    let (address, _peer) = reply("HTTP/1.1 204 No Content\r\n\r\n").await;
    let response = ask(&HttpConfig::new(), &address).await.unwrap();
    assert_eq!(response.status, 204);
}
