//! Lies.

use pipe_testkit::issuer::{SigningAlgorithm, Spoil, TestIssuer};
use serde_json::{Value, json};

use crate::wire::{
    OFFLINE, Reply, alice, exchange, issuer, logged_in, parameter, part, refresh, request,
};

/// G1, G4, G8
#[tokio::test]
async fn the_next_callback_lies_and_the_one_after_it_does_not() {
    let issuer = issuer().await;
    let html = "<script>alert(1)</script>";
    let error =
        Spoil::CallbackError { error: "access_denied".to_owned(), description: html.to_owned() };
    for (spoil, parameter_name, value) in [
        (Spoil::CallbackIssuer("https://evil.test".to_owned()), "iss", Some("https://evil.test")),
        (Spoil::CallbackWithoutIssuer, "iss", None),
        (Spoil::CallbackState("other".to_owned()), "state", Some("other")),
        (Spoil::CallbackWithoutState, "state", None),
        (error.clone(), "error_description", Some(html)),
        (error.clone(), "error", Some("access_denied")),
        (error, "code", None),
    ] {
        issuer.spoil(spoil.clone());
        let callback = issuer.authorize(&request(&issuer, "&scope=openid"), &alice());
        assert_eq!(parameter(&callback, parameter_name).as_deref(), value, "{spoil:?}");
        let right = issuer.authorize(&request(&issuer, "&scope=openid"), &alice());
        assert_eq!(parameter(&right, "iss"), Some(issuer.url()));
        assert_eq!(parameter(&right, "state").as_deref(), Some("st"));
        assert!(parameter(&right, "code").is_some() && parameter(&right, "error").is_none());
    }
}

async fn id_token(issuer: &TestIssuer) -> String {
    let more = "&scope=openid&max_age=100&acr_values=mfa";
    logged_in(issuer, &alice().acr("mfa"), more).await.text("id_token")
}

fn verifies(issuer: &TestIssuer, token: &str) -> bool {
    let (message, signature) = token.rsplit_once('.').expect("a JWT");
    use base64::Engine as _;
    let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature);
    let signature = signature.expect("base64url");
    issuer.key(SigningAlgorithm::Rs256).verify(message.as_bytes(), &signature)
}

/// G2
#[tokio::test]
async fn the_next_id_token_lies_about_one_claim() {
    let issuer = issuer().await;
    let now = issuer.clock().seconds();
    let right = part(&id_token(&issuer).await, 1);
    for (spoil, claim, value) in [
        (Spoil::WrongNonce, "nonce", json!("another-nonce")),
        (Spoil::NoNonce, "nonce", Value::Null),
        (Spoil::WrongAudience, "aud", json!("another-client")),
        (Spoil::OtherAuthorizedParty, "azp", json!("another-client")),
        (Spoil::SeveralAudiences, "aud", json!(["web", "another-client"])),
        (Spoil::Expired, "exp", json!(now - 3600)),
        (Spoil::IssuedInFuture, "iat", json!(now + 3600)),
        (Spoil::WrongIssuer, "iss", json!("https://another-issuer.test")),
        (Spoil::WrongSubject, "sub", json!("somebody-else")),
        (Spoil::OldAuthTime, "auth_time", json!(now - 864_000)),
        (Spoil::NoAuthTime, "auth_time", Value::Null),
        (Spoil::WrongAcr, "acr", json!("another-acr")),
        (Spoil::NoAcr, "acr", Value::Null),
    ] {
        issuer.spoil(spoil.clone());
        let token = id_token(&issuer).await;
        let claims = part(&token, 1);
        assert_eq!(claims[claim], value, "{spoil:?}");
        assert_ne!(right[claim], value, "{spoil:?}");
        assert!(verifies(&issuer, &token), "{spoil:?}");
        let kept = right.as_object().into_iter().flatten();
        let times = ["iat", "exp"];
        let kept =
            kept.filter(|(it, _)| *it != claim && *it != "sid" && !times.contains(&it.as_str()));
        for (name, value) in kept {
            assert_eq!(&claims[name], value, "{spoil:?}");
        }
        assert_eq!(part(&id_token(&issuer).await, 1)[claim], right[claim], "{spoil:?}");
    }
    issuer.spoil_id_token(|token| token.claim("anything", 42));
    assert_eq!(part(&id_token(&issuer).await, 1)["anything"], 42);
}

