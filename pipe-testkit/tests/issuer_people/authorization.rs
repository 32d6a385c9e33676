//! The authorization endpoint.

use pipe_testkit::issuer::{Client, Person};

use crate::wire::{
    CALLBACK, CHALLENGE, alice, encoded, exchange, get, issuer, parameter, part, post, request,
};

#[tokio::test]
async fn a_callback_has_a_code_the_state_and_the_issuer() {
    let issuer = issuer().await;
    let callback = issuer.authorize(&request(&issuer, "&scope=openid"), &alice());
    assert!(callback.starts_with(&format!("{CALLBACK}?code=")), "{callback}");
    assert_eq!(parameter(&callback, "code").map(|code| code.len()), Some(43));
    assert_eq!(parameter(&callback, "state").as_deref(), Some("st"));
    assert_eq!(parameter(&callback, "iss"), Some(issuer.url()));
}

/// G3, G5
#[tokio::test]
async fn what_is_wrong_is_said_in_a_redirect_with_state_and_issuer() {
    let issuer = issuer().await;
    let good = request(&issuer, "&scope=openid");
    let without = |name: &str| {
        let parts = good.split('&').filter(|part| !part.starts_with(name));
        parts.collect::<Vec<_>>().join("&")
    };
    let no_challenge = without("code_challenge");
    for (url, error, description) in [
        (
            no_challenge.clone(),
            "invalid_request",
            "Authorization Server policy requires PKCE to be used for this request",
        ),
        (
            format!("{no_challenge}&code_challenge={CHALLENGE}&code_challenge_method=plain"),
            "invalid_request",
            "not supported value of code_challenge_method",
        ),
        (
            without("code_challenge_method"),
            "invalid_request",
            "code_challenge_method must be provided",
        ),
        (
            format!("{no_challenge}&code_challenge=abc&code_challenge_method=S256"),
            "invalid_request",
            "code_challenge must be a string with a minimum length of 43 characters",
        ),
        (without("response_type"), "invalid_request", "missing required parameter 'response_type'"),
        (
            without("scope") + "&scope=email",
            "invalid_request",
            "openid scope must be requested when using the nonce parameter",
        ),
        (without("scope") + "&scope=%C3%A9", "invalid_scope", "scope contains invalid characters"),
        (
            format!("{good}&prompt=none%20login"),
            "invalid_request",
            "prompt none must only be used alone",
        ),
        (format!("{good}&prompt=foo"), "invalid_request", "unsupported prompt value requested"),
        (format!("{good}&max_age=x"), "invalid_request", "invalid max_age parameter value"),
        (
            format!("{good}&resource=https%3A%2F%2Fnobody"),
            "invalid_target",
            "resource indicator is missing, or unknown",
        ),
        (format!("{good}&id_token_hint=x"), "invalid_request", "could not validate id_token_hint"),
        (format!("{good}&prompt=none"), "login_required", "End-User authentication is required"),
    ] {
        let reply = get(&issuer, &url, "").await;
        let location = reply.header("location").unwrap_or_default();
        assert_eq!(reply.status(), 303, "{url}: {reply:?}");
        assert!(location.starts_with(&format!("{CALLBACK}?error=")), "{location}");
        assert_eq!(parameter(location, "error").as_deref(), Some(error), "{location}");
        let told = parameter(location, "error_description");
        assert_eq!(told.as_deref(), Some(description), "{location}");
        assert_eq!(parameter(location, "state").as_deref(), Some("st"), "{location}");
        assert_eq!(parameter(location, "iss"), Some(issuer.url()), "{location}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn a_parameter_may_not_be_there_twice() {
    let issuer = issuer().await;
    let url = request(&issuer, "&scope=openid&state=other");
    let reply = get(&issuer, &url, "").await;
    let location = reply.header("location").unwrap_or_default();
    let told = parameter(location, "error_description");
    assert_eq!(told.as_deref(), Some("'state' parameter must not be provided twice"));
    assert_eq!(parameter(location, "state"), None);
}

/// G5
#[tokio::test]
async fn an_unknown_client_and_a_wrong_redirect_uri_are_answered_without_a_redirect() {
    let issuer = issuer().await;
    let good = request(&issuer, "&scope=openid");
    let callback = encoded(CALLBACK);
    for url in [
        good.replace("client_id=web", "client_id=nobody"),
        good.replace("client_id=web&", ""),
        good.replace("client_id=web", "client_id="),
        good.replace(&callback, &encoded(&format!("{CALLBACK}/x"))),
        good.replace(&callback, &encoded(&format!("{CALLBACK}?x=y"))),
        good.replace(&callback, &encoded("http://127.0.0.1:18391/callback")),
        good.replace(&callback, &encoded("https://evil.test/callback")),
        // Where other things are wrong too.
        good.replace(&callback, &encoded("https://evil.test/")) + "&prompt=none",
    ] {
        let reply = get(&issuer, &url, "").await;
        assert_eq!((reply.status(), reply.header("location")), (400, None), "{url}");
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    }
}

#[tokio::test]
async fn a_native_client_may_have_any_port_of_the_loopback_interface() {
    let issuer = issuer().await;
    let spa = request(&issuer, "&scope=openid").replace("client_id=web", "client_id=spa");
    let other = "http://127.0.0.1:5/callback";
    let url = spa.replace(&encoded(CALLBACK), &encoded(other));
    assert!(issuer.authorize(&url, &alice()).starts_with(other));
    let evil = spa.replace(&encoded(CALLBACK), &encoded("http://127.0.0.1.evil.test/callback"));
    assert_eq!(get(&issuer, &evil, "").await.status(), 400);
}

#[tokio::test]
async fn a_client_with_one_redirect_uri_need_not_name_it() {
    let issuer = issuer().await;
    let url = request(&issuer, "&scope=openid");
    let url = url.replace(&format!("redirect_uri={}&", encoded(CALLBACK)), "");
    assert!(issuer.authorize(&url, &alice()).starts_with(CALLBACK));
    let two = Client::public("two").redirect_uri("http://a.test/").redirect_uri("http://b.test/");
    issuer.add_client(two);
    let reply = get(&issuer, &url.replace("client_id=web", "client_id=two"), "").await;
    assert_eq!((reply.status(), reply.header("location")), (400, None));
}

#[tokio::test]
async fn who_is_logged_in_is_not_asked_again_unless_the_request_says_so() {
    let issuer = issuer().await;
    let mut browser = issuer.browser(&alice());
    let scope = "&scope=openid";
    browser.authorize(&request(&issuer, scope));
    assert!(browser.is_logged_in());
    let error = |callback: &str| parameter(callback, "error");
    let mut none = |more: &str| {
        error(&browser.authorize(&request(&issuer, &format!("{scope}&prompt=none{more}"))))
    };
    assert_eq!(none(""), None);
    assert_eq!(none("&max_age=0").as_deref(), Some("login_required"));
    assert_eq!(none("&max_age=5"), None);
    issuer.clock().forward(std::time::Duration::from_secs(6));
    assert_eq!(none("&max_age=5").as_deref(), Some("login_required"));
    assert_eq!(none("&max_age=6"), None);
    let more = "&scope=openid%20email&prompt=none";
    let callback = browser.authorize(&request(&issuer, more));
    assert_eq!(error(&callback).as_deref(), Some("consent_required"));
    let spa = request(&issuer, "&scope=openid&prompt=none").replace("_id=web", "_id=spa");
    assert_eq!(error(&browser.authorize(&spa)).as_deref(), Some("interaction_required"));
    browser.forget();
    let callback = browser.authorize(&request(&issuer, "&scope=openid&prompt=none"));
    assert_eq!(error(&callback).as_deref(), Some("login_required"));
}

#[tokio::test]
async fn a_browser_can_use_the_form() {
    let issuer = issuer().await;
    issuer.add_person(&Person::new("bob"));
    let url = request(&issuer, "&scope=openid&login_hint=%22%3E%3Cscript%3E");
    let page = get(&issuer, &url, "").await;
    assert_eq!(page.status(), 200);
    assert!(page.body.contains("<form method=\"post\""), "{}", page.body);
    assert!(!page.body.contains("<script>"), "{}", page.body);
    let (_, rest) = page.body.split_once("action=\"").expect("a form");
    let action = rest.split('"').next().unwrap_or_default().replace("&amp;", "&");
    let unknown = post(&issuer, &action, "", "login=nobody&password=x").await;
    assert_eq!((unknown.status(), unknown.header("location")), (200, None));
    let reply = post(&issuer, &action, "", "login=bob&password=x").await;
    assert_eq!(reply.status(), 303);
    let callback = reply.header("location").expect("a callback").to_owned();
    let tokens = exchange(&issuer, &callback).await;
    assert_eq!(part(&tokens.text("id_token"), 1)["sub"], "bob");
    // The cookie stands for the login.
    let cookie = reply.header("set-cookie").and_then(|it| it.split(';').next()).expect("a cookie");
    let again = get(&issuer, &url, &format!("Cookie: a=b; {cookie}\r\n")).await;
    assert_eq!(again.status(), 303);
    let stranger = get(&issuer, &url, "Cookie: _session=x\r\n").await;
    assert_eq!(stranger.status(), 200);
}
