//! Whatever the provider shows instead of its answers: errors that say so, nothing worse, and
//! recovery when it answers again.

use std::time::Duration;

use pipe_core::identity::{AuthMethod, ServiceAuthRequest};
use pipe_core::{Error, ErrorKind, IdentityPlugin as _, Plugin as _};
use pipe_identity_oidc::Oidc;
use tokio::time::{sleep, timeout};

use crate::admin::Fault;
use crate::oauth::basic_token;
use crate::plugin::{MIN_REFRESH, basic, client, forgetful, introspection, trusting, validate};
use crate::server::{ES256, OPAQUE, Server};

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Longer than any pause after a single failure, with room for a busy machine.
const RECOVERY: Duration = Duration::from_secs(30);

/// The faults, and as what a request meets them.
fn faults() -> Vec<(Fault, ErrorKind)> {
    let metadata = "http://169.254.169.254/latest/meta-data".to_owned();
    vec![
        (Fault::Html500, ErrorKind::Unavailable),
        (Fault::Html200, ErrorKind::Unexpected),
        (Fault::Json { body: "[]".to_owned() }, ErrorKind::Unexpected),
        (Fault::Json { body: "{\"keys\":".to_owned() }, ErrorKind::Unexpected),
        (Fault::TooManyRequests { retry_after: 1 }, ErrorKind::RateLimited),
        (Fault::Redirect { location: metadata }, ErrorKind::Unexpected),
        (Fault::Reset, ErrorKind::Unavailable),
        (Fault::Hang, ErrorKind::Timeout),
        (Fault::Huge { megabytes: 140 }, ErrorKind::Unexpected),
    ]
}

/// As what such a request is met by those who want keys: a server that answers 500 may be none of a
/// provider.
fn kind_of_document(fault: &Fault, kind: ErrorKind) -> &'static str {
    match fault {
        Fault::Html500 => ErrorKind::Unexpected.name(),
        _ => kind.name(),
    }
}

/// What the keys could not be had for.
fn cause(error: &Error) -> &str {
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
    assert!(!error.hint_text().is_empty());
    error.context("cause_kind").unwrap_or_default()
}

