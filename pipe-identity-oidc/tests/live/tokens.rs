//! `validate_token` on what the provider issues.

use std::time::Duration;

use pipe_core::identity::TenantId;
use pipe_core::{ErrorKind, Plugin as _, TokenFault};
use pipe_identity_oidc::{IntrospectedTokens, TokenTypes};

use crate::login::log_in;
use crate::oauth::{basic_token, header, introspect};
use crate::plugin::{fault, forgetful, introspection, trusting, validate, value};
use crate::server::{EDDSA, ES256, OPAQUE, PS256, RS256, Server, shared};
use crate::web::{client, form, send};

/// REQ 004-74.0, 004-74.3
#[tokio::test]
async fn tokens_of_each_algorithm_are_accepted() {
    let Some(server) = shared().await else { return };
    let plugin = forgetful(trusting(server));
    for resource in [RS256, PS256, ES256, EDDSA] {
        let token = basic_token(server, resource).await;
        let context = validate(&plugin, token, resource).await.unwrap();
        assert_eq!(context.principal.id.as_str(), "svc-basic");
        assert_eq!(context.issuer, server.issuer());
        assert_eq!(context.roles.first().unwrap().as_str(), "bot-operator");
        assert_eq!(context.namespaces.first().unwrap().as_str(), "bni");
        assert!(context.token_id.is_some());
    }
    assert!(plugin.health().await.is_serving());
}

#[tokio::test]
async fn a_token_for_another_resource_is_refused() {
    let Some(server) = shared().await else { return };
    let plugin = forgetful(trusting(server).with_introspection(introspection(server)));
    for resource in [RS256, PS256, ES256, EDDSA, OPAQUE] {
        let token = basic_token(server, resource).await;
        for other in ["https://api.pipe.local/", "https://api.pipe.local/other", "svc-basic", ""] {
            let refused = validate(&plugin, token.clone(), other).await;
            assert_eq!(fault(refused), TokenFault::WrongAudience, "{resource} {other}");
        }
    }
}

#[tokio::test]
async fn a_token_that_was_changed_or_is_none_is_refused() {
    let Some(server) = shared().await else { return };
    let plugin = forgetful(trusting(server));
    let token = basic_token(server, ES256).await;
    let other = basic_token(server, ES256).await;
    let (message, _) = token.rsplit_once('.').unwrap();
    let (_, foreign) = other.rsplit_once('.').unwrap();
    let swapped = format!("{message}.{foreign}");
    assert_eq!(fault(validate(&plugin, swapped, ES256).await), TokenFault::BadSignature);
    let refused = validate(&plugin, format!("{message}."), ES256).await;
    assert!(matches!(fault(refused), TokenFault::BadSignature | TokenFault::Malformed));
    // Without introspection, nobody is asked about what is no JWT.
    let opaque = basic_token(server, OPAQUE).await;
    assert_eq!(fault(validate(&plugin, opaque, OPAQUE).await), TokenFault::Malformed);
}

/// RFC 7662
#[tokio::test]
async fn an_opaque_token_is_introspected() {
    let Some(server) = shared().await else { return };
    let plugin = forgetful(trusting(server).with_introspection(introspection(server)));
    let token = basic_token(server, OPAQUE).await;
    let context = validate(&plugin, token, OPAQUE).await.unwrap();
    assert_eq!(context.principal.id.as_str(), "svc-basic");
    assert_eq!(context.issuer, server.issuer());
    let garbage = validate(&plugin, "x".repeat(43), OPAQUE).await;
    assert_eq!(fault(garbage), TokenFault::Inactive);
}

#[tokio::test]
async fn a_resource_server_that_the_provider_does_not_know_is_told_so() {
    let Some(server) = shared().await else { return };
    let mut wrong = introspection(server);
    wrong.authentication =
        pipe_identity_oidc::ClientAuthentication::client_secret_basic(value("wrong"));
    let plugin = forgetful(trusting(server).with_introspection(wrong));
    let token = basic_token(server, OPAQUE).await;
    let error = validate(&plugin, token, OPAQUE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.hint_text().contains("introspection.authentication"), "{error}");
}

