use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use pipe_core::TokenFault::{Inactive, Malformed, Unsupported};
use serde_json::json;

use crate::Stage;
use crate::issuer::TokenBuilder;

/// C1
pub async fn c1_padding_is_refused(stage: Stage) {
    stage.good().await;
    // A claim of each length: one of them needs padding.
    for filling in ["", "x", "xx"] {
        let token = stage.token().claim("x", filling);
        let padded = token.sign_written(|bytes| URL_SAFE.encode(bytes));
        if padded.contains('=') {
            stage.refused(&padded, Malformed).await;
        }
        stage.refused(&format!("{}==", token.sign()), Malformed).await;
    }
}

/// C1
pub async fn c1_the_alphabet_of_other_base64_is_refused(stage: Stage) {
    stage.good().await;
    let token = stage.token().claim("x", "??????>>>>>>\u{3ff}\u{fff}");
    let written = token.sign_written(|bytes| STANDARD_NO_PAD.encode(bytes));
    assert!(written.contains(['+', '/']), "the claim was meant to need them");
    stage.refused(&written, Malformed).await;
}

/// C1: a token is exactly its bytes.
pub async fn c1_white_space_is_refused(stage: Stage) {
    stage.good().await;
    let token = stage.token().sign();
    let [header, payload, signature] = stage.token().segments();
    for spaced in [
        format!("{token}\n"),
        format!(" {token}"),
        format!("{token} "),
        format!("{header}. {payload}.{signature}"),
        format!("{header}.{payload}\n.{signature}"),
        format!("{header}.{payload}.\t{signature}"),
    ] {
        stage.refused(&spaced, Malformed).await;
    }
}

/// C1: the bits that no byte needs are zero.
pub async fn c1_bits_left_over_are_refused(stage: Stage) {
    stage.good().await;
    let token = stage.token().sign();
    // 64 bytes are 86 characters, of which the last holds two bits.
    let last = token.chars().last().unwrap_or_default();
    let other = match last {
        'A' => 'B',
        'Q' => 'R',
        'g' => 'h',
        _ => 'x',
    };
    stage.refused(&format!("{}{other}", &token[..token.len() - 1]), Malformed).await;
}

/// C1
pub async fn c1_other_characters_are_refused(stage: Stage) {
    stage.good().await;
    let token = stage.token().sign();
    for odd in ["?", "%2E", "\u{e9}", "\0", "~"] {
        stage.refused(&format!("{token}{odd}"), Malformed).await;
    }
}

/// C2
pub async fn c2_another_number_of_segments_is_refused(stage: Stage) {
    stage.good().await;
    let [header, payload, signature] = stage.token().segments();
    stage.refused(&format!("{header}.{payload}"), Malformed).await;
    stage.refused(&format!("{header}.{payload}.{signature}."), Malformed).await;
    stage.refused(&format!("{header}.{payload}.{signature}.{signature}"), Malformed).await;
    // What has no dot at all may be another issuer's idea of a token.
    stage.refused_for(&header, &[Malformed, Inactive, Unsupported]).await;
}

/// C2
pub async fn c2_an_empty_segment_is_refused(stage: Stage) {
    stage.good().await;
    let [header, payload, signature] = stage.token().segments();
    for token in [format!(".{payload}.{signature}"), format!("{header}..{signature}"), "..".into()]
    {
        stage.refused(&token, Malformed).await;
    }
}

/// C2 (RFC 7515 7.2)
pub async fn c2_the_json_form_is_refused(stage: Stage) {
    stage.good().await;
    let [header, payload, signature] = stage.token().segments();
    let json = json!({"protected": header, "payload": payload, "signature": signature});
    stage.refused_for(&json.to_string(), &[Malformed, Inactive, Unsupported]).await;
}

/// C3: two readers of one token must not see two tokens.
pub async fn c3_a_duplicate_header_is_refused(stage: Stage) {
    stage.good().await;
    for (name, json) in [("alg", "\"ES256\""), ("typ", "\"at+jwt\""), ("kid", "\"x\"")] {
        stage.refused(&stage.token().json_header(name, json).sign(), Malformed).await;
    }
    let twice = stage.token().json_header("x", "1").json_header("x", "1");
    stage.refused(&twice.sign(), Malformed).await;
}

/// C3
pub async fn c3_a_duplicate_claim_is_refused(stage: Stage) {
    stage.good().await;
    for (name, json) in [("exp", "99999999999"), ("iss", "\"x\""), ("roles", "[\"admin\"]")] {
        stage.refused(&stage.token().json_claim(name, json).sign(), Malformed).await;
    }
    // The same name, written in another way.
    stage.refused(&stage.token().json_claim("\\u0073ub", "\"admin\"").sign(), Malformed).await;
}

/// C3
pub async fn c3_a_duplicate_member_at_any_depth_is_refused(stage: Stage) {
    stage.good().await;
    for json in [r#"{"a":1,"a":1}"#, r#"[[{"b":{"a":1,"a":2}}]]"#] {
        stage.refused(&stage.token().json_claim("x", json).sign(), Malformed).await;
    }
}

