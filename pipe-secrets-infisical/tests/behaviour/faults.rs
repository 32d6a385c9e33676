//! What a server, or whatever stands in front of it, may do to us.

use std::time::Duration;

use pipe_core::{ErrorKind, HealthStatus, Plugin, SecretsPlugin};
use pipe_http::HttpConfig;
use pipe_secrets_infisical::{Auth, Infisical, InfisicalConfig};
use pipe_testkit::fake::{self, InfisicalFault, InfisicalRelease};

use crate::setup::{RELEASES, db, everything, password, plugin, ready, with_identity};

/// The measured matrix: what a read is answered, the kind of error, whether trying again can help, and a
/// word of the hint.
#[tokio::test]
async fn each_refusal_of_a_read_has_its_kind_and_hint() {
    use ErrorKind as K;
    let rows = [
        (
            404,
            "NotFound",
            "Project with ID 'x' not found during bot lookup",
            K::NotFound,
            false,
            "`project`",
        ),
        (
            403,
            "Identity is not a member of the specified project with ID 'x'",
            "no",
            K::PermissionDenied,
            false,
            "`project`",
        ),
        (
            403,
            "PermissionDenied",
            "You are not allowed to edit on secrets",
            K::PermissionDenied,
            false,
            "describeSecret",
        ),
        (
            403,
            "PermissionDenied",
            "You are not allowed to readValue on secrets",
            K::PermissionDenied,
            false,
            "readValue",
        ),
        (403, "ForbiddenRequestError", "IP", K::PermissionDenied, false, "trusted IPs"),
        (400, "BadRequest", "Missing environment", K::InvalidArgument, false, "`environment`"),
        (401, "ValidationFailure", "x", K::InvalidArgument, false, "`project`"),
        (422, "ValidationFailure", "x", K::InvalidArgument, false, "`project`"),
        (
            429,
            "RateLimitExceeded",
            "Please try again in 42 seconds",
            K::RateLimited,
            true,
            "poll_interval",
        ),
        (500, "InternalServerError", "Something went wrong", K::Unexpected, false, "log"),
        (503, "ServiceUnavailable", "x", K::Unavailable, true, "log"),
        (504, "GatewayTimeout", "x", K::Timeout, true, "log"),
    ];
    for release in RELEASES {
        for (status, error, message, kind, retryable, word) in rows {
            let (plugin, server) = ready(release).await;
            plugin.create_secret(&db(), password("x")).await.unwrap();
            server.inject(InfisicalFault::Status(status, error, message), "secretPath", 1);
            let refusal = plugin.get_secret(&db()).await.unwrap_err();
            let seen = (refusal.kind(), refusal.is_retryable());
            assert_eq!(seen, (kind, retryable), "{status} {error} {message}: {refusal:#}");
            assert!(refusal.hint_text().contains(word), "{refusal:#}");
        }
    }
}

#[tokio::test]
async fn a_rate_limit_tells_when_to_come_back() {
    let (plugin, server) = ready(InfisicalRelease::Current).await;
    plugin.create_secret(&db(), password("x")).await.unwrap();
    for (fault, seconds) in [
        (InfisicalFault::RateLimited(57), 57),
        (
            InfisicalFault::RateLimitedInWords(
                "Rate limit exceeded. Please try again in 42 seconds",
            ),
            42,
        ),
    ] {
        server.inject(fault, "secretPath", 1);
        let error = plugin.get_secret(&db()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(seconds)));
    }
}

