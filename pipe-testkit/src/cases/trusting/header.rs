use pipe_core::TokenFault::{
    BadSignature, Inactive, Malformed, UnknownKey, Unsupported, WrongType,
};
use serde_json::{Value, json};

use crate::Stage;
use crate::issuer::{DISCOVERY, SigningAlgorithm, SigningKey};

/// B1: an address in a token is the presenter's choice.
pub async fn b1_addresses_in_the_header_are_never_fetched(stage: Stage) {
    let url = stage.issuer.url();
    let token = stage
        .token()
        .header("jku", format!("{url}/evil.json"))
        .header("x5u", format!("{url}/evil.pem"));
    // Ignored by default; refusing them altogether is a setting.
    stage.accepted(&token.sign()).await;
    stage.refused(&token.header("kid", "evil").sign(), UnknownKey).await;
    let evil = ["/evil.json", "/evil.pem"].map(|path| stage.issuer.hits(path));
    assert_eq!(evil, [0, 0], "an address in a header was fetched");
}

/// B2 (CVE-2018-0114)
pub async fn b2_a_key_in_the_header_is_not_trusted(stage: Stage) {
    stage.good().await;
    let key = SigningKey::generate(SigningAlgorithm::Es256, "mine");
    let token = stage.token().signed_by(&key).header("jwk", key.jwk());
    stage.refused(&token.sign(), BadSignature).await;
    stage.refused(&token.clone().header("kid", "mine").sign(), UnknownKey).await;
    let kidless = token.without_header("kid").sign();
    stage.refused_for(&kidless, &[BadSignature, UnknownKey]).await;
}

/// B2
pub async fn b2_a_certificate_in_the_header_is_not_trusted(stage: Stage) {
    stage.good().await;
    let key = SigningKey::generate(SigningAlgorithm::Es256, "mine");
    use base64::Engine as _;
    let certificate = base64::engine::general_purpose::STANDARD.encode(key.public_der());
    let token = stage.token().signed_by(&key).header("x5c", json!([certificate]));
    stage.refused(&token.sign(), BadSignature).await;
    stage.refused(&token.header("kid", "mine").sign(), UnknownKey).await;
}

/// B3 (RFC 7515 4.1.11)
pub async fn b3_an_unknown_crit_is_refused(stage: Stage) {
    stage.good().await;
    for (name, value) in [("exp", json!(1)), ("x", json!(true)), ("urn:x", json!({}))] {
        let token = stage.token().header("crit", json!([name])).header(name, value);
        stage.refused(&token.sign(), Unsupported).await;
    }
}

/// B3
pub async fn b3_a_crit_that_is_none_is_refused(stage: Stage) {
    stage.good().await;
    for json in ["[]", "null", "\"exp\"", "{}", "[1]", "[\"x\",\"x\"]", "[\"absent\"]", "[\"alg\"]"]
    {
        let token = stage.token().json_header("crit", json).sign();
        stage.refused_for(&token, &[Unsupported, Malformed]).await;
    }
}

/// B4 (RFC 7797)
pub async fn b4_an_unencoded_payload_is_refused(stage: Stage) {
    stage.good().await;
    for b64 in [false, true] {
        stage.refused(&stage.token().header("b64", b64).sign(), Unsupported).await;
        let critical = stage.token().header("b64", b64).header("crit", json!(["b64"]));
        stage.refused(&critical.sign(), Unsupported).await;
    }
}

/// B5: the name of a key is bytes, and nothing else.
pub async fn b5_a_kid_is_compared_byte_by_byte(stage: Stage) {
    let kid = stage.issuer.key(SigningAlgorithm::Es256).kid().to_owned();
    stage.good().await;
    for other in [
        kid.to_lowercase(),
        format!("{kid} "),
        format!(" {kid}"),
        format!("{kid}\0"),
        kid.replace('E', "\u{415}"),
        kid[..kid.len() - 1].to_owned(),
        "*".to_owned(),
    ] {
        stage
            .refused_for(&stage.token().header("kid", other).sign(), &[UnknownKey, Malformed])
            .await;
    }
    let empty = stage.token().header("kid", "").sign();
    stage.refused_for(&empty, &[UnknownKey, Malformed]).await;
}

