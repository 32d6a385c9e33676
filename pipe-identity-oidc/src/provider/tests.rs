use super::*;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue};
use pipe_http::HttpResponse;
use serde_json::json;

mod files;
mod outage;
mod refused;
mod rotation;
mod sockets;
mod start;

const ISSUER: &str = "https://id.example";
const DISCOVERY: &str = "https://id.example/.well-known/openid-configuration";
const OAUTH: &str = "https://id.example/.well-known/oauth-authorization-server";
const JWKS: &str = "https://id.example/jwks";

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A key that is made of its name.
fn jwk(kid: &str) -> serde_json::Value {
    let seed = digest(&SHA256, kid.as_bytes());
    let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).unwrap();
    let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA"})
}

fn jwks(kids: &[&str]) -> String {
    json!({"keys": kids.iter().map(|kid| jwk(kid)).collect::<Vec<_>>()}).to_string()
}

fn metadata() -> String {
    json!({
        "issuer": ISSUER,
        "jwks_uri": JWKS,
        "token_endpoint": "https://id.example/token",
    })
    .to_string()
}

/// What a place answers.
#[derive(Clone)]
enum Answer {
    Is(u16, Vec<(&'static str, &'static str)>, String),
    Fails(Error),
    Hangs,
    Slow(Duration, Box<Self>),
}

impl Answer {
    fn ok(body: impl Into<String>) -> Self {
        Self::Is(200, Vec::new(), body.into())
    }

    fn keys(kids: &[&str]) -> Self {
        Self::ok(jwks(kids))
    }

    fn status(status: u16) -> Self {
        Self::Is(status, Vec::new(), String::new())
    }

    fn down() -> Self {
        Self::Fails(Error::new(ErrorKind::Unavailable, "cannot connect to the server"))
    }

    fn with(self, name: &'static str, value: &'static str) -> Self {
        match self {
            Self::Is(status, mut headers, body) => {
                headers.push((name, value));
                Self::Is(status, headers, body)
            }
            other => other,
        }
    }
}

/// One request: where, and with which tag.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    url: String,
    etag: Option<String>,
}

/// A provider that does as it is told.
struct Script {
    discovery: Mutex<Answer>,
    jwks: Mutex<Answer>,
    /// Answers that come before the lasting one.
    next: Mutex<VecDeque<Answer>>,
    calls: Mutex<Vec<Call>>,
}

impl Script {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            discovery: Mutex::new(Answer::ok(metadata())),
            jwks: Mutex::new(Answer::keys(&["a"])),
            next: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    fn serve(&self, jwks: Answer) {
        *self.jwks.lock().unwrap() = jwks;
    }

    fn discover(&self, discovery: Answer) {
        *self.discovery.lock().unwrap() = discovery;
    }

    fn is_down(&self) {
        self.serve(Answer::down());
        self.discover(Answer::down());
    }

    fn count(&self, part: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| call.url.contains(part)).count()
    }

    /// Requests for keys.
    fn fetches(&self) -> usize {
        self.count("jwks")
    }

    fn discoveries(&self) -> usize {
        self.count("well-known")
    }

    fn last(&self) -> Call {
        self.calls.lock().unwrap().last().unwrap().clone()
    }
}

#[async_trait]
impl Fetch for Script {
    async fn get(&self, url: &str, etag: Option<&HeaderValue>) -> Result<HttpResponse> {
        let etag = etag.map(|etag| etag.to_str().unwrap().to_owned());
        self.calls.lock().unwrap().push(Call { url: url.to_owned(), etag });
        let mut answer = if url.contains("well-known") {
            self.discovery.lock().unwrap().clone()
        } else {
            let next = self.next.lock().unwrap().pop_front();
            next.unwrap_or_else(|| self.jwks.lock().unwrap().clone())
        };
        loop {
            match answer {
                Answer::Is(status, headers, body) => {
                    let headers = headers
                        .into_iter()
                        .map(|(name, value)| {
                            (HeaderName::from_static(name), HeaderValue::from_static(value))
                        })
                        .collect::<HeaderMap>();
                    return Ok(HttpResponse::new(status, headers, body));
                }
                Answer::Fails(error) => return Err(error),
                Answer::Hangs => std::future::pending().await,
                Answer::Slow(time, then) => {
                    tokio::time::sleep(time).await;
                    answer = *then;
                }
            }
        }
    }
}

fn settings(keys: KeySource) -> ProviderSettings {
    ProviderSettings::new(ISSUER, keys)
}

fn scripted(settings: &ProviderSettings, script: &Arc<Script>) -> Provider {
    let addresses = settings.check().unwrap();
    let endpoints = Endpoints::new(settings.http.clone(), addresses.hosts.clone(), addresses.peers);
    Provider::with(settings, addresses, endpoints, Arc::clone(script) as Arc<dyn Fetch>).unwrap()
}

fn discovering(script: &Arc<Script>) -> Provider {
    scripted(&settings(KeySource::Discovery), script)
}

/// A provider with its keys at a known place.
fn provider(script: &Arc<Script>) -> Provider {
    scripted(&settings(KeySource::JwksUri(JWKS.to_owned())), script)
}

/// One that has fetched its keys.
async fn warm(script: &Arc<Script>) -> Provider {
    let provider = provider(script);
    assert!(knows(&provider, "a").await);
    provider
}

/// Whether the keys that are given for this kid have it.
async fn knows(provider: &Provider, kid: &str) -> bool {
    provider.ring_for(Some(kid)).await.unwrap().keys().contains(kid)
}

async fn kind_for(provider: &Provider, kid: &str) -> ErrorKind {
    provider.ring_for(Some(kid)).await.unwrap_err().kind()
}

/// Lets what runs in the background come to its end.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
    settle().await;
}
