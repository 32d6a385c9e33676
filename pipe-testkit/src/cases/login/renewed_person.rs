use std::collections::BTreeSet;

use pipe_core::ErrorKind;
use pipe_core::LoginFault::SessionRevoked;

use super::{alice, expect_outage};
use crate::LoginStage;
use crate::issuer::{Fault, OldKeys, Spoil};
use crate::login::{PAUSE, TOKEN_LIFE};

/// With this lie in a renewal, nobody gets a token.
async fn is_not_renewed(stage: &LoginStage, spoil: Spoil) {
    let logged_in = stage.log_in(&alice()).await;
    stage.wait(TOKEN_LIFE).await;
    let what = format!("{spoil:?}");
    stage.issuer.spoil(spoil);
    match stage.plugin.access_token(&logged_in.id).await {
        Ok(None) => {}
        Ok(Some(_)) => panic!("{what}: a token"),
        Err(error) => {
            let kind = error.kind();
            let is_right = matches!(kind, ErrorKind::TokenRejected(_))
                || kind == ErrorKind::LoginRefused(SessionRevoked);
            assert!(is_right, "{what}: {error:#}");
        }
    }
}

/// G7 (OpenID Connect Core 12.2): a session is one person's.
pub async fn g7_another_person_in_a_renewal_ends_the_session(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    stage.wait(TOKEN_LIFE).await;
    stage.issuer.spoil(Spoil::WrongSubject);
    let token = stage.plugin.access_token(&logged_in.id).await;
    assert!(!matches!(token, Ok(Some(_))), "a token of somebody else");
    stage.ended(&logged_in.id, "it was renewed for somebody else").await;
}

/// G7 (OpenID Connect Core 12.2)
pub async fn g7_the_id_token_of_a_renewal_is_checked(stage: LoginStage) {
    for spoil in [
        Spoil::WrongIssuer,
        Spoil::WrongAudience,
        Spoil::Expired,
        Spoil::AlgNone,
        Spoil::ForeignKey,
        Spoil::WrongAtHash,
    ] {
        is_not_renewed(&stage, spoil).await;
    }
}

/// G7 (OpenID Connect Core 12.2): when there is a nonce, it is that of the login.
pub async fn g7_another_nonce_in_a_renewal_is_refused(stage: LoginStage) {
    is_not_renewed(&stage, Spoil::WrongNonce).await;
}

/// G7 (OpenID Connect Core 12.2): there need not be one.
pub async fn g7_a_renewal_without_nonce_is_taken(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    stage.wait(TOKEN_LIFE).await;
    stage.issuer.spoil(Spoil::NoNonce);
    stage.token(&logged_in.id).await;
}

/// G7 (OpenID Connect Core 12.2): there need not be an ID token.
pub async fn g7_a_renewal_without_id_token_is_taken(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    for _ in 0..2 {
        stage.wait(TOKEN_LIFE).await;
        stage.issuer.spoil(Spoil::NoIdToken);
        stage.token(&logged_in.id).await;
    }
    let session = stage.session(&logged_in.id).await;
    assert_eq!(session.context.principal.id.as_str(), "alice");
    // It is still known what to show to the provider at the end.
    let logged_out = stage.plugin.log_out(&logged_in.id).await.expect("a logout");
    let location = logged_out.location.unwrap_or_default();
    assert!(location.contains("id_token_hint="), "the ID token is lost");
}

/// G7: an answer that cannot be checked yet has spent the old refresh token all the same.
pub async fn g7_a_renewal_that_cannot_be_checked_loses_nothing(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    stage.wait(TOKEN_LIFE).await;
    stage.issuer.rotate(OldKeys::Dropped);
    stage.issuer.fail("/jwks", Fault::Html500);
    expect_outage(stage.plugin.access_token(&logged_in.id).await, "the keys cannot be had");
    stage.issuer.heal("/jwks");
    stage.wait(PAUSE).await;
    stage.token(&logged_in.id).await;
    assert_eq!(stage.issuer.reuses("alice"), 0);
}

/// G7: who lost a role loses it here as well.
pub async fn g7_a_renewal_brings_what_the_provider_says_now(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    stage.issuer.add_person(&alice().roles(["viewer"]).groups(["readers"]));
    stage.wait(TOKEN_LIFE).await;
    stage.token(&logged_in.id).await;
    let session = stage.session(&logged_in.id).await;
    let roles: Vec<_> =
        session.context.roles.iter().map(pipe_core::identity::Role::as_str).collect();
    assert_eq!(roles, ["viewer"]);
    assert_eq!(session.groups, ["readers".to_owned()].into());
}

/// G7 (RFC 6749 6): a renewal can grant less.
pub async fn g7_a_renewal_can_grant_less(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    stage.wait(TOKEN_LIFE).await;
    stage.issuer.spoil(Spoil::Scope("openid".into()));
    let scopes = stage.token(&logged_in.id).await.scopes;
    assert_eq!(scopes, BTreeSet::from(["openid".to_owned()]));
}
