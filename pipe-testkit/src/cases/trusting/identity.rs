use pipe_core::TokenFault::{Malformed, MissingClaim, WrongAudience, WrongIssuer};
use pipe_core::identity::TokenExpectation;
use serde_json::json;

use crate::Stage;
use crate::issuer::AUDIENCE;

/// What is no text.
const NO_TEXTS: [&str; 5] = ["null", "42", "{}", "true", "[]"];

/// D5
pub async fn d5_a_token_without_issuer_is_refused(stage: Stage) {
    stage.good().await;
    stage.refused(&stage.token().without("iss").sign(), MissingClaim).await;
}

/// D5: also not a list with the right one in it.
pub async fn d5_an_issuer_that_is_no_text_is_refused(stage: Stage) {
    stage.good().await;
    let ours = json!([stage.issuer.url()]).to_string();
    for json in NO_TEXTS.into_iter().chain([ours.as_str()]) {
        let token = stage.token().without("iss").json_claim("iss", json);
        stage.refused(&token.sign(), Malformed).await;
    }
}

/// D5: bytes are compared, and nothing is made of them first.
pub async fn d5_an_issuer_that_looks_like_ours_is_refused(stage: Stage) {
    stage.good().await;
    let url = stage.issuer.url();
    for other in [
        format!("{url}/"),
        url.replace("http:", "HTTP:"),
        url.replace("http:", "https:"),
        format!("{url}.evil.example"),
        format!("{url}/tenant"),
        format!("{url}#"),
        url[..url.len() - 1].to_owned(),
        url.replace("127.0.0.1", "localhost"),
        url.replace("127.0.0.1", "127.0.0.\u{661}"),
        "https://evil.example".to_owned(),
        String::new(),
    ] {
        stage.refused(&stage.token().claim("iss", other).sign(), WrongIssuer).await;
    }
}

/// D6
pub async fn d6_a_token_without_audience_is_refused(stage: Stage) {
    stage.good().await;
    stage.refused(&stage.token().without("aud").sign(), MissingClaim).await;
}

/// D6
pub async fn d6_one_audience_of_several_is_enough(stage: Stage) {
    stage.accepted(&stage.token().claim("aud", json!(["https://other", AUDIENCE])).sign()).await;
    stage.accepted(&stage.token().claim("aud", json!([AUDIENCE])).sign()).await;
    let expect = TokenExpectation::audience("https://third").or_audience(AUDIENCE);
    stage.accepted_as(&stage.token().sign(), &expect).await;
}

/// D6: bytes are compared.
pub async fn d6_another_audience_is_refused(stage: Stage) {
    stage.good().await;
    for audience in [
        "https://other".to_owned(),
        format!("{AUDIENCE}/"),
        AUDIENCE.to_uppercase(),
        AUDIENCE[..AUDIENCE.len() - 1].to_owned(),
        format!("x {AUDIENCE}"),
        "*".to_owned(),
    ] {
        stage.refused(&stage.token().claim("aud", json!([audience])).sign(), WrongAudience).await;
        stage.refused(&stage.token().claim("aud", audience).sign(), WrongAudience).await;
    }
}

/// D6
pub async fn d6_no_audience_at_all_is_refused(stage: Stage) {
    stage.good().await;
    for value in [json!(""), json!([]), json!([""])] {
        let token = stage.token().claim("aud", value).sign();
        stage.refused_for(&token, &[WrongAudience, Malformed, MissingClaim]).await;
    }
}

/// D6: also not beside the right one.
pub async fn d6_an_audience_that_is_no_text_is_refused(stage: Stage) {
    stage.good().await;
    for value in [
        json!(null),
        json!(42),
        json!({"aud": AUDIENCE}),
        json!([AUDIENCE, 1]),
        json!([[AUDIENCE]]),
        json!([AUDIENCE, null]),
    ] {
        stage.refused(&stage.token().claim("aud", value).sign(), Malformed).await;
    }
}

/// D7
pub async fn d7_a_token_without_subject_is_refused(stage: Stage) {
    stage.good().await;
    stage.refused(&stage.token().without("sub").sign(), MissingClaim).await;
}

/// D7
pub async fn d7_a_subject_that_is_no_name_is_refused(stage: Stage) {
    stage.good().await;
    for json in NO_TEXTS.into_iter().chain(["\"\"", "[\"admin\"]"]) {
        let token = stage.token().without("sub").json_claim("sub", json);
        stage.refused(&token.sign(), Malformed).await;
    }
}

/// D7: 255 bytes of UTF-8.
pub async fn d7_a_subject_that_is_too_long_is_refused(stage: Stage) {
    stage.accepted(&stage.token().claim("sub", "x".repeat(255)).sign()).await;
    stage.refused(&stage.token().claim("sub", "x".repeat(256)).sign(), Malformed).await;
    stage.refused(&stage.token().claim("sub", "\u{e9}".repeat(128)).sign(), Malformed).await;
}

/// D7 (RFC 9068 2.2)
pub async fn d7_a_token_without_id_is_refused(stage: Stage) {
    stage.good().await;
    stage.refused(&stage.token().without("jti").sign(), MissingClaim).await;
}

/// D7 (RFC 9068 2.2)
pub async fn d7_a_token_without_client_is_refused(stage: Stage) {
    stage.good().await;
    stage.refused(&stage.token().without("client_id").sign(), MissingClaim).await;
}

/// D7
pub async fn d7_an_id_that_is_no_text_is_refused(stage: Stage) {
    stage.good().await;
    for json in NO_TEXTS {
        for name in ["jti", "client_id"] {
            let token = stage.token().without(name).json_claim(name, json);
            stage.refused(&token.sign(), Malformed).await;
        }
    }
}

/// D7
pub async fn d7_a_scope_that_is_no_text_is_refused(stage: Stage) {
    stage.good().await;
    for json in ["null", "42", "{}", "true"] {
        let token = stage.token().without("scope").json_claim("scope", json);
        stage.refused(&token.sign(), Malformed).await;
    }
}
