use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::identity::DpopProof;
use pipe_testkit::issuer::{SigningAlgorithm, SigningKey, TokenBuilder};
use serde_json::{Map, Value, json};

use super::*;

const URI: &str = "https://api.example/orders";

fn sha256(data: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, data);
    URL_SAFE_NO_PAD.encode(digest)
}

/// A token that is bound to a key, and the key.
fn bound(issuer: &TestIssuer) -> (BearerToken, SigningKey) {
    let key = SigningKey::generate(SigningAlgorithm::Es256, "k");
    let token = issuer.token().claim("cnf", json!({ "jkt": key.thumbprint() })).sign();
    (BearerToken::new(token), key)
}

fn proof(issuer: &TestIssuer, token: &BearerToken, key: &SigningKey) -> TokenBuilder {
    let claims = json!({
        "jti": format!("{:?}", std::time::Instant::now()),
        "htm": "GET",
        "htu": URI,
        "iat": issuer.clock().seconds(),
        "ath": sha256(token.expose()),
    });
    let Value::Object(claims) = claims else { panic!("an object") };
    TokenBuilder::new(key, "dpop+jwt", claims).header("jwk", key.bare_jwk())
}

async fn present(plugin: &Oidc, token: &BearerToken, proof: String) -> Result<SecurityContext> {
    let proof = DpopProof::new(proof, "GET", URI);
    let expect = TokenExpectation::audience(AUDIENCE).with_dpop(proof);
    plugin.validate_token(token, &expect).await
}

/// D12, RFC 9449
#[tokio::test]
async fn a_proof_is_good_once_for_its_token_and_request() {
    let issuer = TestIssuer::start().await;
    let plugin = plugin(&issuer);
    let (token, key) = bound(&issuer);
    let good = proof(&issuer, &token, &key).sign();
    present(&plugin, &token, good.clone()).await.unwrap();
    assert_eq!(fault(present(&plugin, &token, good).await), TokenFault::Replayed);
    let build = || proof(&issuer, &token, &key);
    let stranger = SigningKey::generate(SigningAlgorithm::Es256, "k");
    let private = {
        let mut jwk = key.bare_jwk();
        jwk["d"] = json!("AA");
        jwk
    };
    for (what, bad) in [
        ("another method", build().claim("htm", "POST").sign()),
        ("another path", build().claim("htu", "https://api.example/other").sign()),
        ("another host", build().claim("htu", "https://api.example.org/orders").sign()),
        ("another token", build().claim("ath", sha256(b"other")).sign()),
        ("no token", build().without("ath").sign()),
        ("no name", build().without("jti").sign()),
        ("no time", build().without("iat").sign()),
        ("too old", build().claim("iat", issuer.clock().seconds() - 91).sign()),
        ("in the future", build().claim("iat", issuer.clock().seconds() + 31).sign()),
        ("another type", build().header("typ", "JWT").sign()),
        ("no key", build().without_header("jwk").sign()),
        ("a private key", build().header("jwk", private).sign()),
        ("another key", proof(&issuer, &token, &stranger).sign()),
        ("signed by another", build().signed_by(&stranger).sign()),
        ("no proof", "x".to_owned()),
    ] {
        assert_eq!(fault(present(&plugin, &token, bad).await), TokenFault::NotBound, "{what}");
    }
    // A time may have a fraction (RFC 7519 2).
    let fraction = issuer.clock().seconds() as f64 + 0.5;
    present(&plugin, &token, build().claim("iat", fraction).sign()).await.unwrap();
    // The query plays no part, and neither does the way a URL is spelled.
    for htu in ["https://api.example/orders?page=2", "HTTPS://API.example:443/orders#top"] {
        present(&plugin, &token, build().claim("htu", htu).sign()).await.unwrap();
    }
}

/// D12: never downgraded to a bearer token, and no proof makes an unbound one a bound one.
#[tokio::test]
async fn a_bound_token_needs_its_proof_and_an_unbound_one_takes_none() {
    let issuer = TestIssuer::start().await;
    let plugin = plugin(&issuer);
    let (token, key) = bound(&issuer);
    let bare = TokenExpectation::audience(AUDIENCE);
    assert_eq!(fault(plugin.validate_token(&token, &bare).await), TokenFault::NotBound);
    let unbound = BearerToken::new(issuer.token().sign());
    let with_proof = present(&plugin, &unbound, proof(&issuer, &unbound, &key).sign()).await;
    assert_eq!(fault(with_proof), TokenFault::NotBound);
    for cnf in [json!({}), json!({ "kid": "x" }), json!({ "jkt": key.thumbprint(), "x": "y" })] {
        let token = BearerToken::new(issuer.token().claim("cnf", cnf).sign());
        let presented = present(&plugin, &token, proof(&issuer, &token, &key).sign()).await;
        assert_eq!(fault(presented), TokenFault::NotBound);
    }
}

/// D12, RFC 8705 3
#[tokio::test]
async fn a_token_of_a_certificate_needs_that_certificate() {
    let issuer = TestIssuer::start().await;
    let plugin = plugin(&issuer);
    let certificate = b"any DER".to_vec();
    let cnf = json!({ "x5t#S256": sha256(&certificate) });
    let token = BearerToken::new(issuer.token().claim("cnf", cnf).sign());
    let expect = |peer: Option<Vec<u8>>| match peer {
        Some(der) => TokenExpectation::audience(AUDIENCE).with_peer_certificate(der),
        None => TokenExpectation::audience(AUDIENCE),
    };
    plugin.validate_token(&token, &expect(Some(certificate))).await.unwrap();
    for peer in [None, Some(b"other".to_vec()), Some(Vec::new())] {
        let refused = plugin.validate_token(&token, &expect(peer)).await;
        assert_eq!(fault(refused), TokenFault::NotBound);
    }
}

#[tokio::test(start_paused = true)]
async fn a_proof_is_remembered_for_as_long_as_it_could_be_used() {
    let issuer = TestIssuer::start().await;
    let plugin = plugin(&issuer);
    let (token, key) = bound(&issuer);
    let ahead = issuer.clock().seconds() + 30;
    let early = proof(&issuer, &token, &key).claim("iat", ahead).sign();
    present(&plugin, &token, early.clone()).await.unwrap();
    for _ in 0..11 {
        let step = Duration::from_secs(10);
        tokio::time::advance(step).await;
        issuer.clock().forward(step);
        assert_eq!(fault(present(&plugin, &token, early.clone()).await), TokenFault::Replayed);
    }
    issuer.clock().forward(Duration::from_secs(11));
    assert_eq!(fault(present(&plugin, &token, early).await), TokenFault::NotBound);
}

#[tokio::test]
async fn claims_of_a_proof_are_not_those_of_a_token() {
    let issuer = TestIssuer::start().await;
    let plugin = plugin(&issuer);
    let (token, key) = bound(&issuer);
    let proof = proof(&issuer, &token, &key).sign();
    assert!(validate(&plugin, proof).await.is_err());
    assert!(validate(&plugin, Map::<String, Value>::new().len().to_string()).await.is_err());
}
