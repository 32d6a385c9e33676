//! Logins, and what is no login.

use futures_util::future::join_all;
use reqwest::Method;

use crate::site::{Site, alice, bob};

#[tokio::test]
async fn a_person_logs_in_sees_who_they_are_and_logs_out() {
    let site = Site::start().await;
    let mut browser = site.browser();
    assert!(browser.get("/").await.body.contains("id=\"login\""));
    assert!(browser.get("/profile").await.asks_to_log_in());
    let (mut browser, _) = site.logged_in(&alice()).await;
    let page = browser.get("/profile").await;
    assert_eq!(page.status, 200);
    for part in [
        "<h1>Alice Ashby</h1>",
        "<dd id=\"subject\">alice</dd>",
        "<dd id=\"roles\">editor</dd>",
        "<dd id=\"groups\">editors, oncall</dd>",
        "<dd id=\"email\">alice@corp.test</dd>",
        "<dd id=\"ends\">20",
    ] {
        assert!(page.body.contains(part), "no {part} in {}", page.body);
    }
    let orders = browser.get("/api/orders").await;
    assert_eq!((orders.status, orders.body.contains("\"customer\":\"alice\"")), (200, true));
    let away = browser.log_out().await;
    assert_eq!(away.status, 303);
    assert!(away.location().starts_with(&site.issuer.url()), "{away:?}");
    assert!(browser.get("/profile").await.asks_to_log_in());
    assert_eq!(browser.get("/api/orders").await.status, 401);
}

#[tokio::test]
async fn a_person_goes_to_where_they_wanted() {
    let site = Site::start().await;
    let mut browser = site.browser();
    let callback = site.callback(&mut browser, &alice(), "%2Forders%3Fpage%3D2%26a%3D%252F").await;
    assert_eq!(browser.get(&callback).await.location(), "/orders?page=2&a=%2F");
}

/// G1
#[tokio::test]
async fn a_callback_that_nobody_asked_for_begins_no_session() {
    let site = Site::start().await;
    let mut browser = site.browser();
    let callback = site.callback(&mut browser, &alice(), "/").await;
    let state = callback.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let wrong_state = callback.replace(state, "do-not-echo");
    let mut stranger = site.browser();
    for query in [
        "",
        "?",
        "?code=do-not-echo&state=do-not-echo",
        "?error=%3Cscript%3Edo-not-echo&error_description=do-not-echo&state=do-not-echo",
        &wrong_state["/auth/callback".len()..],
        &format!("?error=access_denied&state={state}&state=do-not-echo"),
    ] {
        for browser in [&mut stranger, &mut browser] {
            let answer = browser.get(&format!("/auth/callback{query}")).await;
            assert_eq!(answer.status, 400, "{query}");
            assert!(answer.body.contains("login failed"), "{query}: {}", answer.body);
            assert!(!answer.body.contains("do-not-echo"), "{query}: {}", answer.body);
            assert_eq!(answer.set_cookies(), Vec::<&str>::new(), "{query}");
        }
    }
    // Another browser's answer, and then its own.
    assert_eq!(stranger.get(&callback).await.status, 400);
    assert_eq!(browser.get(&callback).await.status, 303);
}

#[tokio::test]
async fn a_person_who_says_no_may_begin_again() {
    let site = Site::start().await;
    let mut browser = site.browser();
    let callback = site.callback(&mut browser, &alice(), "/").await;
    let (_, rest) = callback.split_once("&state=").unwrap();
    let answer = browser.get(&format!("/auth/callback?error=access_denied&state={rest}")).await;
    assert_eq!((answer.status, answer.body.contains("Begin again")), (403, true), "{answer:?}");
    let callback = site.callback(&mut browser, &alice(), "/").await;
    assert_eq!(browser.get(&callback).await.status, 303);
}

#[tokio::test]
async fn logins_in_two_tabs_of_a_browser_do_not_disturb_each_other() {
    let site = Site::start().await;
    let mut browser = site.browser();
    let first = site.callback(&mut browser, &alice(), "/first").await;
    let second = site.callback(&mut browser, &alice(), "/second").await;
    assert_eq!(browser.get(&second).await.location(), "/second");
    assert_eq!(browser.get(&first).await.location(), "/first");
    assert_eq!(browser.get("/profile").await.status, 200);
}

/// G6
#[tokio::test]
async fn a_callback_that_comes_twice_ends_its_session() {
    let site = Site::start().await;
    let (mut browser, callback) = site.logged_in(&alice()).await;
    assert_eq!(browser.get("/profile").await.status, 200);
    // Whoever replays it: here somebody without any cookie.
    assert_eq!(site.browser().get(&callback).await.status, 400);
    assert!(browser.get("/profile").await.asks_to_log_in());
}

#[tokio::test]
async fn a_look_at_the_head_of_a_page_uses_up_no_login() {
    let site = Site::start().await;
    let mut browser = site.browser();
    let callback = site.callback(&mut browser, &alice(), "/").await;
    let head = browser.request(Method::HEAD, &callback);
    assert_eq!(browser.send(head).await.status, 405);
    assert_eq!(browser.get(&callback).await.status, 303);
}

/// G1
#[tokio::test]
async fn nobody_is_led_to_another_site() {
    let site = Site::start().await;
    for path in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "%2F%2Fevil.example",
        "%2F%5Cevil.example",
        "/%252Fevil.example",
        "/%0d%0aset-cookie:evil=1",
        "/..//evil.example",
        "javascript:evil()",
        "",
        "/&return_to=//evil.example",
    ] {
        let answer = site.browser().get(&format!("/auth/login?return_to={path}")).await;
        assert_eq!((answer.status, answer.location()), (400, ""), "{path}");
        assert!(answer.body.contains("invalid request") && !answer.body.contains("evil"), "{path}");
    }
}

#[tokio::test]
async fn people_who_log_in_at_once_do_not_mix() {
    let site = &Site::start().await;
    join_all((0..40).map(|number| async move {
        let (person, name, other) = match number % 2 {
            0 => (alice(), "Alice Ashby", "Bob Birch"),
            _ => (bob(), "Bob Birch", "Alice Ashby"),
        };
        let (mut browser, _) = site.logged_in(&person).await;
        let pages = [browser.get("/profile").await, browser.get("/").await];
        for page in pages {
            assert!(page.body.contains(name) && !page.body.contains(other), "{page:?}");
        }
        let orders = browser.get("/api/orders").await.body;
        assert!(orders.contains(&format!("\"customer\":\"{}\"", person.subject())), "{orders}");
    }))
    .await;
}

/// A stranger who planted their own session in a browser does not share it afterwards.
#[tokio::test]
async fn a_login_begins_a_session_of_another_id_and_ends_the_one_before() {
    let site = Site::start().await;
    let (planted, _) = site.logged_in(&bob()).await;
    let before = planted.cookies["session"].clone();
    let mut browser = site.browser();
    browser.cookies.insert("session".to_owned(), before.clone());
    let callback = site.callback(&mut browser, &alice(), "/").await;
    browser.get(&callback).await;
    assert_ne!(browser.cookies["session"], before);
    assert!(browser.get("/profile").await.body.contains("Alice Ashby"));
    let mut planted = planted;
    assert!(planted.get("/profile").await.asks_to_log_in());
}
