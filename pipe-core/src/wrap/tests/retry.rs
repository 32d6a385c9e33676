use std::time::Duration;

use tokio::time::Instant;

use crate::identity::{AuthMethod, ServiceAuthRequest};
use crate::wrap::scripted::{Scripted, at, failure, value};
use crate::wrap::{Retry, RetryPolicy, Timeout};
use crate::{Error, ErrorKind, IdentityPlugin, Plugin, SecretData, SecretsPlugin};

/// Fails so often, then answers.
fn recovers_after(failures: usize, kind: ErrorKind) -> Scripted {
    Scripted::new(move |number| async move {
        if number <= failures { failure(kind) } else { value(number) }
    })
}

#[tokio::test(start_paused = true)]
async fn what_may_help_is_tried_again() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::RateLimited] {
        let plugin = recovers_after(3, kind);
        let retry = Retry::new(plugin.clone());
        assert!(retry.get_secret(&at("a")).await.unwrap().is_some());
        assert_eq!(plugin.calls(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_help_is_not_tried_again() {
    for kind in [ErrorKind::PermissionDenied, ErrorKind::Conflict, ErrorKind::Unexpected] {
        let plugin = recovers_after(1, kind);
        let error = Retry::new(plugin.clone()).get_secret(&at("a")).await.unwrap_err();
        assert_eq!((error.kind(), plugin.calls()), (kind, 1));
    }
    let plugin = Scripted::new(|_| async { Ok(None) });
    assert!(Retry::new(plugin.clone()).get_secret(&at("a")).await.unwrap().is_none());
    assert_eq!(plugin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_exhausted_so_that_retries_do_not_multiply() {
    let plugin = recovers_after(usize::MAX, ErrorKind::Unavailable);
    let nested = Retry::new(Retry::new(plugin.clone()));
    let error = nested.get_secret(&at("a")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, false));
    assert_eq!((error.context("attempts"), plugin.calls()), (Some("4"), 4));
}

/// Servers send `Retry-After: 0`.
#[tokio::test(start_paused = true)]
async fn a_server_that_says_at_once_is_given_the_floor() {
    let plugin = Scripted::new(|number| async move {
        let error = Error::new(ErrorKind::RateLimited, "slow down").retry_in(Duration::ZERO);
        if number == 1 { Err(error) } else { value("x") }
    });
    let policy = RetryPolicy::new().with_floor(Duration::from_millis(700));
    let started = Instant::now();
    Retry::with_policy(plugin, policy).get_secret(&at("a")).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(700), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_when_is_waited_for_unless_it_is_too_late() {
    let told = |delay| {
        Scripted::new(move |number| async move {
            let error = Error::new(ErrorKind::RateLimited, "slow down").retry_in(delay);
            if number == 1 { Err(error) } else { value("x") }
        })
    };
    let started = Instant::now();
    Retry::new(told(Duration::from_secs(20))).get_secret(&at("a")).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(20));
    let started = Instant::now();
    let late = told(Duration::from_secs(31));
    let error = Retry::new(late.clone()).get_secret(&at("a")).await.unwrap_err();
    assert_eq!((error.is_retryable(), late.calls()), (false, 1));
    assert_eq!(started.elapsed(), Duration::ZERO);
    // A server that asks for ever is not believed either.
    let error = Retry::new(told(Duration::MAX)).get_secret(&at("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
}

#[tokio::test(start_paused = true)]
async fn all_attempts_together_end_at_the_deadline() {
    let plugin = Scripted::new(|_| std::future::pending());
    let policy = RetryPolicy::new().with_attempts(u32::MAX).with_deadline(Duration::from_secs(12));
    let started = Instant::now();
    let error = Retry::with_policy(plugin.clone(), policy.clone()).get_secret(&at("a")).await;
    let error = error.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, false));
    assert_eq!(started.elapsed(), Duration::from_secs(12));
    let each = Timeout::new(plugin, Duration::from_secs(5));
    let started = Instant::now();
    assert!(Retry::with_policy(each, policy).get_secret(&at("a")).await.is_err());
    assert!(started.elapsed() <= Duration::from_secs(12));
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_to_their_bound_and_are_chosen_by_chance() {
    let policy = RetryPolicy::new().with_base(Duration::from_secs(1)).with_attempts(40);
    let retry = Retry::with_policy(Scripted::new(|_| async { Ok(None) }), policy);
    let error = Error::new(ErrorKind::Unavailable, "x");
    for (attempts, longest) in [(1, 1), (2, 2), (3, 4), (4, 5), (39, 5), (u32::MAX, 5)] {
        let pauses: Vec<_> = (0..200).map(|_| retry.pause(attempts, &error)).collect();
        let longest = Duration::from_secs(longest);
        assert!(pauses.iter().all(|pause| *pause <= longest), "{attempts}");
        assert!(pauses.iter().any(|pause| *pause > longest / 2), "{attempts}");
        assert!(pauses.iter().any(|pause| *pause < longest / 2), "{attempts}");
    }
}

/// REQ 004-78.4
#[tokio::test(start_paused = true)]
async fn a_write_is_repeated_and_a_delete_whose_answer_was_lost_is_not() {
    let plugin = recovers_after(1, ErrorKind::Timeout);
    let retry = Retry::new(plugin.clone());
    assert!(retry.create_secret(&at("a"), SecretData::new()).await.is_ok());
    assert_eq!(plugin.calls(), 2);
    for (kind, calls) in
        [(ErrorKind::Timeout, 1), (ErrorKind::Unavailable, 1), (ErrorKind::RateLimited, 2)]
    {
        let plugin = recovers_after(1, kind);
        let answer = Retry::new(plugin.clone()).delete_secret(&at("a")).await;
        assert_eq!((answer.is_ok(), plugin.calls()), (calls == 2, calls), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_are_asked_for_again_and_health_once() {
    let plugin = recovers_after(2, ErrorKind::Unavailable);
    let retry = Retry::new(plugin.clone());
    let request = ServiceAuthRequest::new("bot", AuthMethod::OAuth2);
    assert!(retry.authenticate_service(&request).await.is_ok());
    let plugin = recovers_after(1, ErrorKind::Unavailable);
    assert!(!Retry::new(plugin.clone()).health().await.is_serving());
    assert_eq!(plugin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_policy_without_an_attempt_makes_one() {
    let plugin = recovers_after(0, ErrorKind::Unavailable);
    let policy = RetryPolicy::new().with_attempts(0);
    assert!(Retry::with_policy(plugin, policy).get_secret(&at("a")).await.is_ok());
}
