use std::time::Duration;

use futures_util::future::join_all;
use pipe_core::ErrorKind;
use pipe_core::TokenFault::{AlgorithmRefused, BadSignature, UnknownKey};
use serde_json::{Value, json};

use super::{expect_nobody, expect_outage};
use crate::Stage;
use crate::issuer::{Fault, OldKeys, SigningAlgorithm, SigningKey};

/// Longer than any pause between two fetches.
pub(super) const PAUSE: Duration = Duration::from_secs(120);
/// Longer than a key set is good for.
pub(super) const AGE: Duration = Duration::from_secs(11 * 60);

/// E1: a provider that publishes its keys ahead costs nobody a fetch.
pub async fn e1_a_key_that_was_published_ahead_needs_no_fetch(stage: Stage) {
    stage.issuer.publish_next();
    stage.good().await;
    let fetches = stage.issuer.hits("/jwks");
    stage.issuer.rotate(OldKeys::Kept);
    stage.good().await;
    assert_eq!(stage.issuer.hits("/jwks"), fetches, "a known key was asked for");
}

/// E1
pub async fn e1_a_new_key_is_found_with_one_fetch(stage: Stage) {
    stage.good().await;
    if stage.features.tokio_time {
        stage.wait(PAUSE).await;
        let fetches = stage.issuer.hits("/jwks");
        stage.issuer.rotate(OldKeys::Kept);
        stage.good().await;
        stage.good().await;
        assert_eq!(stage.issuer.hits("/jwks"), fetches + 1, "one fetch finds the new key");
    }
}

/// E1
pub async fn e1_tokens_of_an_old_key_are_good_while_it_is_published(stage: Stage) {
    let old = stage.token().sign();
    stage.accepted(&old).await;
    stage.issuer.rotate(OldKeys::Kept);
    stage.accepted(&old).await;
    // What is known now is the new document.
    let plugin = stage.another().await;
    let token = pipe_core::identity::BearerToken::new(old);
    let checked = plugin.validate_token(&token, &crate::stage::expectation()).await;
    assert!(checked.is_ok(), "{checked:?}");
}

/// E2: whatever happens at the same time, an answer is right.
pub async fn e2_a_rotation_confuses_nobody(stage: Stage) {
    stage.good().await;
    let old: Vec<_> = (0..20).map(|_| stage.token().sign()).collect();
    stage.issuer.rotate(OldKeys::Dropped);
    let new: Vec<_> = (0..20).map(|_| stage.token().sign()).collect();
    stage.wait(PAUSE).await;
    for checked in join_all(old.iter().chain(&new).map(|token| stage.validate(token))).await {
        let kind = checked.map(|_| ()).map_err(|error| error.kind());
        let is_right =
            matches!(kind, Ok(()) | Err(ErrorKind::TokenRejected(UnknownKey | BadSignature)));
        assert!(is_right, "{kind:?}");
    }
}

/// E3: a key that was withdrawn stops working, also for tokens that were accepted before.
pub async fn e3_a_key_that_was_removed_stops_working(stage: Stage) {
    let end = stage.issuer.clock().seconds() + 6 * 3600;
    let old = stage.token().claim("exp", end).sign();
    stage.accepted(&old).await;
    if !stage.features.tokio_time {
        return;
    }
    stage.issuer.rotate(OldKeys::Dropped);
    // A refresh may happen behind the first question after the time, and nobody has to wait for it.
    for _ in 0..20 {
        stage.wait(AGE).await;
        let checked = stage.validate(&old).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        if let Err(error) = checked {
            assert_eq!(error.kind(), ErrorKind::TokenRejected(UnknownKey), "{error:#}");
            stage.good().await;
            return;
        }
    }
    panic!("a key that is not published any more is still trusted");
}

/// E4: of two keys with one name, nobody knows which one was meant.
pub async fn e4_two_keys_of_one_name_are_refused(stage: Stage) {
    let first = SigningKey::generate(SigningAlgorithm::Es256, "same");
    let second = SigningKey::generate(SigningAlgorithm::Es256, "same");
    stage.issuer.publish(first.jwk());
    stage.issuer.publish(second.jwk());
    stage.good().await;
    for key in [first, second] {
        stage.refused(&stage.token().key(&key).sign(), UnknownKey).await;
    }
}

