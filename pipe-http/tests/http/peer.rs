//! Servers of one connection, written out byte by byte.

use std::future::Future;
use std::time::Duration;

use pipe_http::{HttpClient, HttpConfig, ServerAddress};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A server that does this with its first connection; the task is what it made of it.
pub(crate) async fn serve<F, Fut>(act: F) -> (ServerAddress, JoinHandle<Fut::Output>)
where
    F: FnOnce(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output: Send> + Send + 'static,
{
    let (listener, address) = listen().await;
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        act(stream).await
    });
    (address, task)
}

/// A server that reads a request, sends these bytes, and waits until the client goes away.
pub(crate) async fn reply(answer: impl Into<Vec<u8>>) -> (ServerAddress, JoinHandle<String>) {
    let answer = answer.into();
    serve(async move |mut stream: TcpStream| {
        let request = read_request(&mut stream).await;
        stream.write_all(&answer).await.unwrap();
        drain(&mut stream).await;
        request
    })
    .await
}

pub(crate) async fn listen() -> (TcpListener, ServerAddress) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address.parse().unwrap())
}

/// Whether nobody tried to connect. The kernel accepts before the client goes on, so this is
/// settled once the client is done.
pub(crate) fn was_left_alone(listener: TcpListener) -> bool {
    let listener = listener.into_std().unwrap();
    listener.accept().unwrap_err().kind() == std::io::ErrorKind::WouldBlock
}

/// The head of a request and as much of a body as it announces.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut request = String::new();
    let mut length = None;
    loop {
        if let Some(end) = request.find("\r\n\r\n") {
            let announced = length.get_or_insert_with(|| {
                let lower = request.to_lowercase();
                lower
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                    .unwrap_or(0)
            });
            if request.len() >= end + 4 + *announced {
                return request;
            }
        }
        request.push(char::from(stream.read_u8().await.unwrap()));
    }
}

/// Reads until the client has closed the connection, orderly or not.
pub(crate) async fn drain(stream: &mut (impl AsyncRead + Unpin)) {
    let _ = tokio::io::copy(stream, &mut tokio::io::sink()).await;
}

pub(crate) fn get(address: &ServerAddress) -> http::Request<Vec<u8>> {
    http::Request::get(address.join("v1/x").unwrap()).body(Vec::new()).unwrap()
}

pub(crate) fn client(address: &ServerAddress) -> HttpClient {
    HttpClient::new(&HttpConfig::new(), address).unwrap()
}

/// A client that loses patience soon. Tests assert *that* it does, never when.
pub(crate) fn hasty(address: &ServerAddress) -> HttpClient {
    let config = HttpConfig::new().with_timeout(Duration::from_millis(200));
    HttpClient::new(&config, address).unwrap()
}

pub(crate) fn small(address: &ServerAddress, max_body: usize) -> HttpClient {
    HttpClient::new(&HttpConfig::new().with_max_body(max_body), address).unwrap()
}
