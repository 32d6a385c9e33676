use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::TokenFault::{AlgorithmRefused, UnknownKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Stage;
use crate::issuer::{SigningAlgorithm, TokenBuilder};

/// A7: a key that is not used is as good as absent, and the others serve.
pub async fn a7_an_rsa_key_that_is_too_short_is_not_used(stage: Stage) {
    let modulus = stage.issuer.key(SigningAlgorithm::Rs256).modulus();
    stage.issuer.publish(rsa("weak", &modulus[..128], &[1, 0, 1]));
    stage.good().await;
    let token = stage.token().header("alg", "RS256").header("kid", "weak");
    stage.refused(&token.signature([1; 128]).sign(), UnknownKey).await;
}

/// A7: with the exponent 1 the padded message is its own signature.
pub async fn a7_an_rsa_key_with_the_exponent_one_is_not_used(stage: Stage) {
    let modulus = stage.issuer.key(SigningAlgorithm::Rs256).modulus();
    stage.issuer.publish(rsa("one", &modulus, &[1]));
    stage.good().await;
    let token = stage.token().header("alg", "RS256").header("kid", "one");
    stage.refused(&token.clone().signature(padded(&token)).sign(), UnknownKey).await;
}

/// A7
pub async fn a7_an_rsa_key_with_an_even_exponent_is_not_used(stage: Stage) {
    let modulus = stage.issuer.key(SigningAlgorithm::Rs256).modulus();
    stage.issuer.publish(rsa("even", &modulus, &[1, 0, 0]));
    stage.good().await;
    let token = stage.token().header("alg", "RS256").header("kid", "even");
    stage.refused(&token.signature([1; 256]).sign(), UnknownKey).await;
}

/// A7
pub async fn a7_a_point_off_its_curve_is_not_used(stage: Stage) {
    let mut jwk = stage.issuer.key(SigningAlgorithm::Es256).with_kid("off").jwk();
    jwk["y"] = jwk["x"].clone();
    stage.issuer.publish(jwk);
    stage.good().await;
    stage.refused(&stage.token().header("kid", "off").sign(), UnknownKey).await;
}

/// E5: whoever can read the key set could sign with it.
pub async fn e5_a_symmetric_key_in_the_set_is_not_used(stage: Stage) {
    let secret = [7; 32];
    let k = URL_SAFE_NO_PAD.encode(secret);
    stage.issuer.publish(json!({"kty": "oct", "kid": "oct", "k": k, "alg": "HS256", "use": "sig"}));
    stage.issuer.publish(json!({"kty": "oct", "kid": "oct2", "k": k}));
    stage.good().await;
    for kid in ["oct", "oct2"] {
        let token = stage.token().header("kid", kid).hmac(&secret);
        stage.refused_for(&token.sign(), &[AlgorithmRefused]).await;
        stage.refused(&stage.token().header("kid", kid).sign(), UnknownKey).await;
    }
}

/// E6 (RFC 7517 4.2)
pub async fn e6_a_key_for_encryption_is_not_used(stage: Stage) {
    refuses_changed(stage, |jwk| jwk["use"] = "enc".into()).await;
}

/// E6 (RFC 7517 4.3)
pub async fn e6_a_key_that_may_not_verify_is_not_used(stage: Stage) {
    refuses_changed(stage, |jwk| {
        jwk["key_ops"] = json!(["sign", "encrypt"]);
        jwk["use"] = Value::Null;
        if let Value::Object(members) = jwk {
            members.remove("use");
        }
    })
    .await;
}

/// E6: of `n` and the certificate, nobody knows which one was meant.
pub async fn e6_a_key_with_the_certificate_of_another_is_not_used(stage: Stage) {
    let certificate = crate::fake::STAND_IN_CA;
    let base64: String = certificate.lines().filter(|line| !line.starts_with('-')).collect();
    let key = stage.issuer.key(SigningAlgorithm::Rs256).with_kid("changed");
    let mut jwk = key.jwk();
    jwk["x5c"] = json!([base64]);
    stage.issuer.publish(jwk);
    stage.good().await;
    stage.refused(&stage.token().key(&key).sign(), UnknownKey).await;
}

/// E9: a private key that was published is no secret any more.
pub async fn e9_a_private_key_in_the_set_is_not_used(stage: Stage) {
    refuses_changed(stage, |jwk| jwk["d"] = URL_SAFE_NO_PAD.encode([1; 32]).into()).await;
}

/// A key of which this was changed is not used.
async fn refuses_changed(stage: Stage, change: impl Fn(&mut Value)) {
    let key = crate::issuer::SigningKey::generate(SigningAlgorithm::Es256, "changed");
    let unchanged = crate::issuer::SigningKey::generate(SigningAlgorithm::Es256, "unchanged");
    let mut jwk = key.jwk();
    change(&mut jwk);
    stage.issuer.publish(jwk);
    stage.issuer.publish(unchanged.jwk());
    stage.accepted(&stage.token().key(&unchanged).sign()).await;
    stage.refused(&stage.token().key(&key).sign(), UnknownKey).await;
}

fn rsa(kid: &str, modulus: &[u8], exponent: &[u8]) -> Value {
    let encode = |bytes| URL_SAFE_NO_PAD.encode(bytes);
    json!({
        "kty": "RSA",
        "kid": kid,
        "use": "sig",
        "alg": "RS256",
        "n": encode(modulus),
        "e": encode(exponent),
    })
}

/// What an RS256 signature of 2048 bits is before and after "encryption" with the exponent 1.
fn padded(token: &TokenBuilder) -> Vec<u8> {
    const DIGEST_INFO: [u8; 19] = [
        0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
        0x05, 0x00, 0x04, 0x20,
    ];
    let [header, payload, _] = token.segments();
    let digest = Sha256::digest(format!("{header}.{payload}"));
    let filling = vec![0xff; 256 - 3 - DIGEST_INFO.len() - digest.len()];
    [&[0, 1][..], &filling, &[0], &DIGEST_INFO, &digest].concat()
}