/// E4
pub async fn e4_the_same_key_twice_counts_once(stage: Stage) {
    let key = SigningKey::generate(SigningAlgorithm::Es256, "same");
    stage.issuer.publish(key.jwk());
    stage.issuer.publish(key.jwk());
    stage.accepted(&stage.token().key(&key).sign()).await;
}

/// E4
pub async fn e4_the_algorithm_tells_keys_of_one_name_apart(stage: Stage) {
    let keys = [SigningAlgorithm::Es256, SigningAlgorithm::Es384, SigningAlgorithm::EdDsa]
        .map(|algorithm| SigningKey::generate(algorithm, "same"));
    for key in &keys {
        stage.issuer.publish(key.jwk());
    }
    for key in &keys {
        stage.accepted(&stage.token().key(key).sign()).await;
    }
    let token = stage.token().key(&keys[0]).header("alg", "RS256").sign();
    stage.refused_for(&token, &[AlgorithmRefused, UnknownKey]).await;
}

/// E7
pub async fn e7_an_odd_entry_does_not_spoil_the_others(stage: Stage) {
    for entry in [
        json!(42),
        Value::Null,
        json!("key"),
        json!([]),
        json!({}),
        json!({"kty": "AKP", "alg": "ML-DSA-65", "kid": "pq", "pub": "AAAA"}),
        json!({"kty": "EC", "crv": "P-521", "kid": "p521", "x": "AAAA", "y": "AAAA"}),
        json!({"kty": "RSA", "kid": "half", "n": "AAAA"}),
        json!({"kty": "EC", "crv": "P-256", "kid": "no-base64", "x": "?", "y": "?"}),
        json!({"kty": 1, "kid": 2}),
    ] {
        stage.issuer.publish(entry);
    }
    stage.good().await;
    stage.refused(&stage.token().header("kid", "half").sign(), UnknownKey).await;
}

/// E7
pub async fn e7_what_is_no_key_set_lets_nobody_in(stage: Stage) {
    let token = pipe_core::identity::BearerToken::new(stage.token().sign());
    let expect = crate::stage::expectation();
    for document in ["{\"keys\":[]}", "{}", "[]", "null", "{\"keys\":{}}", "{\"keys\":null}", "{"] {
        stage.issuer.fail("/jwks", Fault::Json(document.to_owned()));
        let plugin = stage.another().await;
        let checked = plugin.validate_token(&token, &expect).await;
        expect_nobody(checked, document);
    }
    stage.issuer.heal("/jwks");
    let plugin = stage.another().await;
    let checked = plugin.validate_token(&token, &expect).await;
    assert!(checked.is_ok(), "{checked:?}");
}

/// E7: 100 keys.
pub async fn e7_a_key_set_of_too_many_keys_is_refused_whole(stage: Stage) {
    let token = pipe_core::identity::BearerToken::new(stage.token().sign());
    let expect = crate::stage::expectation();
    let jwk = SigningKey::generate(SigningAlgorithm::Es256, "x").jwk();
    let named = |n: usize| {
        let mut jwk = jwk.clone();
        jwk["kid"] = format!("k{n}").into();
        jwk
    };
    let mut keys = stage.issuer.jwks()["keys"].as_array().cloned().unwrap_or_default();
    keys.extend((keys.len()..100).map(named));
    stage.issuer.fail("/jwks", Fault::Json(json!({"keys": keys}).to_string()));
    let checked = stage.another().await.validate_token(&token, &expect).await;
    assert!(checked.is_ok(), "a hundred keys: {checked:?}");
    keys.push(named(100));
    stage.issuer.fail("/jwks", Fault::Json(json!({"keys": keys}).to_string()));
    let plugin = stage.another().await;
    let checked = plugin.validate_token(&token, &expect).await;
    expect_outage(checked, "more than a hundred keys");
}

/// E8
pub async fn e8_a_token_without_kid_needs_one_fitting_key(stage: Stage) {
    for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Es256, SigningAlgorithm::EdDsa] {
        let token = stage.token().key(&stage.issuer.key(algorithm));
        stage.accepted(&token.without_header("kid").sign()).await;
    }
}

/// E8
pub async fn e8_a_token_without_kid_is_refused_among_several_keys(stage: Stage) {
    stage.issuer.publish_next();
    stage.good().await;
    stage.refused(&stage.token().without_header("kid").sign(), UnknownKey).await;
}
