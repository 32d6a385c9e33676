//! One request, one answer, over a loopback socket.

use std::time::Duration;

use pipe_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Defect;

const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST: usize = 256 << 10;

pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut values = lines.filter(|(other, _)| other.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim()).unwrap_or_default()
    }
}

pub(crate) fn outage(message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}

/// Asks, and gives up in time. `case` says which case finds out when it does not.
pub(crate) async fn ask(
    url: &str,
    head: &str,
    body: &str,
    defect: Defect,
    never: &str,
) -> Result<Reply> {
    let patience = if defect.is(never) { PATIENCE * 10_000 } else { PATIENCE };
    let asked = tokio::time::timeout(patience, exchange(url, head, body, defect)).await;
    match asked {
        Ok(reply) => reply,
        Err(_) => Err(Error::new(ErrorKind::Timeout, "no answer")),
    }
}

async fn exchange(url: &str, head: &str, body: &str, defect: Defect) -> Result<Reply> {
    let rest = url.strip_prefix("http://").ok_or_else(|| outage("no http address"))?;
    let (host, path) = rest.split_once('/').ok_or_else(|| outage("no path"))?;
    let failed = |_| outage("the connection failed");
    let mut stream = TcpStream::connect(host).await.map_err(failed)?;
    let request = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{head}\
         Content-Length: {length}\r\n\r\n{body}",
        method = if body.is_empty() { "GET" } else { "POST" },
        length = body.len(),
    );
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut answer = Vec::new();
    let limit = match defect.0 {
        "f3_a_huge_key_set_is_refused" => LARGEST * 2,
        _ => LARGEST,
    };
    let mut chunk = vec![0; 16 << 10];
    loop {
        let read = stream.read(&mut chunk).await.map_err(failed)?;
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&chunk[..read]);
        if answer.len() > limit {
            // A defect would fill the memory here; this one only does not come back.
            if defect.is("f3_a_key_set_without_end_is_refused") && answer.len() < (8 << 20) {
                continue;
            }
            return Err(match defect.0 {
                "f3_a_key_set_without_end_is_refused" => {
                    super::refused(pipe_core::TokenFault::UnknownKey)
                }
                _ => outage("too large"),
            });
        }
    }
    let end =
        answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(|| outage("cut off"))?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let body = answer[end + 4..].to_vec();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let reply = Reply { status: status.ok_or_else(|| outage("no status"))?, head, body };
    let announced = reply.header("content-length").parse::<usize>();
    if announced.is_ok_and(|length| length != reply.body.len()) {
        return Err(outage("cut off"));
    }
    Ok(reply)
}
