//! Ends of sessions that people want.

use reqwest::Method;

use crate::site::{Site, alice};

#[tokio::test]
async fn only_a_page_of_this_site_logs_somebody_out() {
    let site = Site::start().await;
    let (mut browser, _) = site.logged_in(&alice()).await;
    let near = format!("{}0", site.address);
    for (name, value) in [
        ("accept", "*/*"),
        ("origin", "null"),
        ("origin", "https://evil.example"),
        ("origin", &near),
        ("origin", ""),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("referer", &site.address),
    ] {
        let request = browser.request(Method::POST, "/auth/logout").header(name, value);
        let answer = browser.send(request).await;
        assert_eq!((answer.status, answer.location()), (403, ""), "{name}: {value}");
    }
    let get = browser.request(Method::GET, "/auth/logout").header("origin", &site.address);
    assert_eq!(browser.send(get).await.status, 405);
    assert_eq!(browser.get("/profile").await.status, 200);
    // Old browsers say no origin where it is their own.
    let own = browser.request(Method::POST, "/auth/logout").header("sec-fetch-site", "same-origin");
    assert_eq!(browser.send(own).await.status, 303);
    assert!(browser.get("/profile").await.asks_to_log_in());
}

#[tokio::test]
async fn a_logout_ends_the_session_at_the_provider_and_leads_back() {
    let site = Site::start().await;
    let mut browser = site.browser();
    let start = browser.get("/auth/login").await;
    let mut provider = site.issuer.browser(&alice());
    let callback = provider.authorize(start.location());
    browser.get(callback.trim_start_matches(&site.address)).await;
    let kept = browser.cookies.clone();
    let away = browser.log_out().await;
    assert!(provider.is_logged_in());
    assert_eq!(provider.log_out(away.location()), format!("{}/", site.address));
    assert!(!provider.is_logged_in());
    // Whoever kept the cookie has nothing.
    assert!(!browser.cookies.contains_key("session"));
    browser.cookies = kept;
    assert!(browser.get("/profile").await.asks_to_log_in());
}

#[tokio::test]
async fn whoever_is_logged_out_may_log_out_again() {
    let site = Site::start().await;
    let answer = site.browser().log_out().await;
    assert_eq!((answer.status, answer.location()), (303, "/"));
}
