//! Logins that the certified provider, or the person, refuses.

use std::time::Duration;

use pipe_core::identity::{LoginPrompt, LoginRequest, UserLogin as _};
use pipe_core::{ErrorKind, LoginFault};
use url::Url;

use crate::browser::Browser;
use crate::people::{callback_of, config, finish, log_in, login};
use crate::server::shared;

fn parameter(query: &str, name: &str) -> String {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(other, _)| other == name).expect("a parameter of this name").1.into_owned()
}

/// G8
#[tokio::test]
async fn nobody_is_logged_in_without_being_asked_at_first() {
    let Some(server) = shared().await else { return };
    let login = login(config(server));
    let request = LoginRequest::new().with_prompt(LoginPrompt::None);
    let (query, browser) = callback_of(&login, server, request, "alice").await;
    let refused = finish(&login, &query, &browser).await.unwrap_err();
    let fault = LoginFault::InteractionRequired;
    assert_eq!(refused.kind(), ErrorKind::LoginRefused(fault));
}

/// G8
#[tokio::test]
async fn a_person_may_say_no() {
    let Some(server) = shared().await else { return };
    let login = login(config(server));
    let start = login.begin_login(&LoginRequest::new()).await.unwrap();
    let mut browser = Browser::new(server);
    let page = browser.get(&start.location).await;
    let left = browser.get(&format!("{page}/abort")).await;
    let callback = Url::parse(&browser.get(&left).await).unwrap();
    let refused = finish(&login, callback.query().unwrap(), &start.browser).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LoginRefused(LoginFault::AccessDenied));
}

/// G3: the provider compares the verifier with the challenge of the code.
#[tokio::test]
async fn the_code_of_another_login_is_refused() {
    let Some(server) = shared().await else { return };
    let login = login(config(server));
    let (one, browser) = callback_of(&login, server, LoginRequest::new(), "alice").await;
    let (other, _) = callback_of(&login, server, LoginRequest::new(), "bob").await;
    let mixed = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("code", &parameter(&other, "code"))
        .append_pair("state", &parameter(&one, "state"))
        .append_pair("iss", server.issuer())
        .finish();
    let refused = finish(&login, &mixed, &browser).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LoginRefused(LoginFault::CodeRefused));
}

#[tokio::test]
async fn a_person_proves_again_who_they_are_where_that_is_asked() {
    let Some(server) = shared().await else { return };
    let login = login(config(server).with_max_age(Duration::from_secs(3_600)));
    let before = std::time::SystemTime::now() - Duration::from_secs(60);
    let done = log_in(&login, server, "alice").await;
    assert!(done.session.context.authenticated_at > before);
}

/// Everybody gets a session of their own.
#[tokio::test]
async fn people_who_log_in_at_once_are_told_apart() {
    let Some(server) = shared().await else { return };
    let login = login(config(server));
    let people: Vec<_> = (0..40).map(|number| format!("person-{number}")).collect();
    let logins = people.iter().map(|person| log_in(&login, server, person));
    let done = futures_util::future::join_all(logins).await;
    for (done, person) in done.iter().zip(&people) {
        let session = login.session(&done.id).await.unwrap().expect("a session");
        assert_eq!(session.context.principal.id.as_str(), person);
    }
}
