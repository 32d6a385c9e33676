use super::*;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use pipe_core::ErrorKind;
use serde_json::{Value, json};

use crate::client::{AssertionAudience, PrivateKeyJwt};
use crate::jwt::{Algorithm, Signer};

const RECIPIENT: Recipient<'_> =
    Recipient { issuer: "https://idp.example", token_endpoint: "https://idp.example/oauth/token" };

fn value(secret: &str) -> SecretSource {
    SecretSource::Value(secret.into())
}

fn authenticator(id: &str, authentication: &ClientAuthentication) -> Authenticator {
    let now = UNIX_EPOCH + Duration::from_secs(1_000);
    Authenticator::new(id, authentication, Clock::new(move || now))
}

async fn form(id: &str, authentication: &ClientAuthentication) -> Result<FormRequest> {
    let mut form = FormRequest::new();
    form.add("grant_type", "x");
    authenticator(id, authentication).authenticate(&mut form, RECIPIENT).await?;
    Ok(form)
}

fn field(form: &FormRequest, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(form.text().as_bytes());
    pairs.find(|(other, _)| other == name).map(|(_, value)| value.into_owned())
}

/// The header, the claims, what is signed, and the signature.
fn assertion(form: &FormRequest) -> (Value, Value, String, Vec<u8>) {
    let text = field(form, "client_assertion").unwrap();
    let (message, signature) = text.rsplit_once('.').unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    let json = |part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    (json(header), json(claims), message.to_owned(), signature)
}

/// G10
#[tokio::test]
async fn id_and_secret_are_form_encoded_before_they_are_joined() {
    for (id, secret, joined) in [
        ("svc", "secret", "svc:secret"),
        ("svc", "a:b", "svc:a%3Ab"),
        ("svc", "100%", "svc:100%25"),
        ("svc", "p\u{e4}ss\u{1f511}", "svc:p%C3%A4ss%F0%9F%94%91"),
        ("svc", "a b", "svc:a+b"),
        ("svc", "a+b", "svc:a%2Bb"),
        ("svc", "a/b=&", "svc:a%2Fb%3D%26"),
        ("https://svc.example/x y", "s", "https%3A%2F%2Fsvc.example%2Fx+y:s"),
    ] {
        let form =
            form(id, &ClientAuthentication::client_secret_basic(value(secret))).await.unwrap();
        let header = &form.headers()[AUTHORIZATION];
        let encoded = header.to_str().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(STANDARD.decode(encoded).unwrap(), joined.as_bytes());
        assert!(header.is_sensitive());
        assert_eq!(form.text(), "grant_type=x", "nothing in the body");
    }
}

#[tokio::test]
async fn a_secret_is_posted_as_a_field() {
    let authentication = ClientAuthentication::client_secret_post(value("a:b c%"));
    let form = form("svc", &authentication).await.unwrap();
    assert_eq!(form.text(), "grant_type=x&client_id=svc&client_secret=a%3Ab+c%25");
    assert!(!form.headers().contains_key(AUTHORIZATION));
}

#[tokio::test]
async fn a_client_without_a_secret_or_with_a_certificate_says_who_it_is() {
    for authentication in
        [ClientAuthentication::none(), ClientAuthentication::tls_client_auth(value("PEM"))]
    {
        let form = form("svc", &authentication).await.unwrap();
        assert_eq!(form.text(), "grant_type=x&client_id=svc");
    }
}

/// REQ 004-72.6
#[tokio::test]
async fn only_a_certificate_is_presented_by_the_connection() {
    let authentication = ClientAuthentication::tls_client_auth(value("PEM"));
    let certificate = authenticator("svc", &authentication).certificate().await.unwrap();
    assert_eq!(certificate.unwrap().expose(), b"PEM");
    let none = authenticator("svc", &ClientAuthentication::none());
    assert!(none.certificate().await.unwrap().is_none());
}

/// G11
#[tokio::test]
async fn an_assertion_is_for_the_issuer_lives_a_minute_and_has_a_name_of_its_own() {
    let secret = "0123456789abcdef0123456789abcdef";
    let authentication = ClientAuthentication::client_secret_jwt(value(secret));
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let form = form("svc", &authentication).await.unwrap();
        assert_eq!(field(&form, "client_id").unwrap(), "svc");
        let kind = field(&form, "client_assertion_type").unwrap();
        assert_eq!(kind, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        assert!(field(&form, "client_secret").is_none());
        let (header, mut claims, message, signature) = assertion(&form);
        assert_eq!(header, json!({ "alg": "HS256", "typ": "JWT" }));
        names.insert(claims["jti"].take().as_str().unwrap().to_owned());
        // Dated back, for providers whose clocks are behind.
        let expected = json!({
            "iss": "svc", "sub": "svc", "aud": "https://idp.example",
            "jti": null, "iat": 995, "exp": 1_060,
        });
        assert_eq!(claims, expected);
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hmac::verify(&key, message.as_bytes(), &signature).unwrap();
    }
    assert_eq!(names.len(), 100);
}

#[tokio::test]
async fn a_short_secret_signs_nothing() {
    let authentication = ClientAuthentication::client_secret_jwt(value("hunter2"));
    let error = form("svc", &authentication).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(!format!("{error:?}").contains("hunter2"));
}

/// REQ 004-72.4
#[tokio::test]
async fn a_private_key_signs_under_its_name_for_whom_is_configured() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let der = STANDARD.encode(pair.to_pkcs8v1().unwrap().as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
    let auth: ClientAuthentication =
        PrivateKeyJwt::new(value(&pem), Algorithm::Es256).with_key_id("2026-11").into();
    let auth = auth.with_assertion_audience(AssertionAudience::TokenEndpoint);
    let form = form("svc", &auth).await.unwrap();
    let (header, claims, message, signature) = assertion(&form);
    assert_eq!(header, json!({ "alg": "ES256", "typ": "JWT", "kid": "2026-11" }));
    assert_eq!(claims["aud"], "https://idp.example/oauth/token");
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref())
        .verify(message.as_bytes(), &signature)
        .unwrap();
}

#[tokio::test]
async fn a_signer_signs_under_its_own_name_and_its_failure_is_told() {
    #[derive(Debug)]
    struct Far(bool);
    #[async_trait]
    impl Signer for Far {
        fn algorithm(&self) -> Algorithm {
            Algorithm::Rs256
        }
        fn key_id(&self) -> Option<&str> {
            Some("far")
        }
        fn public_jwk(&self) -> Option<Value> {
            None
        }
        async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
            let signature = message.len().to_be_bytes().to_vec();
            self.0
                .then_some(signature)
                .ok_or_else(|| pipe_core::Error::new(ErrorKind::Unavailable, "far away"))
        }
    }
    let form_of = |near| ClientAuthentication::signed(Arc::new(Far(near)));
    let (header, _, message, signature) = assertion(&form("svc", &form_of(true)).await.unwrap());
    assert_eq!(header, json!({ "alg": "RS256", "typ": "JWT", "kid": "far" }));
    assert_eq!(signature, message.len().to_be_bytes());
    let error = form("svc", &form_of(false)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}
