//! What a server, or whatever stands in front of it, may do to us, offline.

use std::sync::Arc;
use std::time::Duration;

use pipe_core::identity::{AuthMethod, ServiceAuthRequest};
use pipe_core::{
    ErrorKind, HealthStatus, Plugin, SecretData, SecretRef, SecretSource, SecretsPlugin,
};
use pipe_http::HttpConfig;
use pipe_secrets_openbao::{AppRoleAuth, Auth, JwtAuth, OpenBao, OpenBaoConfig};
use pipe_testkit::fake::{self, Fault};

const ALL: [&str; 5] = ["create", "read", "update", "delete", "list"];

fn secret() -> SecretRef {
    SecretRef::new("apps/db").expect("legal")
}

fn data() -> SecretData {
    SecretData::new().with("password", "hunter2")
}

fn approle(server: &fake::OpenBao) -> OpenBao {
    server.put_policy("bot", &[("secret/*", &ALL)]);
    let hour = Duration::from_secs(3600);
    let (role_id, secret_id) = server.create_approle("bots", &["bot"], hour, hour, 0);
    let value = |text: String| SecretSource::Value(text.into());
    let http = HttpConfig::new().with_timeout(Duration::from_secs(3)).with_max_body(1 << 20);
    let auth = AppRoleAuth::new(value(role_id), value(secret_id));
    OpenBao::new(OpenBaoConfig::new(server.address(), auth).with_http(http))
        .expect("the settings are sound")
}

/// A token once followed a 307 to another host.
#[tokio::test]
async fn a_redirect_is_not_followed_and_the_token_stays_here() {
    let (server, other) = (fake::OpenBao::start().await, fake::OpenBao::start().await);
    let plugin = approle(&server);
    let target = format!("{}/v1/secret/data/apps/db", other.address());
    server.inject(Fault::Redirect(target), "secret/", 1);
    let error = plugin.get_secret(&secret()).await.unwrap_err();
    assert!(error.hint_text().contains("address"), "{error:#}");
    assert_eq!(other.requests(), 0);
}

