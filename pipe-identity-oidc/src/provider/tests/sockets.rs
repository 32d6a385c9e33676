//! Through the real client, with servers on this machine.

use super::*;

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A server that is ended with its test.
struct Server {
    url: String,
    task: JoinHandle<()>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers each connection with what `answer` writes after it has read the request.
async fn server<F, Fut>(answer: F) -> Server
where
    F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&requests);
    let task = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            seen.lock().unwrap().push(String::from_utf8(head).unwrap());
            connections.spawn(answer(stream));
        }
    });
    Server { url, task, requests }
}

async fn says(answer: String) -> Server {
    server(move |mut stream| {
        let answer = answer.clone();
        async move {
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await
}

fn at(server: &Server) -> Provider {
    let source = KeySource::JwksUri(format!("{}/jwks", server.url));
    Provider::new(ProviderSettings::new("http://127.0.0.1", source)).unwrap()
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn keys_come_through_http_uncompressed() {
    let server = says(ok(&jwks(&["a"]))).await;
    assert!(knows(&at(&server), "a").await);
    let requests = server.requests.lock().unwrap().join("");
    assert!(requests.starts_with("GET /jwks HTTP/1.1\r\n"), "{requests}");
    assert!(requests.contains("accept-encoding: identity\r\n"), "{requests}");
    assert!(requests.contains("accept: application/json"), "{requests}");
}

/// F3: an endless body is left after the cap, whatever it announces.
#[tokio::test]
async fn an_endless_key_set_costs_no_more_than_the_cap() {
    for announced in ["transfer-encoding: chunked", "content-length: 146800640", "x-none: 1"] {
        let written = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&written);
        let server = server(move |mut stream| {
            let count = Arc::clone(&count);
            async move {
                let head = format!("HTTP/1.1 200 OK\r\n{announced}\r\n\r\n");
                let chunk = if announced.starts_with("transfer") {
                    format!("1000\r\n{}\r\n", "x".repeat(0x1000))
                } else {
                    "x".repeat(0x1000)
                };
                if stream.write_all(head.as_bytes()).await.is_err() {
                    return;
                }
                while count.load(Ordering::SeqCst) < 140 << 20 {
                    if stream.write_all(chunk.as_bytes()).await.is_err() {
                        return;
                    }
                    count.fetch_add(0x1000, Ordering::SeqCst);
                }
            }
        })
        .await;
        let provider = at(&server);
        let error = provider.ring_for(None).await.unwrap_err();
        assert!(error.to_string().contains("max_body"), "{error}");
        // The cap is 256 KiB; the rest is what sockets of the kernel hold.
        let written = written.load(Ordering::SeqCst);
        assert!(written < 9 << 20, "{announced}: {written}");
        assert_eq!(provider.status().counters.failures, 1);
    }
}

/// F3: what was not asked for compressed is not decompressed.
#[tokio::test]
async fn a_compressed_answer_is_refused_unread() {
    let body = ok(&jwks(&["a"])).replace("connection", "content-encoding: gzip\r\nconnection");
    let server = says(body).await;
    let error = at(&server).ring_for(None).await.unwrap_err();
    assert!(error.to_string().contains("compressed"), "{error}");
}

/// F4
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = says(ok(&jwks(&["a"]))).await;
    for target in [elsewhere.url.as_str(), "http://169.254.169.254/", "file:///etc/passwd"] {
        let redirect = format!(
            "HTTP/1.1 302 Found\r\nconnection: close\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n"
        );
        let server = says(redirect).await;
        let error = at(&server).ring_for(None).await.unwrap_err();
        assert!(error.hint_text().contains("redirects are not followed"), "{error}");
    }
    assert!(elsewhere.requests.lock().unwrap().is_empty());
}

/// F5: a document that leads to metadata services or inside is asked nothing there.
#[tokio::test]
async fn a_document_cannot_lead_inside() {
    for target in [
        "http://169.254.169.254/jwks",
        "https://169.254.169.254/jwks",
        "https://[fe80::1]/jwks",
        "https://[::ffff:169.254.169.254]/jwks",
        "https://metadata.google.internal/jwks",
        "https://user@keys.example/jwks",
        "http://keys.example/jwks",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let document = json!({"issuer": issuer, "jwks_uri": target}).to_string();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(ok(&document).as_bytes()).await.unwrap();
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        });
        let provider = Provider::new(ProviderSettings::new(issuer, KeySource::Discovery)).unwrap();
        let error = provider.ring_for(None).await.unwrap_err();
        let kind = error.context("cause_kind").unwrap();
        assert!(matches!(kind, "config_invalid" | "unexpected"), "{target}: {error}");
        task.abort();
    }
}

/// F2
#[tokio::test]
async fn an_answer_that_breaks_off_is_a_failure() {
    let server =
        says("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"keys\":[".to_owned()).await;
    let provider = at(&server);
    assert_eq!(kind_for(&provider, "a").await, ErrorKind::Unavailable);
}
