//! `authenticate_service` by every way in which the provider knows a client (REQ 004-72).

use std::sync::Arc;
use std::time::Duration;

use pipe_core::identity::{AuthMethod, ServiceAuthRequest, TokenExpectation};
use pipe_core::{ErrorKind, IdentityPlugin as _, TokenFault};
use pipe_identity_oidc::jwt::{Algorithm, SigningKey};
use pipe_identity_oidc::{
    AssertionAudience, ClientAuthentication, ClientConfig, JwtBearer, PrivateKeyJwt, TokenExchange,
    TokenOrigin,
};

use crate::credentials::ASSERTION_ISSUER;
use crate::oauth::{assertion, claims, jwt};
use crate::plugin::{
    Scratch, authenticate, basic, bearer, client, der, fault, forgetful, introspection, trusting,
    validate, value,
};
use crate::server::{EDDSA, ES256, OPAQUE, RS256, Server, shared};
use crate::tokens::revoke;

/// How `svc-pkjwt` signs.
fn key(server: &Server, algorithm: Algorithm) -> PrivateKeyJwt {
    let (kid, key) = server.client_key(algorithm.name());
    PrivateKeyJwt::new(value(&key.serialize_pem()), algorithm).with_key_id(kid)
}

/// What the provider trusts that `svc-grants` presents.
fn trusted_jwt(server: &Server, subject: &str) -> String {
    let claims = assertion(ASSERTION_ISSUER, subject, server.issuer());
    jwt("any", server.assertion_key(), &claims)
}

fn grants(server: &Server) -> ClientConfig {
    let secret = ClientAuthentication::client_secret_basic(value(server.secret("svc-grants")));
    ClientConfig::new("svc-grants", secret)
}

/// REQ 004-72.0 to 004-72.4
#[tokio::test]
async fn each_authentication_obtains_a_token_that_is_accepted() {
    use ClientAuthentication as By;
    let Some(server) = shared().await else { return };
    let secret = |id: &str| value(server.secret(id));
    let es256 = || ClientAuthentication::from(key(server, Algorithm::Es256));
    let (kid, pair) = server.client_key("ES256");
    let held = SigningKey::from_pem(Algorithm::Es256, &pair.serialize_pem().as_str().into());
    let signer = Arc::new(held.unwrap().with_key_id(kid).unwrap());
    let workload = jwt(kid, pair, &assertion("svc-pkjwt", "svc-pkjwt", server.issuer()));
    let workload = Scratch::new(&workload);
    let (oauth2, by_jwt) = (AuthMethod::OAuth2, AuthMethod::Jwt);
    for (name, id, authentication, method) in [
        ("basic", "svc-basic", By::client_secret_basic(secret("svc-basic")), oauth2),
        ("post", "svc-post", By::client_secret_post(secret("svc-post")), oauth2),
        ("secret jwt", "svc-sjwt", By::client_secret_jwt(secret("svc-sjwt")), by_jwt),
        ("ES256", "svc-pkjwt", es256(), by_jwt),
        ("RS256", "svc-pkjwt", key(server, Algorithm::Rs256).into(), by_jwt),
        (
            "for the endpoint",
            "svc-pkjwt",
            es256().with_assertion_audience(AssertionAudience::TokenEndpoint),
            by_jwt,
        ),
        ("a signer", "svc-pkjwt", By::signed(signer), by_jwt),
        ("a workload", "svc-pkjwt", By::service_account_jwt(&workload.0), by_jwt),
    ] {
        let plugin = client(server, ClientConfig::new(id, authentication));
        let request = ServiceAuthRequest::new(id, method)
            .with_audience(ES256)
            .with_scope("secrets:read")
            .with_scope("identity:read");
        let credentials = plugin.authenticate_service(&request).await;
        let credentials = credentials.unwrap_or_else(|error| {
            panic!("{name}: {error:#} {}", server.log());
        });
        assert_eq!(credentials.scopes, request.scopes, "{name}");
        let expect = TokenExpectation::audience(ES256);
        let context = plugin.validate_token(&bearer(&credentials), &expect).await.unwrap();
        assert_eq!(context.principal.id.as_str(), id, "{name}");
        assert_eq!(context.scopes, request.scopes, "{name}");
    }
}

