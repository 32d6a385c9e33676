use pipe_core::ErrorKind;
use pipe_core::LoginFault::{
    AccessDenied, CodeRefused, InteractionRequired, ProviderRefused, UnknownLogin,
};

use super::{alice, expect_login, expect_no_answer, expect_outage};
use crate::LoginStage;
use crate::issuer::Fault;

/// G8 (RFC 6749 4.1.2.1, OpenID Connect Core 3.1.2.6)
pub async fn g8_refusals_of_the_provider_are_typed(stage: LoginStage) {
    for (error, fault) in [
        ("access_denied", AccessDenied),
        ("login_required", InteractionRequired),
        ("interaction_required", InteractionRequired),
        ("consent_required", InteractionRequired),
        ("account_selection_required", InteractionRequired),
        ("invalid_scope", ProviderRefused),
        ("unauthorized_client", ProviderRefused),
        ("no_such_error", ProviderRefused),
    ] {
        let answer = stage.begin(&alice()).await.refused(error, "said so");
        expect_login(stage.finish(&answer).await, fault, error);
    }
}

/// G8: whoever cannot serve refuses nobody.
pub async fn g8_an_outage_of_the_provider_is_no_refusal(stage: LoginStage) {
    for error in ["server_error", "temporarily_unavailable"] {
        let answer = stage.begin(&alice()).await.refused(error, "later");
        expect_outage(stage.finish(&answer).await, error);
    }
}

/// G8: nor can another browser end a login with an error.
pub async fn g8_an_error_in_another_browser_is_refused(stage: LoginStage) {
    let answer = stage.begin(&alice()).await.refused("access_denied", "no");
    let finished = stage.plugin.finish_login(&answer.callback_of_nobody()).await;
    expect_login(finished, UnknownLogin, "a browser that began nothing");
}

/// G8
pub async fn g8_a_code_that_the_provider_does_not_take_is_typed(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    let body = r#"{"error":"invalid_grant","error_description":"grant request is invalid"}"#;
    stage.issuer.fail("/token", Fault::Status(400, body.to_owned()));
    expect_login(stage.finish(&attempt).await, CodeRefused, "invalid_grant");
}

/// G8: a wrong secret is the operator's, and not the person's.
pub async fn g8_a_client_that_is_not_known_is_no_fault_of_the_person(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    let body = r#"{"error":"invalid_client","error_description":"client authentication failed"}"#;
    stage.issuer.fail("/token", Fault::Status(401, body.to_owned()));
    let kind = stage.finish(&attempt).await.map(drop).map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::Unauthenticated));
}

/// G8
pub async fn g8_an_outage_of_the_token_endpoint_is_no_refusal(stage: LoginStage) {
    stage.good().await;
    let faults = [
        Fault::Html500,
        Fault::Status(503, "{}".to_owned()),
        Fault::RateLimited { retry_after: Some(1) },
        Fault::Reset,
        Fault::LostAnswer,
    ];
    for fault in faults {
        let attempt = stage.begin(&alice()).await;
        let what = format!("{fault:?}");
        stage.issuer.fail("/token", fault);
        expect_outage(stage.finish(&attempt).await, &what);
        stage.issuer.heal("/token");
    }
    stage.good().await;
}

/// G8
pub async fn g8_a_token_endpoint_that_hangs_is_given_up(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    stage.issuer.fail("/token", Fault::Hang);
    expect_outage(stage.in_time(stage.finish(&attempt)).await, "no answer");
}

/// G9
pub async fn g9_what_is_no_token_answer_is_refused(stage: LoginStage) {
    stage.good().await;
    let faults = [
        Fault::Html200,
        Fault::NoContent,
        Fault::Json("[]".to_owned()),
        Fault::Json("null".to_owned()),
        Fault::Json("{}".to_owned()),
        Fault::Json(r#"{"access_token":42,"token_type":"Bearer","id_token":[]}"#.to_owned()),
        Fault::ResetMidBody,
        Fault::Redirect(format!("{}/elsewhere", stage.issuer.url())),
        Fault::Endless,
    ];
    for fault in faults {
        let attempt = stage.begin(&alice()).await;
        let what = format!("{fault:?}");
        stage.issuer.fail("/token", fault);
        expect_no_answer(stage.finish(&attempt).await, &what);
        stage.issuer.heal("/token");
    }
    assert_eq!(stage.issuer.hits("/elsewhere"), 0, "a redirect was followed");
}

/// A service starts when it starts, and its people wait.
pub async fn nobody_logs_in_while_the_provider_is_unknown(stage: LoginStage) {
    stage.issuer.fail("*", Fault::Reset);
    let plugin = stage.another().await;
    let request = pipe_core::identity::LoginRequest::new();
    expect_outage(plugin.begin_login(&request).await, "the provider is down");
    stage.issuer.heal("*");
    stage.wait(crate::login::PAUSE).await;
    let stage = stage.with_plugin(plugin);
    stage.good().await;
}
