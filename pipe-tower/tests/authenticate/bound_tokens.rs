//! Tokens that are bound to a certificate or to a key.

use pipe_core::ErrorKind;
use pipe_core::identity::{DpopProof, TokenExpectation};
use pipe_testkit::reference::InMemoryIdentity;
use pipe_tower::{AuthenticateLayer, PeerCertificate};

use crate::{AUDIENCE, Scripted, ask, context, layer, request, with_token};

const ORIGIN: &str = "https://API.example.org";
const DPOP: (&str, &str) = ("authorization", "DPoP x");
const PROOF: (&str, &str) = ("dpop", "proof");

#[tokio::test]
async fn the_plugin_is_shown_the_certificate_of_the_connection() {
    let plugin = Scripted::accepts(context("bot"));
    let mut request = with_token("x");
    request.extensions_mut().insert(PeerCertificate::new([1, 2, 3]));
    assert_eq!(ask(&layer(plugin.clone()), request).await.status(), 200);
    assert_eq!(plugin.expected().unwrap().peer_certificate, Some(vec![1, 2, 3]));
}

#[tokio::test]
async fn a_certificate_in_the_settings_is_not_every_callers_own() {
    let plugin = Scripted::accepts(context("bot"));
    let expect = TokenExpectation::audience(AUDIENCE).with_peer_certificate(vec![1, 2, 3]);
    let layer = AuthenticateLayer::new(plugin.clone(), expect);
    assert_eq!(ask(&layer, with_token("x")).await.status(), 200);
    assert_eq!(plugin.expected(), Some(TokenExpectation::audience(AUDIENCE)));
}

#[tokio::test]
async fn the_plugin_is_shown_the_proof_and_the_public_uri() {
    let plugin = Scripted::accepts(context("bot"));
    let layer = layer(plugin.clone()).with_public_origin(ORIGIN).unwrap();
    assert_eq!(ask(&layer, request(&[DPOP, PROOF])).await.status(), 200);
    let expected = DpopProof::new("proof", "POST", "https://api.example.org/a/b");
    assert_eq!(plugin.expected().unwrap().dpop, Some(expected));
}

#[tokio::test]
async fn a_missing_proof_and_two_of_them_are_refused_in_both_challenges() {
    let layer = layer(Scripted::accepts(context("bot"))).with_public_origin(ORIGIN).unwrap();
    for headers in [&[DPOP][..], &[DPOP, PROOF, PROOF], &[("authorization", "DPoP"), PROOF]] {
        let answer = ask(&layer, request(headers)).await;
        let challenges: Vec<_> = answer.headers().get_all("www-authenticate").iter().collect();
        assert_eq!(answer.status(), 401);
        assert_eq!(
            challenges,
            [r#"Bearer error="invalid_token""#, r#"DPoP error="invalid_token""#]
        );
    }
}

/// RFC 9449 7.2
#[tokio::test]
async fn a_proof_beside_a_bearer_token_does_not_count() {
    let plugin = Scripted::accepts(context("bot"));
    let layer = layer(plugin.clone()).with_public_origin(ORIGIN).unwrap();
    let request = request(&[("authorization", "Bearer x"), PROOF]);
    assert_eq!(ask(&layer, request).await.status(), 200);
    assert_eq!(plugin.expected().unwrap().dpop, None);
}

#[tokio::test]
async fn without_a_public_origin_the_scheme_is_not_understood() {
    let plugin = Scripted::accepts(context("bot"));
    let answer = ask(&layer(plugin.clone()), request(&[DPOP, PROOF])).await;
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    assert_eq!((answer.status().as_u16(), plugin.expected()), (401, None));
}

#[test]
fn a_public_origin_with_a_path_is_refused() {
    let layer = layer(InMemoryIdentity::new());
    let error = layer.with_public_origin("https://api.example.org/v1").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
}