/// D12, RFC 8705: the token is of no use without the certificate.
#[tokio::test]
async fn a_token_of_a_certificate_is_bound_to_it() {
    let Some(server) = shared().await else { return };
    let certificates =
        [("svc-mtls", server.client_certificate()), ("svc-self", server.self_signed_certificate())];
    for (id, certificate) in certificates {
        let authentication = ClientAuthentication::tls_client_auth(value(&certificate.pem()));
        let config =
            ClientConfig::new(id, authentication).with_token_endpoint(server.tls_url("/token"));
        let plugin = client(server, config);
        for method in [AuthMethod::Mtls, AuthMethod::OAuth2] {
            let credentials = authenticate(&plugin, id, method, RS256).await;
            let token = bearer(&credentials.unwrap_or_else(|error| {
                panic!("{id}: {error:#} {}", server.log());
            }));
            let expect = TokenExpectation::audience(RS256);
            let bound = expect.clone().with_peer_certificate(der(certificate));
            let context = plugin.validate_token(&token, &bound).await.unwrap();
            assert_eq!(context.principal.id.as_str(), id);
            let stranger = expect.clone().with_peer_certificate(b"another".to_vec());
            for expect in [expect, stranger] {
                let refused = plugin.validate_token(&token, &expect).await;
                assert_eq!(fault(refused), TokenFault::NotBound);
            }
        }
    }
}

#[tokio::test]
async fn a_certificate_of_nobody_is_refused() {
    let Some(server) = shared().await else { return };
    let stranger = crate::credentials::self_signed("svc-mtls");
    let authentication = ClientAuthentication::tls_client_auth(value(&stranger.pem()));
    let config =
        ClientConfig::new("svc-mtls", authentication).with_token_endpoint(server.tls_url("/token"));
    let refused = authenticate(&client(server, config), "svc-mtls", AuthMethod::Mtls, RS256).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unauthenticated);
    // Where the CA of the provider is not trusted, nothing is shown to it.
    let certificate = server.client_certificate().pem();
    let config =
        ClientConfig::new("svc-mtls", ClientAuthentication::tls_client_auth(value(&certificate)))
            .with_token_endpoint(server.tls_url("/token"));
    let trusting = pipe_identity_oidc::IssuerConfig::new(server.issuer());
    let config = pipe_identity_oidc::OidcConfig::new().with_issuer(trusting).with_client(config);
    let plugin = pipe_identity_oidc::Oidc::new(config).unwrap();
    let error = authenticate(&plugin, "svc-mtls", AuthMethod::Mtls, RS256).await.unwrap_err();
    assert!(!matches!(error.kind(), ErrorKind::Unauthenticated), "{error:#}");
}

/// RFC 7523 2.1, RFC 8693: the subject is the one that the trusted JWT names.
#[tokio::test]
async fn a_trusted_jwt_is_traded_for_a_token() {
    let Some(server) = shared().await else { return };
    let file = Scratch::new(&format!("{}\n", trusted_jwt(server, "pod-a")));
    let exchanged = TokenExchange::new(value(&trusted_jwt(server, "pod-b")))
        .with_requested_token_type("urn:ietf:params:oauth:token-type:access_token");
    let config = grants(server)
        .with_jwt_bearer(JwtBearer::new(TokenOrigin::file(&file.0)))
        .with_token_exchange(exchanged);
    let plugin = client(server, config);
    for (method, subject) in [(AuthMethod::Jwt, "pod-a"), (AuthMethod::OAuth2, "pod-b")] {
        let request = ServiceAuthRequest::new("svc-grants", method)
            .with_audience(EDDSA)
            .with_scope("secrets:read");
        let credentials = plugin.authenticate_service(&request).await;
        let credentials = credentials.unwrap_or_else(|error| {
            panic!("{method:?}: {error:#} {}", server.log());
        });
        let expect = TokenExpectation::audience(EDDSA);
        let context = plugin.validate_token(&bearer(&credentials), &expect).await.unwrap();
        assert_eq!(context.principal.id.as_str(), subject);
    }
}

#[tokio::test]
async fn a_jwt_for_somebody_else_is_traded_for_nothing() {
    let Some(server) = shared().await else { return };
    let claims = assertion(ASSERTION_ISSUER, "pod", "https://elsewhere.example");
    let elsewhere = jwt("any", server.assertion_key(), &claims);
    let config = grants(server)
        .with_jwt_bearer(JwtBearer::new(value(&elsewhere)))
        .with_token_exchange(TokenExchange::new(value(&elsewhere)));
    let plugin = client(server, config);
    for method in [AuthMethod::Jwt, AuthMethod::OAuth2] {
        let error = authenticate(&plugin, "svc-grants", method, RS256).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{method:?}");
        assert_eq!(error.context("oauth_error"), Some("invalid_grant"));
    }
}

