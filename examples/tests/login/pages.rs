//! What pages say, and what they keep to themselves.

use pipe_testkit::issuer::Person;
use reqwest::Method;

use crate::site::{Site, alice};

#[tokio::test]
async fn what_a_provider_says_of_a_person_is_no_html() {
    let site = Site::start().await;
    let evil = "<script>alert(1)</script>\"'&";
    let mallory = Person::new("mallory").name(evil).groups([evil, "</dd>"]).email(evil);
    let (mut browser, _) = site.logged_in(&mallory).await;
    for path in ["/profile", "/"] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"));
        assert!(!page.body.contains("<script"), "{}", page.body);
    }
}

#[tokio::test]
async fn every_answer_is_kept_by_nobody_and_shown_in_no_frame() {
    let site = Site::start().await;
    let (mut browser, callback) = site.logged_in(&alice()).await;
    for path in
        ["/", "/profile", "/api/orders", "/auth/login", &callback, "/nothing", "/auth/logout"]
    {
        let answer = browser.get(path).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
    }
    assert_eq!(browser.get("/style.css").await.header("content-type"), "text/css");
}

#[tokio::test]
async fn a_page_that_is_not_there_echoes_nothing() {
    let site = Site::start().await;
    let answer = site.browser().get("/do-not-echo?do-not-echo=%3Cscript%3E").await;
    assert_eq!((answer.status, answer.body.contains("do-not-echo")), (404, false));
}

#[tokio::test]
async fn an_outage_of_the_provider_ends_no_session_and_is_said_politely() {
    let mut site = Site::start().await;
    let (browser, _) = site.logged_in(&alice()).await;
    let cookies = browser.cookies;
    site.issuer.stop().await;
    let mut browser = site.browser();
    browser.cookies = cookies;
    assert_eq!(browser.get("/profile").await.status, 200);
    let answer = browser.get("/auth/login").await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("temporarily unavailable"), "{}", answer.body);
    assert!(!answer.body.contains(&site.issuer.url()));
    // One can log out all the same.
    assert_eq!(browser.log_out().await.status, 303);
    assert!(browser.get("/profile").await.asks_to_log_in());
}

#[tokio::test]
async fn a_form_is_not_an_answer_of_the_provider() {
    let site = Site::start().await;
    let mut browser = site.browser();
    let callback = site.callback(&mut browser, &alice(), "/").await;
    let post = browser.request(Method::POST, &callback);
    assert_eq!(browser.send(post).await.status, 405);
}
