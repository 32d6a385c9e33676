//! What goes over the wire, against a small server.

mod leaks;
mod server;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use pipe_core::identity::{AuthMethod, Credential, ServiceAuthRequest, ServiceCredentials};
use pipe_core::{Clock, Error, ErrorKind, Result, SecretSource, SecretValue};
use pipe_http::{HttpClient, HttpConfig, ServerAddress};

use self::server::{Server, token};
use super::*;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

fn value(secret: &str) -> SecretSource {
    SecretSource::Value(secret.into())
}

/// A file that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(content: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pipe-oidc-client-{}-{number}", std::process::id());
        let scratch = Self(std::env::temp_dir().join(name));
        scratch.write(content);
        scratch
    }

    fn write(&self, content: &str) {
        std::fs::write(&self.0, content).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// Endpoints that can be unknown at first, and note which certificate was to be presented.
#[derive(Debug)]
struct Learned {
    url: String,
    unknown: AtomicBool,
    certificates: Mutex<Vec<SecretValue>>,
}

impl Learned {
    fn of(server: &Server) -> Arc<Self> {
        Arc::new(Self {
            url: server.url(),
            unknown: AtomicBool::new(false),
            certificates: Mutex::default(),
        })
    }
}

#[async_trait]
impl Endpoints for Learned {
    fn issuer(&self) -> &str {
        "https://idp.example"
    }

    async fn token_endpoint(&self, certificate: Option<&SecretValue>) -> Result<Endpoint> {
        if self.unknown.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "the provider is not known yet"));
        }
        self.certificates.lock().unwrap().extend(certificate.cloned());
        // The server here speaks no TLS.
        let address = ServerAddress::origin_of(&self.url)?;
        let client = HttpClient::new(&HttpConfig::new(), &address)?;
        Ok(Endpoint { client, uri: self.url.parse().unwrap() })
    }
}

fn basic() -> ClientConfig {
    ClientConfig::new("svc", ClientAuthentication::client_secret_basic(value("secret")))
}

fn credentials(config: ClientConfig, endpoints: Arc<dyn Endpoints>) -> Credentials {
    assert!(config.faults().is_empty());
    Credentials::new(config, endpoints, Clock::default(), Duration::from_secs(30))
}

fn asking(method: AuthMethod) -> ServiceAuthRequest {
    ServiceAuthRequest::new("svc", method)
}

fn bearer(credentials: &ServiceCredentials) -> &str {
    let Credential::Bearer(token) = &credentials.credential else { panic!("no token") };
    token.expose_str().unwrap()
}

/// Obtains from a provider of its own, for the error that this answer amounts to.
async fn answered(status: u16, body: &str) -> Result<ServiceCredentials> {
    let server = Server::start().await;
    server.answer(status, body);
    credentials(basic(), Learned::of(&server)).authenticate(&asking(AuthMethod::OAuth2)).await
}

/// REQ 004-72.2, REQ 004-72.4
#[tokio::test]
async fn client_credentials_go_over_the_wire_as_the_standard_has_them() {
    let server = Server::start().await;
    let credentials = credentials(basic(), Learned::of(&server));
    let request = asking(AuthMethod::OAuth2)
        .with_audience("https://api.example")
        .with_scope("write")
        .with_scope("read");
    let obtained = credentials.authenticate(&request).await.unwrap();
    assert_eq!(bearer(&obtained), "token");
    assert_eq!(obtained.scopes, request.scopes);
    let left = obtained.expires_at.duration_since(SystemTime::now()).unwrap();
    assert!(left > Duration::from_secs(3_500) && left <= Duration::from_secs(3_600));
    let seen = server.last();
    assert_eq!(seen.line, "POST /oauth/token?tenant=t1 HTTP/1.1");
    assert_eq!(
        seen.body,
        "grant_type=client_credentials&scope=read+write&resource=https%3A%2F%2Fapi.example"
    );
    assert_eq!(seen.header("authorization"), Some("Basic c3ZjOnNlY3JldA=="));
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen.header("accept"), Some("application/json"));
}

