//! The grant `refresh_token`, and revocation.

use std::time::Duration;

use pipe_testkit::issuer::Client;
use serde_json::json;

use crate::wire::{
    OFFLINE, SECRET, alice, issuer, logged_in, part, post, refresh, request, token, userinfo,
};

const REFRESH: &str = "grant_type=refresh_token&refresh_token=";

#[tokio::test]
async fn a_refresh_token_is_given_for_offline_access_with_consent_alone() {
    let issuer = issuer().await;
    for (more, scope, is_given) in [
        ("&scope=openid%20offline_access&prompt=consent", "openid offline_access", true),
        ("&scope=openid%20offline_access", "openid", false),
        ("&scope=openid%20offline_access&prompt=login", "openid", false),
        ("&scope=openid&prompt=consent", "openid", false),
    ] {
        let body = logged_in(&issuer, &alice(), more).await.json();
        assert_eq!((&body["scope"], body["refresh_token"].is_string()), (&json!(scope), is_given));
    }
    let web = Client::confidential("web", SECRET).redirect_uri(crate::wire::CALLBACK);
    issuer.add_client(web.without_grant("refresh_token"));
    assert_eq!(logged_in(&issuer, &alice(), OFFLINE).await.json()["scope"], "openid");
}

/// G7
#[tokio::test]
async fn a_refresh_token_is_followed_by_another_and_its_reuse_ends_the_grant() {
    let issuer = issuer().await;
    let first = logged_in(&issuer, &alice(), OFFLINE).await;
    issuer.clock().forward(Duration::from_secs(60));
    let second = refresh(&issuer, &first.text("refresh_token")).await;
    let third = refresh(&issuer, &second.text("refresh_token")).await;
    assert_ne!(second.text("refresh_token"), first.text("refresh_token"));
    let before = part(&first.text("id_token"), 1);
    let after = part(&third.text("id_token"), 1);
    for claim in ["iss", "sub", "aud", "nonce", "sid"] {
        assert_eq!(before[claim], after[claim], "{claim}");
    }
    assert_eq!(after["iat"], issuer.clock().seconds());
    let sid = after["sid"].as_str().expect("a sid");
    assert_eq!((issuer.refreshes(sid), issuer.refreshes("alice"), issuer.reuses(sid)), (2, 2, 0));
    let reuse = refresh(&issuer, &first.text("refresh_token")).await;
    assert_eq!(reuse.error(), (400, "invalid_grant".to_owned()));
    let newest = refresh(&issuer, &third.text("refresh_token")).await;
    assert_eq!(newest.error(), (400, "invalid_grant".to_owned()));
    assert_eq!(userinfo(&issuer, &third.text("access_token")).await.status(), 401);
    assert_eq!((issuer.refreshes(sid), issuer.reuses(sid)), (2, 1));
    assert!(issuer.was_revoked(sid));
}

#[tokio::test]
async fn a_refresh_can_ask_for_less_and_never_for_more() {
    let issuer = issuer().await;
    let more = "&scope=openid%20email%20offline_access&prompt=consent";
    let tokens = logged_in(&issuer, &alice(), more).await;
    let form = format!("{REFRESH}{}&scope=openid", tokens.text("refresh_token"));
    let less = token(&issuer, &form).await;
    assert_eq!(less.json()["scope"], "openid");
    assert_eq!(part(&less.text("id_token"), 1).get("email"), None);
    // The next one has all scopes again.
    let all = refresh(&issuer, &less.text("refresh_token")).await;
    assert_eq!(all.json()["scope"], "openid email offline_access");
    let form = format!("{REFRESH}{}&scope=openid%20unheard", all.text("refresh_token"));
    let refused = token(&issuer, &form).await;
    let expected = json!({
        "error": "invalid_scope",
        "error_description": "refresh token missing requested scope",
        "scope": "unheard",
    });
    assert_eq!((refused.status(), refused.json()), (400, expected));
    assert_eq!(refresh(&issuer, &all.text("refresh_token")).await.status(), 200);
}

#[tokio::test]
async fn a_refresh_token_is_for_its_client_and_lives_a_day() {
    let issuer = issuer().await;
    let tokens = logged_in(&issuer, &alice(), OFFLINE).await;
    let form = format!("client_id=spa&{REFRESH}{}", tokens.text("refresh_token"));
    let other = post(&issuer, "/token", "", &form).await;
    assert_eq!(other.error(), (400, "invalid_grant".to_owned()));
    assert_eq!(refresh(&issuer, "nonsense").await.error(), (400, "invalid_grant".to_owned()));
    let missing = token(&issuer, "grant_type=refresh_token").await;
    assert_eq!(missing.error(), (400, "invalid_request".to_owned()));
    issuer.clock().forward(Duration::from_secs(24 * 3600 - 1));
    let renewed = refresh(&issuer, &tokens.text("refresh_token")).await;
    assert_eq!(renewed.status(), 200);
    issuer.clock().forward(Duration::from_secs(24 * 3600));
    assert_eq!(refresh(&issuer, &renewed.text("refresh_token")).await.status(), 400);
}