/// Waits until the plugin accepts this token.
async fn recovers(plugin: &Oidc, token: &str, audience: &str) {
    let accepted = async {
        while validate(plugin, token, audience).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(RECOVERY, accepted).await.expect("it recovers");
}

/// F3, F4: with keys, nothing that happens to the provider touches tokens of known keys.
#[tokio::test]
async fn faults_of_the_key_set_touch_tokens_of_new_keys_alone() {
    let Some(server) = Server::start().await else { return };
    let known = basic_token(&server, ES256).await;
    let mut plugins = Vec::new();
    for _ in faults() {
        let plugin = forgetful(trusting(&server));
        validate(&plugin, known.clone(), ES256).await.unwrap();
        plugins.push(plugin);
    }
    server.admin().rotate().await;
    let new = basic_token(&server, ES256).await;
    sleep(MIN_REFRESH).await;
    for (plugin, (fault, kind)) in plugins.iter().zip(faults()) {
        server.admin().fault("/jwks", fault.clone()).await;
        let waiting = validate(plugin, new.clone(), ES256);
        let served = async {
            // Also while the other is waiting for keys.
            for _ in 0..20 {
                validate(plugin, known.clone(), ES256).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let (refused, ()) = tokio::join!(waiting, served);
        let error = refused.unwrap_err();
        assert_eq!(cause(&error), kind_of_document(&fault, kind), "{fault:?}: {error:#}");
        validate(plugin, known.clone(), ES256).await.unwrap();
        // F6: one attempt, and then none for a while.
        let hits = server.admin().hits("/jwks").await;
        for _ in 0..20 {
            assert!(validate(plugin, new.clone(), ES256).await.is_err());
        }
        assert_eq!(server.admin().hits("/jwks").await, hits, "{fault:?}");
        let health = plugin.health().await;
        assert!(health.is_serving(), "{fault:?}: {health:?}");
    }
    server.admin().clear_faults().await;
    for plugin in &plugins {
        recovers(plugin, &new, ES256).await;
        validate(plugin, known.clone(), ES256).await.unwrap();
    }
}

/// F1, F3
#[tokio::test]
async fn faults_at_the_start_are_told_and_recovered_from() {
    let Some(server) = Server::start().await else { return };
    let token = basic_token(&server, ES256).await;
    let mut plugins = Vec::new();
    for path in [DISCOVERY, "/jwks"] {
        for (fault, kind) in faults() {
            server.admin().fault(path, fault.clone()).await;
            let plugin = forgetful(trusting(&server));
            let error = validate(&plugin, token.clone(), ES256).await.unwrap_err();
            assert_eq!(
                cause(&error),
                kind_of_document(&fault, kind),
                "{path} {fault:?}: {error:#}"
            );
            assert!(!plugin.health().await.is_serving(), "{path} {fault:?}");
            plugins.push(plugin);
        }
        server.admin().clear_faults().await;
    }
    for plugin in &plugins {
        recovers(plugin, &token, ES256).await;
    }
}

#[tokio::test]
async fn a_slow_answer_is_an_answer() {
    let Some(server) = Server::start().await else { return };
    for path in [DISCOVERY, "/jwks", "/token", "/token/introspection"] {
        server.admin().fault(path, Fault::Slow { milliseconds: 100 }).await;
    }
    let plugin = forgetful(trusting(&server).with_introspection(introspection(&server)));
    for audience in [ES256, OPAQUE] {
        let token = basic_token(&server, audience).await;
        validate(&plugin, token, audience).await.unwrap();
    }
    let request = ServiceAuthRequest::new("svc-basic", AuthMethod::OAuth2).with_audience(ES256);
    client(&server, basic(&server)).authenticate_service(&request).await.unwrap();
}

/// F5: a discovery document that names another issuer, or leads into the machine's own network.
#[tokio::test]
async fn a_discovery_document_that_lies_is_not_believed() {
    let Some(server) = Server::start().await else { return };
    let token = basic_token(&server, ES256).await;
    let issuer = server.issuer();
    for body in [
        format!(r#"{{"issuer":"https://evil.example","jwks_uri":"{issuer}/jwks"}}"#),
        format!(r#"{{"issuer":"{issuer}/","jwks_uri":"{issuer}/jwks"}}"#),
        format!(r#"{{"issuer":"{issuer}","jwks_uri":"http://169.254.169.254/jwks"}}"#),
        format!(r#"{{"issuer":"{issuer}","jwks_uri":"file:///etc/passwd"}}"#),
        format!(r#"{{"issuer":"{issuer}"}}"#),
        r#"{"issuer":["x"]}"#.to_owned(),
    ] {
        server.admin().fault(DISCOVERY, Fault::Json { body: body.clone() }).await;
        let plugin = forgetful(trusting(&server));
        let error = validate(&plugin, token.clone(), ES256).await.unwrap_err();
        let cause = cause(&error);
        assert!(matches!(cause, "unexpected" | "config_invalid"), "{body}: {error:#}");
    }
}

#[tokio::test]
async fn faults_of_the_token_endpoint_are_told_and_recovered_from() {
    let Some(server) = Server::start().await else { return };
    let request = ServiceAuthRequest::new("svc-basic", AuthMethod::OAuth2).with_audience(ES256);
    let mut plugins = Vec::new();
    for (fault, kind) in faults() {
        let plugin = client(&server, basic(&server));
        server.admin().fault("/token", fault.clone()).await;
        let error = plugin.authenticate_service(&request).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:?}: {error:#}");
        let hits = server.admin().hits("/token").await;
        assert!(plugin.authenticate_service(&request).await.is_err());
        assert_eq!(server.admin().hits("/token").await, hits, "{fault:?}: asked again at once");
        plugins.push(plugin);
    }
    server.admin().clear_faults().await;
    for plugin in &plugins {
        let obtained = async {
            while plugin.authenticate_service(&request).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(RECOVERY, obtained).await.expect("it recovers");
    }
}

/// A credential that is still good is served while no other can be had.
#[tokio::test]
async fn credentials_outlast_a_fault_of_the_token_endpoint() {
    let Some(server) = Server::start().await else { return };
    let plugin = client(&server, basic(&server));
    let request = ServiceAuthRequest::new("svc-basic", AuthMethod::OAuth2).with_audience(ES256);
    let first = plugin.authenticate_service(&request).await.unwrap();
    for (fault, _) in faults() {
        server.admin().fault("/token", fault).await;
        let again = plugin.authenticate_service(&request).await.unwrap();
        assert_eq!(again.expires_at, first.expires_at);
    }
}

/// An outage is no intruder: never "inactive".
#[tokio::test]
async fn faults_of_introspection_are_told_and_recovered_from() {
    let Some(server) = Server::start().await else { return };
    let token = basic_token(&server, OPAQUE).await;
    let plugin = forgetful(trusting(&server).with_introspection(introspection(&server)));
    for (fault, kind) in faults() {
        server.admin().fault("/token/introspection", fault.clone()).await;
        let error = validate(&plugin, token.clone(), OPAQUE).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:?}: {error:#}");
    }
    server.admin().clear_faults().await;
    recovers(&plugin, &token, OPAQUE).await;
}