#[tokio::test]
async fn the_next_id_token_lies_about_its_signature_or_kind() {
    let issuer = issuer().await;
    issuer.set_at_hash(true);
    issuer.spoil(Spoil::AlgNone);
    let token = id_token(&issuer).await;
    assert!(token.ends_with('.') && part(&token, 0)["alg"] == "none", "{token}");
    for _ in 0..9 {
        issuer.spoil(Spoil::ForeignKey);
        let token = id_token(&issuer).await;
        assert!(!verifies(&issuer, &token));
        assert_eq!(part(&token, 0)["kid"], issuer.key(SigningAlgorithm::Rs256).kid());
    }
    issuer.spoil(Spoil::AccessTokenAsIdToken);
    let token = id_token(&issuer).await;
    assert!(verifies(&issuer, &token));
    assert_eq!(
        (&part(&token, 0)["typ"], &part(&token, 1)["aud"]),
        (&json!("at+jwt"), &json!("web"))
    );
    issuer.spoil(Spoil::WrongAtHash);
    let lie = part(&id_token(&issuer).await, 1)["at_hash"].clone();
    // "another-token", hashed by SHA-256 and cut in half.
    assert_eq!(lie.as_str().map(str::len), Some(22));
    issuer.spoil(Spoil::WrongAtHash);
    assert_eq!(part(&id_token(&issuer).await, 1)["at_hash"], lie);
    assert_ne!(part(&id_token(&issuer).await, 1)["at_hash"], lie);
}

/// G9
#[tokio::test]
async fn the_next_token_answer_lies() {
    let issuer = issuer().await;
    for (spoil, member, value) in [
        (Spoil::NoIdToken, "id_token", Value::Null),
        (Spoil::NoAccessToken, "access_token", Value::Null),
        (Spoil::NoRefreshToken, "refresh_token", Value::Null),
        (Spoil::TokenType("DPoP".to_owned()), "token_type", json!("DPoP")),
        (Spoil::ExpiresIn(json!("3600")), "expires_in", json!("3600")),
        (Spoil::ExpiresIn(json!(-1)), "expires_in", json!(-1)),
        (Spoil::ExpiresIn(Value::Null), "expires_in", Value::Null),
        (Spoil::Scope(json!("openid admin")), "scope", json!("openid admin")),
    ] {
        issuer.spoil(spoil.clone());
        let answer = logged_in(&issuer, &alice(), OFFLINE).await.json();
        assert_eq!(answer[member], value, "{spoil:?}");
        let right = logged_in(&issuer, &alice(), OFFLINE).await.json();
        assert_ne!(right[member], value, "{spoil:?}");
        assert_eq!(answer.get(member).is_some(), !value.is_null(), "{spoil:?}");
    }
}

#[tokio::test]
async fn a_refresh_can_lie_about_the_person_and_keep_its_token() {
    let issuer = issuer().await;
    let tokens = logged_in(&issuer, &alice(), OFFLINE).await;
    issuer.spoil(Spoil::WrongSubject);
    issuer.spoil(Spoil::NoRefreshToken);
    let lie = refresh(&issuer, &tokens.text("refresh_token")).await;
    assert_eq!(part(&lie.text("id_token"), 1)["sub"], "somebody-else");
    assert_eq!(lie.json().get("refresh_token"), None);
    let right = refresh(&issuer, &tokens.text("refresh_token")).await;
    assert_eq!(part(&right.text("id_token"), 1)["sub"], "alice");
    assert_eq!((issuer.refreshes("alice"), issuer.reuses("alice")), (2, 0));
}

#[tokio::test]
async fn lies_about_the_same_thing_wait_for_their_turn() {
    let issuer = issuer().await;
    issuer.spoil(Spoil::NoNonce);
    issuer.spoil(Spoil::WrongNonce);
    issuer.spoil(Spoil::CallbackWithoutIssuer);
    let nonce = |reply: &Reply| part(&reply.text("id_token"), 1)["nonce"].clone();
    let callback = issuer.authorize(&request(&issuer, "&scope=openid"), &alice());
    assert_eq!(parameter(&callback, "iss"), None);
    assert_eq!(nonce(&exchange(&issuer, &callback).await), Value::Null);
    assert_eq!(nonce(&logged_in(&issuer, &alice(), "&scope=openid").await), "another-nonce");
    assert_eq!(nonce(&logged_in(&issuer, &alice(), "&scope=openid").await), "no");
}
