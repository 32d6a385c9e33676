//! What is secret about a login is in no log, error or `Debug` output (H1, REQ 004-72.7).

use pipe_core::identity::BearerToken;
use pipe_identity_oidc::PushedRequests;
use pipe_testkit::issuer::Spoil;
use pipe_testkit::leak::Canary;

use super::*;

fn parameter(url: &str, name: &str) -> String {
    let (_, query) = url.split_once('?').unwrap();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(it, _)| *it == name).unwrap().1.to_owned()
}

#[tokio::test]
async fn nothing_secret_of_a_login_is_seen() {
    let issuer = provider().await;
    let period = Duration::from_secs(600);
    issuer.set_access_token_lifetime(period);
    let email = "alice-do-not-print@corp.test";
    let mut canaries = vec![Canary::of(email), Canary::of(SECRET)];
    let config = config(&issuer).with_pushed_requests(PushedRequests::Never);
    let login = login(config.clone());
    let alice = Person::new("alice").email(email).name(email);

    let request = LoginRequest::new().with_login_hint(email);
    let start = login.begin_login(&request).await.unwrap();
    canaries.push(Canary::of(&parameter(&start.location, "state")));
    canaries.push(Canary::of(&parameter(&start.location, "nonce")));
    canaries.push(Canary::of(start.browser.expose()));
    let url = issuer.authorize(&start.location, &alice);
    canaries.push(Canary::of(&parameter(&url, "code")));
    let callback = LoginCallback::new(url.split_once('?').unwrap().1);
    let unknown = login.finish_login(&callback).await;
    let callback = callback.with_browser(start.browser.clone());
    let done = login.finish_login(&callback).await;
    let session = done.as_ref().unwrap().id.clone();
    canaries.push(Canary::of(session.expose()));
    let first = login.access_token(&session).await;
    let text = |token: &BearerToken| String::from_utf8(token.expose().to_vec()).unwrap();
    canaries.push(Canary::of(&text(&first.as_ref().unwrap().as_ref().unwrap().token)));
    issuer.clock().forward(period);
    issuer.spoil(Spoil::TokenType("strange".to_owned()));
    let failed = login.access_token(&session).await;
    issuer.clock().forward(Duration::from_secs(5));
    let renewed = login.access_token(&session).await;
    let seen = login.session(&session).await;
    let logout = BearerToken::new(issuer.logout_token(CLIENT, "alice", "a-sid").sign());
    canaries.push(Canary::of(&text(&logout)));
    let ended = login.back_channel_logout(&logout).await;
    let replayed = login.back_channel_logout(&logout).await;
    let out = login.log_out(&session).await;
    for canary in &canaries {
        canary.look_at_debug("the settings", &config);
        canary.look_at_debug("the login", &login);
        canary.look_at_debug("the request", &request);
        canary.look_at_debug("the start", &start);
        canary.look_at_debug("the callback", &callback);
        canary.look_at_result("unknown", &unknown);
        canary.look_at_result("done", &done);
        for token in [&first, &failed, &renewed] {
            canary.look_at_result("access_token", token);
        }
        canary.look_at_result("session", &seen);
        canary.look_at_result("ended", &ended);
        canary.look_at_result("replayed", &replayed);
        canary.look_at_result("out", &out);
        canary.assert_unseen();
    }
    assert!(unknown.is_err() && replayed.is_err());
}
