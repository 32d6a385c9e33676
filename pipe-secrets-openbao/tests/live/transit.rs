//! Keys that stay at the server: encryption, signatures, rotation, batches.

use pipe_core::{Error, ErrorKind, SecretValue};
use pipe_secrets_openbao::{Hash, OpenBao};
use serde_json::json;

use crate::server;
use crate::setup::{config, namespace, plugin, token};

/// What a bot needs: no `create`, with which the server would make a key of a misspelt name.
const POLICY: &str = r#"
path "transit/keys/*"    { capabilities = ["read"] }
path "transit/+/+"       { capabilities = ["update"] }
path "transit/keys/+/rotate" { capabilities = ["update"] }
path "transit/datakey/+/+"   { capabilities = ["update"] }
"#;

/// A plugin for a namespace with a transit engine that has keys of these types.
async fn transit(keys: &[(&str, serde_json::Value)]) -> Option<OpenBao> {
    let server = server::shared().await?;
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    admin.write(&namespace, "sys/mounts/transit", json!({ "type": "transit" })).await;
    for (name, settings) in keys {
        admin.write(&namespace, &format!("transit/keys/{name}"), settings.clone()).await;
    }
    admin.policy(&namespace, "transit", POLICY).await;
    let made = admin.token(&namespace, &["transit"], "10m", json!({})).await;
    Some(plugin(config(server.address(), &namespace, token(made))))
}

#[track_caller]
fn expect(error: &Error, kind: ErrorKind, hint: &str) {
    assert_eq!(error.kind(), kind, "{error:#}");
    assert!(error.hint_text().contains(hint), "no `{hint}` in: {error:#}");
    assert_eq!(error.plugin(), "openbao", "{error:#}");
}

#[tokio::test]
async fn what_is_encrypted_is_decrypted_by_every_allowed_version() {
    let Some(bao) = transit(&[("k", json!({})), ("other", json!({}))]).await else { return };
    let cipher = bao.cipher("transit", "k").unwrap();
    for plaintext in [&b"hunter2"[..], b"", b"\xff\x00", &[7; 100_000]] {
        let plaintext = SecretValue::from(plaintext.to_vec());
        let ciphertext = cipher.encrypt(&plaintext).await.unwrap();
        assert!(ciphertext.starts_with("vault:v1:"));
        assert!(cipher.decrypt(&ciphertext).await.unwrap() == plaintext);
    }

    let plaintext = SecretValue::from("hunter2");
    let old = cipher.encrypt(&plaintext).await.unwrap();
    let info = cipher.rotate().await.unwrap();
    assert_eq!((info.latest_version, info.versions.len()), (2, 2));
    assert!(info.versions[&2].created_at.is_some());
    assert_eq!(cipher.describe().await.unwrap(), info);
    assert!(cipher.decrypt(&old).await.unwrap() == plaintext);
    let new = cipher.rewrap(&old).await.unwrap();
    assert!(new.starts_with("vault:v2:"), "{new}");
    assert!(cipher.decrypt(&new).await.unwrap() == plaintext);

    let key = cipher.data_key().await.unwrap();
    assert_eq!(key.plaintext.len(), 32);
    assert!(cipher.decrypt(&key.ciphertext).await.unwrap() == key.plaintext);
    let wrapped = cipher.wrapped_data_key().await.unwrap();
    assert_eq!(cipher.decrypt(&wrapped).await.unwrap().len(), 32);

    let hmac = cipher.hmac(b"index").await.unwrap();
    assert_eq!(cipher.hmac(b"index").await.unwrap(), hmac);
    assert!(cipher.verify_hmac(b"index", &hmac).await.unwrap());
    assert!(!cipher.verify_hmac(b"other", &hmac).await.unwrap());

    // Of another key, changed, or nothing of the kind.
    let other = bao.cipher("transit", "other").unwrap();
    let changed = format!("{}AAAA", &new[..new.len() - 4]);
    for (cipher, text) in [(&other, &new), (&cipher, &changed), (&cipher, &"hunter2".to_owned())] {
        let error = cipher.decrypt(text).await.unwrap_err();
        expect(&error, ErrorKind::InvalidArgument, "check the key");
        assert!(!format!("{error:?}{error:#}").contains("hunter2"));
    }
    let error = cipher.decrypt("vault:v9:aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ=").await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "check the key");
}

