use std::time::Duration;

use futures_util::future::join_all;
use pipe_core::ErrorKind;
use pipe_core::LoginFault::SessionRevoked;

use super::renewal::SLOW;
use super::{alice, bob, expect_login, expect_outage, is_outage};
use crate::LoginStage;
use crate::issuer::Fault;
use crate::login::{PAUSE, TOKEN_LIFE};

/// G7: a provider that does not renew a session has ended it. That is said once.
pub async fn g7_a_refresh_token_that_is_refused_ends_the_session(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    let other = stage.log_in(&bob()).await;
    stage.issuer.remove_person("alice");
    stage.wait(TOKEN_LIFE).await;
    let token = stage.plugin.access_token(&logged_in.id).await;
    expect_login(token, SessionRevoked, "the provider refused");
    stage.ended(&logged_in.id, "the provider refused").await;
    stage.token(&other.id).await;
}

/// G7: who only looks at the session is told as well.
pub async fn g7_a_session_that_is_not_renewed_is_none(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    stage.issuer.remove_person("alice");
    stage.wait(TOKEN_LIFE).await;
    match stage.plugin.session(&logged_in.id).await {
        Ok(None) => {}
        // A plugin that renews when a token is asked for does not know yet.
        Ok(Some(_)) => drop(stage.plugin.access_token(&logged_in.id).await),
        Err(error) => assert_eq!(error.kind(), ErrorKind::LoginRefused(SessionRevoked)),
    }
    stage.ended(&logged_in.id, "the provider refused").await;
}

/// G7: many who ask at once are told, or find nothing; nobody gets a token.
pub async fn g7_a_refusal_is_everybodys(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    stage.issuer.remove_person("alice");
    stage.wait(TOKEN_LIFE).await;
    let asked = stage.issuer.hits("/token");
    let asking = (0..20).map(|_| stage.plugin.access_token(&logged_in.id));
    for token in join_all(asking).await {
        match token {
            Ok(None) => {}
            other => drop(expect_login(other, SessionRevoked, "the provider refused")),
        }
    }
    assert_eq!(stage.issuer.hits("/token") - asked, 1, "each asked for itself");
    stage.ended(&logged_in.id, "the provider refused").await;
}

/// G7: the answer to a refresh is lost, and with it the only token that is good. The session may end;
/// it may not hang between.
pub async fn g7_a_lost_answer_ends_the_session_at_most(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    let other = stage.log_in(&bob()).await;
    stage.wait(TOKEN_LIFE).await;
    stage.issuer.fail_times("/token", Fault::LostAnswer, 1);
    expect_outage(stage.plugin.access_token(&logged_in.id).await, "the answer was lost");
    stage.wait(PAUSE).await;
    match stage.plugin.access_token(&logged_in.id).await {
        Ok(Some(token)) => assert!(token.expires_at > stage.now(), "a token that has expired"),
        refused => {
            if !matches!(refused, Ok(None)) {
                expect_login(refused, SessionRevoked, "its refresh token was used");
            }
            stage.ended(&logged_in.id, "its refresh token was used").await;
        }
    }
    stage.token(&other.id).await;
}

/// G7: a secret that is wrong for a while ends nobody's session.
pub async fn g7_a_refusal_of_the_client_ends_no_session(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    stage.wait(TOKEN_LIFE).await;
    let body = r#"{"error":"invalid_client","error_description":"client authentication failed"}"#;
    stage.issuer.fail("/token", Fault::Status(401, body.to_owned()));
    let error = stage.plugin.access_token(&logged_in.id).await.expect_err("nobody can renew");
    let is_right = error.kind() == ErrorKind::Unauthenticated || is_outage(&error);
    assert!(is_right, "{error:#}");
    stage.issuer.heal("/token");
    stage.wait(PAUSE).await;
    stage.token(&logged_in.id).await;
}

/// G7: what is renewed just now stays ended when it ends meanwhile.
pub async fn g7_a_renewal_brings_no_ended_session_back(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    let asked = stage.issuer.hits("/token");
    stage.wait(TOKEN_LIFE).await;
    stage.issuer.fail("/token", Fault::Slow(SLOW));
    let token = stage.plugin.access_token(&logged_in.id);
    let log_out = async {
        while stage.issuer.hits("/token") == asked {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let logged_out = stage.plugin.log_out(&logged_in.id).await;
        stage.skip(SLOW).await;
        logged_out
    };
    let (token, logged_out) = tokio::join!(token, log_out);
    assert!(logged_out.is_ok(), "{logged_out:?}");
    assert!(!matches!(token, Ok(Some(_))), "a token of a session that has ended");
    stage.issuer.heal("/token");
    stage.ended(&logged_in.id, "the person has logged out").await;
}
