//! Asking the provider itself whom a token speaks for.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The subject, by the userinfo endpoint; `None` when it does not take the token.
pub(super) async fn subject(issuer: &str, token: &str) -> Option<String> {
    let host = issuer.strip_prefix("http://")?;
    let mut stream = TcpStream::connect(host).await.ok()?;
    let request = format!(
        "GET /me HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let claims: Value = serde_json::from_str(body).ok().filter(|_| head.contains(" 200 "))?;
    claims.get("sub")?.as_str().map(str::to_owned)
}