#[tokio::test]
async fn whom_a_token_is_for_is_told_by_the_configured_parameter() {
    for (parameter, resource, audience) in [
        (AudienceParameter::Resource, Some("api"), None),
        (AudienceParameter::Audience, None, Some("api")),
        (AudienceParameter::Both, Some("api"), Some("api")),
    ] {
        let server = Server::start().await;
        let config = basic().with_audience_parameter(parameter).with_audience("api");
        let credentials = credentials(config, Learned::of(&server));
        credentials.authenticate(&asking(AuthMethod::OAuth2)).await.unwrap();
        assert_eq!(server.last().field("resource").as_deref(), resource);
        assert_eq!(server.last().field("audience").as_deref(), audience);
        let other = asking(AuthMethod::OAuth2).with_audience("other");
        credentials.authenticate(&other).await.unwrap();
        assert_eq!(server.last().field("resource").as_deref(), resource.and(Some("other")));
        assert_eq!(server.last().field("audience").as_deref(), audience.and(Some("other")));
    }
}

/// REQ 004-72.5
#[tokio::test]
async fn the_assertion_of_the_jwt_bearer_grant_is_read_anew_each_time() {
    let server = Server::start().await;
    let file = Scratch::new("first\n");
    let config = basic().with_jwt_bearer(JwtBearer::new(TokenOrigin::file(&file.0)));
    let credentials = credentials(config, Learned::of(&server));
    credentials.authenticate(&asking(AuthMethod::Jwt)).await.unwrap();
    let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
    assert_eq!(server.last().body, format!("grant_type={grant}&assertion=first"));
    file.write("second");
    let other = asking(AuthMethod::Jwt).with_scope("read");
    credentials.authenticate(&other).await.unwrap();
    assert_eq!(server.last().field("assertion").unwrap(), "second");
    assert_eq!(server.last().field("scope").unwrap(), "read");
}

/// REQ 004-72.5
#[tokio::test]
async fn a_service_account_token_is_a_client_assertion() {
    let server = Server::start().await;
    let file = Scratch::new("first");
    let config = ClientConfig::new("svc", ClientAuthentication::service_account_jwt(&file.0));
    let credentials = credentials(config, Learned::of(&server));
    for (token, request) in
        [("first", asking(AuthMethod::Jwt)), ("second", asking(AuthMethod::OAuth2))]
    {
        file.write(token);
        credentials.authenticate(&request).await.unwrap();
        assert_eq!(
            server.last().body,
            format!(
                "grant_type=client_credentials&client_id=svc&client_assertion_type=\
                 urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&\
                 client_assertion={token}"
            )
        );
    }
}

/// REQ 004-72.4
#[tokio::test]
async fn an_exchange_presents_the_subject_and_the_actor() {
    let server = Server::start().await;
    server.answer_with(|_| {
        let mut body: serde_json::Value = serde_json::from_str(&token("token")).unwrap();
        body["issued_token_type"] = ACCESS_TOKEN.into();
        (200, body.to_string())
    });
    let subject = Scratch::new("subject");
    let exchange = TokenExchange::new(TokenOrigin::file(&subject.0));
    let config = basic().with_token_exchange(exchange.clone());
    let endpoints = Learned::of(&server);
    let plain = credentials(config, endpoints.clone());
    plain.authenticate(&asking(AuthMethod::OAuth2)).await.unwrap();
    let (grant, kind) = (
        "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange",
        "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3A",
    );
    assert_eq!(
        server.last().body,
        format!("grant_type={grant}&subject_token=subject&subject_token_type={kind}jwt")
    );
    let exchange = exchange
        .with_subject_token_type(ACCESS_TOKEN)
        .with_requested_token_type(ACCESS_TOKEN)
        .with_actor_token(value("actor"));
    let full = credentials(basic().with_token_exchange(exchange), endpoints);
    full.authenticate(&asking(AuthMethod::OAuth2).with_audience("api")).await.unwrap();
    assert_eq!(
        server.last().body,
        format!(
            "grant_type={grant}&subject_token=subject&subject_token_type={kind}access_token&\
             requested_token_type={kind}access_token&actor_token=actor&\
             actor_token_type={kind}jwt&resource=api"
        )
    );
}

