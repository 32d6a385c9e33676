use std::sync::Arc;
use std::time::Duration;

use pipe_core::LoginFault::{CodeRefused, Malformed, SessionRevoked, UnknownLogin, WrongIssuer};
use pipe_core::Result;
use pipe_core::TokenFault::{MissingClaim, WrongNonce};
use pipe_core::identity::{LoggedIn, LoginRequest};

use super::{alice, bob, expect_login, expect_login_of, expect_token};
use crate::LoginStage;
use crate::issuer::{Fault, Spoil};
use crate::login::Attempt;

const ANNOUNCED: &str = "authorization_response_iss_parameter_supported";

/// G2
pub async fn g2_an_id_token_with_another_nonce_is_refused(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil(Spoil::WrongNonce);
    expect_token(stage.finish(&attempt).await, &[WrongNonce], "another nonce");
}

/// G2
pub async fn g2_an_id_token_without_nonce_is_refused(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil(Spoil::NoNonce);
    expect_token(stage.finish(&attempt).await, &[WrongNonce, MissingClaim], "no nonce");
}

/// G2: also of a login that is under way in the same browser.
pub async fn g2_the_nonce_of_another_login_is_refused(stage: LoginStage) {
    stage.good().await;
    let another = stage.begin(&alice()).await;
    let request = LoginRequest::new().with_browser(another.start.browser.clone());
    let attempt = stage.begin_as(&request, &alice()).await;
    let nonce = another.asked("nonce").expect("a nonce");
    stage.issuer.spoil_id_token(move |token| token.claim("nonce", nonce.as_str()));
    expect_token(stage.finish(&attempt).await, &[WrongNonce], "the nonce of another login");
}

/// G4 (RFC 9207): the code is shown to nobody then.
pub async fn g4_an_answer_of_another_issuer_is_refused(stage: LoginStage) {
    stage.good().await;
    let asked = stage.issuer.hits("/token");
    let slash = format!("{}/", stage.issuer.url());
    let upper = stage.issuer.url().to_ascii_uppercase();
    for issuer in ["https://another-issuer.test", &slash, &upper, ""] {
        let answer = stage.begin(&alice()).await.with("iss", issuer);
        expect_login(stage.finish(&answer).await, WrongIssuer, issuer);
    }
    assert_eq!(stage.issuer.hits("/token"), asked, "the code was shown to our provider");
}

/// G4
pub async fn g4_an_answer_without_issuer_is_refused_where_it_is_announced(stage: LoginStage) {
    stage.good().await;
    let answer = stage.begin(&alice()).await.without("iss");
    expect_login(stage.finish(&answer).await, WrongIssuer, "no issuer");
}

/// G4
pub async fn g4_an_answer_without_issuer_is_taken_where_it_is_not_announced(stage: LoginStage) {
    let mut stage = stage;
    for announced in [serde_json::Value::Null, false.into()] {
        stage.issuer.set_discovery(ANNOUNCED, announced);
        let plugin = stage.another().await;
        stage = stage.with_plugin(plugin);
        let answer = stage.begin(&alice()).await.without("iss");
        stage.finished(&answer).await;
    }
}

/// G4: an issuer that is named is looked at, whatever was announced.
pub async fn g4_another_issuer_is_refused_where_none_is_announced(stage: LoginStage) {
    stage.issuer.set_discovery(ANNOUNCED, ());
    let plugin = stage.another().await;
    let stage = stage.with_plugin(plugin);
    stage.good().await;
    let answer = stage.begin(&alice()).await.with("iss", "https://another-issuer.test");
    expect_login(stage.finish(&answer).await, WrongIssuer, "another issuer");
}

/// G4: nor does another provider say that the person was refused.
pub async fn g4_an_error_of_another_issuer_is_refused(stage: LoginStage) {
    stage.good().await;
    let answer = stage.begin(&alice()).await.refused("access_denied", "no");
    let answer = answer.with("iss", "https://another-issuer.test");
    expect_login(stage.finish(&answer).await, WrongIssuer, "an error of another issuer");
}

