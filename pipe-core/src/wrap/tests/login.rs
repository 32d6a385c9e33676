//! What goes around logins of people.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::identity::{BearerToken, LoginCallback, LoginRequest, SessionId, UserLogin};
use crate::wrap::scripted::{Scripted, failure};
use crate::wrap::{Answered, Call, Observed, Observer, Outcome, Receipt, Retry, Timeout};
use crate::{ErrorKind, Result};

/// Calls each operation: how each ended.
async fn all(login: &impl UserLogin) -> [Result<()>; 6] {
    let id = SessionId::generate().unwrap();
    [
        login.begin_login(&LoginRequest::new()).await.map(drop),
        login.finish_login(&LoginCallback::new("code=do-not-print")).await.map(drop),
        login.session(&id).await.map(drop),
        login.access_token(&id).await.map(drop),
        login.log_out(&id).await.map(drop),
        login.back_channel_logout(&BearerToken::new("do-not-print")).await.map(drop),
    ]
}

const OPERATIONS: [&str; 6] =
    ["begin_login", "finish_login", "session", "access_token", "log_out", "back_channel_logout"];

#[tokio::test(start_paused = true)]
async fn every_operation_is_bounded() {
    let hanging = Scripted::new(|_| std::future::pending());
    let errors = all(&Timeout::new(hanging, Duration::from_secs(5))).await.map(Result::unwrap_err);
    let operations = errors.each_ref().map(|error| (error.kind(), error.operation()));
    assert_eq!(operations, OPERATIONS.map(|operation| (ErrorKind::Timeout, operation)));
}

/// Each first call of an operation meets an outage.
#[tokio::test(start_paused = true)]
async fn what_a_first_attempt_uses_up_is_not_repeated() {
    let outage = |kind| {
        let scripted = Scripted::new(move |_| async move { failure(kind) });
        let login = Retry::new(scripted.clone());
        (scripted, login)
    };
    let id = SessionId::generate().unwrap();
    for kind in [ErrorKind::Unavailable, ErrorKind::RateLimited] {
        let (scripted, login) = outage(kind);
        assert!(login.finish_login(&LoginCallback::new("")).await.is_err());
        assert_eq!(scripted.calls(), 1, "{kind:?}");
    }
    let (scripted, login) = outage(ErrorKind::Unavailable);
    assert!(login.back_channel_logout(&BearerToken::new("x")).await.is_err());
    assert_eq!(scripted.calls(), 1);
    for session in [true, false] {
        let (scripted, login) = outage(ErrorKind::Unavailable);
        match session {
            true => assert!(login.session(&id).await.is_err()),
            false => assert!(login.access_token(&id).await.is_err()),
        }
        assert!(scripted.calls() > 1);
    }
}

#[derive(Clone, Debug, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Observer for Notes {
    fn finished(&self, call: &Call<'_>) -> Receipt {
        let caller = match call.outcome {
            Outcome::Answered(Answered::Caller(context)) => context.principal.id.to_string(),
            outcome => outcome.name().to_owned(),
        };
        assert!(call.subject.is_none(), "an id is a secret");
        self.0.lock().unwrap().push(format!("{} {caller}", call.operation));
        Receipt::done()
    }
}

#[tokio::test]
async fn who_logged_in_is_on_record() {
    let notes = Notes::default();
    let login = Observed::new(Scripted::new(|_| async { Ok(None) }), notes.clone());
    assert!(all(&login).await.iter().all(Result::is_ok));
    let notes = notes.0.lock().unwrap();
    let caller = notes[1].strip_prefix("finish_login ").unwrap();
    let expected = [
        "begin_login success".to_owned(),
        format!("finish_login {caller}"),
        format!("session {caller}"),
        "access_token absent".to_owned(),
        "log_out success".to_owned(),
        "back_channel_logout absent".to_owned(),
    ];
    assert!(!matches!(caller, "success" | "absent"));
    assert_eq!(*notes, expected);
}
