use std::time::Duration;

use pipe_core::TokenFault::{
    AlgorithmRefused, BadSignature, Malformed, MissingClaim, UnknownKey, Unsupported,
    WrongAudience, WrongType,
};
use serde_json::json;

use super::{alice, expect_token};
use crate::LoginStage;
use crate::issuer::{AUDIENCE, Fault, OldKeys, SigningAlgorithm, Spoil};

/// OpenID Connect Core 3.1.3.7, 7: that it came over TLS is no reason to accept it (RFC 8725 3.1).
pub async fn an_id_token_without_signature_is_refused(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil(Spoil::AlgNone);
    let faults = [AlgorithmRefused, BadSignature, Malformed];
    expect_token(stage.finish(&attempt).await, &faults, "alg none");
}

/// OpenID Connect Core 3.1.3.7, 6.
pub async fn an_id_token_that_another_key_signed_is_refused(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil(Spoil::ForeignKey);
    expect_token(stage.finish(&attempt).await, &[BadSignature], "a foreign key");
}

/// OpenID Connect Core 3.1.3.7, 6.
pub async fn an_id_token_of_a_key_that_nobody_published_is_refused(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil_id_token(|token| token.header("kid", "nobody-published-this"));
    expect_token(stage.finish(&attempt).await, &[UnknownKey], "an unknown kid");
}

/// RFC 8725 3.1: neither the client's secret nor the public key is a secret that signs.
pub async fn an_id_token_with_an_hmac_is_refused(stage: LoginStage) {
    stage.good().await;
    let secret = stage.trust().client_secret;
    let pem = stage.issuer.key(SigningAlgorithm::Rs256).public_pem();
    for secret in [secret, pem] {
        let attempt = stage.begin(&alice()).await;
        stage.issuer.spoil_id_token(move |token| token.hmac(secret.as_bytes()));
        let faults = [AlgorithmRefused, BadSignature, UnknownKey];
        expect_token(stage.finish(&attempt).await, &faults, "HS256");
    }
}

/// RFC 7515 4.1.11
pub async fn an_id_token_with_a_critical_extension_is_refused(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil_id_token(|token| token.header("crit", json!(["x"])).header("x", true));
    expect_token(stage.finish(&attempt).await, &[Unsupported, Malformed], "crit");
}

/// RFC 8725 3.11: also when it has all claims of an ID token.
pub async fn an_access_token_is_no_id_token(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    stage.issuer.spoil(Spoil::AccessTokenAsIdToken);
    expect_token(stage.finish(&attempt).await, &[WrongType], "at+jwt");
    let attempt = stage.begin(&alice()).await;
    let key = stage.issuer.key(SigningAlgorithm::Rs256);
    let access_token = stage.issuer.token().claim("sub", "alice").claim("aud", AUDIENCE).key(&key);
    stage.issuer.spoil_id_token(move |_| access_token.clone());
    expect_token(stage.finish(&attempt).await, &[WrongType, WrongAudience], "an access token");
}

/// OpenID Connect Back-Channel Logout 2.4: also one that has the nonce of the login.
pub async fn a_logout_token_is_no_id_token(stage: LoginStage) {
    stage.good().await;
    let client = stage.trust().client_id;
    for typ in [Some("logout+jwt"), None] {
        let attempt = stage.begin(&alice()).await;
        let nonce = attempt.asked("nonce").expect("a nonce");
        let token = stage.issuer.logout_token(&client, "alice", "s").claim("nonce", nonce);
        let token = match typ {
            Some(_) => token,
            None => token.without_header("typ"),
        };
        stage.issuer.spoil_id_token(move |_| token.clone());
        expect_token(stage.finish(&attempt).await, &[WrongType], "a logout token");
    }
}

/// What is no JWT at all.
pub async fn an_id_token_of_another_form_is_refused(stage: LoginStage) {
    stage.good().await;
    for text in ["", "x", "..", "a.b.c", &"A".repeat(100_000)] {
        let attempt = stage.begin(&alice()).await;
        let answer = json!({
            "access_token": "an-access-token",
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": text,
        });
        stage.issuer.fail("/token", Fault::Json(answer.to_string()));
        let finished = stage.finish(&attempt).await;
        stage.issuer.heal("/token");
        if text.is_empty() {
            assert!(finished.is_err(), "an empty ID token: a success");
        } else {
            expect_token(finished, &[Malformed, AlgorithmRefused, MissingClaim], "no JWT");
        }
    }
}

/// A provider replaces its keys, and people go on to log in.
pub async fn people_log_in_after_the_keys_were_replaced(stage: LoginStage) {
    stage.good().await;
    stage.wait(Duration::from_secs(31)).await;
    stage.issuer.rotate(OldKeys::Dropped);
    stage.good().await;
}

/// That the keys cannot be had is no fault of the person.
pub async fn an_id_token_that_cannot_be_checked_is_no_refusal(stage: LoginStage) {
    stage.issuer.fail("/jwks", Fault::Html500);
    let plugin = stage.another().await;
    let stage = stage.with_plugin(plugin);
    let attempt = stage.begin(&alice()).await;
    super::expect_outage(stage.finish(&attempt).await, "the keys cannot be had");
    stage.issuer.heal("/jwks");
    stage.wait(crate::login::PAUSE).await;
    stage.good().await;
}
