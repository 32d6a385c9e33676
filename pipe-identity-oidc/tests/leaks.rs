//! Neither our secrets nor anybody's tokens are seen anywhere, not even when a hostile provider
//! repeats all it was sent (H1, H2, H4, REQ 004-72.7, 004-73.5, 004-85.1).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "leaks/hostile.rs"]
mod hostile;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pipe_core::identity::{
    AuthMethod, BearerToken, ContextRequest, DpopProof, JwtRequest, PrincipalId,
    ServiceAuthRequest, TenantId, TokenExpectation,
};
use pipe_core::{ErrorKind, IdentityPlugin as _, Plugin as _, Result, SecretSource};
use pipe_identity_oidc::jwt::{Algorithm, Signer};
use pipe_identity_oidc::{
    ClaimMapping, ClaimPointer, ClientAuthentication, ClientConfig, IntrospectedTokens,
    IntrospectionConfig, IssuerConfig, JwtBearer, Keys, Oidc, OidcConfig, SigningConfig,
    TenantSource, TokenExchange,
};
use pipe_testkit::issuer::{SigningAlgorithm, SigningKey, TokenBuilder};
use pipe_testkit::leak::Canary;
use serde_json::{Value, json};

use crate::hostile::{PATHS, Provider, Shape};

const AUDIENCE: &str = "https://api.example";
const STATUSES: [u16; 9] = [200, 204, 302, 400, 401, 403, 404, 429, 500];

fn value(text: &str) -> SecretSource {
    SecretSource::Value(text.into())
}

fn basic(secret: &str) -> ClientAuthentication {
    ClientAuthentication::client_secret_basic(value(secret))
}

fn key() -> SigningKey {
    SigningKey::generate(SigningAlgorithm::Es256, "k")
}

fn private_pem() -> (String, String) {
    let base64 = STANDARD.encode(rcgen::KeyPair::generate().unwrap().serialize_der());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n");
    (base64, pem)
}

/// A token of the provider, which is good.
fn token(provider: &Provider, key: &SigningKey) -> TokenBuilder {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({
        "iss": provider.url(), "sub": "someone", "aud": AUDIENCE, "iat": now, "exp": now + 600,
        "jti": "1", "client_id": "c",
    });
    let Value::Object(claims) = claims else { panic!("an object") };
    TokenBuilder::new(key, "at+jwt", claims)
}

/// Shows a canary everything that a plugin says and does with this token.
async fn present(canary: &Canary, plugin: &Oidc, token: &str) {
    let token = BearerToken::new(token);
    canary.look_at_debug("the token", &token);
    let expect = TokenExpectation::audience(AUDIENCE);
    let elsewhere = TokenExpectation::audience("elsewhere");
    let tenant = expect.clone().with_tenant(TenantId::new("nobody").unwrap());
    let proof = DpopProof::new(format!("a.{}.c", canary.value()), "GET", "https://api.example/");
    let proven = expect.clone().with_dpop(proof);
    let certified = expect.clone().with_peer_certificate(canary.value().as_bytes().to_vec());
    for expect in [expect, elsewhere, tenant, proven, certified] {
        let context = plugin.validate_token(&token, &expect).await;
        canary.look_at_result("validate_token", &context);
        if let Err(error) = &context {
            assert!(!error.hint_text().is_empty(), "H4: {error}");
        }
        if let Ok(context) = context {
            canary.look_at("the context", &format!("{:?}", context.to_map()));
            let context = plugin.get_security_context(&ContextRequest::new(context)).await;
            canary.look_at_result("get_security_context", &context);
        }
    }
}

