use super::{alice, expect_outage};
use crate::LoginStage;
use crate::issuer::Fault;
use crate::login::{PAUSE, TOKEN_LIFE};

fn outages() -> [Fault; 6] {
    [
        Fault::Reset,
        Fault::Html500,
        Fault::Html200,
        Fault::Status(503, "{}".to_owned()),
        Fault::RateLimited { retry_after: None },
        Fault::ResetMidBody,
    ]
}

/// G7: a token that is good is good, whatever becomes of the provider.
pub async fn g7_a_good_token_is_served_while_the_provider_is_down(stage: LoginStage) {
    for fault in outages() {
        let logged_in = stage.log_in(&alice()).await;
        let first = stage.token(&logged_in.id).await;
        stage.issuer.fail("*", fault.clone());
        stage.wait(TOKEN_LIFE / 10 * 9).await;
        for _ in 0..3 {
            let token = stage.token(&logged_in.id).await;
            assert!(token.token == first.token, "{fault:?}: another token");
            tokio::task::yield_now().await;
        }
        stage.issuer.heal("*");
    }
}

/// G7: one that has expired helps nobody.
pub async fn g7_an_expired_token_is_not_served_while_the_provider_is_down(stage: LoginStage) {
    for fault in [Fault::Reset, Fault::Status(503, "{}".to_owned()), Fault::Html500] {
        let logged_in = stage.log_in(&alice()).await;
        stage.issuer.fail("/token", fault.clone());
        stage.wait(TOKEN_LIFE).await;
        for _ in 0..2 {
            let token = stage.plugin.access_token(&logged_in.id).await;
            expect_outage(token, &format!("{fault:?}"));
        }
        stage.issuer.heal("/token");
    }
}

/// G7
pub async fn g7_a_session_is_known_while_the_provider_is_down(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    stage.issuer.fail("*", Fault::Reset);
    for _ in 0..3 {
        stage.wait(TOKEN_LIFE).await;
        let session = stage.session(&logged_in.id).await;
        assert_eq!(session.context.principal.id.as_str(), "alice");
    }
}

/// G7
pub async fn g7_a_session_goes_on_when_the_provider_is_back(stage: LoginStage) {
    for fault in outages() {
        let logged_in = stage.log_in(&alice()).await;
        stage.issuer.fail("/token", fault.clone());
        stage.wait(TOKEN_LIFE).await;
        let token = stage.plugin.access_token(&logged_in.id).await;
        assert!(token.is_err(), "{fault:?}: {token:?}");
        stage.wait(PAUSE).await;
        drop(stage.plugin.access_token(&logged_in.id).await);
        stage.issuer.heal("/token");
        stage.wait(PAUSE).await;
        stage.token(&logged_in.id).await;
    }
    assert_eq!(stage.issuer.reuses("alice"), 0);
}

/// G7
pub async fn g7_a_provider_that_hangs_is_given_up(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    stage.wait(TOKEN_LIFE).await;
    stage.issuer.fail("/token", Fault::Hang);
    let token = stage.in_time(stage.plugin.access_token(&logged_in.id)).await;
    expect_outage(token, "no answer");
    stage.issuer.heal("/token");
    stage.wait(PAUSE).await;
    stage.token(&logged_in.id).await;
}

/// G7: a provider that fails is left alone for a moment, however many ask.
pub async fn g7_a_provider_that_is_down_is_not_flooded(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    stage.wait(TOKEN_LIFE).await;
    stage.issuer.fail("/token", Fault::Html500);
    let asked = stage.issuer.hits("/token");
    for _ in 0..50 {
        expect_outage(stage.plugin.access_token(&logged_in.id).await, "500");
    }
    let tries = stage.issuer.hits("/token") - asked;
    assert!(tries <= 5, "{tries} requests within one moment");
}
