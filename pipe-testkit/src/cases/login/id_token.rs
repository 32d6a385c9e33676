use std::time::Duration;

use pipe_core::TokenFault::{
    Expired, IssuedInFuture, Malformed, MissingClaim, TooOld, WrongAssurance, WrongAudience,
    WrongHash, WrongIssuer,
};
use pipe_core::identity::LoginRequest;

use super::{alice, expect_token};
use crate::LoginStage;
use crate::issuer::Spoil;

/// With this lie in its ID token, a login is refused for one of these reasons.
async fn is_refused(stage: &LoginStage, spoil: Spoil, faults: &[pipe_core::TokenFault]) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    let what = format!("{spoil:?}");
    stage.issuer.spoil(spoil);
    expect_token(stage.finish(&attempt).await, faults, &what);
    stage.good().await;
}

/// OpenID Connect Core 3.1.3.7, 2.
pub async fn an_id_token_of_another_issuer_is_refused(stage: LoginStage) {
    is_refused(&stage, Spoil::WrongIssuer, &[WrongIssuer]).await;
    let slash = format!("{}/", stage.issuer.url());
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil_id_token(move |token| token.claim("iss", slash.as_str()));
    expect_token(stage.finish(&attempt).await, &[WrongIssuer], "a slash more");
}

/// OpenID Connect Core 3.1.3.7, 3.
pub async fn an_id_token_for_another_client_is_refused(stage: LoginStage) {
    is_refused(&stage, Spoil::WrongAudience, &[WrongAudience]).await;
}

/// OpenID Connect Core 3.1.3.7, 4.
pub async fn an_id_token_for_several_clients_needs_an_authorized_party(stage: LoginStage) {
    is_refused(&stage, Spoil::SeveralAudiences, &[WrongAudience, MissingClaim]).await;
}

/// OpenID Connect Core 3.1.3.7, 5.
pub async fn an_id_token_of_another_authorized_party_is_refused(stage: LoginStage) {
    is_refused(&stage, Spoil::OtherAuthorizedParty, &[WrongAudience]).await;
}

/// OpenID Connect Core 3.1.3.7, 5: ours, and a list of one.
pub async fn an_id_token_may_name_its_client_in_each_way(stage: LoginStage) {
    let client = stage.trust().client_id;
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil_id_token(move |token| {
        token.claim("azp", client.as_str()).claim("aud", vec![client.as_str()])
    });
    stage.finished(&attempt).await;
}

/// OpenID Connect Core 3.1.3.7, 9.
pub async fn an_id_token_that_has_expired_is_refused(stage: LoginStage) {
    is_refused(&stage, Spoil::Expired, &[Expired]).await;
}

/// OpenID Connect Core 3.1.3.7, 10.
pub async fn an_id_token_from_the_future_is_refused(stage: LoginStage) {
    is_refused(&stage, Spoil::IssuedInFuture, &[IssuedInFuture]).await;
}

/// Clocks differ a little: half the leeway is forgiven, and twice as much is not.
pub async fn an_id_token_is_judged_with_the_leeway(stage: LoginStage) {
    let now = stage.issuer.clock().seconds();
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil_id_token(move |token| token.claim("iat", now - 600).claim("exp", now - 15));
    stage.finished(&attempt).await;
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil_id_token(move |token| token.claim("iat", now + 15));
    stage.finished(&attempt).await;
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil_id_token(move |token| token.claim("iat", now - 600).claim("exp", now - 60));
    expect_token(stage.finish(&attempt).await, &[Expired], "a minute ago");
}

/// OpenID Connect Core 2: all five are required.
pub async fn an_id_token_without_a_required_claim_is_refused(stage: LoginStage) {
    stage.good().await;
    for claim in ["iss", "sub", "aud", "exp", "iat"] {
        let attempt = stage.begin(&alice()).await;
        stage.issuer.spoil_id_token(move |token| token.without(claim));
        let faults = [MissingClaim, WrongIssuer, WrongAudience, Malformed];
        expect_token(stage.finish(&attempt).await, &faults, claim);
    }
}

