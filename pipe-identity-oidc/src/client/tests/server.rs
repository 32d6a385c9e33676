//! A token endpoint whose answers a test decides, and which remembers what it was asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// One request, as it was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) line: String,
    head: String,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.body.as_bytes());
        pairs.find(|(other, _)| other == name).map(|(_, value)| value.into_owned())
    }
}

type Answer = dyn Fn(&Seen) -> (u16, String) + Send + Sync;

struct Script {
    seen: Mutex<Vec<Seen>>,
    answer: Mutex<Arc<Answer>>,
}

pub(crate) struct Server {
    address: String,
    script: Arc<Script>,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let granting: Arc<Answer> = Arc::new(|_| (200, token("token")));
        let script = Arc::new(Script { seen: Mutex::default(), answer: Mutex::new(granting) });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&script)));
        Self { address, script, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/oauth/token?tenant=t1", self.address)
    }

    pub(crate) fn answer(&self, status: u16, body: impl Into<String>) {
        let body = body.into();
        self.answer_with(move |_| (status, body.clone()));
    }

    pub(crate) fn answer_with(
        &self,
        answer: impl Fn(&Seen) -> (u16, String) + Send + Sync + 'static,
    ) {
        *self.script.answer.lock().unwrap() = Arc::new(answer);
    }

    pub(crate) fn count(&self) -> usize {
        self.script.seen.lock().unwrap().len()
    }

    pub(crate) fn last(&self) -> Seen {
        self.script.seen.lock().unwrap().last().cloned().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A sound answer with this token.
pub(crate) fn token(token: &str) -> String {
    serde_json::json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 })
        .to_string()
}

async fn accept(listener: TcpListener, script: Arc<Script>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&script)));
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>) -> Option<()> {
    let seen = read(&mut stream).await?;
    script.seen.lock().unwrap().push(seen.clone());
    let answer = Arc::clone(&script.answer.lock().unwrap());
    let (status, body) = answer(&seen);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\nlocation: /elsewhere\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body.as_bytes()).await.ok()
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let (line, head) = head.split_once("\r\n")?;
            let seen = Seen { line: line.into(), head: head.into(), body: body.into() };
            let length: usize = seen.header("content-length")?.parse().ok()?;
            if body.len() >= length {
                return Some(seen);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
