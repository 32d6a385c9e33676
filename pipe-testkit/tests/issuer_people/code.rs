//! The grant `authorization_code`, and what its tokens say.

use std::time::Duration;

use pipe_testkit::issuer::{AUDIENCE, Client, OPAQUE_AUDIENCE, Person, SigningAlgorithm};
use serde_json::json;

use crate::wire::{
    CALLBACK, SECRET, VERIFIER, alice, code_form, encoded, exchange, issuer, logged_in, part, post,
    refresh, request, token, userinfo,
};

#[tokio::test]
async fn a_code_gives_tokens_with_the_claims_of_the_scopes() {
    let issuer = issuer().await;
    let now = issuer.clock().seconds();
    let plain = logged_in(&issuer, &alice(), "&scope=openid%20unknown%20secrets:read").await;
    let body = plain.json();
    assert_eq!(body["access_token"].as_str().map(str::len), Some(43));
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!((&body["scope"], &body["refresh_token"]), (&json!("openid"), &json!(null)));
    let id_token = plain.text("id_token");
    let sid = part(&id_token, 1)["sid"].clone();
    assert_eq!(part(&id_token, 0), json!({"alg": "RS256", "kid": "g1-RS256"}));
    let expected = json!({
        "sub": "alice", "nonce": "no", "sid": sid, "aud": "web", "exp": now + 3600, "iat": now,
        "iss": issuer.url(),
    });
    assert_eq!(part(&id_token, 1), expected);
    assert_eq!(plain.header("cache-control"), Some("no-store"));

    let more = "&scope=openid%20email%20groups%20profile&max_age=100&acr_values=mfa%20pwd";
    let full = logged_in(&issuer, &alice().acr("mfa").tenant("bni"), more).await;
    let claims = part(&full.text("id_token"), 1);
    for (claim, value) in [
        ("email", json!("alice@corp.test")),
        ("email_verified", json!(true)),
        ("name", json!("alice")),
        ("groups", json!(["platform-admins", "bni-editors"])),
        ("roles", json!(["domain-admin"])),
        ("tenant", json!("bni")),
        ("auth_time", json!(now)),
        ("acr", json!("mfa")),
    ] {
        assert_eq!(claims[claim], value, "{claim}");
    }
}

#[tokio::test]
async fn userinfo_tells_the_claims_of_the_scopes() {
    let issuer = issuer().await;
    let tokens = logged_in(&issuer, &alice(), "&scope=openid%20email").await;
    let told = userinfo(&issuer, &tokens.text("access_token")).await;
    let expected = json!({"sub": "alice", "email": "alice@corp.test", "email_verified": true});
    assert_eq!((told.status(), told.json()), (200, expected));
    let bad = userinfo(&issuer, "nonsense").await;
    assert_eq!(bad.error(), (401, "invalid_token".to_owned()));
    let challenge = format!(
        "Bearer realm=\"{}\", error=\"invalid_token\", \
         error_description=\"invalid token provided\"",
        issuer.url()
    );
    assert_eq!(bad.header("www-authenticate"), Some(challenge.as_str()));
    let none = crate::wire::get(&issuer, "/me", "").await;
    assert_eq!(none.status(), 401);
    assert_eq!(none.json()["error_description"], "no access token provided");
    issuer.clock().forward(Duration::from_secs(3600));
    assert_eq!(userinfo(&issuer, &tokens.text("access_token")).await.status(), 401);
}

/// G6
#[tokio::test]
async fn a_code_that_is_used_again_ends_the_whole_grant() {
    let issuer = issuer().await;
    let more = "&scope=openid%20offline_access&prompt=consent";
    let callback = issuer.authorize(&request(&issuer, more), &alice());
    let tokens = exchange(&issuer, &callback).await;
    let access = tokens.text("access_token");
    assert_eq!(userinfo(&issuer, &access).await.status(), 200);
    let replay = exchange(&issuer, &callback).await;
    assert_eq!(replay.error(), (400, "invalid_grant".to_owned()));
    assert_eq!(userinfo(&issuer, &access).await.status(), 401);
    let refreshed = refresh(&issuer, &tokens.text("refresh_token")).await;
    assert_eq!(refreshed.error(), (400, "invalid_grant".to_owned()));
    assert!(issuer.was_revoked("alice"));
}