/// B5: the presenter chooses the `kid`; it is no part of a request.
pub async fn b5_a_hostile_kid_reaches_nobody(stage: Stage) {
    stage.good().await;
    for kid in [
        "../../dev/null",
        "x' OR 1=1 --",
        "x\r\nHost: evil",
        "x\0y",
        "http://127.0.0.1/evil",
        "?kid=1",
    ] {
        let token = stage.token().header("kid", kid).sign();
        stage.refused_for(&token, &[UnknownKey, Malformed]).await;
    }
    for target in stage.issuer.requests() {
        assert!(
            [DISCOVERY, "/jwks", "/token/introspection"].contains(&target.as_str()),
            "asked for {target}"
        );
    }
}

/// B5
pub async fn b5_a_kid_that_is_no_text_is_refused(stage: Stage) {
    stage.good().await;
    for json in ["1", "null", "[\"x\"]", "{}", "true"] {
        let token = stage.token().without_header("kid").json_header("kid", json);
        stage.refused(&token.sign(), Malformed).await;
    }
}

/// B6
pub async fn b6_a_compressed_token_is_refused(stage: Stage) {
    stage.good().await;
    stage.refused(&stage.token().header("zip", "DEF").sign(), Unsupported).await;
}

/// B6
pub async fn b6_a_token_that_says_that_it_is_encrypted_is_refused(stage: Stage) {
    stage.good().await;
    stage.refused(&stage.token().header("enc", "A256GCM").sign(), Unsupported).await;
}

/// B6 (CVE-2023-50966): two thousand million rounds are not begun.
pub async fn b6_an_encrypted_token_is_refused_without_work(stage: Stage) {
    stage.good().await;
    let header = json!({
        "alg": "PBES2-HS256+A128KW",
        "enc": "A128CBC-HS256",
        "p2s": "c2FsdHNhbHQ",
        "p2c": 2_147_483_647,
        "kid": stage.issuer.key(SigningAlgorithm::Es256).kid(),
    });
    let [header, ..] = stage.token().raw_header(header.to_string()).segments();
    let jwe = format!("{header}.AAAA.AAAA.AAAA.AAAA");
    // Who asks the issuer about it is told that it is not active.
    stage.refused_for(&jwe, &[Unsupported, Malformed, Inactive]).await;
}

/// B7 (RFC 8725 3.11): the other tokens of the same issuer, signed with the same key.
pub async fn b7_a_token_of_another_type_is_refused(stage: Stage) {
    stage.good().await;
    for typ in ["logout+jwt", "dpop+jwt", "JWT", "secevent+jwt", "rt+jwt", "at+jwt; v=1", "at", ""]
    {
        stage.refused(&stage.token().header("typ", typ).sign(), WrongType).await;
    }
}

/// B7 (RFC 9068 4)
pub async fn b7_a_token_without_type_is_refused(stage: Stage) {
    stage.good().await;
    stage.refused(&stage.token().without_header("typ").sign(), WrongType).await;
}

/// B7
pub async fn b7_a_type_that_is_no_text_is_refused(stage: Stage) {
    stage.good().await;
    for value in [Value::Null, json!(1), json!(["at+jwt"]), json!({})] {
        let token = stage.token().header("typ", value).sign();
        stage.refused_for(&token, &[WrongType, Malformed]).await;
    }
}

/// B7 (RFC 7515 4.1.9)
pub async fn b7_a_type_is_compared_without_case(stage: Stage) {
    for typ in ["at+jwt", "AT+JWT", "At+Jwt", "application/at+jwt", "APPLICATION/at+JWT"] {
        stage.accepted(&stage.token().header("typ", typ).sign()).await;
    }
}

/// B8
pub async fn b8_a_nested_token_is_refused(stage: Stage) {
    stage.good().await;
    for cty in ["JWT", "jwt"] {
        stage.refused(&stage.token().header("cty", cty).sign(), Unsupported).await;
    }
}

/// B8
pub async fn b8_another_content_type_changes_nothing(stage: Stage) {
    stage.accepted(&stage.token().header("cty", "json").sign()).await;
}
