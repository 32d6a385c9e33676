use pipe_core::TokenFault::{
    self, AlgorithmRefused, BadSignature, Expired, IssuedInFuture, Malformed, MissingClaim,
    UnknownKey, WrongAudience, WrongIssuer, WrongNonce, WrongType,
};
use serde_json::{Value, json};

use super::back_channel::{logout, offers};
use super::{alice, expect_token};
use crate::LoginStage;
use crate::issuer::{SigningAlgorithm, SigningKey, TokenBuilder};
use crate::login::CLIENT;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Changed in each of these ways, a good logout token is refused for one of these reasons, and the
/// session goes on. Unchanged, it ends it.
async fn are_refused<const N: usize>(
    stage: &LoginStage,
    faults: &[TokenFault],
    changes: [&dyn Fn(TokenBuilder) -> TokenBuilder; N],
) {
    if !offers(stage) {
        return;
    }
    let logged_in = stage.log_in_within("sid-1", &alice()).await;
    for (n, change) in changes.into_iter().enumerate() {
        let token = change(logout(stage, "alice", "sid-1"));
        let what = format!("change {n}: {}", String::from_utf8_lossy(&token.claims_json()));
        expect_token(stage.told(&token.sign()).await, faults, &what);
        stage.session(&logged_in.id).await;
    }
    let told = stage.told(&logout(stage, "alice", "sid-1").sign()).await;
    assert!(matches!(told, Ok(1)), "a good one: {told:?}");
}

/// G12 (2.6, RFC 8725 3.11)
pub async fn g12_a_logout_token_of_another_type_is_refused(stage: LoginStage) {
    let at = |token: TokenBuilder| token.header("typ", "at+jwt");
    let dpop = |token: TokenBuilder| token.header("typ", "dpop+jwt");
    are_refused(&stage, &[WrongType], [&at, &dpop]).await;
}

/// G12 (2.4)
pub async fn g12_a_logout_token_without_its_event_is_refused(stage: LoginStage) {
    let none = |token: TokenBuilder| token.without("events");
    let with = |events: Value| move |token: TokenBuilder| token.claim("events", events.clone());
    let (empty, other) = (with(json!({})), with(json!({"http://schemas.test/other": {}})));
    let (text, list) = (with(json!(EVENT)), with(json!([EVENT])));
    let null = with(json!({EVENT: null}));
    let faults = [WrongType, MissingClaim, Malformed];
    are_refused(&stage, &faults, [&none, &empty, &other, &text, &list, &null]).await;
}

/// G12 (2.4): an ID token has one.
pub async fn g12_a_logout_token_with_a_nonce_is_refused(stage: LoginStage) {
    let nonce = |token: TokenBuilder| token.claim("nonce", "a-nonce");
    let null = |token: TokenBuilder| token.claim("nonce", Value::Null);
    are_refused(&stage, &[WrongType, Malformed, WrongNonce], [&nonce, &null]).await;
}

/// G12
pub async fn g12_a_logout_token_for_another_client_is_refused(stage: LoginStage) {
    let other = |token: TokenBuilder| token.claim("aud", "another-client");
    let longer = |token: TokenBuilder| token.claim("aud", format!("{CLIENT}2"));
    are_refused(&stage, &[WrongAudience], [&other, &longer]).await;
}

/// G12
pub async fn g12_a_logout_token_of_another_issuer_is_refused(stage: LoginStage) {
    let slash = format!("{}/", stage.issuer.url());
    let other = |token: TokenBuilder| token.claim("iss", "https://another-issuer.test");
    let slash = |token: TokenBuilder| token.claim("iss", slash.as_str());
    are_refused(&stage, &[WrongIssuer], [&other, &slash]).await;
}

/// G12
pub async fn g12_a_logout_token_that_has_expired_is_refused(stage: LoginStage) {
    let now = stage.issuer.clock().seconds();
    let old = |token: TokenBuilder| token.claim("iat", now - 3600).claim("exp", now - 3480);
    are_refused(&stage, &[Expired], [&old]).await;
}

/// G12
pub async fn g12_a_logout_token_from_the_future_is_refused(stage: LoginStage) {
    let now = stage.issuer.clock().seconds();
    let early = |token: TokenBuilder| token.claim("iat", now + 600).claim("exp", now + 700);
    are_refused(&stage, &[IssuedInFuture], [&early]).await;
}

/// G12 (2.4): all of them are required.
pub async fn g12_a_logout_token_without_a_required_claim_is_refused(stage: LoginStage) {
    let faults = [MissingClaim, WrongIssuer, WrongAudience, Malformed];
    let without = |name: &'static str| move |token: TokenBuilder| token.without(name);
    let (iss, aud) = (without("iss"), without("aud"));
    let (exp, iat) = (without("exp"), without("iat"));
    are_refused(&stage, &faults, [&iss, &aud, &exp, &iat]).await;
}

/// G12 (2.4): without one, nobody can tell whether it was used.
pub async fn g12_a_logout_token_without_id_is_refused(stage: LoginStage) {
    let none = |token: TokenBuilder| token.without("jti");
    let number = |token: TokenBuilder| token.claim("jti", 42);
    are_refused(&stage, &[MissingClaim, Malformed], [&none, &number]).await;
}

/// G12 (2.4): about whom?
pub async fn g12_a_logout_token_about_neither_session_nor_person_is_refused(stage: LoginStage) {
    let neither = |token: TokenBuilder| token.without("sid").without("sub");
    let nothing = |token: TokenBuilder| token.claim("sid", Value::Null).without("sub");
    are_refused(&stage, &[MissingClaim, Malformed], [&neither, &nothing]).await;
}

/// G12 (2.6)
pub async fn g12_a_logout_token_with_a_bad_signature_is_refused(stage: LoginStage) {
    let own = stage.issuer.key(SigningAlgorithm::Rs256);
    let foreign = loop {
        let key = SigningKey::generate(SigningAlgorithm::Rs256, own.kid());
        if key.bare_jwk() != own.bare_jwk() {
            break key;
        }
    };
    let secret = stage.trust().client_secret;
    let forged = |token: TokenBuilder| token.signed_by(&foreign);
    let none = |token: TokenBuilder| token.header("alg", "none").signature([]);
    let hmac = |token: TokenBuilder| token.hmac(secret.as_bytes());
    let faults = [BadSignature, AlgorithmRefused, UnknownKey, Malformed];
    are_refused(&stage, &faults, [&forged, &none, &hmac]).await;
}

/// G12: what the plugin was given for another purpose.
pub async fn g12_an_id_token_is_no_logout_token(stage: LoginStage) {
    let id_token = stage.issuer.id_token(CLIENT, &alice()).claim("sid", "sid-1").claim("jti", "x");
    let bare = |_: TokenBuilder| id_token.clone();
    let typed = |_: TokenBuilder| id_token.clone().header("typ", "logout+jwt");
    let key = stage.issuer.key(SigningAlgorithm::Rs256);
    let access_token = stage.issuer.token().claim("aud", CLIENT).claim("sid", "sid-1").key(&key);
    let access = |_: TokenBuilder| access_token.clone();
    are_refused(&stage, &[WrongType, MissingClaim], [&bare, &typed, &access]).await;
}

/// G12
pub async fn g12_what_is_no_logout_token_is_refused(stage: LoginStage) {
    if !offers(&stage) {
        return;
    }
    stage.good().await;
    for text in ["", "x", "..", "a.b.c", &"A".repeat(1 << 20)] {
        expect_token(
            stage.told(text).await,
            &[Malformed, MissingClaim, AlgorithmRefused],
            "no JWT",
        );
    }
}
