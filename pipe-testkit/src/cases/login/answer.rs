use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::{alice, expect_no_answer};
use crate::LoginStage;
use crate::issuer::Spoil;

/// G9
pub async fn g9_an_answer_without_access_token_is_refused(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil(Spoil::NoAccessToken);
    expect_no_answer(stage.finish(&attempt).await, "no access token");
}

/// G9 (OpenID Connect Core 3.1.3.3)
pub async fn g9_an_answer_without_id_token_is_refused(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil(Spoil::NoIdToken);
    expect_no_answer(stage.finish(&attempt).await, "no ID token");
}

/// G9 (RFC 6749 7.1): a token that we cannot use.
pub async fn g9_a_token_of_another_type_is_refused(stage: LoginStage) {
    stage.good().await;
    for kind in ["DPoP", "mac", "N_A", "", "Bearer2"] {
        let attempt = stage.begin(&alice()).await;
        stage.issuer.spoil(Spoil::TokenType(kind.to_owned()));
        expect_no_answer(stage.finish(&attempt).await, kind);
    }
}

/// G9 (RFC 6749 5.1)
pub async fn g9_the_type_of_a_token_is_read_without_case(stage: LoginStage) {
    for kind in ["bearer", "BEARER"] {
        let attempt = stage.begin(&alice()).await;
        stage.issuer.spoil(Spoil::TokenType(kind.to_owned()));
        stage.finished(&attempt).await;
    }
}

/// G9: refused, or taken for a time that a token lives: not for none, and not for ever.
pub async fn g9_an_odd_lifetime_is_not_believed(stage: LoginStage) {
    let day = Duration::from_secs(24 * 3600);
    let odd = [
        json!(0),
        json!(-1),
        json!("x"),
        json!(""),
        json!([300]),
        json!(true),
        json!(1e300),
        json!(u64::MAX),
        json!(10_000_000_000_u64),
    ];
    for value in odd {
        let attempt = stage.begin(&alice()).await;
        stage.issuer.spoil(Spoil::ExpiresIn(value.clone()));
        let Ok(logged_in) = stage.finish(&attempt).await else { continue };
        let expires_at = stage.token(&logged_in.id).await.expires_at;
        let is_sound = expires_at > stage.now() && expires_at <= stage.now() + day;
        assert!(is_sound, "expires_in {value}: {expires_at:?}");
    }
    stage.good().await;
}

/// G9 (RFC 6749 5.1): it is recommended, and some leave it out.
pub async fn g9_a_token_without_lifetime_is_not_good_for_ever(stage: LoginStage) {
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil(Spoil::ExpiresIn(Value::Null));
    let logged_in = stage.finished(&attempt).await;
    let expires_at = stage.token(&logged_in.id).await.expires_at;
    assert!(expires_at > stage.now(), "it is over at once");
    assert!(expires_at <= stage.now() + Duration::from_secs(3600), "it is good for {expires_at:?}");
}

fn words(text: &str) -> BTreeSet<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// G9 (RFC 6749 5.1): a provider may grant less, and says so.
pub async fn g9_a_scope_that_was_not_granted_is_not_claimed(stage: LoginStage) {
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil(Spoil::Scope("openid email".into()));
    let logged_in = stage.finished(&attempt).await;
    assert_eq!(logged_in.session.context.scopes, words("email openid"));
    assert_eq!(stage.token(&logged_in.id).await.scopes, words("email openid"));
}

/// G9 (RFC 6749 5.1): silence means all.
pub async fn g9_silence_about_scopes_grants_what_was_asked_for(stage: LoginStage) {
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil(Spoil::Scope(Value::Null));
    let logged_in = stage.finished(&attempt).await;
    let asked: BTreeSet<_> = stage.trust().scopes.into_iter().collect();
    assert_eq!(stage.token(&logged_in.id).await.scopes, asked);
}

/// A person who cannot be asked again: the session lives as long as its token can be used, and no
/// token is handed out that has expired.
pub async fn g9_a_session_without_refresh_token_gives_no_expired_token(stage: LoginStage) {
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil(Spoil::NoRefreshToken);
    let logged_in = stage.finished(&attempt).await;
    stage.token(&logged_in.id).await;
    stage.wait(crate::login::TOKEN_LIFE + Duration::from_secs(1)).await;
    let token = stage.plugin.access_token(&logged_in.id).await;
    assert!(!matches!(token, Ok(Some(_))), "a token that has expired: {token:?}");
    // That is for ever: whoever tries again gets nowhere.
    assert!(token.is_ok() || !token.is_err_and(|error| error.is_retryable()));
}
