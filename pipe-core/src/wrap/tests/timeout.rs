use std::time::Duration;

use crate::wrap::Timeout;
use crate::wrap::scripted::{Scripted, at, value};
use crate::{ErrorKind, Plugin, SecretsPlugin};

fn hanging() -> Timeout<Scripted> {
    Timeout::new(Scripted::new(|_| std::future::pending()), Duration::from_secs(5))
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_ends_in_time_and_says_where() {
    let error = hanging().get_secret(&at("apps/db")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.is_retryable());
    assert_eq!((error.plugin(), error.operation()), ("scripted", "get_secret"));
    assert_eq!(error.context("subject"), Some("apps/db"));
}

#[tokio::test(start_paused = true)]
async fn health_and_close_do_not_hang() {
    assert!(!hanging().health().await.is_serving());
    assert_eq!(hanging().close().await.unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_slow_but_in_time_is_answered() {
    let slow = Scripted::new(|_| async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        value("x")
    });
    let found = Timeout::new(slow, Duration::from_secs(5)).get_secret(&at("a")).await;
    assert!(found.unwrap().is_some());
}