#[tokio::test]
async fn a_bound_ciphertext_cannot_be_moved() {
    let derived = json!({ "derived": true });
    let Some(bao) = transit(&[("k", json!({})), ("d", derived)]).await else { return };
    let plaintext = SecretValue::from("hunter2");
    let cipher = bao.cipher("transit", "k").unwrap();
    let (one, two) = (cipher.clone().bound_to("one"), cipher.clone().bound_to("two"));
    let bound = one.encrypt(&plaintext).await.unwrap();
    assert!(one.decrypt(&bound).await.unwrap() == plaintext);
    for wrong in [&two, &cipher] {
        let error = wrong.decrypt(&bound).await.unwrap_err();
        expect(&error, ErrorKind::InvalidArgument, "associated data");
    }
    one.rotate().await.unwrap();
    let rewrapped = one.rewrap(&bound).await.unwrap();
    assert!(rewrapped.starts_with("vault:v2:"), "{rewrapped}");
    assert!(one.decrypt(&rewrapped).await.unwrap() == plaintext);

    let derived = bao.cipher("transit", "d").unwrap();
    let error = derived.encrypt(&plaintext).await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "context");
    let mine = derived.clone().derived_for("mine").bound_to("one");
    let text = mine.encrypt(&plaintext).await.unwrap();
    assert!(mine.decrypt(&text).await.unwrap() == plaintext);
    let theirs = derived.derived_for("theirs").bound_to("one");
    assert!(theirs.decrypt(&text).await.is_err());
    let all = mine.encrypt_all(&vec![plaintext.clone(); 400]).await.unwrap();
    for decrypted in mine.decrypt_all(&all).await.unwrap() {
        assert!(decrypted.unwrap() == plaintext);
    }
}

#[tokio::test]
async fn a_batch_keeps_its_order_and_tells_failures_apart() {
    let Some(bao) = transit(&[("k", json!({})), ("e", json!({ "type": "ed25519" }))]).await else {
        return;
    };
    let cipher = bao.cipher("transit", "k").unwrap();
    let plaintexts: Vec<_> = (0..1200).map(|n| SecretValue::from(format!("number {n}"))).collect();
    let mut ciphertexts = cipher.encrypt_all(&plaintexts).await.unwrap();
    ciphertexts[700] = "garbage".to_owned();
    let decrypted = cipher.decrypt_all(&ciphertexts).await.unwrap();
    assert_eq!(decrypted.len(), 1200);
    for (number, (result, plaintext)) in decrypted.into_iter().zip(&plaintexts).enumerate() {
        match number {
            700 => {
                let error = result.unwrap_err();
                expect(&error, ErrorKind::InvalidArgument, "check the key");
            }
            _ => assert!(result.unwrap() == *plaintext, "{number}"),
        }
    }
    let error = cipher.encrypt_all(&[]).await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "at least one");

    let key = bao.signing_key("transit", "e").unwrap();
    let messages: Vec<_> = (0..600).map(|n| format!("message {n}")).collect();
    let mut signatures = key.sign_all(&messages).await.unwrap();
    signatures.swap(0, 1);
    let signed: Vec<_> = messages.iter().zip(&signatures).collect();
    let verified = key.verify_all(&signed).await.unwrap();
    for (number, valid) in verified.into_iter().enumerate() {
        assert_eq!(valid.unwrap(), number > 1, "{number}");
    }
}

#[tokio::test]
async fn signatures_of_every_type_of_key() {
    let kinds = ["ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048"];
    let keys: Vec<_> = kinds.iter().map(|kind| (*kind, json!({ "type": kind }))).collect();
    let Some(bao) = transit(&keys).await else { return };
    for kind in kinds {
        for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            let key = bao.signing_key("transit", kind).unwrap().with_hash(hash);
            let signature = key.sign(b"message").await.unwrap();
            assert!(key.verify(b"message", &signature).await.unwrap(), "{kind} {hash:?}");
            assert!(!key.verify(b"other", &signature).await.unwrap(), "{kind} {hash:?}");
        }
    }
    let key = bao.signing_key("transit", "ed25519").unwrap();
    let error = key.verify(b"message", "garbage").await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "check the key");
    let error = bao.cipher("transit", "ed25519").unwrap().encrypt(&"x".into()).await.unwrap_err();
    expect(&error, ErrorKind::Unsupported, "aes256-gcm96");
}

#[tokio::test]
async fn refusals() {
    let Some(bao) = transit(&[("k", json!({}))]).await else { return };
    let x = SecretValue::from("x");
    let nosuch = bao.cipher("transit", "nosuch").unwrap();
    expect(&nosuch.encrypt(&x).await.unwrap_err(), ErrorKind::NotFound, "name of the key");
    expect(&nosuch.decrypt("vault:v1:abcd").await.unwrap_err(), ErrorKind::NotFound, "key");
    expect(&nosuch.describe().await.unwrap_err(), ErrorKind::NotFound, "key");
    expect(&nosuch.rotate().await.unwrap_err(), ErrorKind::NotFound, "key");
    let error = bao.signing_key("transit", "nosuch").unwrap().sign(b"x").await.unwrap_err();
    expect(&error, ErrorKind::NotFound, "key");
    let error = bao.signing_key("transit", "k").unwrap().sign(b"x").await.unwrap_err();
    expect(&error, ErrorKind::Unsupported, "ed25519");
    let error = bao.cipher("nomount", "k").unwrap().decrypt("vault:v1:abcd").await.unwrap_err();
    expect(&error, ErrorKind::PermissionDenied, "grant `update` on \"nomount/decrypt/k\"");
    for (mount, key) in [("transit", "../k"), ("transit", ""), ("a//b", "k"), ("transit", "a/b")] {
        let error = bao.cipher(mount, key).unwrap_err();
        expect(&error, ErrorKind::InvalidArgument, "use");
    }
}

