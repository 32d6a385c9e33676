//! Logins: one for all who wait, never renewed, not tried again where that would lock an identity.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use pipe_core::identity::{
    AuthMethod, BearerToken, ContextRequest, Credential, IdentityCapabilities, JwtRequest,
    ServiceAuthRequest, ServiceCredentials, SignedJwt, TokenExpectation,
};
use pipe_core::{
    Error, ErrorKind, Health, IdentityPlugin, Plugin, Result, SecretSource, SecretsPlugin,
    SecurityContext,
};
use pipe_http::HttpConfig;
use pipe_secrets_infisical::{
    Auth, Infisical, InfisicalConfig, JwtAuth, KubernetesAuth, UniversalAuth,
};
use pipe_testkit::fake::{self, InfisicalFault, InfisicalRelease};

use crate::setup::{RELEASES, db, everything, password, plugin, ready, with_identity};

const READS: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(120);

fn logins(server: &fake::Infisical) -> usize {
    server.hits("/login")
}

/// What ends the first token in the middle.
#[derive(Clone, Copy, Debug)]
enum Ends {
    Expired,
    Revoked,
    UsedUp,
}

/// A thousand reads at once, and the token ends after three hundred of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_under_load_fails_no_read_and_costs_one_login() {
    for release in RELEASES {
        for ends in [Ends::Expired, Ends::Revoked, Ends::UsedUp] {
            let identity = match ends {
                Ends::UsedUp => everything().with_token_uses(READS as u32 / 2),
                _ => everything(),
            };
            let (config, server) = with_identity(release, identity).await;
            server.write("dev", "/apps/db", "password", "hunter2");
            // A thousand connections at once take a busy machine a while.
            let patient = HttpConfig::new().with_connect_timeout(PATIENCE).with_timeout(PATIENCE);
            let plugin = plugin(config.with_http(patient));
            let reads: Vec<_> = (0..READS)
                .map(|_| {
                    let plugin = plugin.clone();
                    tokio::spawn(async move { plugin.get_secret(&db()).await })
                })
                .collect();
            while server.hits("secretPath") < 300 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            match ends {
                Ends::Expired => server.advance(Duration::from_secs(31 * 24 * 3600)),
                Ends::Revoked => server.revoke_tokens(),
                Ends::UsedUp => {}
            }
            for read in join_all(reads).await {
                let found = read.unwrap().unwrap_or_else(|error| panic!("{ends:?}: {error:#}"));
                assert_eq!(found.unwrap().data, password("hunter2"));
            }
            assert_eq!(logins(&server), 2, "{release:?}, {ends:?}");
            assert_eq!(server.hits("token/renew"), 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_secret_for_one_login_is_enough_for_all_who_wait() {
    let identity = everything().with_secret_uses(1);
    let (config, server) = with_identity(InfisicalRelease::Current, identity).await;
    server.write("dev", "/apps/db", "password", "hunter2");
    let plugin = plugin(config);
    let reads = (0..100).map(|_| async { plugin.get_secret(&db()).await });
    for found in join_all(reads).await {
        assert_eq!(found.unwrap().unwrap().data, password("hunter2"));
    }
    assert_eq!(logins(&server), 1);
}

/// A denial says nothing about the token.
#[tokio::test]
async fn a_denial_leads_to_no_login() {
    for (status, error, message) in [
        (403, "PermissionDenied", "You are not allowed to read on secrets"),
        (403, "Identity is not a member of the specified project with ID 'x'", "no"),
        (401, "ValidationFailure", "invalid"),
        (422, "ValidationFailure", "invalid"),
    ] {
        let (plugin, server) = ready(InfisicalRelease::June2025).await;
        plugin.create_secret(&db(), password("x")).await.unwrap();
        server.inject(InfisicalFault::Status(status, error, message), "secretPath", 1);
        assert!(plugin.get_secret(&db()).await.is_err(), "{error}");
        assert_eq!(logins(&server), 1, "{error}");
    }
}

#[tokio::test]
async fn wrong_credentials_are_not_tried_again_at_once() {
    for release in RELEASES {
        let (config, server) = with_identity(release, everything()).await;
        let Auth::Universal(auth) = &config.auth else { panic!("it is universal auth") };
        server.set_credential(&auth.client_id, "another");
        let plugin = plugin(config);
        for _ in 0..20 {
            let error = plugin.get_secret(&db()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:#}");
            assert!(error.hint_text().contains("`auth`"), "{error:#}");
        }
        assert_eq!(logins(&server), 1, "{release:?}");
    }
}

#[tokio::test]
async fn a_locked_identity_is_left_alone_until_it_is_unlocked() {
    let (config, server) = with_identity(InfisicalRelease::Current, everything()).await;
    let Auth::Universal(auth) = config.auth.clone() else { panic!("it is universal auth") };
    let wrong = UniversalAuth::new(auth.client_id, SecretSource::Value("wrong".into()));
    for _ in 0..3 {
        let other = InfisicalConfig::new(server.address(), server.project(), wrong.clone());
        assert!(plugin(other).get_secret(&db()).await.is_err());
    }
    let plugin = plugin(config);
    for _ in 0..3 {
        let error = plugin.get_secret(&db()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited, "{error:#}");
        assert!(error.retry_after() > Some(Duration::from_secs(200)), "{error:#}");
    }
    assert_eq!(logins(&server), 4);
}

#[tokio::test]
async fn a_service_account_token_is_read_for_every_login() {
    let server = fake::Infisical::start(InfisicalRelease::June2025).await;
    server.write("dev", "/apps/db", "password", "hunter2");
    let file = std::env::temp_dir().join(format!("pipe-infisical-{}-jwt", std::process::id()));
    std::fs::write(&file, "first").unwrap();
    let id = server.create_jwt_identity("first", everything());
    let auth = KubernetesAuth::new(&id).with_token_file(&file);
    let plugin = plugin(InfisicalConfig::new(server.address(), server.project(), auth));
    assert!(plugin.get_secret(&db()).await.unwrap().is_some());

    std::fs::write(&file, "second").unwrap();
    server.set_credential(&id, "second");
    server.revoke_tokens();
    assert!(plugin.get_secret(&db()).await.unwrap().is_some());
    assert_eq!(server.hits("kubernetes-auth/login"), 2);

    server.set_credential(&id, "third");
    server.revoke_tokens();
    let error = plugin.get_secret(&db()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:#}");
    std::fs::remove_file(&file).unwrap();
}

/// Gives the same JWT each time.
#[derive(Debug)]
struct Issuer;

#[async_trait]
impl Plugin for Issuer {
    fn name(&self) -> &str {
        "issuer"
    }
    async fn health(&self) -> Health {
        Health::healthy()
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl IdentityPlugin for Issuer {
    fn capabilities(&self) -> IdentityCapabilities {
        IdentityCapabilities::VERIFY_ONLY.with_authenticate()
    }
    async fn authenticate_service(&self, _: &ServiceAuthRequest) -> Result<ServiceCredentials> {
        let expires_at = std::time::SystemTime::now() + Duration::from_secs(600);
        let token = Credential::Bearer(BearerToken::new("a.jwt.of-the-plugin"));
        Ok(ServiceCredentials::new(token, expires_at))
    }
    async fn generate_jwt(&self, _: &JwtRequest) -> Result<SignedJwt> {
        Err(Error::unsupported("issuer", "generate_jwt"))
    }
    async fn validate_token(
        &self,
        _: &BearerToken,
        _: &TokenExpectation,
    ) -> Result<SecurityContext> {
        Err(Error::unsupported("issuer", "validate_token"))
    }
    async fn get_security_context(&self, _: &ContextRequest) -> Result<SecurityContext> {
        Err(Error::unsupported("issuer", "get_security_context"))
    }
}

#[tokio::test]
async fn an_identity_plugin_gives_the_jwt() {
    let server = fake::Infisical::start(InfisicalRelease::Current).await;
    server.write("dev", "/apps/db", "password", "hunter2");
    let id = server.create_jwt_identity("a.jwt.of-the-plugin", everything());
    let request = ServiceAuthRequest::new("bot", AuthMethod::OAuth2);
    let config = |auth| InfisicalConfig::new(server.address(), server.project(), auth);
    for auth in [Auth::Oidc(JwtAuth::of_plugin(&id)), Auth::Jwt(JwtAuth::of_plugin(&id))] {
        let plugin = Infisical::with_identity(config(auth), Arc::new(Issuer), request.clone());
        assert!(plugin.unwrap().get_secret(&db()).await.unwrap().is_some());
    }
    assert_eq!([server.hits("oidc-auth/login"), server.hits("jwt-auth/login")], [1, 1]);
    let error = Infisical::new(config(Auth::Jwt(JwtAuth::of_plugin(&id)))).unwrap_err();
    assert!(error.context("auth.jwt").is_some(), "{error:#}");
    // An identity plugin that would not be used is not believed to be.
    let token = Auth::token(SecretSource::Value("x".into()));
    let error = Infisical::with_identity(config(token), Arc::new(Issuer), request).unwrap_err();
    assert!(error.context("auth").is_some(), "{error:#}");
}

#[tokio::test]
async fn a_static_token_is_used_and_not_given_back() {
    let (config, server) = with_identity(InfisicalRelease::June2025, everything()).await;
    let Auth::Universal(auth) = &config.auth else { panic!("it is universal auth") };
    let token = server.create_token(&auth.client_id);
    let auth = Auth::token(SecretSource::Value(token.into()));
    let config = InfisicalConfig::new(server.address(), server.project(), auth);
    let plugin = plugin(config);
    plugin.create_secret(&db(), password("x")).await.unwrap();
    plugin.close().await.unwrap();
    assert_eq!([server.hits("/login"), server.hits("token/revoke")], [0, 0]);

    server.revoke_tokens();
    let error = plugin.get_secret(&db()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "closed: {error:#}");
}

#[tokio::test]
async fn a_static_token_that_ends_is_reported() {
    let (config, server) = with_identity(InfisicalRelease::June2025, everything()).await;
    let Auth::Universal(auth) = &config.auth else { panic!("it is universal auth") };
    let token = server.create_token(&auth.client_id);
    let auth = Auth::token(SecretSource::Value(token.into()));
    let plugin = plugin(InfisicalConfig::new(server.address(), server.project(), auth));
    assert_eq!(plugin.get_secret(&db()).await.unwrap(), None);
    server.advance(Duration::from_secs(31 * 24 * 3600));
    let error = plugin.get_secret(&db()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.hint_text().contains("auth.token"), "{error:#}");
}

#[tokio::test]
async fn a_token_of_ours_is_given_back() {
    let (plugin, server) = ready(InfisicalRelease::Current).await;
    assert_eq!(plugin.get_secret(&db()).await.unwrap(), None);
    plugin.close().await.unwrap();
    assert_eq!(server.hits("token/revoke"), 1);
}
