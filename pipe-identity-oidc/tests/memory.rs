//! What a key set of 140 MB costs. Alone in its process: the process is what is measured.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(target_os = "linux")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use pipe_core::identity::{BearerToken, TokenExpectation};
use pipe_core::{ErrorKind, IdentityPlugin as _, Result, SecurityContext};
use pipe_identity_oidc::{IssuerConfig, Keys, Oidc, OidcConfig};
use pipe_testkit::issuer::{AUDIENCE, Fault, TestIssuer};

const HUGE: usize = 140 << 20;
const ALLOWED: usize = 10 << 20;

/// The most memory that the process had at a time since the last reset, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kilobytes = line.split_ascii_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() << 10
}

/// From now on the peak is counted anew; where the system does not allow that, from the start.
fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

async fn validate(plugin: &Oidc, token: &str) -> Result<SecurityContext> {
    plugin.validate_token(&BearerToken::new(token), &TokenExpectation::audience(AUDIENCE)).await
}

/// A server that sends a key set without saying how long it is, and counts what it got rid of.
fn serve(listener: TcpListener, sent: Arc<AtomicUsize>) {
    let serve = |mut stream: TcpStream| -> std::io::Result<()> {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request)?;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        stream.write_all(br#"{"keys":["#)?;
        let keys = r#"{"kty":"oct"},"#.repeat(1 << 10);
        for _ in 0..HUGE / keys.len() {
            stream.write_all(keys.as_bytes())?;
            sent.fetch_add(keys.len(), Ordering::Relaxed);
        }
        stream.write_all(b"{}]}")
    };
    for stream in listener.incoming() {
        // The client goes away when it has seen enough.
        let _ = stream.and_then(serve);
    }
}

/// F4: what is too large is not read to its end, neither into memory nor away.
#[tokio::test]
async fn a_key_set_of_140_megabytes_costs_less_than_10() {
    let issuer = TestIssuer::start().await;
    let trusting = |trusted: IssuerConfig| {
        let config = OidcConfig::new().with_issuer(trusted).with_clock(issuer.clock().shared());
        Oidc::new(config).unwrap()
    };
    let token = issuer.token().sign();
    // Whatever is made once in a process is made now.
    validate(&trusting(IssuerConfig::new(issuer.url())), &token).await.unwrap();

    issuer.fail("/jwks", Fault::Huge(HUGE));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let counting = format!("http://{}/jwks", listener.local_addr().unwrap());
    let sent = Arc::new(AtomicUsize::new(0));
    thread::spawn({
        let sent = Arc::clone(&sent);
        move || serve(listener, sent)
    });
    let plugins = [
        trusting(IssuerConfig::new(issuer.url())),
        trusting(IssuerConfig::new(issuer.url()).with_keys(Keys::JwksUri(counting))),
    ];
    for plugin in plugins {
        reset_peak();
        let before = peak();
        let error = validate(&plugin, &token).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
        assert_eq!(error.context("cause_kind"), Some("unexpected"), "{error:#}");
        let cost = peak().saturating_sub(before);
        assert!(cost < ALLOWED, "{cost} bytes");
    }
    // Most of this is in the buffers of the system.
    let sent = sent.load(Ordering::Relaxed);
    assert!((1..HUGE / 4).contains(&sent), "{sent} bytes");
}
