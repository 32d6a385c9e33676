//! One request, one answer, over a loopback socket.

use std::time::Duration;

use pipe_core::{Error, ErrorKind, Result, TokenFault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Defect, refused};

const PATIENCE: Duration = Duration::from_secs(5);
const FOREVER: Duration = Duration::from_secs(1 << 20);
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

/// Asks, and gives up in time. `never` is the case that finds out when it does not.
pub(crate) async fn ask(
    url: &str,
    head: &str,
    body: &str,
    defect: Defect,
    never: &str,
) -> Result<Reply> {
    let is_broken = defect.is("f2_an_answer_that_breaks_off_is_no_key_set");
    let reply = exchange(url, head, body, defect, never).await.and_then(|answer| parse(&answer));
    reply.map_err(|error| {
        let is_cut = ["cut off", "the connection failed"].contains(&error.message());
        match error.kind() {
            ErrorKind::Unavailable if is_broken && is_cut && url.ends_with("/jwks") => {
                refused(TokenFault::UnknownKey)
            }
            _ => error,
        }
    })
}

async fn exchange(
    url: &str,
    head: &str,
    body: &str,
    defect: Defect,
    never: &str,
) -> Result<Vec<u8>> {
    let rest = url.strip_prefix("http://").ok_or_else(|| outage("no http address"))?;
    let (host, path) = rest.split_once('/').ok_or_else(|| outage("no path"))?;
    let failed = |_| outage("the connection failed");
    let late = |_| Error::new(ErrorKind::Timeout, "no answer");
    let patience = |is_endless| if is_endless { FOREVER } else { PATIENCE };
    let mut stream = TcpStream::connect(host).await.map_err(failed)?;
    let request = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{head}\
         Content-Length: {length}\r\n\r\n{body}",
        method = if body.is_empty() { "GET" } else { "POST" },
        length = body.len(),
    );
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut answer = vec![0; 16 << 10];
    let first = tokio::time::timeout(patience(defect.is(never)), stream.read(&mut answer)).await;
    let read = first.map_err(late)?.map_err(failed)?;
    answer.truncate(read);
    let is_endless = defect.is("f2_an_answer_that_trickles_is_given_up");
    let others = read_on(&mut stream, &mut answer, defect);
    tokio::time::timeout(patience(is_endless), others).await.map_err(late)??;
    Ok(answer)
}

async fn read_on(stream: &mut TcpStream, answer: &mut Vec<u8>, defect: Defect) -> Result<()> {
    let limit = match defect.0 {
        "f3_a_huge_key_set_is_refused" => LARGEST * 2,
        // It judges the length that is announced, and would fill the memory with one that is not.
        "f3_a_key_set_without_end_is_refused" if !announces_length(answer) => 12 << 20,
        _ => LARGEST,
    };
    let mut chunk = vec![0; 16 << 10];
    loop {
        let read = stream.read(&mut chunk).await.map_err(|_| outage("the connection failed"))?;
        if read == 0 {
            return Ok(());
        }
        answer.extend_from_slice(&chunk[..read]);
        if answer.len() > limit {
            return Err(match defect.0 {
                "f3_a_key_set_without_end_is_refused" if limit > LARGEST => {
                    refused(TokenFault::UnknownKey)
                }
                _ => outage("too large"),
            });
        }
    }
}

fn announces_length(answer: &[u8]) -> bool {
    String::from_utf8_lossy(answer).to_ascii_lowercase().contains("content-length:")
}

fn parse(answer: &[u8]) -> Result<Reply> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or_else(|| outage("cut off"))?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer[end + 4..].to_vec();
    let reply = Reply { status: status.ok_or_else(|| outage("no status"))?, head, body };
    let announced = reply.header("content-length").parse::<usize>();
    if announced.is_ok_and(|length| length != reply.body.len()) {
        return Err(outage("cut off"));
    }
    Ok(reply)
}