#[tokio::test]
async fn a_code_is_for_its_client_verifier_and_redirect_uri_alone_and_survives_wrong_guesses() {
    let issuer = issuer().await;
    issuer.add_client(Client::confidential("other", "s").redirect_uri(CALLBACK));
    let callback = issuer.authorize(&request(&issuer, "&scope=openid"), &alice());
    let good = code_form(&callback);
    let uri = encoded(CALLBACK);
    for (form, error) in [
        (good.replace(VERIFIER, &"a".repeat(43)), "invalid_grant"),
        (good.replace(&format!("&code_verifier={VERIFIER}"), ""), "invalid_grant"),
        (good.replace(VERIFIER, "short"), "invalid_request"),
        (good.replace(VERIFIER, &"a".repeat(129)), "invalid_request"),
        (good.replace(VERIFIER, &"!".repeat(50)), "invalid_request"),
        (good.replace(&uri, &encoded(&format!("{CALLBACK}x"))), "invalid_grant"),
        ("grant_type=authorization_code&code=x&code_verifier=x".to_owned(), "invalid_grant"),
        ("grant_type=authorization_code".to_owned(), "invalid_request"),
        ("grant_type=client_credentials".to_owned(), "invalid_request"),
    ] {
        assert_eq!(token(&issuer, &form).await.error(), (400, error.to_owned()), "{form}");
    }
    let other = format!("client_id=other&client_secret=s&{good}");
    let reply = post(&issuer, "/token", "", &other).await;
    assert_eq!(reply.error(), (400, "invalid_grant".to_owned()));
    for form in [format!("client_id=web&{good}"), format!("client_id=web&client_secret=x&{good}")] {
        let reply = post(&issuer, "/token", "", &form).await;
        assert_eq!(reply.error(), (401, "invalid_client".to_owned()));
    }
    assert_eq!(token(&issuer, &good).await.status(), 200);
}

#[tokio::test]
async fn a_code_lives_a_minute() {
    let issuer = issuer().await;
    for (age, status) in [(59, 200), (60, 400)] {
        let callback = issuer.authorize(&request(&issuer, "&scope=openid"), &alice());
        issuer.clock().forward(Duration::from_secs(age));
        assert_eq!(exchange(&issuer, &callback).await.status(), status, "{age}");
    }
}

#[tokio::test]
async fn a_resource_decides_on_the_form_of_the_access_token() {
    let issuer = issuer().await;
    let more = |resource| format!("&scope=openid%20secrets:read&resource={}", encoded(resource));
    let tokens = logged_in(&issuer, &alice().tenant("bni"), &more(AUDIENCE)).await;
    let access = tokens.text("access_token");
    assert_eq!(part(&access, 0)["typ"], "at+jwt");
    let claims = part(&access, 1);
    for (claim, value) in [
        ("sub", json!("alice")),
        ("aud", json!(AUDIENCE)),
        ("client_id", json!("web")),
        ("scope", json!("secrets:read")),
        ("namespace", json!("bni")),
        ("groups", json!(["platform-admins", "bni-editors"])),
    ] {
        assert_eq!(claims[claim], value, "{claim}");
    }
    assert_eq!(tokens.json()["scope"], "secrets:read");
    assert_eq!(userinfo(&issuer, &access).await.error(), (401, "invalid_token".to_owned()));
    let tokens = logged_in(&issuer, &alice(), &more(OPAQUE_AUDIENCE)).await;
    let access = tokens.text("access_token");
    assert_eq!(access.len(), 43);
    assert_eq!(userinfo(&issuer, &access).await.error(), (403, "insufficient_scope".to_owned()));
    let form = format!("client_id=web&client_secret={SECRET}&token={access}");
    let told = post(&issuer, "/token/introspection", "", &form).await.json();
    assert_eq!((&told["sub"], &told["aud"]), (&json!("alice"), &json!(OPAQUE_AUDIENCE)));
    let callback = issuer.authorize(&request(&issuer, "&scope=openid"), &alice());
    let form = code_form(&callback) + "&resource=https%3A%2F%2Fnobody";
    assert_eq!(token(&issuer, &form).await.error(), (400, "invalid_target".to_owned()));
}

#[tokio::test]
async fn an_id_token_is_signed_as_its_client_wants_and_can_have_at_hash() {
    let issuer = issuer().await;
    issuer.set_at_hash(true);
    for algorithm in SigningAlgorithm::ALL {
        let web = Client::confidential("web", SECRET).redirect_uri(CALLBACK);
        issuer.add_client(web.id_token_algorithm(algorithm));
        let tokens = logged_in(&issuer, &alice(), "&scope=openid").await;
        let id_token = tokens.text("id_token");
        assert_eq!(part(&id_token, 0)["alg"], algorithm.name());
        let length = match algorithm {
            SigningAlgorithm::Es384 => 32,
            SigningAlgorithm::EdDsa => 43,
            _ => 22,
        };
        let claims = part(&id_token, 1);
        assert_eq!(claims["at_hash"].as_str().map(str::len), Some(length), "{algorithm:?}");
        // Only clients that are told of logouts with a session have it.
        assert_eq!(claims.get("sid"), None);
    }
}

#[tokio::test]
async fn many_people_who_log_in_at_once_are_not_mixed_up() {
    let issuer = issuer().await;
    let logins = (0..100).map(|number| {
        let person = Person::new(format!("person-{number}")).groups([format!("group-{number}")]);
        let issuer = &issuer;
        async move {
            let more = "&scope=openid%20groups%20offline_access&prompt=consent";
            let tokens = logged_in(issuer, &person, more).await;
            let refreshed = refresh(issuer, &tokens.text("refresh_token")).await;
            for reply in [tokens, refreshed] {
                let claims = part(&reply.text("id_token"), 1);
                assert_eq!(claims["sub"], person.subject());
                assert_eq!(claims["groups"], json!([format!("group-{number}")]));
            }
            assert_eq!(issuer.refreshes(person.subject()), 1);
        }
    });
    futures_util::future::join_all(logins).await;
}
