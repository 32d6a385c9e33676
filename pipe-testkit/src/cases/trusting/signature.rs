use pipe_core::TokenFault::{AlgorithmRefused, BadSignature, Malformed};

use crate::Stage;
use crate::issuer::{P256_ORDER, SigningAlgorithm, der, twin};

/// A1 (RFC 8725 3.1, 3.2)
pub async fn a1_alg_none_is_refused(stage: Stage) {
    stage.good().await;
    for alg in ["none", "None", "NONE", "nOnE"] {
        let token = stage.token().header("alg", alg);
        stage
            .refused_for(&token.clone().signature([]).sign(), &[AlgorithmRefused, Malformed])
            .await;
        stage.refused(&token.clone().signature([0]).sign(), AlgorithmRefused).await;
        stage.refused(&token.sign(), AlgorithmRefused).await;
    }
}

/// A1
pub async fn a1_an_alg_in_another_spelling_is_refused(stage: Stage) {
    stage.good().await;
    for alg in ["es256", "Es256", "ES256 ", " ES256", "ES-256", ""] {
        stage.refused(&stage.token().header("alg", alg).sign(), AlgorithmRefused).await;
    }
}

/// A1
pub async fn a1_an_alg_that_is_missing_or_no_text_is_refused(stage: Stage) {
    stage.good().await;
    let faults = [Malformed, AlgorithmRefused];
    stage.refused_for(&stage.token().without_header("alg").sign(), &faults).await;
    for json in ["256", "null", "[\"ES256\"]", "{\"ES256\":1}", "true"] {
        let token = stage.token().without_header("alg").json_header("alg", json);
        stage.refused_for(&token.sign(), &faults).await;
    }
}

/// A2: everybody knows the public key; whoever takes it for a shared secret lets everybody sign.
pub async fn a2_rs256_key_used_as_hmac_secret_is_refused(stage: Stage) {
    let key = stage.issuer.key(SigningAlgorithm::Rs256);
    stage.accepted(&stage.token().key(&key).sign()).await;
    for secret in [
        key.public_pem().into_bytes(),
        key.public_pem().trim_end().as_bytes().to_vec(),
        key.public_der(),
        key.jwk().to_string().into_bytes(),
        key.bare_jwk().to_string().into_bytes(),
        key.modulus(),
        Vec::new(),
    ] {
        stage.refused(&stage.token().key(&key).hmac(&secret).sign(), AlgorithmRefused).await;
    }
}

/// A3: what is allowed is what is configured, and not what the token or the key set says.
pub async fn a3_an_algorithm_outside_the_list_is_refused(stage: Stage) {
    stage.good().await;
    for alg in ["HS256", "HS512", "RS384", "RS512", "PS512", "ES512", "ES256K", "ML-DSA-65", "RS1"]
    {
        stage.refused(&stage.token().header("alg", alg).sign(), AlgorithmRefused).await;
    }
}

/// A3: an algorithm that is allowed, and not for this key.
pub async fn a3_an_algorithm_of_another_type_of_key_is_refused(stage: Stage) {
    stage.good().await;
    for alg in ["RS256", "PS256", "EdDSA"] {
        stage.refused(&stage.token().header("alg", alg).sign(), AlgorithmRefused).await;
    }
}

/// A4
pub async fn a4_a_flipped_signature_is_refused(stage: Stage) {
    stage.good().await;
    for algorithm in SigningAlgorithm::ALL {
        let key = stage.issuer.key(algorithm);
        let token = stage.token().key(&key);
        let signature = signature(&token.sign());
        for at in [0, signature.len() / 2, signature.len() - 1] {
            let mut flipped = signature.clone();
            flipped[at] ^= 1;
            stage.refused(&token.clone().signature(flipped).sign(), BadSignature).await;
        }
    }
}

/// A4
pub async fn a4_a_truncated_signature_is_refused(stage: Stage) {
    stage.good().await;
    for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::EdDsa] {
        let token = stage.token().key(&stage.issuer.key(algorithm));
        let signature = signature(&token.sign());
        for length in [1, signature.len() / 2, signature.len() - 1] {
            let short = token.clone().signature(&signature[..length]);
            stage.refused(&short.sign(), BadSignature).await;
        }
        let empty = token.signature([]).sign();
        stage.refused_for(&empty, &[BadSignature, Malformed]).await;
    }
}

/// A4: also when the signature was good before, elsewhere.
pub async fn a4_the_signature_of_another_token_is_refused(stage: Stage) {
    let other = stage.token().sign();
    stage.accepted(&other).await;
    let foreign = other.rsplit('.').next().unwrap_or_default();
    let [header, payload, _] = stage.token().segments();
    stage.refused(&format!("{header}.{payload}.{foreign}"), BadSignature).await;
}

/// A4
pub async fn a4_a_changed_payload_is_refused(stage: Stage) {
    stage.good().await;
    let [header, _, signature] = stage.token().segments();
    let [_, payload, _] = stage.token().claim("sub", "admin").segments();
    stage.refused(&format!("{header}.{payload}.{signature}"), BadSignature).await;
}

