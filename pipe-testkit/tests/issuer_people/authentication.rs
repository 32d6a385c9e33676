//! How clients prove who they are, and how requests may look.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipe_testkit::issuer::{Client, SigningAlgorithm, SigningKey};

use crate::wire::{
    CALLBACK, OFFLINE, SECRET, alice, code_form, encoded, get, issuer, logged_in, part, post,
    request, token,
};

fn basic(id: &str, secret: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{id}:{secret}")))
}

#[tokio::test]
async fn a_client_proves_who_it_is_in_one_way() {
    let issuer = issuer().await;
    let callback = issuer.authorize(&request(&issuer, "&scope=openid"), &alice());
    let good = code_form(&callback);
    let both = format!("{good}&client_secret={SECRET}");
    let other = format!("{good}&client_id=spa");
    let twice = format!("{good}&code=x");
    for (form, description) in [
        (&both, "client authentication must only be provided using one mechanism"),
        (&other, "client_id mismatch"),
        (&twice, "'code' parameter must not be provided twice"),
    ] {
        let reply = post(&issuer, "/token", &basic("web", SECRET), form).await;
        assert_eq!(reply.error(), (400, "invalid_request".to_owned()), "{form}");
        assert_eq!(reply.json()["error_description"], description, "{form}");
    }
    let nobody = post(&issuer, "/token", "", &good).await;
    let description = "no client authentication mechanism provided";
    assert_eq!(nobody.json()["error_description"], description);
    let wrong = post(&issuer, "/token", &basic("web", "wrong"), &good).await;
    assert_eq!(wrong.error(), (401, "invalid_client".to_owned()));
    let challenge = wrong.header("www-authenticate").unwrap_or_default();
    let realm = format!("Basic realm=\"{}\", error=\"invalid_client\"", issuer.url());
    assert!(challenge.starts_with(&realm), "{challenge}");
    assert_eq!(post(&issuer, "/token", &basic("web", SECRET), &good).await.status(), 200);
}

#[tokio::test]
async fn a_public_client_has_no_secret_and_others_cannot_do_without() {
    let issuer = issuer().await;
    let url = request(&issuer, OFFLINE).replace("client_id=web", "client_id=spa");
    let good = code_form(&issuer.authorize(&url, &alice()));
    for form in [format!("{good}&client_id=spa&client_secret=x"), format!("{good}&client_id=web")] {
        let reply = post(&issuer, "/token", "", &form).await;
        assert_eq!(reply.error(), (401, "invalid_client".to_owned()), "{form}");
    }
    let tokens = post(&issuer, "/token", "", &format!("{good}&client_id=spa")).await;
    assert_eq!(part(&tokens.text("id_token"), 1)["aud"], "spa");
}

/// G11
#[tokio::test]
async fn a_client_can_prove_who_it_is_by_a_key() {
    let issuer = issuer().await;
    let key = SigningKey::generate(SigningAlgorithm::Es256, "client");
    issuer.add_client(Client::with_key("keyed", &key).redirect_uri(CALLBACK));
    let url = request(&issuer, "&scope=openid").replace("client_id=web", "client_id=keyed");
    let good = code_form(&issuer.authorize(&url, &alice()));
    let assertion = |key: &SigningKey| {
        let token = issuer.token().key(key).claim("iss", "keyed").claim("sub", "keyed");
        let assertion = token.claim("aud", issuer.url()).sign();
        let kind = encoded("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        format!("{good}&client_assertion_type={kind}&client_assertion={assertion}")
    };
    let other = SigningKey::generate(SigningAlgorithm::Es256, "client");
    for (form, status) in
        [(format!("{good}&client_id=keyed"), 401), (assertion(&other), 401), (assertion(&key), 200)]
    {
        assert_eq!(post(&issuer, "/token", "", &form).await.status(), status, "{form}");
    }
}

#[tokio::test]
async fn an_access_token_is_shown_in_the_header_or_the_form_alone() {
    let issuer = issuer().await;
    let access = logged_in(&issuer, &alice(), "&scope=openid").await.text("access_token");
    let form = format!("access_token={access}");
    let bearer = format!("Authorization: bearer {access}\r\n");
    let basic = format!("Authorization: Basic {access}\r\n");
    for (headers, form, status) in
        [("", form.as_str(), 200), (&bearer, "", 200), (&bearer, &form, 400), (&basic, "", 400)]
    {
        let reply = post(&issuer, "/me", headers, form).await;
        assert_eq!(reply.status(), status, "{headers}{form}");
    }
    assert_eq!(get(&issuer, &format!("/me?{form}"), "").await.error().1, "invalid_request");
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let issuer = issuer().await;
    for path in ["/token", "/nowhere", "/request", "/session/end/confirm"] {
        assert_eq!(get(&issuer, path, "").await.status(), 404, "{path}");
    }
    assert_eq!(post(&issuer, "/session/end", "", "client_id=web").await.status(), 404);
    let reply = token(&issuer, "").await;
    assert_eq!(reply.json()["error_description"], "missing required parameter 'grant_type'");
}

#[tokio::test]
async fn a_hint_says_who_has_to_log_in() {
    let issuer = issuer().await;
    let bob = pipe_testkit::issuer::Person::new("bob");
    issuer.add_person(&bob);
    let mut browser = issuer.browser(&alice());
    browser.authorize(&request(&issuer, "&scope=openid"));
    for (person, error) in [(alice(), None), (bob, Some("login_required"))] {
        let hint = issuer.id_token("web", &person).sign();
        let more = format!("&scope=openid&prompt=none&id_token_hint={hint}");
        let callback = browser.authorize(&request(&issuer, &more));
        assert_eq!(crate::wire::parameter(&callback, "error").as_deref(), error);
    }
}