/// G6 (RFC 9700 4.2.4): a callback that comes twice was stolen, and nobody knows who came first.
pub async fn g6_a_callback_that_comes_twice_ends_its_session(stage: LoginStage) {
    let other = stage.log_in(&alice()).await;
    let attempt = stage.begin(&alice()).await;
    let logged_in = stage.finished(&attempt).await;
    stage.session(&logged_in.id).await;
    expect_login(stage.finish(&attempt).await, UnknownLogin, "the second time");
    stage.ended(&logged_in.id, "its callback came twice").await;
    stage.session(&other.id).await;
}

/// Finishes the login; while its code is under exchange, something else happens.
async fn meanwhile<T>(
    stage: &LoginStage,
    attempt: &Attempt,
    happens: impl Future<Output = T>,
) -> (Result<LoggedIn>, T) {
    let asked = stage.issuer.hits("/token");
    stage.issuer.fail_times("/token", Fault::Held, 1);
    let happens = async {
        while stage.issuer.hits("/token") == asked {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let happened = happens.await;
        stage.issuer.heal("/token");
        happened
    };
    tokio::join!(stage.finish(attempt), happens)
}

/// G6: also when it comes before the first one has led to a session, to whichever instance.
pub async fn g6_a_code_that_comes_twice_at_once_ends_its_login(stage: LoginStage) {
    let other = stage.log_in(&alice()).await;
    let mut instances = vec![Arc::clone(&stage.plugin)];
    if stage.features.shared_sessions {
        instances.push(stage.another().await);
    }
    for instance in instances {
        for thief in ["another browser", "the same browser", "a login of their own"] {
            let attempt = stage.begin(&alice()).await;
            let replay = match thief {
                "another browser" => attempt.callback_of_nobody(),
                "the same browser" => attempt.callback(),
                _ => {
                    let code = attempt.answered("code").expect("a code");
                    stage.begin(&bob()).await.with("code", &code).callback()
                }
            };
            let (first, second) = meanwhile(&stage, &attempt, instance.finish_login(&replay)).await;
            expect_login_of(second, &[UnknownLogin, CodeRefused], thief);
            let faults = [UnknownLogin, CodeRefused, SessionRevoked];
            expect_login_of(first, &faults, thief);
        }
    }
    stage.session(&other.id).await;
    stage.log_in(&alice()).await;
}

/// G6: whoever does not know the code ends nothing.
pub async fn g6_another_code_ends_no_login_under_way(stage: LoginStage) {
    let attempt = stage.begin(&alice()).await;
    let theirs = stage.begin(&bob()).await;
    let guesses = async {
        for guess in [attempt.with("code", "x"), attempt.without("code"), theirs.clone()] {
            let guess = stage.plugin.finish_login(&guess.callback_of_nobody()).await;
            expect_login_of(guess, &[UnknownLogin, Malformed], "another browser");
        }
    };
    let (finished, ()) = meanwhile(&stage, &attempt, guesses).await;
    let logged_in = finished.unwrap_or_else(|error| panic!("a good login was refused: {error:#}"));
    stage.session(&logged_in.id).await;
    stage.finished(&theirs).await;
}

/// G6
pub async fn g6_a_code_that_has_expired_is_refused(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    stage.wait(Duration::from_secs(61)).await;
    expect_login(stage.finish(&attempt).await, CodeRefused, "an old code");
}

/// G6
pub async fn g6_a_code_that_nobody_gave_is_refused(stage: LoginStage) {
    stage.good().await;
    for code in ["x", &"A".repeat(43), "%00\n&code=b"] {
        let answer = stage.begin(&alice()).await.with("code", code);
        expect_login(stage.finish(&answer).await, CodeRefused, "a code that was made up");
    }
}
