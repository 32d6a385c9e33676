//! Logins on devices (RFC 8628).

use std::time::Duration;

use pipe_core::identity::{LoggedIn, UserLogin as _};
use pipe_core::{ErrorKind, LoginFault, Result};
use pipe_identity_oidc::{DeviceLogin, RelyingParty};
use pipe_testkit::issuer::{Fault, Person, TestIssuer};
use tokio::task::JoinHandle;

use crate::{config, forward, login, provider};

fn wait_for(login: &RelyingParty, begun: &DeviceLogin) -> JoinHandle<Result<LoggedIn>> {
    let (login, begun) = (login.clone(), begun.clone());
    tokio::spawn(async move { login.finish_device_login(&begun).await })
}

/// Lets this much time go by, and what is due then be done.
async fn pass(issuer: &TestIssuer, by: Duration, hits: usize) {
    tokio::task::yield_now().await;
    forward(issuer, by).await;
    while issuer.hits("/token") < hits {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The answer has to arrive before time goes on.
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// G13
#[tokio::test]
async fn a_device_asks_each_five_seconds_when_it_is_told_no_interval() {
    let issuer = provider().await;
    let login = login(config(&issuer));
    let begun = login.begin_device_login().await.unwrap();
    assert!(begun.verification_uri_complete.as_ref().unwrap().contains(&begun.user_code));
    let waiting = wait_for(&login, &begun);
    pass(&issuer, Duration::from_secs(3), 0).await;
    assert_eq!(issuer.hits("/token"), 0);
    pass(&issuer, Duration::from_secs(3), 1).await;
    assert!(issuer.approve(&begun.user_code, &Person::new("alice")));
    pass(&issuer, Duration::from_secs(5), 2).await;
    let done = waiting.await.unwrap().unwrap();
    assert_eq!(done.session.context.principal.id.as_str(), "alice");
    assert!(login.session(&done.id).await.unwrap().is_some());
}

/// G13
#[tokio::test]
async fn a_device_that_is_told_to_slow_down_waits_five_seconds_longer() {
    let issuer = provider().await;
    let login = login(config(&issuer));
    let begun = login.begin_device_login().await.unwrap();
    assert!(issuer.slow_down(&begun.user_code, 1));
    let waiting = wait_for(&login, &begun);
    pass(&issuer, Duration::from_secs(5), 1).await;
    assert!(issuer.approve(&begun.user_code, &Person::new("alice")));
    pass(&issuer, Duration::from_secs(8), 1).await;
    assert_eq!(issuer.hits("/token"), 1);
    pass(&issuer, Duration::from_secs(3), 2).await;
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_interval_that_is_told_is_kept() {
    let issuer = provider().await;
    issuer.set_device_interval(Some(20));
    let login = login(config(&issuer));
    let begun = login.begin_device_login().await.unwrap();
    let waiting = wait_for(&login, &begun);
    pass(&issuer, Duration::from_secs(18), 0).await;
    assert_eq!(issuer.hits("/token"), 0);
    assert!(issuer.approve(&begun.user_code, &Person::new("alice")));
    pass(&issuer, Duration::from_secs(3), 1).await;
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_outage_is_waited_out_and_asked_about_less_often() {
    let issuer = provider().await;
    let login = login(config(&issuer));
    let begun = login.begin_device_login().await.unwrap();
    issuer.fail("/token", Fault::Html500);
    let waiting = wait_for(&login, &begun);
    pass(&issuer, Duration::from_secs(5), 1).await;
    issuer.heal("/token");
    assert!(issuer.approve(&begun.user_code, &Person::new("alice")));
    pass(&issuer, Duration::from_secs(8), 1).await;
    assert_eq!(issuer.hits("/token"), 1);
    pass(&issuer, Duration::from_secs(3), 2).await;
    waiting.await.unwrap().unwrap();
}

/// G13
#[tokio::test]
async fn a_login_on_a_device_ends_with_its_time() {
    let issuer = provider().await;
    let login = login(config(&issuer));
    let begun = login.begin_device_login().await.unwrap();
    forward(&issuer, begun.expires_in).await;
    let late = login.finish_device_login(&begun).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::LoginRefused(LoginFault::CodeRefused));
    assert_eq!(issuer.hits("/token"), 0);
}

#[tokio::test]
async fn whoever_stops_waiting_may_wait_again() {
    let issuer = provider().await;
    let login = login(config(&issuer));
    let begun = login.begin_device_login().await.unwrap();
    let waiting = wait_for(&login, &begun);
    pass(&issuer, Duration::from_secs(5), 1).await;
    waiting.abort();
    assert!(issuer.approve(&begun.user_code, &Person::new("alice")));
    let waiting = wait_for(&login, &begun);
    pass(&issuer, Duration::from_secs(5), 2).await;
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_provider_without_devices_is_unsupported() {
    let issuer = provider().await;
    issuer.set_discovery("device_authorization_endpoint", serde_json::Value::Null);
    let refused = login(config(&issuer)).begin_device_login().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn an_answer_that_is_none_is_no_login_on_a_device() {
    let issuer = provider().await;
    for answer in [
        "{}",
        "[]",
        r#"{"device_code":"d","user_code":"","verification_uri":"https://i/d","expires_in":60}"#,
        r#"{"device_code":"","user_code":"u","verification_uri":"https://i/d","expires_in":60}"#,
        r#"{"device_code":"d","user_code":"u","verification_uri":"javascript:x","expires_in":60}"#,
        r#"{"device_code":"d","user_code":"u","verification_uri":"http://i/d","expires_in":60}"#,
        r#"{"device_code":"d","user_code":"u","verification_uri":"https://i/d"}"#,
        r#"{"device_code":"d","user_code":"u","verification_uri":"https://i/d","expires_in":-1}"#,
        r#"{"device_code":"d","user_code":"u","verification_uri":"https://i/d","expires_in":60,"interval":"x"}"#,
    ] {
        issuer.fail("/device/auth", Fault::Json(answer.to_owned()));
        let refused = login(config(&issuer)).begin_device_login().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unexpected, "{answer}");
    }
}

/// H2
#[tokio::test]
async fn debug_shows_no_code() {
    let issuer = provider().await;
    let begun = login(config(&issuer)).begin_device_login().await.unwrap();
    assert!(!format!("{begun:?}").contains(&begun.user_code));
}
