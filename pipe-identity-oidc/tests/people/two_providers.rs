//! Two providers, of which one is not to be trusted with the people of the other, and one store.

use std::sync::Arc;
use std::time::Duration;

use pipe_core::identity::{BearerToken, LoginCallback, LoginRequest, UserLogin as _};
use pipe_core::{ErrorKind, LoginFault};
use pipe_identity_oidc::PushedRequests;
use pipe_testkit::issuer::{Client, Person};

use crate::{CLIENT, REDIRECT_URI, SECRET, config, log_in, login, provider, store};

/// G12: a logout token is for one client, and so are the sessions that it ends.
#[tokio::test]
async fn a_logout_ends_sessions_of_the_client_alone_that_it_is_for() {
    let issuer = provider().await;
    issuer.add_client(Client::confidential("office", SECRET).redirect_uri(REDIRECT_URI));
    let store = store();
    let shop = login(config(&issuer).with_sessions(Arc::clone(&store)));
    let mut office = config(&issuer).with_sessions(store);
    office.client.id = "office".to_owned();
    let office = login(office);
    let alice = Person::new("alice");
    let logout = |client: &str, without: &str| {
        let token = issuer.logout_token(client, "alice", "a-sid").without(without);
        // What happened is one thing, of which each client is told.
        let now = issuer.clock().seconds();
        BearerToken::new(token.claim("jti", format!("event-{now}")).sign())
    };
    for (without, sid) in [("sid", None), ("sid", Some("a-sid")), ("sub", Some("a-sid"))] {
        if let Some(sid) = sid {
            issuer.spoil_id_token(move |token| token.claim("sid", sid));
        }
        let at_shop = log_in(&shop, &issuer, &alice).await;
        if let Some(sid) = sid {
            issuer.spoil_id_token(move |token| token.claim("sid", sid));
        }
        let at_office = log_in(&office, &issuer, &alice).await;
        assert_eq!(shop.back_channel_logout(&logout(CLIENT, without)).await.unwrap(), 1);
        assert_eq!(shop.session(&at_shop.id).await.unwrap(), None);
        assert!(office.session(&at_office.id).await.unwrap().is_some());
        assert_eq!(office.back_channel_logout(&logout("office", without)).await.unwrap(), 1);
        assert_eq!(office.session(&at_office.id).await.unwrap(), None);
        issuer.clock().forward(Duration::from_secs(1));
    }
}

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