/// A claim of the wrong type is none.
pub async fn an_id_token_with_a_claim_of_another_type_is_refused(stage: LoginStage) {
    stage.good().await;
    for (claim, value) in [
        ("sub", serde_json::json!(42)),
        ("sub", serde_json::json!("")),
        ("exp", serde_json::json!("never")),
        ("aud", serde_json::json!({"is": "an object"})),
        ("iss", serde_json::json!([stage.issuer.url()])),
    ] {
        let attempt = stage.begin(&alice()).await;
        stage.issuer.spoil_id_token(move |token| token.claim(claim, value.clone()));
        let faults = [MissingClaim, WrongIssuer, WrongAudience, Malformed];
        expect_token(stage.finish(&attempt).await, &faults, claim);
    }
}

/// OpenID Connect Core 3.1.3.8
pub async fn an_id_token_with_the_hash_of_another_access_token_is_refused(stage: LoginStage) {
    is_refused(&stage, Spoil::WrongAtHash, &[WrongHash]).await;
}

/// OpenID Connect Core 3.1.3.8
pub async fn an_id_token_with_the_hash_of_its_access_token_is_taken(stage: LoginStage) {
    stage.issuer.set_at_hash(true);
    stage.good().await;
}

/// OpenID Connect Core 3.1.3.7, 13.
pub async fn a_login_older_than_was_asked_for_is_refused(stage: LoginStage) {
    let request = LoginRequest::new().with_max_age(Duration::from_secs(3600));
    let attempt = stage.begin_as(&request, &alice()).await;
    stage.finished(&attempt).await;
    let attempt = stage.begin_as(&request, &alice()).await;
    stage.issuer.spoil(Spoil::OldAuthTime);
    expect_token(stage.finish(&attempt).await, &[TooOld], "ten days ago");
}

/// OpenID Connect Core 3.1.2.1: whoever asks for it has to be told.
pub async fn a_login_of_unknown_age_is_refused_where_its_age_was_asked_for(stage: LoginStage) {
    stage.good().await;
    let request = LoginRequest::new().with_max_age(Duration::from_secs(3600));
    let attempt = stage.begin_as(&request, &alice()).await;
    stage.issuer.spoil(Spoil::NoAuthTime);
    expect_token(stage.finish(&attempt).await, &[MissingClaim, TooOld], "no auth_time");
}

/// The age that is configured counts like one that is asked for.
pub async fn a_login_older_than_is_configured_is_refused(stage: LoginStage) {
    let plugin = stage.another_with(|trust| trust.max_age = Some(Duration::from_secs(60))).await;
    let stage = stage.with_plugin(plugin);
    let attempt = stage.begin(&alice()).await;
    assert_eq!(attempt.asked("max_age").as_deref(), Some("60"));
    stage.finished(&attempt).await;
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil(Spoil::OldAuthTime);
    expect_token(stage.finish(&attempt).await, &[TooOld], "ten days ago");
}

/// A stage whose people have to prove who they are in this way.
async fn assured(stage: LoginStage) -> Option<LoginStage> {
    if !stage.features.assurance {
        return None;
    }
    let plugin = stage.another_with(|trust| trust.assurance = Some("mfa".to_owned())).await;
    let stage = stage.with_plugin(plugin);
    let attempt = stage.begin(&alice()).await;
    assert_eq!(attempt.asked("acr_values").as_deref(), Some("mfa"));
    let logged_in = stage.finished(&attempt).await;
    assert_eq!(logged_in.session.assurance.as_deref(), Some("mfa"));
    Some(stage)
}

/// OpenID Connect Core 3.1.3.7, 12.
pub async fn a_login_in_another_way_than_is_configured_is_refused(stage: LoginStage) {
    let Some(stage) = assured(stage).await else { return };
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil(Spoil::WrongAcr);
    expect_token(stage.finish(&attempt).await, &[WrongAssurance], "another acr");
}

/// OpenID Connect Core 3.1.3.7, 12.
pub async fn a_login_in_an_unknown_way_is_refused_where_one_is_configured(stage: LoginStage) {
    let Some(stage) = assured(stage).await else { return };
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil(Spoil::NoAcr);
    expect_token(stage.finish(&attempt).await, &[WrongAssurance, MissingClaim], "no acr");
}
