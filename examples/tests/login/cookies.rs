//! What a browser holds.

use crate::site::{Site, alice};

#[tokio::test]
async fn cookies_have_ids_and_are_for_this_site_alone() {
    let site = Site::start().await;
    let (browser, _) = site.logged_in(&alice()).await;
    let lines: Vec<_> = browser.seen.iter().flat_map(|answer| answer.set_cookies()).collect();
    let [login, session] = &lines[..] else { panic!("{lines:?}") };
    let (id, attributes) = login.strip_prefix("login=").unwrap().split_at(43);
    assert_eq!(attributes, "; Path=/; HttpOnly; SameSite=Lax; Max-Age=600");
    let (other, attributes) = session.strip_prefix("session=").unwrap().split_at(43);
    assert_eq!(attributes, "; Path=/; HttpOnly; SameSite=Lax");
    assert_ne!(id, other);
}

#[tokio::test]
async fn at_https_cookies_are_secure_and_of_this_host() {
    let site = Site::start_behind("https://shop.example").await;
    let (mut browser, _) = site.logged_in(&alice()).await;
    assert!(browser.get("/profile").await.body.contains("Alice Ashby"));
    for line in browser.seen.iter().flat_map(|answer| answer.set_cookies()) {
        assert!(line.starts_with("__Host-"), "{line}");
        assert!(line.contains("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{line}");
        assert!(!line.contains("Domain"), "{line}");
    }
    // A cookie without the prefix may be set by another host.
    let session = browser.cookies.remove("__Host-session").unwrap();
    browser.cookies.insert("session".to_owned(), session);
    assert!(browser.get("/profile").await.asks_to_log_in());
}

#[tokio::test]
async fn what_is_no_id_is_nobody() {
    let site = Site::start().await;
    let (browser, _) = site.logged_in(&alice()).await;
    let id = &browser.cookies["session"];
    for value in ["", "x", "alice", &id[1..], &format!("{id}; session={id}"), &"a".repeat(6_000)] {
        let mut browser = site.browser();
        browser.cookies.insert("session".to_owned(), value.to_owned());
        assert!(browser.get("/profile").await.asks_to_log_in(), "{value}");
    }
}