#[tokio::test]
async fn the_token_of_another_plugin_can_be_exchanged() {
    #[derive(Debug)]
    struct Fixed;
    #[async_trait]
    impl TokenSource for Fixed {
        async fn token(&self) -> Result<SecretValue> {
            Ok("from elsewhere".into())
        }
    }
    let server = Server::start().await;
    let plugin = Arc::new(pipe_testkit::reference::InMemoryIdentity::new());
    let request = ServiceAuthRequest::new("svc", AuthMethod::OAuth2);
    for (origin, is_jwt) in [
        (TokenOrigin::new(Fixed), false),
        (TokenOrigin::new(PluginTokens::new(plugin, request)), true),
    ] {
        let config = basic().with_token_exchange(TokenExchange::new(origin));
        let credentials = credentials(config, Learned::of(&server));
        credentials.authenticate(&asking(AuthMethod::OAuth2)).await.unwrap();
        let subject = server.last().field("subject_token").unwrap();
        assert_eq!(subject.split('.').count() == 3, is_jwt, "{subject}");
    }
}

/// REQ 004-72.6
#[tokio::test]
async fn a_certificate_is_presented_and_read_anew() {
    let server = Server::start().await;
    let file = Scratch::new("first");
    let endpoints = Learned::of(&server);
    let authentication = ClientAuthentication::tls_client_auth(SecretSource::file(&file.0));
    let credentials = credentials(ClientConfig::new("svc", authentication), endpoints.clone());
    credentials.authenticate(&asking(AuthMethod::Mtls)).await.unwrap();
    file.write("second");
    credentials.authenticate(&asking(AuthMethod::Mtls).with_scope("read")).await.unwrap();
    assert_eq!(server.last().body, "grant_type=client_credentials&scope=read&client_id=svc");
    let presented = endpoints.certificates.lock().unwrap().clone();
    assert_eq!(presented, [SecretValue::from("first"), SecretValue::from("second")]);
}

#[tokio::test]
async fn a_method_that_is_not_set_up_names_the_setting() {
    let server = Server::start().await;
    let certificate = ClientAuthentication::tls_client_auth(value("PEM"));
    let public = || ClientConfig::new("svc", ClientAuthentication::none());
    for (config, method, setting) in [
        (basic(), AuthMethod::Jwt, "client.jwt_bearer"),
        (basic(), AuthMethod::Mtls, "client.authentication"),
        (ClientConfig::new("svc", certificate), AuthMethod::Jwt, "client.jwt_bearer"),
        (public(), AuthMethod::OAuth2, "client.token_exchange"),
    ] {
        let credentials = credentials(config, Learned::of(&server));
        let error = credentials.authenticate(&asking(method)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.hint_text().contains(setting), "{error}");
    }
    assert_eq!(server.count(), 0);
    assert!(!credentials(public(), Learned::of(&server)).can_authenticate());
    assert!(credentials(basic(), Learned::of(&server)).can_authenticate());
    // A public client may show an assertion that is not its own.
    let bearing = public().with_jwt_bearer(JwtBearer::new(value("assertion")));
    let credentials = credentials(bearing, Learned::of(&server));
    credentials.authenticate(&asking(AuthMethod::Jwt)).await.unwrap();
    assert_eq!(server.last().field("client_id").unwrap(), "svc");
}

/// REQ 004-72.1
#[tokio::test]
async fn a_service_that_the_client_does_not_stand_for_is_refused() {
    let server = Server::start().await;
    let credentials = credentials(basic().with_service("billing"), Learned::of(&server));
    for (service, is_served) in
        [("svc", true), ("billing", true), ("", false), ("SVC", false), ("other", false)]
    {
        let request = ServiceAuthRequest::new(service, AuthMethod::OAuth2);
        let obtained = credentials.authenticate(&request).await;
        assert_eq!(obtained.is_ok(), is_served, "{service}");
        if let Err(error) = obtained {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.hint_text().contains("client.services"), "{error}");
        }
    }
    assert_eq!(server.count(), 1, "who asks makes no difference to what is asked for");
}

