use std::time::Duration;

use pipe_core::Plugin as _;
use pipe_core::identity::TenantId;
use pipe_testkit::issuer::{Fault, OldKeys};

use super::*;

#[tokio::test]
async fn the_context_is_what_the_mapped_claims_say() {
    let issuer = TestIssuer::start().await;
    let context = validate(&plugin(&issuer), issuer.token().sign()).await.unwrap();
    assert_eq!(context.issuer, issuer.url());
    assert_eq!(context.tenant, Some(TenantId::new("acme").unwrap()));
    assert_eq!(context.roles, [role("data_reader")].into());
    assert_eq!(context.namespaces.first().unwrap().as_str(), "sales");
    assert_eq!(context.scopes, ["secrets:read".to_owned()].into());
}

/// H6: what is remembered ends with the token, and is checked against each expectation.
#[tokio::test]
async fn a_remembered_token_is_refused_where_a_new_one_would_be() {
    let issuer = TestIssuer::start().await;
    let plugin = plugin(&issuer);
    let token = issuer.token().sign();
    validate(&plugin, &token).await.unwrap();
    let other = TokenExpectation::audience("somebody-else");
    let presented = BearerToken::new(token.clone());
    assert_eq!(fault(plugin.validate_token(&presented, &other).await), TokenFault::WrongAudience);
    let tenant = TokenExpectation::audience(AUDIENCE).with_tenant(TenantId::new("bni").unwrap());
    assert_eq!(fault(plugin.validate_token(&presented, &tenant).await), TokenFault::TenantMismatch);
    issuer.clock().forward(Duration::from_secs(3_629));
    validate(&plugin, &token).await.unwrap();
    issuer.clock().forward(Duration::from_secs(1));
    assert_eq!(fault(validate(&plugin, &token).await), TokenFault::Expired);
}

/// E3: a key that is gone takes the tokens with it that were verified with it.
#[tokio::test(start_paused = true)]
async fn what_is_remembered_ends_with_the_key_that_verified_it() {
    let issuer = TestIssuer::start().await;
    let plugin = plugin(&issuer);
    let old = issuer.token().sign();
    validate(&plugin, &old).await.unwrap();
    issuer.rotate(OldKeys::Dropped);
    validate(&plugin, &old).await.unwrap();
    // Past the time after which a new key may be asked for.
    tokio::time::advance(Duration::from_secs(31)).await;
    validate(&plugin, issuer.token().sign()).await.unwrap();
    assert_eq!(fault(validate(&plugin, &old).await), TokenFault::UnknownKey);
}

/// E1: with overlap, nobody is refused.
#[tokio::test(start_paused = true)]
async fn a_rotation_with_overlap_refuses_nobody() {
    let issuer = TestIssuer::start().await;
    let plugin = plugin(&issuer);
    let old = issuer.token().sign();
    validate(&plugin, &old).await.unwrap();
    issuer.rotate(OldKeys::Kept);
    tokio::time::advance(Duration::from_secs(31)).await;
    let hits = issuer.hits("/jwks");
    validate(&plugin, issuer.token().sign()).await.unwrap();
    validate(&plugin, &old).await.unwrap();
    assert_eq!(issuer.hits("/jwks"), hits + 1);
}

/// F1
#[tokio::test(start_paused = true)]
async fn a_provider_that_is_down_at_the_start_is_no_intruder_and_is_found_again() {
    let mut issuer = TestIssuer::start().await;
    let plugin = plugin(&issuer);
    let token = issuer.token().sign();
    issuer.stop().await;
    for _ in 0..10 {
        let kind = validate(&plugin, &token).await.unwrap_err().kind();
        assert_eq!(kind, ErrorKind::Unavailable);
    }
    assert!(!plugin.health().await.is_serving());
    issuer.restart().await;
    tokio::time::advance(Duration::from_secs(90)).await;
    validate(&plugin, &token).await.unwrap();
    assert!(plugin.health().await.is_serving());
}

/// F3
#[tokio::test(start_paused = true)]
async fn whatever_the_provider_answers_instead_of_keys_is_no_key() {
    for fault in [
        Fault::Html500,
        Fault::Html200,
        Fault::NoContent,
        Fault::Reset,
        Fault::ResetMidBody,
        Fault::Json("[]".to_owned()),
        Fault::Json(r#"{"keys":[]}"#.to_owned()),
        Fault::Huge(8 << 20),
        Fault::Endless,
        Fault::ContentType("text/html".to_owned()),
        Fault::Redirect("http://169.254.169.254/".to_owned()),
    ] {
        let issuer = TestIssuer::start().await;
        issuer.fail("/jwks", fault.clone());
        let plugin = plugin(&issuer);
        let error = validate(&plugin, issuer.token().sign()).await.unwrap_err();
        assert!(!matches!(error.kind(), ErrorKind::TokenRejected(_)), "{fault:?}: {error:?}");
    }
}

#[tokio::test]
async fn forgotten_tokens_are_checked_again() {
    let issuer = TestIssuer::start().await;
    let plugin = plugin(&issuer);
    let token = issuer.token().sign();
    validate(&plugin, &token).await.unwrap();
    plugin.forget_tokens();
    validate(&plugin, &token).await.unwrap();
    plugin.close().await.unwrap();
    plugin.close().await.unwrap();
}
