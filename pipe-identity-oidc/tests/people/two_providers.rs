//! Two providers, of which one is not to be trusted with the people of the other, and one store.

use std::sync::Arc;
use std::time::Duration;

use pipe_core::identity::{LoginCallback, LoginRequest, UserLogin as _};
use pipe_core::{ErrorKind, LoginFault};
use pipe_identity_oidc::PushedRequests;
use pipe_testkit::issuer::Person;

use crate::{config, log_in, login, provider, store};

/// G4: the state of the one may be known to the other, which leads the browser to our callback with it.
#[tokio::test]
async fn a_login_is_finished_with_the_provider_that_it_began_with() {
    let (honest, other) = (provider().await, provider().await);
    let store = store();
    let ours = login(config(&honest).with_sessions(Arc::clone(&store)));
    let theirs = config(&other).with_pushed_requests(PushedRequests::Never);
    let theirs = login(theirs.with_clock(honest.clock().shared()).with_sessions(store));
    let start = theirs.begin_login(&LoginRequest::new()).await.unwrap();
    // The other provider asks the honest one with what it was asked with.
    let asked = start.location.replacen(&other.url(), &honest.url(), 1);
    let callback = honest.authorize(&asked, &Person::new("mallory"));
    let query = callback.split_once('?').unwrap().1;
    let callback = LoginCallback::new(query).with_browser(start.browser);
    let refused = ours.finish_login(&callback).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LoginRefused(LoginFault::UnknownLogin));
}

#[tokio::test]
async fn a_session_is_known_to_the_login_that_it_began_with_alone() {
    let (honest, other) = (provider().await, provider().await);
    let period = Duration::from_secs(600);
    honest.set_access_token_lifetime(period);
    let store = store();
    let ours = login(config(&honest).with_sessions(Arc::clone(&store)));
    let theirs = login(config(&other).with_clock(honest.clock().shared()).with_sessions(store));
    let done = log_in(&ours, &honest, &Person::new("alice")).await;
    assert_eq!(theirs.session(&done.id).await.unwrap(), None);
    honest.clock().forward(period);
    let before = other.hits("/token");
    assert_eq!(theirs.access_token(&done.id).await.unwrap(), None);
    assert_eq!(other.hits("/token"), before, "the refresh token of another provider was sent");
    assert!(theirs.log_out(&done.id).await.unwrap().location.is_none());
    assert!(ours.access_token(&done.id).await.unwrap().is_some());
}