#[tokio::test]
async fn lifetimes_rotation_and_people_can_change() {
    let issuer = issuer().await;
    issuer.set_access_token_lifetime(Duration::from_secs(5));
    issuer.set_refresh_token_lifetime(Duration::from_secs(50));
    issuer.set_refresh_token_rotation(false);
    let more = "&scope=openid%20groups%20offline_access&prompt=consent";
    let tokens = logged_in(&issuer, &alice(), more).await;
    assert_eq!(tokens.json()["expires_in"], 5);
    issuer.add_person(&alice().groups(["others"]));
    let again = refresh(&issuer, &tokens.text("refresh_token")).await;
    assert_eq!(again.text("refresh_token"), tokens.text("refresh_token"));
    assert_eq!(part(&again.text("id_token"), 1)["groups"], json!(["others"]));
    issuer.clock().forward(Duration::from_secs(5));
    assert_eq!(userinfo(&issuer, &again.text("access_token")).await.status(), 401);
    issuer.remove_person("alice");
    let gone = refresh(&issuer, &tokens.text("refresh_token")).await;
    assert_eq!(gone.error(), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn a_revoked_token_takes_all_others_of_the_grant_with_it() {
    let issuer = issuer().await;
    for kind in ["access_token", "refresh_token"] {
        let tokens = logged_in(&issuer, &alice(), OFFLINE).await;
        let ask = format!("client_id=web&client_secret={SECRET}&token={}", tokens.text(kind));
        let told = post(&issuer, "/token/introspection", "", &ask).await.json();
        assert_eq!((&told["active"], &told["client_id"]), (&json!(true), &json!("web")));
        issuer.add_client(Client::confidential("other", "s"));
        // A client that proves who it is is told that the token is not its own.
        for (client, status) in [("other&client_secret=s", 400), ("spa", 200)] {
            let form = ask.replace(&format!("web&client_secret={SECRET}"), client);
            let refused = post(&issuer, "/token/revocation", "", &form).await;
            assert_eq!(refused.status(), status, "{refused:?}");
            assert_eq!(userinfo(&issuer, &tokens.text("access_token")).await.status(), 200);
        }
        for _ in 0..2 {
            let revoked = post(&issuer, "/token/revocation", "", &ask).await;
            assert_eq!((revoked.status(), revoked.body.as_str()), (200, ""));
        }
        let told = post(&issuer, "/token/introspection", "", &ask).await.json();
        assert_eq!(told, json!({"active": false}));
        assert_eq!(userinfo(&issuer, &tokens.text("access_token")).await.status(), 401);
        assert_eq!(refresh(&issuer, &tokens.text("refresh_token")).await.status(), 400);
    }
}

#[tokio::test]
async fn logins_in_one_browser_share_a_grant_and_others_do_not() {
    let issuer = issuer().await;
    let mut browser = issuer.browser(&alice());
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let callback = browser.authorize(&request(&issuer, OFFLINE));
        tokens.push(crate::wire::exchange(&issuer, &callback).await);
    }
    let other = logged_in(&issuer, &alice(), OFFLINE).await;
    let sid = |index: usize| part(&tokens[index].text("id_token"), 1)["sid"].clone();
    assert_eq!(sid(0), sid(1));
    assert_ne!(sid(0), part(&other.text("id_token"), 1)["sid"]);
    let ask =
        format!("client_id=web&client_secret={SECRET}&token={}", tokens[0].text("refresh_token"));
    post(&issuer, "/token/revocation", "", &ask).await;
    assert_eq!(refresh(&issuer, &tokens[1].text("refresh_token")).await.status(), 400);
    assert_eq!(refresh(&issuer, &other.text("refresh_token")).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_parallel_uses_of_a_refresh_token_one_succeeds() {
    let issuer = issuer().await;
    let tokens = logged_in(&issuer, &alice(), OFFLINE).await;
    let refresh_token = tokens.text("refresh_token");
    let uses = (0..50).map(|_| refresh(&issuer, &refresh_token));
    let replies = futures_util::future::join_all(uses).await;
    let succeeded = replies.iter().filter(|reply| reply.status() == 200).count();
    let refused = replies.iter().filter(|reply| reply.status() == 400).count();
    assert_eq!((succeeded, refused), (1, 49));
    assert_eq!((issuer.refreshes("alice"), issuer.reuses("alice")), (1, 49));
}

#[tokio::test(start_paused = true)]
async fn a_login_and_a_refresh_need_no_time_to_pass() {
    let issuer = issuer().await;
    let before = tokio::time::Instant::now();
    let tokens = logged_in(&issuer, &alice(), OFFLINE).await;
    assert_eq!(refresh(&issuer, &tokens.text("refresh_token")).await.status(), 200);
    assert_eq!(before.elapsed(), Duration::ZERO);
}