#[tokio::test]
async fn an_illegal_scope_or_audience_is_not_sent() {
    let server = Server::start().await;
    let credentials = credentials(basic(), Learned::of(&server));
    let long = "x".repeat(10_000);
    for scope in ["", "read write", "re\"ad", "re\\ad", "l\u{e9}", "a\n", &long] {
        let request = asking(AuthMethod::OAuth2).with_scope(scope);
        let error = credentials.authenticate(&request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{scope:?}");
    }
    for audience in ["", "a\nb", &long] {
        let request = asking(AuthMethod::OAuth2).with_audience(audience);
        let error = credentials.authenticate(&request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{audience:?}");
    }
    let many = (0..=100)
        .fold(asking(AuthMethod::OAuth2), |request, number| request.with_scope(number.to_string()));
    assert!(credentials.authenticate(&many).await.is_err());
    assert_eq!(server.count(), 0);
}

/// F7
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_callers_cost_one_request_for_each_kind_of_credential() {
    let server = Server::start().await;
    let credentials = Arc::new(credentials(basic(), Learned::of(&server)));
    let calls = (0..1_000).map(|number| {
        let credentials = Arc::clone(&credentials);
        let scope = if number % 2 == 0 { "read" } else { "write" };
        tokio::spawn(async move {
            credentials.authenticate(&asking(AuthMethod::OAuth2).with_scope(scope)).await.unwrap()
        })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().scopes.len(), 1);
    }
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn there_is_a_bound_to_what_is_kept_fresh() {
    let server = Server::start().await;
    let credentials = credentials(basic(), Learned::of(&server));
    for number in 0..3_000 {
        let request = asking(AuthMethod::OAuth2).with_audience(number.to_string());
        drop(credentials.source(&request).unwrap());
    }
    let shown = format!("{credentials:?}");
    let kept = shown.split_once("sources: ").unwrap().1.split(',').next().unwrap();
    assert!(kept.parse::<usize>().unwrap() <= 1_000, "{shown}");
}

/// F1
#[tokio::test]
async fn a_provider_that_is_down_at_the_start_is_found_later() {
    let server = Server::start().await;
    let endpoints = Learned::of(&server);
    endpoints.unknown.store(true, Ordering::SeqCst);
    let credentials = credentials(basic(), endpoints.clone());
    let request = asking(AuthMethod::OAuth2);
    let error = credentials.authenticate(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    endpoints.unknown.store(false, Ordering::SeqCst);
    // Another kind of credential does not share the pause after the failure.
    credentials.authenticate(&request.with_scope("read")).await.unwrap();
}

/// F3, F4, G9
#[tokio::test]
async fn an_answer_that_is_none_is_an_error_of_its_kind() {
    for (status, body, kind) in [
        (200, "<html>hunter2</html>".to_owned(), ErrorKind::Unexpected),
        (200, String::new(), ErrorKind::Unexpected),
        (201, token("hunter2"), ErrorKind::Unexpected),
        (302, token("hunter2"), ErrorKind::Unexpected),
        (307, String::new(), ErrorKind::Unexpected),
        (500, "<html>hunter2</html>".to_owned(), ErrorKind::Unavailable),
        (429, "hunter2".to_owned(), ErrorKind::RateLimited),
        (401, r#"{"error":"invalid_client"}"#.to_owned(), ErrorKind::Unauthenticated),
        (200, token(&"x".repeat(2 << 20)), ErrorKind::Unexpected),
    ] {
        let error = answered(status, &body).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}: {error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn a_secret_that_was_replaced_is_picked_up() {
    let server = Server::start().await;
    let file = Scratch::new("old");
    let authentication = ClientAuthentication::client_secret_post(SecretSource::file(&file.0));
    let credentials = credentials(ClientConfig::new("svc", authentication), Learned::of(&server));
    for secret in ["old", "new"] {
        file.write(secret);
        let request = asking(AuthMethod::OAuth2).with_scope(secret);
        credentials.authenticate(&request).await.unwrap();
        assert_eq!(server.last().field("client_secret").unwrap(), secret);
    }
}

#[tokio::test]
async fn nothing_is_obtained_after_close() {
    let server = Server::start().await;
    let credentials = credentials(basic(), Learned::of(&server));
    let request = asking(AuthMethod::OAuth2);
    credentials.authenticate(&request).await.unwrap();
    credentials.close();
    for request in [request.clone(), request.with_scope("read")] {
        let error = credentials.authenticate(&request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    assert_eq!(server.count(), 1);
}