/// With `create`, the server would make a key of the misspelt name.
#[tokio::test]
async fn a_misspelt_name_makes_no_key() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    admin.write(&namespace, "sys/mounts/transit", json!({ "type": "transit" })).await;
    let all = r#"path "transit/*" { capabilities = ["create", "read", "update"] }"#;
    admin.policy(&namespace, "all", all).await;
    let made = admin.token(&namespace, &["all"], "10m", json!({})).await;
    let bao = plugin(config(server.address(), &namespace, token(made)));
    let cipher = bao.cipher("transit", "mispelt").unwrap();
    expect(&cipher.encrypt(&"x".into()).await.unwrap_err(), ErrorKind::NotFound, "key");
    expect(&cipher.encrypt_all(&["x".into()]).await.unwrap_err(), ErrorKind::NotFound, "key");
    assert_eq!(admin.read(&namespace, "transit/keys/mispelt").await.0, 404);
}

#[cfg(feature = "oidc")]
mod jwt {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use pipe_core::identity::{JwtRequest, PrincipalId};
    use pipe_identity_oidc::TokenIssuer;
    use pipe_identity_oidc::jwt::{Algorithm, Signer, VerifyingKey};

    use super::*;

    /// The signatures are checked by another implementation than the one that made them.
    #[tokio::test]
    async fn tokens_are_signed_by_a_key_that_never_leaves_the_server() {
        let kinds = ["ed25519", "ecdsa-p256", "ecdsa-p384", "rsa-2048", "aes256-gcm96"];
        let keys: Vec<_> = kinds.iter().map(|kind| (*kind, json!({ "type": kind }))).collect();
        let Some(bao) = transit(&keys).await else { return };
        for (kind, algorithm) in [
            ("ed25519", Algorithm::EdDsa),
            ("ecdsa-p256", Algorithm::Es256),
            ("ecdsa-p384", Algorithm::Es384),
            ("rsa-2048", Algorithm::Rs256),
            ("rsa-2048", Algorithm::Rs512),
            ("rsa-2048", Algorithm::Ps256),
            ("rsa-2048", Algorithm::Ps384),
        ] {
            let key = bao.signing_key("transit", kind).unwrap();
            let signer = key.jwt_signer(Some(algorithm)).await.unwrap();
            let public = VerifyingKey::from_jwk(&signer.public_jwk().unwrap()).unwrap();
            let signature = signer.sign(b"message").await.unwrap();
            public.verify(algorithm, b"message", &signature).unwrap();
            public.verify(algorithm, b"other", &signature).unwrap_err();
        }

        let key = bao.signing_key("transit", "ecdsa-p256").unwrap();
        let first = key.jwt_signer(None).await.unwrap();
        let (first_id, first_jwk) =
            (first.key_id().unwrap().to_owned(), first.public_jwk().unwrap());
        let issuer = TokenIssuer::new("https://platform.example", Arc::new(first)).unwrap();
        let issuer = issuer.with_default_audience("https://api.example");
        let request = JwtRequest::new(PrincipalId::new("service-account:bot").unwrap());
        issuer.issue(&request).await.unwrap();
        // The server's newest version is another one; the first signer still signs with its own.
        key.rotate().await.unwrap();
        let token = issuer.issue(&request).await.unwrap();
        let token = token.token.expose_str().unwrap().to_owned();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = VerifyingKey::from_jwk(&first_jwk).unwrap();
        public.verify(Algorithm::Es256, message.as_bytes(), &signature).unwrap();
        let second = key.jwt_signer(None).await.unwrap();
        assert_ne!(second.key_id(), Some(&first_id[..]));
        issuer.rotate(Arc::new(second)).unwrap();
        assert_eq!(issuer.jwks()["keys"].as_array().map(Vec::len), Some(2));
        issuer.issue(&request).await.unwrap();

        let symmetric = bao.signing_key("transit", "aes256-gcm96").unwrap();
        expect(&symmetric.jwt_signer(None).await.unwrap_err(), ErrorKind::Unsupported, "ed25519");
        let error = key.jwt_signer(Some(Algorithm::Rs256)).await.unwrap_err();
        expect(&error, ErrorKind::Unsupported, "algorithm");
    }
}
