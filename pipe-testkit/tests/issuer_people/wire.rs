//! What a client does: requests over the network, and what came back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_testkit::issuer::{Client, Person, TestIssuer};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const CALLBACK: &str = "http://127.0.0.1:18390/callback";
pub(crate) const SECRET: &str = "web-secret";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// An answer of the provider.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// A member that is text.
    pub(crate) fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_else(|| panic!("no {member}: {self:?}")).to_owned()
    }

    /// The status and `error`.
    pub(crate) fn error(&self) -> (u16, String) {
        (self.status(), self.text("error"))
    }
}

pub(crate) async fn send(issuer: &TestIssuer, request: &str) -> Reply {
    let address = issuer.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    Reply { head: head.to_owned(), body: body.to_owned() }
}

/// GET with these headers, which each end with a line break.
pub(crate) async fn get(issuer: &TestIssuer, target: &str, headers: &str) -> Reply {
    let target = target.trim_start_matches(&issuer.url());
    let close = "Host: x\r\nConnection: close\r\n";
    send(issuer, &format!("GET {target} HTTP/1.1\r\n{close}{headers}\r\n")).await
}

pub(crate) async fn post(issuer: &TestIssuer, target: &str, headers: &str, form: &str) -> Reply {
    let target = target.trim_start_matches(&issuer.url());
    let length = form.len();
    let close = "Host: x\r\nConnection: close\r\n";
    let request =
        format!("POST {target} HTTP/1.1\r\n{close}{headers}Content-Length: {length}\r\n\r\n{form}");
    send(issuer, &request).await
}

pub(crate) async fn userinfo(issuer: &TestIssuer, token: &str) -> Reply {
    get(issuer, "/me", &format!("Authorization: Bearer {token}\r\n")).await
}

/// A token request of the client `web`.
pub(crate) async fn token(issuer: &TestIssuer, form: &str) -> Reply {
    post(issuer, "/token", "", &format!("client_id=web&client_secret={SECRET}&{form}")).await
}

/// The tokens for a callback of the client `web`.
pub(crate) async fn exchange(issuer: &TestIssuer, callback: &str) -> Reply {
    token(issuer, &code_form(callback)).await
}

pub(crate) async fn refresh(issuer: &TestIssuer, refresh_token: &str) -> Reply {
    token(issuer, &format!("grant_type=refresh_token&refresh_token={refresh_token}")).await
}

pub(crate) fn code_form(callback: &str) -> String {
    let code = parameter(callback, "code").unwrap_or_else(|| panic!("no code: {callback}"));
    let redirect_uri = encoded(CALLBACK);
    format!(
        "grant_type=authorization_code&code={code}&redirect_uri={redirect_uri}\
         &code_verifier={VERIFIER}"
    )
}

/// The address of a good request of the client `web`, with more parameters.
pub(crate) fn request(issuer: &TestIssuer, more: &str) -> String {
    format!(
        "{}/auth?client_id=web&response_type=code&redirect_uri={}&state=st&nonce=no\
         &code_challenge={CHALLENGE}&code_challenge_method=S256{more}",
        issuer.url(),
        encoded(CALLBACK),
    )
}

pub(crate) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("an encoded byte"));
        bytes.extend(part[2..].bytes());
    }
    String::from_utf8(bytes).expect("UTF-8")
}

/// A parameter of a query.
pub(crate) fn parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(it, _)| *it == name).map(|(_, value)| decoded(value))
}

/// A part of a JWT: 0 is the header, 1 the claims.
pub(crate) fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).expect("a JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

pub(crate) fn alice() -> Person {
    Person::new("alice").groups(["platform-admins", "bni-editors"]).roles(["domain-admin"])
}

/// An issuer that knows `web` and `spa`.
pub(crate) async fn issuer() -> TestIssuer {
    let issuer = TestIssuer::start().await;
    let web = Client::confidential("web", SECRET).redirect_uri(CALLBACK);
    let web = web.post_logout_redirect_uri(CALLBACK);
    issuer.add_client(web.backchannel_logout_uri("http://127.0.0.1:1/logout"));
    issuer.add_client(Client::public("spa").redirect_uri(CALLBACK).native());
    issuer
}

/// The tokens of somebody who logged in.
pub(crate) async fn logged_in(issuer: &TestIssuer, person: &Person, more: &str) -> Reply {
    let callback = issuer.authorize(&request(issuer, more), person);
    let reply = exchange(issuer, &callback).await;
    assert_eq!(reply.status(), 200, "{reply:?}");
    reply
}

/// With a refresh token.
pub(crate) const OFFLINE: &str = "&scope=openid%20offline_access&prompt=consent";