/// A4
pub async fn a4_a_changed_header_is_refused(stage: Stage) {
    stage.good().await;
    let [_, payload, signature] = stage.token().segments();
    let [header, ..] = stage.token().header("x", 1).segments();
    stage.refused(&format!("{header}.{payload}.{signature}"), BadSignature).await;
}

/// A4 (CVE-2022-21449)
pub async fn a4_an_all_zero_ecdsa_signature_is_refused(stage: Stage) {
    stage.good().await;
    stage.refused(&stage.token().signature([0; 64]).sign(), BadSignature).await;
    let key = stage.issuer.key(SigningAlgorithm::Es384);
    stage.refused(&stage.token().key(&key).signature([0; 96]).sign(), BadSignature).await;
}

/// A4: neither number of an ECDSA signature is 0, or the order of the curve and more.
pub async fn a4_an_ecdsa_signature_out_of_range_is_refused(stage: Stage) {
    stage.good().await;
    let token = stage.token();
    let good = signature(&token.sign());
    let (r, s) = good.split_at(32);
    let (order, zero, most) = (&P256_ORDER[..], &[0_u8; 32][..], &[0xff_u8; 32][..]);
    for (r, s) in [(r, zero), (zero, s), (r, order), (order, s), (order, order), (most, most)] {
        stage.refused(&token.clone().signature([r, s].concat()).sign(), BadSignature).await;
    }
}

/// A4
pub async fn a4_an_ecdsa_signature_of_another_length_is_refused(stage: Stage) {
    stage.good().await;
    let token = stage.token();
    let good = signature(&token.sign());
    let (r, s) = good.split_at(32);
    let zero = &[0_u8][..];
    for longer in [[zero, r, zero, s].concat(), [&good[..], zero].concat(), [zero, &good].concat()]
    {
        stage.refused(&token.clone().signature(longer).sign(), BadSignature).await;
    }
}

/// A4: RFC 7518 3.4 wants both numbers at a fixed width, and not ASN.1.
pub async fn a4_an_ecdsa_signature_in_der_is_refused(stage: Stage) {
    stage.good().await;
    let token = stage.token();
    let good = signature(&token.sign());
    stage.refused(&token.signature(der(&good)).sign(), BadSignature).await;
}

/// A4: (r, n − s) verifies as (r, s) does. Whoever takes the signature for the token's identity sees
/// two.
pub async fn a4_the_twin_of_a_signature_tells_nothing_else(stage: Stage) {
    let token = stage.token();
    let first = stage.accepted(&token.sign()).await;
    let twin = token.clone().signature(twin(&signature(&token.sign()))).sign();
    // A verifier may insist on the lower of the two.
    match stage.validate(&twin).await {
        Ok(context) => assert_eq!(context.token_id, first.token_id),
        Err(error) => assert_eq!(error.kind(), pipe_core::ErrorKind::TokenRejected(BadSignature)),
    }
}

/// A5
pub async fn a5_every_listed_algorithm_is_accepted(stage: Stage) {
    for algorithm in SigningAlgorithm::ALL {
        let key = stage.issuer.key(algorithm);
        stage.accepted(&stage.token().key(&key).sign()).await;
    }
}

/// A5 (RFC 9864)
pub async fn a5_ed25519_is_another_name_for_eddsa(stage: Stage) {
    let key = stage.issuer.key(SigningAlgorithm::EdDsa);
    let token = stage.token().key(&key);
    stage.accepted(&token.sign()).await;
    stage.accepted(&token.clone().header("alg", "Ed25519").sign()).await;
    stage.refused(&token.clone().header("alg", "Ed448").sign(), AlgorithmRefused).await;
}

/// A5: the padding is part of what the key is for.
pub async fn a5_a_ps256_token_of_an_rs256_key_is_refused(stage: Stage) {
    let key = stage.issuer.key(SigningAlgorithm::Rs256);
    stage.accepted(&stage.token().key(&key).sign()).await;
    let other = key.with_algorithm(SigningAlgorithm::Ps256);
    stage.refused(&stage.token().key(&other).sign(), AlgorithmRefused).await;
}

/// A5
pub async fn a5_an_rs256_token_of_a_ps256_key_is_refused(stage: Stage) {
    let key = stage.issuer.key(SigningAlgorithm::Ps256);
    stage.accepted(&stage.token().key(&key).sign()).await;
    let other = key.with_algorithm(SigningAlgorithm::Rs256);
    stage.refused(&stage.token().key(&other).sign(), AlgorithmRefused).await;
}

/// A5
pub async fn a5_an_es384_token_of_a_p256_key_is_refused(stage: Stage) {
    stage.good().await;
    stage.refused(&stage.token().header("alg", "ES384").sign(), AlgorithmRefused).await;
}

fn signature(token: &str) -> Vec<u8> {
    use base64::Engine as _;
    let signature = token.rsplit('.').next().unwrap_or_default();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).expect("one of ours")
}
