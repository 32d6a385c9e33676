use std::time::Duration;

use pipe_core::identity::{LoginRequest, SessionId};

use super::{alice, bob};
use crate::LoginStage;
use crate::issuer::Spoil;
use crate::login::Attempt;

const MINUTE: Duration = Duration::from_secs(60);

/// An id that was not given out leads nowhere.
pub async fn an_unknown_session_is_none(stage: LoginStage) {
    stage.good().await;
    for _ in 0..3 {
        let id = SessionId::generate().expect("random numbers");
        stage.ended(&id, "nobody has this id").await;
        let logged_out = stage.plugin.log_out(&id).await;
        assert!(logged_out.is_ok_and(|it| it.location.is_none()), "a logout of nobody");
    }
}

/// What is said about the end of a session.
pub async fn a_session_says_when_it_ends(stage: LoginStage) {
    let trust = stage.trust();
    let session = stage.log_in(&alice()).await.session;
    assert_eq!(session.ends_at, stage.now() + trust.longest);
    assert_eq!(session.idle_until, stage.now() + trust.idle);
    let until = session.context.expires_at;
    assert!(until > stage.now() && until <= session.ends_at, "the context lives until {until:?}");
}

/// A session that is not used ends.
pub async fn a_session_that_is_not_used_ends(stage: LoginStage) {
    let idle = stage.trust().idle;
    let logged_in = stage.log_in(&alice()).await;
    let other = stage.log_in(&alice()).await;
    stage.wait(idle - MINUTE).await;
    stage.session(&other.id).await;
    stage.wait(MINUTE).await;
    stage.ended(&logged_in.id, "it was not used").await;
    stage.session(&other.id).await;
}

/// A session that is used goes on, also while its tokens have to be renewed.
pub async fn a_session_that_is_used_goes_on(stage: LoginStage) {
    let idle = stage.trust().idle;
    let logged_in = stage.log_in(&alice()).await;
    for _ in 0..4 {
        stage.wait(idle / 3 * 2).await;
        stage.session(&logged_in.id).await;
    }
}

/// The same while there is nothing to be renewed, and said truly.
pub async fn the_end_of_a_session_is_moved_by_its_use(stage: LoginStage) {
    let trust = stage.trust();
    stage.issuer.set_access_token_lifetime(trust.longest);
    let logged_in = stage.log_in(&alice()).await;
    for _ in 0..4 {
        stage.wait(trust.idle / 3 * 2).await;
        let session = stage.session(&logged_in.id).await;
        let expected = stage.now() + trust.idle;
        // It need not be written down each time: a tenth is forgiven.
        let is_near =
            session.idle_until <= expected && session.idle_until + trust.idle / 10 >= expected;
        assert!(is_near, "{:?} instead of {expected:?}", session.idle_until);
        assert_eq!(session.ends_at, logged_in.session.ends_at);
    }
}

/// However often it is used, and renewed, a session ends.
pub async fn a_session_ends_at_its_time_in_any_case(stage: LoginStage) {
    let trust = stage.trust();
    let logged_in = stage.log_in(&alice()).await;
    let step = trust.idle / 3 * 2;
    for n in 1.. {
        if stage.now() + step >= logged_in.session.ends_at {
            break;
        }
        if n == 4 {
            // Renewed often enough: what follows has to be quick.
            stage.issuer.set_access_token_lifetime(trust.longest * 2);
        }
        stage.wait(step).await;
        stage.token(&logged_in.id).await;
        let session = stage.session(&logged_in.id).await;
        assert!(session.idle_until <= session.ends_at, "it outlives its end");
        assert_eq!(session.ends_at, logged_in.session.ends_at, "its end was moved");
    }
    let left = logged_in.session.ends_at.duration_since(stage.now()).unwrap_or_default();
    stage.wait(left).await;
    stage.ended(&logged_in.id, "its time is over").await;
}

/// Each login has an id of its own, which nobody has seen before.
pub async fn each_login_has_a_session_of_its_own(stage: LoginStage) {
    let mut ids: Vec<SessionId> = Vec::new();
    for _ in 0..5 {
        let id = stage.log_in(&alice()).await.id;
        assert!(!ids.contains(&id), "the same id twice");
        ids.push(id);
    }
    for id in &ids {
        stage.session(id).await;
    }
}

/// A browser has one session: the old id leads nowhere any more.
pub async fn the_old_session_ends_when_its_browser_logs_in_again(stage: LoginStage) {
    let old = stage.log_in(&alice()).await;
    let other = stage.log_in(&alice()).await;
    let attempt = stage.begin(&bob()).await;
    let logged_in = stage.plugin.finish_login(&attempt.callback_with(&old.id)).await;
    let logged_in = logged_in.expect("a good login");
    assert!(logged_in.id != old.id, "the same id again");
    stage.ended(&old.id, "its browser has logged in again").await;
    let session = stage.session(&logged_in.id).await;
    assert_eq!(session.context.principal.id.as_str(), "bob");
    stage.session(&other.id).await;
}

/// A login that fails ends nothing.
pub async fn the_old_session_stays_when_its_browser_fails_to_log_in(stage: LoginStage) {
    let old = stage.log_in(&alice()).await;
    let attempt = stage.begin(&bob()).await;
    stage.issuer.spoil(Spoil::NoIdToken);
    let refused = stage.plugin.finish_login(&attempt.callback_with(&old.id)).await;
    assert!(refused.is_err(), "{refused:?}");
    let refused = attempt.refused("access_denied", "no");
    let refused = stage.plugin.finish_login(&refused.callback_with(&old.id)).await;
    assert!(refused.is_err(), "{refused:?}");
    stage.session(&old.id).await;
}

/// One browser, two people, one after the other; and the other way round.
pub async fn two_people_are_never_taken_for_each_other(stage: LoginStage) {
    let first = stage.begin(&alice()).await;
    let request = LoginRequest::new().with_browser(first.start.browser.clone());
    let second = stage.begin_as(&request, &bob()).await;
    let bobs = stage.finished(&second).await;
    let alices = stage.finished(&first).await;
    stage.wait(crate::login::TOKEN_LIFE).await;
    for (id, name, role) in [(&bobs.id, "bob", "viewer"), (&alices.id, "alice", "domain-admin")] {
        let token = stage.token(id).await;
        assert_eq!(stage.subject_of(&token).await, name);
        let session = stage.session(id).await;
        assert_eq!(session.context.principal.id.as_str(), name);
        assert!(session.context.roles.iter().all(|it| it.as_str() == role), "another's role");
    }
}

/// A login begins here and ends there, and all know the session.
pub async fn instances_that_share_a_store_share_sessions(stage: LoginStage) {
    if !stage.features.shared_sessions {
        return;
    }
    let another = stage.another().await;
    let start = stage.plugin.begin_login(&LoginRequest::new()).await.expect("a login begins");
    let callback = stage.issuer.authorize(&start.location, &alice());
    let attempt = Attempt::new(start, &callback);
    let logged_in = another.finish_login(&attempt.callback()).await.expect("a good login");
    stage.session(&logged_in.id).await;
    another.log_out(&logged_in.id).await.expect("a logout");
    stage.ended(&logged_in.id, "it was ended by another instance").await;
}
