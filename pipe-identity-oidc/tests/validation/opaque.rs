use std::time::Duration;

use pipe_core::SecretSource;
use pipe_identity_oidc::{ClientAuthentication, IntrospectedTokens, IntrospectionConfig, Keys};
use pipe_testkit::issuer::{Fault, RESOURCE_SERVER_ID, RESOURCE_SERVER_SECRET};
use serde_json::json;

use super::*;

fn introspection(secret: &str) -> IntrospectionConfig {
    let secret = SecretSource::Value(secret.into());
    IntrospectionConfig::new(RESOURCE_SERVER_ID, ClientAuthentication::client_secret_basic(secret))
}

fn asking(issuer: &TestIssuer, introspection: IntrospectionConfig) -> Oidc {
    let trusted = trusting(issuer).with_introspection(introspection);
    Oidc::new(config(issuer, trusted)).unwrap()
}

#[tokio::test]
async fn an_opaque_token_is_what_its_issuer_says() {
    let issuer = TestIssuer::start().await;
    let plugin = asking(&issuer, introspection(RESOURCE_SERVER_SECRET));
    let token = issuer.opaque_token(json!({ "sub": "alice", "roles": ["editor"] }));
    let context = validate(&plugin, &token).await.unwrap();
    assert_eq!(context.principal.id.as_str(), "alice");
    assert_eq!(context.roles, [role("editor")].into());
    // A second time nobody is asked.
    validate(&plugin, &token).await.unwrap();
    assert_eq!(issuer.hits("/token/introspection"), 1);
}

/// RFC 7662 2.2: a client that speaks for itself has no other subject.
#[tokio::test]
async fn without_a_subject_the_client_is_calling() {
    let issuer = TestIssuer::start().await;
    let plugin = asking(&issuer, introspection(RESOURCE_SERVER_SECRET));
    let context = validate(&plugin, issuer.opaque_token(json!({}))).await.unwrap();
    assert_eq!(context.principal.id.as_str(), pipe_testkit::issuer::CLIENT_ID);
}

/// H6
#[tokio::test(start_paused = true)]
async fn a_revoked_token_is_refused_within_the_stated_time() {
    let issuer = TestIssuer::start().await;
    let plugin = asking(&issuer, introspection(RESOURCE_SERVER_SECRET));
    let token = issuer.opaque_token(json!({}));
    validate(&plugin, &token).await.unwrap();
    issuer.revoke(&token);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(fault(validate(&plugin, &token).await), TokenFault::Inactive);
    let hits = issuer.hits("/token/introspection");
    assert_eq!(fault(validate(&plugin, &token).await), TokenFault::Inactive);
    assert_eq!(issuer.hits("/token/introspection"), hits, "asked again within 5 seconds");
}

#[tokio::test]
async fn a_token_whose_revocation_matters_is_asked_about_each_time() {
    let issuer = TestIssuer::start().await;
    let config = introspection(RESOURCE_SERVER_SECRET).with_active_ttl(Duration::ZERO);
    let plugin = asking(&issuer, config);
    let token = issuer.opaque_token(json!({}));
    validate(&plugin, &token).await.unwrap();
    issuer.revoke(&token);
    assert_eq!(fault(validate(&plugin, &token).await), TokenFault::Inactive);
}

#[tokio::test]
async fn a_token_for_somebody_else_or_for_nobody_is_refused() {
    let issuer = TestIssuer::start().await;
    let plugin = asking(&issuer, introspection(RESOURCE_SERVER_SECRET));
    for audience in [json!("somebody-else"), json!(null)] {
        let token = issuer.opaque_token(json!({ "aud": audience }));
        assert_eq!(fault(validate(&plugin, token).await), TokenFault::WrongAudience);
    }
    let lax = introspection(RESOURCE_SERVER_SECRET).accepting_missing_audience();
    let plugin = asking(&issuer, lax);
    let token = issuer.opaque_token(json!({ "aud": null }));
    assert!(validate(&plugin, token).await.is_ok());
    let token = issuer.opaque_token(json!({ "aud": "somebody-else" }));
    assert_eq!(fault(validate(&plugin, token).await), TokenFault::WrongAudience);
}