/// The provider answers `unsupported_token_type` about JWTs: neither inactive nor an outage.
#[tokio::test]
async fn a_jwt_that_the_provider_does_not_introspect_is_verified_here() {
    let Some(server) = Server::start().await else { return };
    let all = introspection(&server).with_tokens(IntrospectedTokens::All);
    let plugin = forgetful(trusting(&server).with_introspection(all));
    let token = basic_token(&server, RS256).await;
    validate(&plugin, token, RS256).await.unwrap();
    assert_eq!(server.admin().hits("/token/introspection").await, 1);
}

/// H6
#[tokio::test]
async fn a_revoked_token_is_refused() {
    let Some(server) = shared().await else { return };
    let at_once = introspection(server).with_active_ttl(Duration::ZERO);
    let plugin = forgetful(trusting(server).with_introspection(at_once));
    let token = basic_token(server, OPAQUE).await;
    validate(&plugin, token.clone(), OPAQUE).await.unwrap();
    revoke(server, &token).await;
    assert_eq!(fault(validate(&plugin, token, OPAQUE).await), TokenFault::Inactive);
}

/// What a person's access token says is the person's.
#[tokio::test]
async fn the_access_token_of_a_person_is_accepted() {
    let Some(server) = shared().await else { return };
    let plugin = forgetful(trusting(server).with_introspection(introspection(server)));
    for resource in [RS256, OPAQUE] {
        let tokens = log_in(server, "alice", resource).await;
        let token = tokens["access_token"].as_str().unwrap();
        let context = validate(&plugin, token, resource).await.unwrap();
        assert_eq!(context.principal.id.as_str(), "alice");
        assert_eq!(context.roles.first().unwrap().as_str(), "domain-admin");
        assert!(context.require_tenant(&TenantId::new("bni").unwrap()).is_err(), "none is mapped");
    }
}

/// D8: the same keys sign them.
#[tokio::test]
async fn an_id_token_is_no_access_token() {
    let Some(server) = shared().await else { return };
    let tokens = log_in(server, "bob", RS256).await;
    let id_token = tokens["id_token"].as_str().unwrap();
    assert!(header(id_token).get("typ").is_none());
    // It is for the client, and does not say that it is an access token.
    let strict = forgetful(trusting(server));
    assert_eq!(fault(validate(&strict, id_token, "web").await), TokenFault::WrongType);
    assert_eq!(fault(validate(&strict, id_token, RS256).await), TokenFault::WrongAudience);
    let lenient = forgetful(trusting(server).with_types(TokenTypes::Lenient));
    assert_eq!(fault(validate(&lenient, id_token, RS256).await), TokenFault::WrongAudience);
}

/// D8: a refresh token is opaque and active, and no access token.
#[tokio::test]
async fn a_refresh_token_is_no_access_token() {
    let Some(server) = shared().await else { return };
    let tokens = log_in(server, "alice", OPAQUE).await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let (_, answer) = introspect(server, refresh).await;
    assert_eq!(answer["active"], true);
    let lax = introspection(server).accepting_missing_audience();
    for introspection in [introspection(server), lax] {
        let plugin = forgetful(trusting(server).with_introspection(introspection));
        assert_eq!(fault(validate(&plugin, refresh, OPAQUE).await), TokenFault::WrongType);
    }
}

/// A token of one provider is nothing to a plugin that trusts another.
#[tokio::test]
async fn a_token_of_another_provider_is_refused() {
    let (Some(server), Some(other)) = (shared().await, Server::start().await) else { return };
    let plugin = forgetful(trusting(server));
    let token = basic_token(&other, RS256).await;
    // Both call their first keys the same.
    assert_eq!(fault(validate(&plugin, token, RS256).await), TokenFault::BadSignature);
}

/// Revokes a token of `svc-basic`.
pub(crate) async fn revoke(server: &Server, token: &str) {
    let request = client().post(server.url("/token/revocation"));
    let request = request.basic_auth("svc-basic", Some(server.secret("svc-basic")));
    assert_eq!(send(form(request, &[("token", token)])).await.status(), 200);
}