/// A portal's page, a cut answer, an answer of another shape and an endless one: none is a secret,
/// none is absence, and none is repeated in the error.
#[tokio::test]
async fn an_answer_of_another_form_is_unexpected() {
    let server = fake::OpenBao::start().await;
    let plugin = approle(&server);
    plugin.create_secret(&secret(), data()).await.unwrap();
    for fault in [Fault::Html200, Fault::Garbage200, Fault::WrongShape200, Fault::HugeBody(2 << 20)]
    {
        server.inject(fault.clone(), "secret/", 1);
        let error = plugin.get_secret(&secret()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{fault:?}: {error:#}");
    }
    assert_eq!(plugin.get_secret(&secret()).await.unwrap().unwrap().data, data());
}

/// A 404 of an ingress says nothing about secrets.
#[tokio::test]
async fn only_openbao_can_say_that_nothing_is_there() {
    let server = fake::OpenBao::start().await;
    let plugin = approle(&server);
    for body in ["", "<html>default backend - 404</html>", r#"{"kind":"Status","code":404}"#] {
        let fault = Fault::Status { code: 404, body: body.to_owned(), headers: Vec::new() };
        server.inject(fault, "secret/", usize::MAX);
        let query = pipe_core::secrets::ListQuery::new();
        let kinds = [
            plugin.get_secret(&secret()).await.unwrap_err().kind(),
            plugin.delete_secret(&secret()).await.unwrap_err().kind(),
            plugin.create_secret(&secret(), data()).await.unwrap_err().kind(),
            plugin.list_secrets(&query).await.unwrap_err().kind(),
        ];
        assert_eq!(kinds, [ErrorKind::Unexpected; 4], "{body}");
        server.clear_faults();
    }
}

#[tokio::test]
async fn versions_that_no_server_counts_are_absent() {
    let server = fake::OpenBao::start().await;
    let plugin = approle(&server);
    plugin.create_secret(&secret(), data()).await.unwrap();
    for number in [0, u64::MAX] {
        let version = pipe_core::secrets::SecretVersion::new(number);
        assert_eq!(plugin.get_secret(&secret().with_version(version)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_key_that_is_too_long_is_refused_before_any_request() {
    let server = fake::OpenBao::start().await;
    let plugin = approle(&server);
    let data = SecretData::new().with("k".repeat(600), "x");
    let error = plugin.create_secret(&secret(), data).await.unwrap_err();
    assert_eq!((error.kind(), server.requests()), (ErrorKind::InvalidArgument, 0));
}

#[tokio::test]
async fn a_portal_that_answers_everything_is_not_healthy() {
    let server = fake::OpenBao::start().await;
    let token = Auth::token(SecretSource::Value("any".into()));
    let plugin = OpenBao::new(OpenBaoConfig::new(server.address(), token)).unwrap();
    for code in [200, 204] {
        let fault = Fault::Status { code, body: "<html>".to_owned(), headers: Vec::new() };
        server.inject(fault, "", usize::MAX);
        assert_eq!(plugin.health().await.status, HealthStatus::Unhealthy, "{code}");
        server.clear_faults();
    }
}

#[tokio::test]
async fn a_broken_connection_is_retryable() {
    let server = fake::OpenBao::start().await;
    let plugin = approle(&server);
    plugin.create_secret(&secret(), data()).await.unwrap();
    for fault in [Fault::ResetMidBody, Fault::Hang] {
        server.inject(fault.clone(), "secret/", 1);
        let error = plugin.get_secret(&secret()).await.unwrap_err();
        assert!(error.is_retryable(), "{fault:?}: {error:#}");
    }
    assert_eq!(plugin.get_secret(&secret()).await.unwrap().unwrap().data, data());
}

/// The answer to a write is lost, and the write happened: doing it again changes nothing.
#[tokio::test]
async fn a_write_whose_answer_was_lost_can_be_repeated() {
    let server = fake::OpenBao::start().await;
    let plugin = approle(&server);
    // The read before the write finds nothing; then the answer to the write breaks off.
    server.inject(Fault::status(404), "secret/data/apps/db", 1);
    server.inject(Fault::ResetMidBody, "secret/data/apps/db", 1);
    let error = plugin.create_secret(&secret(), data()).await.unwrap_err();
    assert!(error.is_retryable(), "{error:#}");
    let again = plugin.create_secret(&secret(), data()).await.unwrap();
    assert_eq!(again.change, pipe_core::secrets::Change::Unchanged);
    assert_eq!(again.version.map(|version| version.number()), Some(1));
}

#[tokio::test]
async fn a_rate_limit_has_a_wait_with_a_floor() {
    let server = fake::OpenBao::start().await;
    let plugin = approle(&server);
    for (sent, wait) in [(None, None), (Some(0), Some(1)), (Some(7), Some(7))] {
        server.inject(Fault::RateLimited { retry_after: sent }, "secret/", 1);
        let error = plugin.get_secret(&secret()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited, "{error:#}");
        assert_eq!(error.retry_after(), wait.map(Duration::from_secs), "{sent:?}");
    }
}

/// One answer tells the data, the version and the time: no second request for them.
#[tokio::test]
async fn a_read_is_one_request() {
    let server = fake::OpenBao::start().await;
    let plugin = approle(&server);
    plugin.create_secret(&secret(), data()).await.unwrap();
    let before = server.requests();
    let found = plugin.get_secret(&secret()).await.unwrap().unwrap();
    assert_eq!(server.requests() - before, 1);
    assert!(found.version.is_some() && found.written_at.is_some());
}

#[tokio::test]
async fn an_expired_token_is_replaced_within_the_call() {
    let server = fake::OpenBao::start().await;
    let plugin = approle(&server);
    plugin.create_secret(&secret(), data()).await.unwrap();
    server.advance(Duration::from_secs(2 * 3600));
    assert_eq!(plugin.get_secret(&secret()).await.unwrap().unwrap().data, data());
    assert_eq!(server.logins(), 2);
}

/// A server that takes no token at all is asked twice, not for ever.
#[tokio::test]
async fn a_refused_token_is_replaced_once_per_call() {
    let server = fake::OpenBao::start().await;
    let plugin = approle(&server);
    let refusal = Fault::Status {
        code: 403,
        body: r#"{"errors":["permission denied"]}"#.to_owned(),
        headers: Vec::new(),
    };
    server.inject(refusal, "secret/", usize::MAX);
    let error = plugin.get_secret(&secret()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:#}");
    assert_eq!((server.hits("secret/"), server.logins()), (2, 2));
    // Nor is it asked again at once by the calls that follow.
    for _ in 0..50 {
        plugin.get_secret(&secret()).await.unwrap_err();
    }
    assert!(server.logins() <= 4, "{} logins", server.logins());
}

#[tokio::test]
async fn closing_gives_the_token_back() {
    let server = fake::OpenBao::start().await;
    let plugin = approle(&server);
    assert_eq!(plugin.get_secret(&secret()).await.unwrap(), None);
    assert_eq!(server.live_tokens(), 1);
    plugin.close().await.unwrap();
    assert_eq!(server.live_tokens(), 0);
    let error = plugin.get_secret(&secret()).await.unwrap_err();
    assert!(!error.is_retryable(), "{error:#}");
}

/// REQ 001-104
#[tokio::test]
async fn health_tells_standby_from_sealed_from_a_refused_login() {
    let server = fake::OpenBao::start().await;
    let plugin = approle(&server);
    server.set_standby(true);
    assert_eq!(plugin.health().await.status, HealthStatus::Healthy);
    server.set_standby(false);
    server.seal();
    assert_eq!(plugin.health().await.reason, "the server is sealed");
    server.unseal();
    assert!(plugin.health().await.is_serving());

    let bogus = Auth::token(SecretSource::Value("s.bogus".into()));
    let plugin = OpenBao::new(OpenBaoConfig::new(server.address(), bogus)).unwrap();
    let health = plugin.health().await;
    assert_eq!(health.status, HealthStatus::Unhealthy);
    assert!(health.hint.contains("auth"), "{health:?}");
}

/// A policy's page limit cuts a list without a sign, and denies a larger page.
#[tokio::test]
async fn a_list_is_complete_although_a_policy_cuts_its_pages() {
    let server = fake::OpenBao::start().await;
    let plugin = approle(&server);
    for number in 0..10 {
        let secret = SecretRef::new(format!("s{number}")).unwrap();
        plugin.create_secret(&secret, data()).await.unwrap();
    }
    server.set_page_limit(3);
    let listed = plugin.list_secrets(&pipe_core::secrets::ListQuery::new()).await.unwrap();
    assert_eq!(listed.len(), 10, "{listed:?}");
}

/// REQ 002-03: nobody is contacted but the server that is configured.
#[tokio::test]
async fn a_namespace_travels_as_a_header_and_joins_our_own() {
    let server = fake::OpenBao::start().await;
    let _ = server.create_namespace("team1");
    let _ = server.create_namespace("team1/child");
    let root = Auth::token(SecretSource::Value(server.root_token().into()));
    let config = OpenBaoConfig::new(server.address(), root).with_namespace("/team1/");
    let plugin = OpenBao::new(config).unwrap();
    assert_eq!(plugin.get_secret(&secret()).await.unwrap(), None);
    assert_eq!(server.last_namespace_header().as_deref(), Some("team1"));
    let child = secret().with_namespace(pipe_core::Namespace::new("child").unwrap());
    assert_eq!(plugin.get_secret(&child).await.unwrap(), None);
    assert_eq!(server.last_namespace_header().as_deref(), Some("team1/child"));
}

#[tokio::test]
async fn an_identity_plugin_that_would_not_be_used_is_refused() {
    let identity = || Arc::new(pipe_testkit::reference::InMemoryIdentity::new());
    let request = || ServiceAuthRequest::new("bot", AuthMethod::Jwt);
    let config = |auth: Auth| OpenBaoConfig::new("http://127.0.0.1:1", auth);
    let value = || SecretSource::Value("x".into());
    let token = config(Auth::token(value()));
    let error = OpenBao::with_identity(token, identity(), request()).unwrap_err();
    assert!(error.context("auth").is_some(), "{error:#}");
    let both = config(JwtAuth::new("bots", value()).into());
    let error = OpenBao::with_identity(both, identity(), request()).unwrap_err();
    assert!(error.context("auth.jwt").is_some(), "{error:#}");
    let sound = config(JwtAuth::of_plugin("bots").into());
    assert!(OpenBao::with_identity(sound, identity(), request()).is_ok());
}