/// D8: a certified provider answers about refresh tokens without audience and type.
#[tokio::test]
async fn what_is_active_and_no_access_token_is_refused() {
    let issuer = TestIssuer::start().await;
    let lax = introspection(RESOURCE_SERVER_SECRET).accepting_missing_audience();
    let (strict, lax) =
        (asking(&issuer, introspection(RESOURCE_SERVER_SECRET)), asking(&issuer, lax));
    for claims in [
        json!({ "aud": null, "token_type": null }),
        json!({ "aud": null, "token_type": "refresh_token" }),
        json!({ "token_type": "refresh_token" }),
        json!({ "token_type": "N_A" }),
        json!({ "token_type": ["Bearer"] }),
    ] {
        let token = issuer.opaque_token(claims.clone());
        for plugin in [&strict, &lax] {
            assert_eq!(fault(validate(plugin, &token).await), TokenFault::WrongType, "{claims}");
        }
    }
    // The type may be left out where the audience is not, and is read without case.
    for claims in [json!({ "token_type": null }), json!({ "token_type": "bearer" })] {
        validate(&strict, issuer.opaque_token(claims)).await.unwrap();
    }
}

/// RFC 7662 2.2 lets the issuer say no more than this.
#[tokio::test]
async fn of_a_verified_jwt_the_issuer_need_not_say_more_than_that_it_is_active() {
    let issuer = TestIssuer::start().await;
    let all = introspection(RESOURCE_SERVER_SECRET).with_tokens(IntrospectedTokens::All);
    issuer.fail("/token/introspection", Fault::Json(r#"{"active":true}"#.to_owned()));
    let plugin = asking(&issuer, all.clone());
    let context = validate(&plugin, issuer.token().sign()).await.unwrap();
    assert_eq!(context.principal.id.as_str(), pipe_testkit::issuer::SUBJECT);
    assert_eq!(context.roles, [role("data_reader")].into());
    issuer.fail("/token/introspection", Fault::Json(r#"{"active":false}"#.to_owned()));
    let refused = validate(&asking(&issuer, all), issuer.token().sign()).await;
    assert_eq!(fault(refused), TokenFault::Inactive);
}

#[tokio::test]
async fn a_token_of_another_issuer_is_refused() {
    let issuer = TestIssuer::start().await;
    let plugin = asking(&issuer, introspection(RESOURCE_SERVER_SECRET));
    let token = issuer.opaque_token(json!({ "iss": "https://other.example" }));
    assert_eq!(fault(validate(&plugin, token).await), TokenFault::WrongIssuer);
}

#[tokio::test]
async fn what_the_provider_does_not_say_is_nobodys_fault_but_ours() {
    let issuer = TestIssuer::start().await;
    let token = issuer.opaque_token(json!({}));
    let stranger = asking(&issuer, introspection("wrong"));
    let error = validate(&stranger, &token).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.hint_text().contains("introspection"), "{error}");
    for (fault, kind) in [
        (Fault::Html500, ErrorKind::Unavailable),
        (Fault::Html200, ErrorKind::Unexpected),
        (Fault::Reset, ErrorKind::Unavailable),
        (Fault::Json(r#"{"active":"true"}"#.to_owned()), ErrorKind::Unexpected),
        (Fault::RateLimited { retry_after: Some(1) }, ErrorKind::RateLimited),
    ] {
        issuer.fail("/token/introspection", fault.clone());
        let plugin = asking(&issuer, introspection(RESOURCE_SERVER_SECRET));
        assert_eq!(validate(&plugin, &token).await.unwrap_err().kind(), kind, "{fault:?}");
    }
}

/// The certified provider answers `unsupported_token_type` about JWTs.
#[tokio::test]
async fn a_jwt_about_which_the_issuer_does_not_answer_is_verified_here() {
    let issuer = TestIssuer::start().await;
    let all = introspection(RESOURCE_SERVER_SECRET).with_tokens(IntrospectedTokens::All);
    let plugin = asking(&issuer, all);
    assert!(validate(&plugin, issuer.token().sign()).await.is_ok());
    assert_eq!(issuer.hits("/token/introspection"), 1);
    // What nobody signed is not worth a question.
    let forged = issuer.token().signature([0; 64]).sign();
    assert_eq!(fault(validate(&plugin, forged).await), TokenFault::BadSignature);
    assert_eq!(issuer.hits("/token/introspection"), 1);
}

/// RFC 7662 2.2: no member but `active` is required, and the token has said the rest itself.
#[tokio::test]
async fn of_a_jwt_that_was_verified_only_whether_it_is_active_is_asked() {
    let issuer = TestIssuer::start().await;
    let all = || introspection(RESOURCE_SERVER_SECRET).with_tokens(IntrospectedTokens::All);
    let plugin = asking(&issuer, all());
    issuer.fail("/token/introspection", Fault::Json(r#"{"active":true}"#.to_owned()));
    let context = validate(&plugin, issuer.token().sign()).await.unwrap();
    assert_eq!(context.roles, [role("data_reader")].into());
    issuer.fail("/token/introspection", Fault::Json(r#"{"active":false}"#.to_owned()));
    let revoked = issuer.token().claim("jti", "revoked").sign();
    assert_eq!(fault(validate(&plugin, revoked).await), TokenFault::Inactive);
}

/// D8: a refresh token is active as well.
#[tokio::test]
async fn what_the_issuer_calls_another_kind_of_token_is_refused() {
    let issuer = TestIssuer::start().await;
    let plugin = asking(&issuer, introspection(RESOURCE_SERVER_SECRET));
    for (member, kind) in
        [("token_use", "refresh_token"), ("token_type", "Refresh"), ("token_use", "id_token")]
    {
        let token = issuer.opaque_token(json!({ member: kind }));
        assert_eq!(fault(validate(&plugin, token).await), TokenFault::WrongType, "{kind}");
    }
    for (member, kind) in [("token_use", "access_token"), ("token_type", "bearer")] {
        let token = issuer.opaque_token(json!({ member: kind }));
        assert!(validate(&plugin, token).await.is_ok(), "{kind}");
    }
}

#[tokio::test]
async fn beside_keys_that_are_given_the_endpoint_has_to_be_given_too() {
    let issuer = TestIssuer::start().await;
    let with = |introspection| {
        let trusted = trusting(&issuer).with_keys(Keys::Inline(issuer.jwks().to_string()));
        Oidc::new(config(&issuer, trusted.with_introspection(introspection)))
    };
    let error = with(introspection(RESOURCE_SERVER_SECRET)).unwrap_err();
    assert!(error.context("issuers[0].introspection.endpoint").is_some(), "{error}");
    let endpoint = format!("{}/token/introspection", issuer.url());
    let plugin = with(introspection(RESOURCE_SERVER_SECRET).with_endpoint(endpoint)).unwrap();
    assert!(validate(&plugin, issuer.opaque_token(json!({}))).await.is_ok());
    assert_eq!(issuer.requests().len(), 1);
}

#[tokio::test]
async fn without_introspection_what_is_no_jwt_is_refused_without_asking() {
    let issuer = TestIssuer::start().await;
    let plugin = plugin(&issuer);
    let opaque = issuer.opaque_token(json!({}));
    assert_eq!(fault(validate(&plugin, opaque).await), TokenFault::Malformed);
    assert_eq!(fault(validate(&plugin, "e30.a.b.c.d").await), TokenFault::Unsupported);
    assert!(issuer.requests().is_empty());
}