/// Shows a canary everything that a plugin with these settings says and does.
async fn drive(canary: &Canary, config: &OidcConfig, tokens: &[String]) {
    canary.look_at_debug("the settings", config);
    let plugin = match Oidc::new(config.clone()) {
        Ok(plugin) => plugin,
        Err(error) => return canary.look_at_error("new", &error),
    };
    let service = config.client.as_ref().map_or("none", |client| &client.id);
    for method in [AuthMethod::OAuth2, AuthMethod::Jwt, AuthMethod::Mtls] {
        let request = ServiceAuthRequest::new(service, method).with_scope("read");
        let credentials = plugin.authenticate_service(&request).await;
        canary.look_at_result("authenticate_service", &credentials);
        let source = plugin.credentials(&request);
        canary.look_at_result("credentials", &source);
        if let Ok(source) = source {
            canary.look_at_result("get", &source.get().await);
            canary.look_at_debug("the source", &source);
        }
    }
    for token in tokens {
        present(canary, &plugin, token).await;
    }
    let subject = JwtRequest::new(PrincipalId::new("someone").unwrap());
    let request = subject.with_audience(AUDIENCE).with_claim("private", canary.value()).unwrap();
    canary.look_at_result("generate_jwt", &plugin.generate_jwt(&request).await);
    canary.look_at_debug("the issuer of tokens", &plugin.issuer());
    let health = plugin.health().await;
    canary.look_at_debug("health", &health);
    canary.look_at("health", &format!("{} {}", health.reason, health.hint));
    canary.look_at_debug("the plugin", &plugin);
    canary.look_at_result("close", &plugin.close().await);
}

/// Drives plugins with these settings through everything that a hostile provider may answer.
async fn drive_all(
    canary: &Canary,
    paths: &[&'static str],
    config: impl Fn(&Provider) -> OidcConfig,
    tokens: impl Fn(&Provider, &SigningKey) -> Vec<String>,
) {
    let key = key();
    for path in paths {
        let provider = Provider::start(key.clone(), canary.value()).await;
        for status in STATUSES {
            for shape in Shape::ALL {
                provider.spoil(path, status, shape);
                // A plugin of its own for each: after a failure nobody is asked for a while.
                drive(canary, &config(&provider), &tokens(&provider, &key)).await;
            }
        }
        assert!(provider.hits(path) > 0, "{path} was asked for");
    }
    canary.assert_unseen();
}

/// Trusts the provider, asks it about all tokens, and is its client.
fn everything(provider: &Provider, authentication: &ClientAuthentication) -> OidcConfig {
    let introspection = IntrospectionConfig::new("svc", authentication.clone())
        .with_tokens(IntrospectedTokens::All)
        .with_active_ttl(Duration::ZERO);
    let trusted = IssuerConfig::new(provider.url()).with_introspection(introspection);
    let client = ClientConfig::new("svc", authentication.clone());
    OidcConfig::new().with_issuer(trusted).with_client(client).with_cache_ttl(Duration::ZERO)
}

fn a_jwt_and_an_opaque_token(provider: &Provider, key: &SigningKey) -> Vec<String> {
    vec![token(provider, key).sign(), "x".repeat(43)]
}

/// H2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_secret_is_not_shown() {
    let canary = Canary::new();
    let config = |provider: &Provider| everything(provider, &basic(canary.value()));
    drive_all(&canary, &PATHS, config, a_jwt_and_an_opaque_token).await;
}

#[tokio::test]
async fn a_client_secret_in_the_form_or_that_signs_is_not_shown() {
    let canary = Canary::new();
    for authentication in [
        ClientAuthentication::client_secret_post(value(canary.value())),
        ClientAuthentication::client_secret_jwt(value(canary.value())),
    ] {
        let config = |provider: &Provider| everything(provider, &authentication);
        drive_all(&canary, &PATHS[2..], config, a_jwt_and_an_opaque_token).await;
    }
}

/// H1, H2: neither the token nor a claim of it that was not mapped.
#[tokio::test]
async fn presented_tokens_are_not_shown() {
    let canary = Canary::new();
    let secret = canary.value();
    let config = |provider: &Provider| everything(provider, &basic("another secret of the client"));
    let tokens = |provider: &Provider, key: &SigningKey| {
        let good = || token(provider, key);
        vec![
            secret.to_owned(),
            format!("{secret}.{secret}.{secret}.{secret}.{secret}"),
            good().claim("email", secret).claim("name", json!([secret])).sign(),
            good().header("kid", secret).sign(),
            good().header("jku", format!("https://{secret}.example")).sign(),
            good().signature(secret).sign(),
        ]
    };
    drive_all(&canary, &PATHS, config, tokens).await;
}

