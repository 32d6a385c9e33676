use std::time::Duration;

use pipe_core::LoginFault::{Malformed, UnknownLogin};
use pipe_core::identity::{LoginRequest, ReturnTo};

use super::{alice, bob, expect_login, expect_login_of};
use crate::LoginStage;
use crate::login::Attempt;

/// G1: the login itself, without which nothing else means anything.
pub async fn g1_a_person_logs_in(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    assert_eq!(logged_in.session.context.principal.id.as_str(), "alice");
    let session = stage.session(&logged_in.id).await;
    assert_eq!(session.context.principal.id.as_str(), "alice");
    let token = stage.token(&logged_in.id).await;
    assert!(token.expires_at > stage.now());
}

/// G1
pub async fn g1_the_person_returns_where_they_wanted_to_go(stage: LoginStage) {
    for path in ["/", "/orders?page=2&next=%2Fx#last"] {
        let return_to = ReturnTo::parse(path).expect("a path of this application");
        let request = LoginRequest::new().with_return_to(return_to.clone());
        let attempt = stage.begin_as(&request, &alice()).await;
        assert_eq!(stage.finished(&attempt).await.return_to, return_to);
    }
}

/// G1
pub async fn g1_an_answer_without_state_is_refused(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    for answer in [attempt.without("state"), attempt.with("state", "")] {
        let finished = stage.finish(&answer).await;
        expect_login_of(finished, &[UnknownLogin, Malformed], "no state");
    }
}

/// G1
pub async fn g1_an_answer_with_another_state_is_refused(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    let state = attempt.asked("state").expect("the request has a state");
    let half = &state[..state.len() / 2];
    let longer = format!("{state}A");
    for other in ["x", half, &longer, &state.to_ascii_uppercase(), &"A".repeat(state.len())] {
        let finished = stage.finish(&attempt.with("state", other)).await;
        expect_login_of(finished, &[UnknownLogin, Malformed], other);
    }
}

/// G1: neither with the code of the first time, nor with a new one for the same request.
pub async fn g1_a_state_is_good_once(stage: LoginStage) {
    let mut browser = stage.issuer.browser(&alice());
    let start = stage.plugin.begin_login(&LoginRequest::new()).await.expect("a login begins");
    let first = Attempt::new(start.clone(), &browser.authorize(&start.location));
    let second = Attempt::new(start.clone(), &browser.authorize(&start.location));
    assert_ne!(first.answered("code"), second.answered("code"));
    stage.finished(&first).await;
    expect_login(stage.finish(&second).await, UnknownLogin, "the state was used");
}

/// G1: a login cannot be planted in somebody else's browser.
pub async fn g1_another_browser_cannot_finish_a_login(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    let nobody = stage.plugin.finish_login(&attempt.callback_of_nobody()).await;
    expect_login(nobody, UnknownLogin, "a browser without an id");
    let attempt = stage.begin(&alice()).await;
    let another = stage.begin(&bob()).await;
    let callback = attempt.callback_of_nobody().with_browser(another.start.browser.clone());
    let stolen = stage.plugin.finish_login(&callback).await;
    expect_login(stolen, UnknownLogin, "a browser with a login of its own");
}

/// G1
pub async fn g1_a_login_has_its_time(stage: LoginStage) {
    let login_time = stage.trust().login_time;
    let start = stage.plugin.begin_login(&LoginRequest::new()).await.expect("a login begins");
    assert_eq!(start.expires_in, login_time);
    stage.wait(login_time - Duration::from_secs(5)).await;
    // Codes live shorter than logins: this one is new.
    let callback = stage.issuer.authorize(&start.location, &alice());
    stage.finished(&Attempt::new(start, &callback)).await;
}

/// G1
pub async fn g1_a_login_expires(stage: LoginStage) {
    stage.good().await;
    let start = stage.plugin.begin_login(&LoginRequest::new()).await.expect("a login begins");
    stage.wait(stage.trust().login_time).await;
    let callback = stage.issuer.authorize(&start.location, &alice());
    let finished = stage.finish(&Attempt::new(start, &callback)).await;
    expect_login(finished, UnknownLogin, "its time is over");
}

/// G1: a person has more than one tab.
pub async fn g1_logins_of_one_browser_end_in_any_order(stage: LoginStage) {
    let mut browser = stage.issuer.browser(&alice());
    let mut attempts: Vec<Attempt> = Vec::new();
    for path in ["/a", "/b", "/c"] {
        let return_to = ReturnTo::parse(path).expect("a path");
        let mut request = LoginRequest::new().with_return_to(return_to);
        if let Some(first) = attempts.first() {
            request = request.with_browser(first.start.browser.clone());
        }
        let start = stage.plugin.begin_login(&request).await.expect("a login begins");
        let callback = browser.authorize(&start.location);
        attempts.push(Attempt::new(start, &callback));
    }
    let id = &attempts[0].start.browser;
    assert!(attempts.iter().all(|it| it.start.browser == *id), "a browser keeps its id");
    let mut sessions = Vec::new();
    for (n, path) in [(1, "/b"), (2, "/c"), (0, "/a")] {
        let logged_in = stage.finished(&attempts[n]).await;
        assert_eq!(logged_in.return_to.as_str(), path);
        sessions.push(logged_in.id);
    }
    for id in &sessions {
        stage.session(id).await;
    }
}

/// G1: whoever can guess a state needs none.
pub async fn g1_each_login_has_a_state_of_its_own(stage: LoginStage) {
    let mut states = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let state = stage.begin(&alice()).await.asked("state").expect("a state");
        assert!(state.len() >= 22, "a state of less than 128 bits: {} characters", state.len());
        assert!(states.insert(state), "the same state twice");
    }
}
