//! Tokens and claims stay in the application.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use pipe_testkit::leak::Canary;

use crate::site::{Site, alice};

/// REQ 004-72.7
#[tokio::test]
async fn no_token_and_no_claim_is_in_a_cookie_a_page_or_the_log() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = Arc::clone(&asked);
    let orders = async move |headers: HeaderMap| {
        let token = headers["authorization"].to_str().expect("text").to_owned();
        keep.lock().unwrap().push(token.trim_start_matches("Bearer ").to_owned());
        "[]"
    };
    let site = Site::start_with(Router::new().route("/orders", get(orders))).await;
    let claim = Canary::new();
    let person = alice().claim("department", claim.value());
    let (mut browser, callback) = site.logged_in(&person).await;
    let code = callback.split("code=").nth(1).unwrap().split('&').next().unwrap();
    let id = browser.cookies["session"].clone();
    let (code, id) = (Canary::of(code), Canary::of(&id));

    assert_eq!(browser.get("/api/orders").await.body, "[]");
    let token = asked.lock().unwrap().pop().expect("the service was asked");
    let token = Canary::of(&token);
    for path in ["/profile", "/", "/api/orders", &callback, "/auth/login"] {
        browser.get(path).await;
    }
    for answer in &browser.seen {
        for canary in [&claim, &code, &token] {
            canary.look_at("an answer", &format!("{:?} {}", answer.headers, answer.body));
            canary.look_at("a cookie", &answer.set_cookies().concat());
        }
        id.look_at("a page", &answer.body);
    }
    browser.log_out().await;
    for canary in [claim, code, token, id] {
        canary.assert_unseen();
    }
}
