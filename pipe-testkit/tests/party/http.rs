//! One request, one answer, over a loopback socket.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipe_core::{Error, ErrorKind, Result};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::outage;

const PATIENCE: Duration = Duration::from_secs(5);
const FOREVER: Duration = Duration::from_secs(1 << 20);
const LARGEST: usize = 256 << 10;

/// How long an answer is waited for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Patience {
    Bounded,
    Endless,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    body: Vec<u8>,
}

impl Reply {
    /// The body, when it is JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub(crate) fn is_json(&self) -> bool {
        self.head.to_ascii_lowercase().contains("json")
    }
}

pub(crate) async fn get(url: &str) -> Result<Value> {
    let reply = exchange(url, "GET", "", "", Patience::Bounded).await?;
    match (reply.status, reply.is_json(), reply.json()) {
        (200, true, Some(document)) => Ok(document),
        _ => Err(outage("no document")),
    }
}

/// Posts a form as this client.
pub(crate) async fn post(
    url: &str,
    (id, secret): (&str, &str),
    fields: &[(&str, &str)],
    patience: Patience,
) -> Result<Reply> {
    let basic = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
    let head = format!(
        "Authorization: Basic {basic}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    );
    exchange(url, "POST", &head, &form(fields), patience).await
}

pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let fields = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    fields.collect::<Vec<_>>().join("&")
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

async fn exchange(
    url: &str,
    method: &str,
    head: &str,
    body: &str,
    patience: Patience,
) -> Result<Reply> {
    let limit = if patience == Patience::Endless { FOREVER } else { PATIENCE };
    let asking = ask(url, method, head, body);
    let answer = tokio::time::timeout(limit, asking).await;
    parse(&answer.map_err(|_| Error::new(ErrorKind::Timeout, "no answer"))??)
}

async fn ask(url: &str, method: &str, head: &str, body: &str) -> Result<Vec<u8>> {
    let failed = |_| outage("the connection failed");
    let rest = url.strip_prefix("http://").ok_or_else(|| outage("no http address"))?;
    let (host, path) = rest.split_once('/').ok_or_else(|| outage("no path"))?;
    let mut stream = TcpStream::connect(host).await.map_err(failed)?;
    let request = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{head}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut answer = Vec::new();
    let mut chunk = vec![0; 16 << 10];
    loop {
        let read = stream.read(&mut chunk).await.map_err(failed)?;
        if read == 0 {
            return Ok(answer);
        }
        answer.extend_from_slice(&chunk[..read]);
        if answer.len() > LARGEST {
            return Err(outage("too large"));
        }
    }
}

fn parse(answer: &[u8]) -> Result<Reply> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or_else(|| outage("cut off"))?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| outage("no status"))?;
    Ok(Reply { status, head, body: answer[end + 4..].to_vec() })
}
