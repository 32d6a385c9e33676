//! A provider that repeats all it was ever told, wherever it is asked, and adds a secret of its own.

use std::sync::{Arc, Mutex};

use pipe_testkit::issuer::{DISCOVERY, SigningKey};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The documents and endpoints of the provider.
pub(crate) const PATHS: [&str; 4] = [DISCOVERY, "/jwks", "/token", "/introspection"];

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// It is as it should be, with everything repeated in members that nobody asked for.
    Sound,
    /// It is an OAuth error with a description.
    Described,
    /// What was repeated stands where something is read.
    Misplaced,
    /// It is a page.
    Page,
}

impl Shape {
    pub(crate) const ALL: [Self; 4] = [Self::Sound, Self::Described, Self::Misplaced, Self::Page];
}

pub(crate) struct Provider {
    url: String,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

struct State {
    key: SigningKey,
    secret: String,
    /// Everything that clients ever sent.
    heard: String,
    requests: Vec<String>,
    spoiled: Option<(&'static str, u16, Shape)>,
}

impl Provider {
    pub(crate) async fn start(key: SigningKey, secret: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            key,
            secret: secret.to_owned(),
            heard: String::new(),
            requests: Vec::new(),
            spoiled: None,
        }));
        let accepting = tokio::spawn(accept(listener, url.clone(), Arc::clone(&state)));
        Self { url, state, accepting }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// From now on, this path is answered with this status in this shape.
    pub(crate) fn spoil(&self, path: &'static str, status: u16, shape: Shape) {
        self.state.lock().unwrap().spoiled = Some((path, status, shape));
    }

    /// How often a path was asked for.
    pub(crate) fn hits(&self, path: &str) -> usize {
        self.state.lock().unwrap().requests.iter().filter(|asked| *asked == path).count()
    }

    /// Whether a client ever sent this.
    pub(crate) fn heard(&self, text: &str) -> bool {
        self.state.lock().unwrap().heard.contains(text)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, url: String, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, url.clone(), Arc::clone(&state)));
    }
}

async fn serve(mut stream: TcpStream, url: String, state: Arc<Mutex<State>>) -> Option<()> {
    let request = read(&mut stream).await?;
    let answer = {
        let mut state = state.lock().unwrap();
        let path = request.split_ascii_whitespace().nth(1)?.to_owned();
        state.heard.push_str(&request);
        state.requests.push(path.clone());
        answer(&state, &url, &path, &request)
    };
    stream.write_all(answer.as_bytes()).await.ok()
}

fn answer(state: &State, url: &str, path: &str, request: &str) -> String {
    let State { key, secret, spoiled, .. } = state;
    let spoiled = spoiled.filter(|(spoiled, ..)| *spoiled == path);
    let (status, shape) = spoiled.map_or((200, Shape::Sound), |(_, status, shape)| (status, shape));
    let repeated = format!("{secret} {request}");
    let body = match shape {
        Shape::Sound => sound(path, url, key, secret, &repeated).to_string(),
        Shape::Described => json!({
            "error": "invalid_grant", "error_description": repeated, "error_uri": secret,
        })
        .to_string(),
        Shape::Misplaced => misplaced(secret, &repeated).to_string(),
        Shape::Page => format!("<html>{repeated}</html>"),
    };
    // What was sent cannot stand in a header, line breaks and all.
    let line: String = repeated.chars().filter(|c| c.is_ascii_graphic()).take(4_000).collect();
    format!(
        "HTTP/1.1 {status} {secret}\r\ncontent-type: application/json\r\netag: \"{line}\"\r\n\
         location: /{line}\r\nwww-authenticate: Bearer realm=\"{line}\"\r\nx-echo: {line}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn sound(path: &str, url: &str, key: &SigningKey, secret: &str, repeated: &str) -> Value {
    let echo = json!({ "echo": repeated, secret: secret });
    match path {
        DISCOVERY => json!({
            "issuer": url,
            "jwks_uri": format!("{url}/jwks"),
            "token_endpoint": format!("{url}/token"),
            "introspection_endpoint": format!("{url}/introspection"),
            "service_documentation": repeated,
            secret: echo,
        }),
        "/jwks" => {
            let mut private = key.jwk();
            private["kid"] = secret.into();
            private["d"] = secret.into();
            let mut good = key.jwk();
            good["x5u"] = repeated.into();
            let weak = json!({ "kty": secret, "kid": repeated, "n": secret, "e": secret });
            json!({ "keys": [good, private, weak, echo], "echo": repeated })
        }
        "/token" => json!({
            "access_token": secret, "token_type": "Bearer", "expires_in": 60, "id_token": repeated,
            "refresh_token": secret, secret: echo,
        }),
        _ => json!({
            "active": true, "sub": "someone", "aud": super::AUDIENCE, "email": repeated,
            "name": secret, secret: echo,
        }),
    }
}

/// What was repeated is in every member that anybody reads, with the wrong type or value.
fn misplaced(secret: &str, repeated: &str) -> Value {
    json!({
        "issuer": repeated, "jwks_uri": secret, "token_endpoint": { secret: secret },
        "keys": [secret, { "kty": "RSA", "n": secret, "e": repeated, "kid": secret, "alg": secret }],
        "access_token": { secret: repeated }, "token_type": repeated, "scope": secret,
        "expires_in": secret, "error": secret, "error_description": [repeated],
        "active": secret, "sub": { secret: repeated }, "aud": secret, "exp": secret,
    })
}

async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lines = head.lines().filter_map(|line| line.split_once(':'));
            let mut length = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let length = length.next().map_or(Some(0), |(_, value)| value.trim().parse().ok())?;
            if body.len() >= length {
                return Some(text);
            }
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await.ok()? {
            0 => return None,
            read => bytes.extend_from_slice(piece.get(..read)?),
        }
    }
}
