//! Several processes of an application that share one store.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use pipe_core::identity::{LoginCallback, LoginRequest, SessionId, UserLogin as _};
use pipe_testkit::issuer::Person;

use crate::{config, forward, log_in, login, provider, store};

/// REQ 002-10
#[tokio::test]
async fn a_login_that_one_process_began_is_finished_by_another() {
    let issuer = provider().await;
    let store = store();
    let one = login(config(&issuer).with_sessions(Arc::clone(&store)));
    let other = login(config(&issuer).with_sessions(store));
    let start = one.begin_login(&LoginRequest::new()).await.unwrap();
    let callback = issuer.authorize(&start.location, &Person::new("alice"));
    let query = callback.split_once('?').unwrap().1;
    let done =
        other.finish_login(&LoginCallback::new(query).with_browser(start.browser)).await.unwrap();
    assert!(one.session(&done.id).await.unwrap().is_some());
}

/// G7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_renewed_once_by_all_processes_together() {
    let issuer = provider().await;
    let period = Duration::from_secs(600);
    issuer.set_access_token_lifetime(period);
    let store = store();
    let processes: Vec<_> =
        (0..8).map(|_| login(config(&issuer).with_sessions(Arc::clone(&store)))).collect();
    let done = log_in(&processes[0], &issuer, &Person::new("alice")).await;
    for periods in 1..=3 {
        issuer.clock().forward(period);
        let asked = processes.iter().flat_map(|process| {
            (0..10).map(|_| process.access_token(&done.id)).collect::<Vec<_>>()
        });
        let tokens = try_join_all(asked).await.unwrap();
        let tokens: Vec<_> = tokens.into_iter().map(Option::unwrap).collect();
        assert!(tokens.iter().all(|token| token == &tokens[0]));
        assert_eq!(issuer.refreshes("alice"), periods);
        assert_eq!(issuer.reuses("alice"), 0);
        // The session is used in between, and lives on.
        for _ in 0..3 {
            assert!(processes[1].session(&done.id).await.unwrap().is_some());
        }
    }
}

/// What is stored is of no use to whoever reads it.
#[tokio::test]
async fn a_session_is_found_by_its_id_alone() {
    let issuer = provider().await;
    let login = login(config(&issuer));
    let done = log_in(&login, &issuer, &Person::new("alice")).await;
    let guess = SessionId::generate().unwrap();
    assert_eq!(login.session(&guess).await.unwrap(), None);
    assert_eq!(login.access_token(&guess).await.unwrap(), None);
    assert!(login.session(&done.id).await.unwrap().is_some());
}

/// REQ 002-32
#[tokio::test]
async fn a_session_lasts_while_it_is_used_and_not_longer_than_it_may() {
    let issuer = provider().await;
    let login = login(config(&issuer));
    let done = log_in(&login, &issuer, &Person::new("alice")).await;
    let used = Duration::from_secs(20 * 60);
    for _ in 0..35 {
        forward(&issuer, used).await;
        assert!(login.session(&done.id).await.unwrap().is_some());
    }
    // Twelve hours in all.
    forward(&issuer, used).await;
    assert_eq!(login.session(&done.id).await.unwrap(), None);

    let done = log_in(&login, &issuer, &Person::new("alice")).await;
    forward(&issuer, Duration::from_secs(30 * 60)).await;
    assert_eq!(login.session(&done.id).await.unwrap(), None);
}