/// H2, H4: a claim that is wrong is named, and not repeated.
#[tokio::test]
async fn what_is_wrong_with_a_token_is_not_repeated() {
    let canary = Canary::new();
    let secret = canary.value();
    let key = key();
    let provider = Provider::start(key.clone(), secret).await;
    let claim = ClaimPointer::claim;
    let mapping = ClaimMapping::new()
        .with_roles(claim("roles"))
        .with_namespaces(claim("namespace"))
        .with_tenant(TenantSource::Claim(claim("tenant")));
    let trusted = IssuerConfig::new(provider.url())
        .with_claims(mapping)
        .with_tenant(TenantId::new("acme").unwrap())
        .rejecting_key_headers();
    let plugin = Oidc::new(OidcConfig::new().with_issuer(trusted)).unwrap();
    let illegal = format!("{secret}\u{0} \u{7}");
    let mut presented = vec![
        format!("Bearer {secret}"),
        format!("{secret}.{secret}.{secret}"),
        format!("e30.{secret}.e30"),
        secret.repeat(10_000),
    ];
    let good = || token(&provider, &key).claim("tenant", "acme");
    for name in ["iss", "aud", "exp", "iat", "nbf", "sub", "jti", "client_id", "scope", "cnf"] {
        for value in [json!(secret), json!({ secret: secret }), json!([illegal])] {
            presented.push(good().claim(name, value).sign());
        }
    }
    for name in ["roles", "namespace", "tenant"] {
        for value in [json!(illegal), json!({ secret: secret }), json!([illegal])] {
            presented.push(good().claim(name, value).sign());
        }
    }
    for name in ["alg", "typ", "kid", "crit", "b64", "cty", "zip", "enc", "jwk", "x5c", "jku"] {
        for value in [json!(secret), json!({ secret: secret }), json!([secret])] {
            presented.push(good().header(name, value).sign());
        }
    }
    presented.push(good().claim("tenant", format!("t{secret}")).sign());
    presented.push(good().json_claim("sub", &format!("\"{secret}\"")).sign());
    presented.push(good().payload(format!("{{\"{secret}\":")).sign());
    presented.push(good().raw_header(format!("{{\"{secret}\":")).sign());
    presented.push(good().claim("cnf", json!({ "jkt": secret })).sign());
    let mut refused = 0;
    for token in &presented {
        let bearer = BearerToken::new(token.as_str());
        let context = plugin.validate_token(&bearer, &TokenExpectation::audience(AUDIENCE)).await;
        // A principal, an id, a client or a scope of this name is what the context is for.
        if let Err(error) = context {
            canary.look_at_error("validate_token", &error);
            assert!(!error.hint_text().is_empty(), "H4: {error}");
            refused += 1;
        }
    }
    assert!(refused >= presented.len() - 16, "{refused} of {}", presented.len());
    canary.assert_unseen();
}

#[tokio::test]
async fn a_token_that_was_obtained_is_not_shown() {
    let canary = Canary::new();
    let provider = Provider::start(key(), canary.value()).await;
    let plugin = Oidc::new(everything(&provider, &basic("another secret of the client"))).unwrap();
    let request = ServiceAuthRequest::new("svc", AuthMethod::OAuth2);
    let source = plugin.credentials(&request).unwrap();
    let credentials = source.get().await.unwrap();
    canary.look_at_debug("the credentials", &credentials);
    let pipe_core::identity::Credential::Bearer(token) = &credentials.credential else { panic!() };
    assert_eq!(token.expose_str(), Some(canary.value()), "it is the secret that was granted");
    assert!(source.invalidate_if_same(token));
    canary.look_at_debug("the source", &source);
    canary.look_at_result("another", &source.get().await);
    canary.assert_unseen();
}

/// H1: what the provider tells about a token is not passed on, unless it is mapped.
#[tokio::test]
async fn what_introspection_tells_is_not_shown() {
    let canary = Canary::new();
    let provider = Provider::start(key(), canary.value()).await;
    let config = everything(&provider, &basic("another secret of the client"));
    let plugin = Oidc::new(config).unwrap();
    let opaque = BearerToken::new("y".repeat(43));
    let context = plugin.validate_token(&opaque, &TokenExpectation::audience(AUDIENCE)).await;
    assert_eq!(context.as_ref().unwrap().principal.id.as_str(), "someone");
    canary.look_at_result("validate_token", &context);
    canary.assert_unseen();
}