/// Each tells apart who has to change what.
#[tokio::test]
async fn each_refusal_of_the_provider_has_its_kind() {
    let Some(server) = shared().await else { return };
    let wrong = ClientAuthentication::client_secret_basic(value("wrong"));
    let dpop = ClientAuthentication::client_secret_basic(value(server.secret("svc-dpop")));
    let stolen = key(server, Algorithm::Es256).with_key_id("another");
    for (what, config, method, kind) in [
        (
            "a wrong secret",
            ClientConfig::new("svc-basic", wrong.clone()),
            AuthMethod::OAuth2,
            ErrorKind::Unauthenticated,
        ),
        (
            "nobody",
            ClientConfig::new("nobody", wrong),
            AuthMethod::OAuth2,
            ErrorKind::Unauthenticated,
        ),
        (
            "another key",
            ClientConfig::new("svc-pkjwt", stolen.into()),
            AuthMethod::Jwt,
            ErrorKind::Unauthenticated,
        ),
        (
            "a DPoP client",
            ClientConfig::new("svc-dpop", dpop),
            AuthMethod::OAuth2,
            ErrorKind::Unauthenticated,
        ),
        (
            "a grant of others",
            basic_with_exchange(server),
            AuthMethod::OAuth2,
            ErrorKind::InvalidArgument,
        ),
    ] {
        let id = config.id.clone();
        let error = authenticate(&client(server, config), &id, method, RS256).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{what}: {error:#} {}", server.log());
        assert!(!error.hint_text().is_empty(), "{what}");
    }
}

/// A client that is not registered for the grant that it uses.
fn basic_with_exchange(server: &Server) -> ClientConfig {
    basic(server).with_token_exchange(TokenExchange::new(value(&trusted_jwt(server, "pod"))))
}

/// The provider drops what it does not know, and answers 200.
#[tokio::test]
async fn scopes_that_are_dropped_are_missed() {
    let Some(server) = shared().await else { return };
    let plugin = client(server, basic(server));
    for audience in [RS256, OPAQUE] {
        for scopes in [&["unknown"][..], &["secrets:read", "unknown"]] {
            let request = ServiceAuthRequest::new("svc-basic", AuthMethod::OAuth2);
            let request = scopes
                .iter()
                .fold(request.with_audience(audience), |request, scope| request.with_scope(*scope));
            let outcome = plugin.authenticate_service(&request).await;
            match (audience, scopes.len()) {
                // Neither the answer nor an opaque token says that nothing was granted.
                (OPAQUE, 1) => drop(outcome.unwrap()),
                _ => {
                    let error = outcome.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{audience} {scopes:?}");
                    assert_eq!(error.context("missing"), Some("unknown"));
                }
            }
        }
    }
    let careful = basic(server).with_silent_scope(pipe_identity_oidc::SilentScope::Refused);
    let request = ServiceAuthRequest::new("svc-basic", AuthMethod::OAuth2)
        .with_audience(OPAQUE)
        .with_scope("unknown");
    let error = client(server, careful).authenticate_service(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn an_audience_that_the_provider_does_not_know_is_an_argument() {
    let Some(server) = shared().await else { return };
    let plugin = client(server, basic(server));
    let unknown = "https://unknown.example";
    let error = authenticate(&plugin, "svc-basic", AuthMethod::OAuth2, unknown).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(error.context("oauth_error"), Some("invalid_target"));
}

/// REQ 004-72.5
#[tokio::test]
async fn credentials_are_renewed_before_they_end() {
    let Some(server) = Server::start().await else { return };
    server.admin().set_token_lifetime(Duration::from_secs(2)).await;
    let plugin = client(&server, basic(&server));
    let request = ServiceAuthRequest::new("svc-basic", AuthMethod::OAuth2).with_audience(RS256);
    let source = plugin.credentials(&request).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let before = std::time::SystemTime::now();
        let credentials = source.get().await.unwrap();
        assert!(credentials.expires_at > before, "it had ended when it was handed out");
        let token = bearer(&credentials);
        if seen.last() != Some(&token) {
            let id = claims(token.expose_str().unwrap())["jti"].clone();
            assert!(id.is_string());
            seen.push(token);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // As many requests as tokens: nobody asks while there is a good one.
    assert_eq!(server.admin().hits("/token").await, 3);
}

/// A token that is refused where it is shown is replaced, once.
#[tokio::test]
async fn a_refused_token_is_replaced_by_another() {
    let Some(server) = Server::start().await else { return };
    let at_once = introspection(&server).with_active_ttl(Duration::ZERO);
    let resource_server = forgetful(trusting(&server).with_introspection(at_once));
    let plugin = client(&server, basic(&server));
    let request = ServiceAuthRequest::new("svc-basic", AuthMethod::OAuth2).with_audience(OPAQUE);
    let source = plugin.credentials(&request).unwrap();
    let show = async |token: &pipe_core::identity::BearerToken| {
        validate(&resource_server, token.expose_str().unwrap(), OPAQUE).await
    };

    let first = bearer(&source.get().await.unwrap());
    show(&first).await.unwrap();
    revoke(&server, first.expose_str().unwrap()).await;
    assert_eq!(fault(show(&first).await), TokenFault::Inactive);
    assert!(source.invalidate_if_same(&first));
    let second = bearer(&source.get().await.unwrap());
    assert_ne!(first, second);
    show(&second).await.unwrap();
    assert!(!source.invalidate_if_same(&first), "it was replaced already");
    assert!(!source.invalidate_if_same(&second), "another would be refused as well");
    assert_eq!(server.admin().hits("/token").await, 2);
}
