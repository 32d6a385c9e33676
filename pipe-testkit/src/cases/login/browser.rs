use pipe_core::ErrorKind;
use pipe_core::LoginFault::{Malformed, UnknownLogin};
use pipe_core::identity::{LoginCallback, LoginRequest};

use super::{alice, expect_login_of};
use crate::LoginStage;

/// G1: whoever adds a parameter wants one of two readers to see the other one.
pub async fn g1_an_answer_with_a_parameter_twice_is_refused(stage: LoginStage) {
    stage.good().await;
    for name in ["state", "code", "iss"] {
        let attempt = stage.begin(&alice()).await;
        let value = attempt.answered(name).expect("the answer has it");
        for answer in [attempt.and(name, "x"), attempt.and(name, &value)] {
            let finished = stage.finish(&answer).await;
            expect_login_of(finished, &[Malformed, UnknownLogin], name);
        }
    }
}

/// G1
pub async fn g1_what_is_no_answer_is_refused(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    let state = attempt.answered("state").expect("a state");
    let huge = format!("x={}", "a".repeat(1 << 20));
    for query in ["", "&&==&", "code", "state=%FF%FE&code=%00", "{\"code\":1}", &huge] {
        let callback = LoginCallback::new(query).with_browser(attempt.start.browser.clone());
        let finished = stage.plugin.finish_login(&callback).await;
        expect_login_of(finished, &[Malformed, UnknownLogin], "no answer");
    }
    let bytes = [b"code=\xff\xfe&state=".as_slice(), state.as_bytes()].concat();
    let callback = LoginCallback::new(bytes).with_browser(attempt.start.browser.clone());
    assert!(stage.plugin.finish_login(&callback).await.is_err(), "bytes that are no text");
}

/// G1: neither an answer without a code, nor one with a code and an error.
pub async fn g1_an_answer_has_a_code_or_an_error(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    let answers = [attempt.without("code"), attempt.with("code", "")];
    for answer in answers {
        let finished = stage.finish(&answer).await;
        expect_login_of(finished, &[Malformed, UnknownLogin], "no code");
    }
    let attempt = stage.begin(&alice()).await;
    let finished = stage.finish(&attempt.and("error", "access_denied")).await;
    let kind = finished.map(drop).map_err(|error| error.kind());
    let is_refused = matches!(kind, Err(ErrorKind::LoginRefused(_)));
    assert!(is_refused, "a code and an error: {kind:?}");
}

/// G1: what a browser keeps is told to no other.
pub async fn g1_each_browser_has_an_id_of_its_own(stage: LoginStage) {
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let start = stage.plugin.begin_login(&LoginRequest::new()).await.expect("a login begins");
        assert!(ids.insert(start.browser.expose().to_owned()), "the same id twice");
    }
}

/// G1 (session fixation): an id that somebody planted leads nowhere.
pub async fn g1_an_id_from_before_a_login_is_not_the_sessions(stage: LoginStage) {
    let planted = pipe_core::identity::SessionId::generate().expect("random numbers");
    let attempt = stage.begin(&alice()).await;
    let callback = attempt.callback_with(&planted);
    let logged_in = stage.plugin.finish_login(&callback).await.expect("a good login");
    assert!(logged_in.id != planted, "the session has the id that was there before");
    let own = attempt.start.browser.expose();
    assert!(logged_in.id.expose() != own, "the session has the id of the browser");
    stage.ended(&planted, "an id that was planted").await;
}