#[tokio::test]
async fn a_private_key_is_not_shown() {
    let (base64, pem) = private_pem();
    let canary = Canary::of(&base64);
    let authentication = ClientAuthentication::private_key_jwt(value(&pem), Algorithm::Es256);
    let config = |provider: &Provider| {
        let signing = SigningConfig::new("https://us.example", Algorithm::Es256, value(&pem));
        everything(provider, &authentication).with_signing(signing)
    };
    drive_all(&canary, &["/token"], config, a_jwt_and_an_opaque_token).await;
}

/// A certificate that is presented, to a server that is not there and to one that speaks no TLS.
#[tokio::test]
async fn the_key_of_a_certificate_is_not_shown() {
    let (base64, pem) = private_pem();
    let canary = Canary::of(&base64);
    let pair = rcgen::KeyPair::from_pem(&pem).unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&pair);
    let chain = value(&format!("{}{pem}", certificate.unwrap().pem()));
    let provider = Provider::start(key(), "x").await;
    let tls = provider.url().replacen("http://", "https://", 1);
    for endpoint in [provider.url(), &tls, "https://127.0.0.1:9"] {
        let by = ClientAuthentication::tls_client_auth(chain.clone());
        let client = ClientConfig::new("svc", by).with_token_endpoint(format!("{endpoint}/token"));
        let issuer = IssuerConfig::new(provider.url());
        drive(&canary, &OidcConfig::new().with_issuer(issuer).with_client(client), &[]).await;
    }
    canary.assert_unseen();
}

/// Keys and secrets that are none, or of another kind.
#[tokio::test]
async fn a_key_that_cannot_be_used_is_not_shown() {
    let canary = Canary::new();
    let secret = canary.value();
    let provider = Provider::start(key(), secret).await;
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n");
    for algorithm in [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa, Algorithm::Hs512] {
        for text in [&pem, secret, &secret[..31]] {
            let signing = SigningConfig::new("https://us.example", algorithm, value(text));
            let by_key = ClientAuthentication::private_key_jwt(value(text), algorithm);
            let certificate = ClientAuthentication::tls_client_auth(value(text));
            drive(&canary, &OidcConfig::new().with_signing(signing), &[]).await;
            for authentication in [by_key, certificate] {
                let client = ClientConfig::new("svc", authentication)
                    .with_token_endpoint("https://127.0.0.1:9/token");
                let issuer = IssuerConfig::new(provider.url());
                let config = OidcConfig::new().with_issuer(issuer).with_client(client);
                drive(&canary, &config, &[]).await;
            }
        }
    }
    let jwk = json!({ "kty": "oct", "k": secret, "kid": secret, "d": secret });
    for keys in [
        Keys::Inline(secret.to_owned()),
        Keys::Inline(json!({ "keys": [jwk, secret] }).to_string()),
        Keys::Secret(value(secret)),
        Keys::Secret(value(&secret[..31])),
    ] {
        for algorithms in [&[Algorithm::Hs256][..], &[Algorithm::Hs256, Algorithm::Rs256], &[]] {
            let issuer = IssuerConfig::new(provider.url()).with_keys(keys.clone());
            let issuer = issuer.with_algorithms(algorithms.iter().copied());
            drive(&canary, &OidcConfig::new().with_issuer(issuer), &["a.b.c".to_owned()]).await;
        }
    }
    canary.assert_unseen();
}