/// C4 (the list is what some deserialisers take for an object)
pub async fn c4_a_payload_that_is_no_object_is_refused(stage: Stage) {
    stage.good().await;
    let now = stage.issuer.clock().seconds();
    let list = json!([now + 60, now, "sub", stage.issuer.url(), crate::issuer::AUDIENCE]);
    for payload in [list.to_string(), "[]".into(), "1".into(), "null".into(), "\"x\"".into()] {
        stage.refused(&stage.token().payload(payload).sign(), Malformed).await;
    }
}

/// C4
pub async fn c4_a_header_that_is_no_object_is_refused(stage: Stage) {
    stage.good().await;
    for header in ["[\"ES256\",\"at+jwt\"]", "null", "1", "\"ES256\"", "x", "{"] {
        stage.refused(&stage.token().raw_header(header).sign(), Malformed).await;
    }
}

/// C4
pub async fn c4_text_after_the_object_is_refused(stage: Stage) {
    stage.good().await;
    for more in ["x", "{}", "\0", ","] {
        let claims = [&stage.token().claims_json()[..], more.as_bytes()].concat();
        stage.refused(&stage.token().payload(claims).sign(), Malformed).await;
    }
}

/// C4
pub async fn c4_a_byte_order_mark_is_refused(stage: Stage) {
    stage.good().await;
    let claims = [&b"\xef\xbb\xbf"[..], &stage.token().claims_json()].concat();
    stage.refused(&stage.token().payload(claims).sign(), Malformed).await;
}

/// C4
pub async fn c4_what_is_no_utf8_is_refused(stage: Stage) {
    stage.good().await;
    let claims = String::from_utf8_lossy(&stage.token().claims_json()).into_owned();
    let (start, end) = claims.split_at(claims.len() - 1);
    for bytes in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80"] {
        let claims = [start.as_bytes(), b",\"x\":\"", bytes, b"\"", end.as_bytes()].concat();
        stage.refused(&stage.token().payload(claims).sign(), Malformed).await;
    }
}

/// C4
pub async fn c4_half_a_surrogate_pair_is_refused(stage: Stage) {
    stage.good().await;
    for json in [r#""\ud800""#, r#""\udc00x""#] {
        stage.refused(&stage.token().json_claim("x", json).sign(), Malformed).await;
    }
}

/// C4: a C library reads up to the zero.
pub async fn c4_a_zero_in_a_mapped_claim_is_refused(stage: Stage) {
    stage.good().await;
    for name in ["sub", "jti", "client_id", "scope", "tenant", "namespace"] {
        stage.refused(&stage.token().claim(name, "x\0y").sign(), Malformed).await;
    }
    stage.refused(&stage.token().claim("roles", json!(["x\0y"])).sign(), Malformed).await;
}

/// C5: 32 levels, the root being the first.
pub async fn c5_a_payload_that_is_too_deep_is_refused(stage: Stage) {
    let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    stage.accepted(&stage.token().json_claim("x", &nested(31)).sign()).await;
    for levels in [32, 65, 5000] {
        stage.refused(&stage.token().json_claim("x", &nested(levels)).sign(), Malformed).await;
    }
}

/// C5, C7: 256 claims.
pub async fn c5_too_many_claims_are_refused(stage: Stage) {
    let own = 11;
    let with = |count| -> TokenBuilder {
        let more = 0..count - own;
        more.fold(stage.token(), |token, n| token.claim(&format!("c{n}"), n))
    };
    stage.accepted(&with(256).sign()).await;
    stage.refused(&with(257).sign(), Malformed).await;
}

/// C5
pub async fn c5_a_number_that_does_not_fit_is_refused(stage: Stage) {
    stage.good().await;
    for json in ["1e999", "-1e999", "[{\"a\":1e400}]"] {
        stage.refused(&stage.token().json_claim("x", json).sign(), Malformed).await;
    }
}

/// C6 (CVE-2025-61920): 16 KiB.
pub async fn c6_a_token_past_the_limit_is_refused(stage: Stage) {
    let with = |length| stage.token().claim("x", "x".repeat(length)).sign();
    stage.accepted(&with(11_000)).await;
    let token = with(13_000);
    assert!(token.len() > 16 << 10, "the token was meant to be larger");
    stage.refused(&token, Malformed).await;
}

/// C6: 4 KiB, as text.
pub async fn c6_a_header_past_the_limit_is_refused(stage: Stage) {
    let with = |length| stage.token().header("x", "x".repeat(length)).sign();
    stage.accepted(&with(2900)).await;
    let token = with(3100);
    assert!(token.find('.') > Some(4 << 10), "the header was meant to be larger");
    stage.refused(&token, Malformed).await;
}

/// C1: the right token, decoded and encoded again, is still the right one.
pub async fn c1_a_token_of_our_own_writing_is_accepted(stage: Stage) {
    let written = stage.token().sign_written(|bytes| URL_SAFE_NO_PAD.encode(bytes));
    stage.accepted(&written).await;
    // White space within JSON is no fault.
    let claims = String::from_utf8_lossy(&stage.token().claims_json()).replace(",\"", " ,\n \"");
    stage.accepted(&stage.token().payload(claims).sign()).await;
}