#[tokio::test]
async fn an_answer_of_another_form_is_no_secret_and_no_absence() {
    let (config, server) = with_identity(InfisicalRelease::Current, everything()).await;
    let plugin = plugin(config.with_http(HttpConfig::new().with_max_body(1 << 20)));
    plugin.create_secret(&db(), password("x")).await.unwrap();
    for fault in [
        InfisicalFault::Html(200),
        InfisicalFault::Html(404),
        InfisicalFault::WrongShape200,
        InfisicalFault::HugeBody(2 << 20),
    ] {
        server.inject(fault.clone(), "secretPath", 1);
        let error = plugin.get_secret(&db()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{fault:?}: {error:#}");
    }
    server.inject(InfisicalFault::ResetMidBody, "secretPath", 1);
    let error = plugin.get_secret(&db()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(plugin.get_secret(&db()).await.unwrap().unwrap().data, password("x"));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_token_stays_here() {
    let (plugin, server) = ready(InfisicalRelease::Current).await;
    let other = fake::Infisical::start(InfisicalRelease::Current).await;
    server.inject(InfisicalFault::Redirect(other.address()), "secretPath", 1);
    let error = plugin.get_secret(&db()).await.unwrap_err();
    assert!(error.hint_text().contains("`address`"), "{error:#}");
    assert_eq!(other.hits(""), 0);
}

#[tokio::test]
async fn a_server_that_hangs_is_a_timeout() {
    let (config, server) = with_identity(InfisicalRelease::Current, everything()).await;
    let http = HttpConfig::new().with_timeout(Duration::from_millis(300));
    let plugin = plugin(config.with_http(http));
    plugin.create_secret(&db(), password("x")).await.unwrap();
    server.inject(InfisicalFault::Hang, "secretPath", 1);
    assert_eq!(plugin.get_secret(&db()).await.unwrap_err().kind(), ErrorKind::Timeout);
}

/// A write that ended between its requests is completed by the next.
#[tokio::test]
async fn a_write_that_broke_off_can_be_repeated() {
    for part in ["POST /api/v4/secrets", "PATCH", "DELETE", "folders"] {
        let (plugin, server) = ready(InfisicalRelease::Current).await;
        if part != "folders" && !part.starts_with("POST") {
            let old = password("old").with("gone", "x").with("kept", "x");
            plugin.create_secret(&db(), old).await.unwrap();
        }
        let wanted = password("new").with("kept", "x").with("added", "x");
        server.inject(InfisicalFault::ResetMidBody, part, 1);
        let first = plugin.create_secret(&db(), wanted.clone()).await;
        assert_eq!(first.unwrap_err().kind(), ErrorKind::Unavailable, "{part}");
        plugin.create_secret(&db(), wanted.clone()).await.unwrap();
        assert_eq!(plugin.get_secret(&db()).await.unwrap().unwrap().data, wanted, "{part}");
    }
}

#[tokio::test]
async fn health_says_what_is_wrong() {
    let (plugin, server) = ready(InfisicalRelease::June2025).await;
    assert_eq!(plugin.health().await.status, HealthStatus::Healthy);
    server.inject(InfisicalFault::Html(200), "/api/status", 1);
    let health = plugin.health().await;
    assert_eq!(health.status, HealthStatus::Unhealthy);
    assert!(health.hint.contains("`address`"), "{health:?}");
    server.stop().await;
    assert_eq!(plugin.health().await.status, HealthStatus::Unhealthy);
    server.start_again().await;
    assert_eq!(plugin.health().await.status, HealthStatus::Healthy);
}

#[test]
fn all_faults_of_the_settings_are_named() {
    let auth = Auth::Kubernetes(pipe_secrets_infisical::KubernetesAuth::new(""));
    let config = InfisicalConfig::new("ftp://x", "a b", auth)
        .with_name("")
        .with_environment("dev/x")
        .with_folder("a_dot_b")
        .with_poll_interval(Duration::ZERO)
        .with_http(HttpConfig::new().with_timeout(Duration::ZERO));
    let error = Infisical::new(config).unwrap_err();
    let named: Vec<_> = error.contexts().map(|(name, _)| name.to_owned()).collect();
    let mut expected = vec![
        "address",
        "auth.identity_id",
        "environment",
        "folder",
        "http.timeout",
        "name",
        "poll_interval",
        "project",
    ];
    let mut named: Vec<_> = named.iter().map(String::as_str).collect();
    named.sort_unstable();
    expected.sort_unstable();
    assert_eq!(named, expected, "{error:#}");
}