/// A secret that was written into the document itself is refused where it stands.
#[test]
fn a_secret_in_a_document_is_not_repeated() {
    let canary = Canary::new();
    let secret = canary.value();
    let client = |secret: Value| {
        let authentication = json!({ "method": "client_secret_basic", "secret": secret });
        json!({ "client": { "id": "svc", "authentication": authentication } })
    };
    for document in [
        client(json!(secret)),
        client(json!({ "value": secret, "x": 1 })),
        client(json!({ "file": [secret] })),
        json!({ "signing": { "issuer": "https://us.example", "key": secret } }),
        json!({ "issuers": [{ "issuer": "https://idp.example", "keys": { "secret": secret } }] }),
        json!({ "issuers": [{ "issuer": "https://idp.example", "bearer": secret }] }),
    ] {
        let error = serde_json::from_value::<OidcConfig>(document).unwrap_err();
        canary.look_at("the error", &format!("{error} {error:?}"));
    }
    canary.assert_unseen();
}

/// What is presented where keys are not public.
#[tokio::test]
async fn a_bearer_for_keys_is_not_shown() {
    let canary = Canary::new();
    let config = |provider: &Provider| {
        let trusted = IssuerConfig::new(provider.url()).with_bearer(value(canary.value()));
        OidcConfig::new().with_issuer(trusted)
    };
    drive_all(&canary, &PATHS[..2], config, a_jwt_and_an_opaque_token).await;
    let provider = Provider::start(key(), "x").await;
    drive(&canary, &config(&provider), &[token(&provider, &key()).sign()]).await;
    assert!(provider.heard(canary.value()), "it was sent");
}

#[tokio::test]
async fn assertions_and_exchanged_tokens_are_not_shown() {
    let canary = Canary::new();
    let file = Scratch::new(canary.value());
    let config = |provider: &Provider| {
        let exchange =
            TokenExchange::new(value(canary.value())).with_actor_token(value(canary.value()));
        let client = ClientConfig::new("svc", ClientAuthentication::service_account_jwt(&file.0))
            .with_jwt_bearer(JwtBearer::new(value(canary.value())))
            .with_token_exchange(exchange);
        OidcConfig::new().with_issuer(IssuerConfig::new(provider.url())).with_client(client)
    };
    drive_all(&canary, &["/token"], config, |_, _| Vec::new()).await;
}

/// An assertion that is made here is as good as a password for a minute.
#[tokio::test]
async fn an_assertion_that_we_made_is_not_shown() {
    let canary = Canary::new();
    let signer = Arc::new(Signing(canary.value().to_owned()));
    let signed = URL_SAFE_NO_PAD.encode(canary.value());
    let authentication = ClientAuthentication::signed(Arc::clone(&signer) as Arc<dyn Signer>);
    let config = |provider: &Provider| everything(provider, &authentication);
    drive_all(&canary, &PATHS[2..], config, a_jwt_and_an_opaque_token).await;
    // Nor one that says why it did not come about.
    let provider = Provider::start(key(), "x").await;
    drive(&canary, &config(&provider), &[]).await;
    assert!(provider.heard(&signed), "it was sent");
}

/// Whose signature is a secret that can be recognised.
struct Signing(String);

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signing")
    }
}

#[async_trait]
impl Signer for Signing {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es256
    }

    fn key_id(&self) -> Option<&str> {
        Some("k")
    }

    fn public_jwk(&self) -> Option<Value> {
        Some(key().jwk())
    }

    async fn sign(&self, _: &[u8]) -> Result<Vec<u8>> {
        Ok(self.0.clone().into_bytes())
    }
}

/// H4: the operator is told the host that was seen, not the document.
#[tokio::test]
async fn a_document_of_another_issuer_is_told_by_its_host() {
    let canary = Canary::new();
    let issuer = pipe_testkit::issuer::TestIssuer::start().await;
    issuer.set_discovery("issuer", format!("https://other.example/{}", canary.value()));
    issuer.set_discovery("service_documentation", canary.value());
    let config = OidcConfig::new().with_issuer(IssuerConfig::new(issuer.url()));
    let plugin = Oidc::new(config).unwrap();
    let bearer = BearerToken::new(issuer.token().sign());
    let refused = plugin.validate_token(&bearer, &TokenExpectation::audience("any")).await;
    canary.look_at_result("validate_token", &refused);
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.context("seen_host"), Some("other.example"));
    assert!(error.hint_text().contains("`issuer`"), "{error:#}");
    canary.assert_unseen();
}

/// A file with this text, which goes with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pipe-oidc-leaks-{:x}", fastrand::u128(..)));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
