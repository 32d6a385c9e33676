//! The provider does what the other live tests rely on, as seen without the plugin.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::{Certificate, Identity, StatusCode};
use serde_json::json;
use url::form_urlencoded::Serializer;

use crate::credentials::ASSERTION_ISSUER;
use crate::oauth::{
    assertion, basic_token, claims, grant, header, hs256_jwt, introspect, jwt, kids, with_assertion,
};
use crate::server::{EDDSA, ES256, OPAQUE, Options, PS256, RS256, Server, shared};
use crate::web::{builder, client, form, json, send};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

#[tokio::test]
async fn discovery_names_the_issuer_that_was_reported() {
    let Some(server) = shared().await else { return };
    let (status, document) =
        json(client().get(server.url("/.well-known/openid-configuration"))).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(document["issuer"], server.issuer());
    assert_eq!(document["jwks_uri"], server.url("/jwks"));
}

#[tokio::test]
async fn each_resource_has_tokens_of_its_algorithm() {
    let Some(server) = shared().await else { return };
    let algorithms = [(RS256, "RS256"), (PS256, "PS256"), (ES256, "ES256"), (EDDSA, "EdDSA")];
    for (resource, algorithm) in algorithms {
        let token = basic_token(server, resource).await;
        let header = header(&token);
        assert_eq!((&header["alg"], &header["typ"]), (&json!(algorithm), &json!("at+jwt")));
        let claims = claims(&token);
        assert_eq!(claims["iss"], server.issuer());
        assert_eq!(claims["aud"], resource);
        assert_eq!(claims["sub"], "svc-basic");
        assert_eq!(claims["roles"], json!(["bot-operator"]));
    }
    assert!(!basic_token(server, OPAQUE).await.contains('.'));
}

#[tokio::test]
async fn the_kid_of_a_token_is_in_the_jwk_set() {
    let Some(server) = shared().await else { return };
    let token = basic_token(server, RS256).await;
    let kid = header(&token)["kid"].as_str().unwrap().to_owned();
    assert!(kids(server).await.contains(&kid));
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let Some(server) = shared().await else { return };
    let fields = [("grant_type", "client_credentials")];
    let request = client().post(server.url("/token")).basic_auth("svc-basic", Some("wrong"));
    let (status, error) = json(form(request, &fields)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(error["error"], "invalid_client");
}

#[tokio::test]
async fn an_opaque_token_is_introspected_and_a_jwt_is_not() {
    let Some(server) = shared().await else { return };
    let opaque = basic_token(server, OPAQUE).await;
    let (status, answer) = introspect(server, &opaque).await;
    assert_eq!((status, &answer["active"]), (StatusCode::OK, &json!(true)));
    assert_eq!(answer["client_id"], "svc-basic");

    let (_, answer) = introspect(server, "garbage").await;
    assert_eq!(answer, json!({ "active": false }));

    let jwt = basic_token(server, RS256).await;
    let (status, answer) = introspect(server, &jwt).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(answer["error"], "unsupported_token_type");
}

#[tokio::test]
async fn a_client_authenticates_with_its_private_key() {
    let Some(server) = shared().await else { return };
    for algorithm in ["ES256", "RS256"] {
        let (kid, key) = server.client_key(algorithm);
        let claims = assertion("svc-pkjwt", "svc-pkjwt", server.issuer());
        let (status, answer) = with_assertion(server, "svc-pkjwt", &jwt(kid, key, &claims)).await;
        assert_eq!(status, StatusCode::OK, "{algorithm}: {answer} {}", server.log());
    }
}

#[tokio::test]
async fn a_client_authenticates_with_a_jwt_that_its_secret_signs() {
    let Some(server) = shared().await else { return };
    let claims = assertion("svc-sjwt", "svc-sjwt", server.issuer());
    let assertion = hs256_jwt(server.secret("svc-sjwt"), &claims);
    let (status, answer) = with_assertion(server, "svc-sjwt", &assertion).await;
    assert_eq!(status, StatusCode::OK, "{answer} {}", server.log());
}

#[tokio::test]
async fn a_client_certificate_binds_the_token_to_it() {
    let Some(server) = shared().await else { return };
    let clients =
        [("svc-mtls", server.client_certificate()), ("svc-self", server.self_signed_certificate())];
    for (name, certificate) in clients {
        let http = builder()
            .tls_certs_only([Certificate::from_pem(server.ca().as_bytes()).unwrap()])
            .identity(Identity::from_pem(certificate.pem().as_bytes()).unwrap())
            .build()
            .unwrap();
        let fields =
            [("grant_type", "client_credentials"), ("resource", RS256), ("client_id", name)];
        let (status, answer) = json(form(http.post(server.tls_url("/token")), &fields)).await;
        assert_eq!(status, StatusCode::OK, "{name}: {answer} {}", server.log());
        let claims = claims(answer["access_token"].as_str().unwrap());
        assert!(claims["cnf"]["x5t#S256"].is_string(), "{name}: {claims}");

        let (status, answer) = json(form(client().post(server.url("/token")), &fields)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{name} without a certificate: {answer}");
    }
}

#[tokio::test]
async fn a_secret_in_the_form_is_accepted() {
    let Some(server) = shared().await else { return };
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", "svc-post"),
        ("client_secret", server.secret("svc-post")),
    ];
    let (status, answer) = json(form(client().post(server.url("/token")), &fields)).await;
    assert_eq!(status, StatusCode::OK, "{answer} {}", server.log());
}

#[tokio::test]
async fn a_token_bound_to_a_dpop_key_needs_a_proof() {
    let Some(server) = shared().await else { return };
    let request = client().post(server.url("/token"));
    let request = request.basic_auth("svc-dpop", Some(server.secret("svc-dpop")));
    let (status, answer) = json(form(request, &[("grant_type", "client_credentials")])).await;
    assert_eq!((status, &answer["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_grant")));
}

#[tokio::test]
async fn a_login_begins_for_the_clients_of_people() {
    let Some(server) = shared().await else { return };
    for name in ["web", "spa"] {
        let query = Serializer::new(String::new())
            .append_pair("client_id", name)
            .append_pair("response_type", "code")
            .append_pair("scope", "openid")
            .append_pair("redirect_uri", &Options::default().redirect_uri)
            .append_pair("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
            .append_pair("code_challenge_method", "S256")
            .finish();
        let response = send(client().get(server.url(&format!("/auth?{query}")))).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{name}");
        let location = response.headers()["location"].to_str().unwrap();
        assert!(location.contains("/interaction/"), "{name}: {location}");
    }

    let fields = [("client_id", "cli"), ("scope", "openid")];
    let (status, answer) = json(form(client().post(server.url("/device/auth")), &fields)).await;
    assert_eq!(status, StatusCode::OK, "{answer} {}", server.log());
    assert!(answer["user_code"].is_string());
}

#[tokio::test]
async fn a_trusted_jwt_is_traded_by_both_grants() {
    let Some(server) = shared().await else { return };
    let key = server.assertion_key();
    let trusted = jwt("any", key, &assertion(ASSERTION_ISSUER, "pod", server.issuer()));
    let elsewhere = jwt("any", key, &assertion(ASSERTION_ISSUER, "pod", "elsewhere"));
    let bearer = async |jwt: &str, resource| {
        let fields =
            [("grant_type", JWT_BEARER), ("assertion", jwt), ("scope", "secrets:read unknown")];
        grant(server, resource, &fields).await
    };
    let exchange = async |jwt: &str, resource| {
        let fields = [
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", jwt),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ];
        grant(server, resource, &fields).await
    };

    let (status, answer) = bearer(&trusted, RS256).await;
    assert_eq!(status, StatusCode::OK, "{answer} {}", server.log());
    assert_eq!(claims(answer["access_token"].as_str().unwrap())["sub"], "pod");
    assert_eq!(answer["scope"], "secrets:read");

    let (status, answer) = exchange(&trusted, OPAQUE).await;
    assert_eq!(status, StatusCode::OK, "{answer} {}", server.log());
    let issued = "urn:ietf:params:oauth:token-type:access_token";
    assert_eq!(answer["issued_token_type"], issued);
    let (_, answer) = introspect(server, answer["access_token"].as_str().unwrap()).await;
    assert_eq!((&answer["active"], &answer["sub"]), (&json!(true), &json!("pod")));

    for (status, answer) in [bearer(&elsewhere, RS256).await, exchange(&elsewhere, RS256).await] {
        assert_eq!((status, &answer["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_grant")));
    }
}

#[tokio::test]
async fn keys_are_published_switched_and_dropped() {
    let Some(server) = Server::start().await else { return };
    let opaque = basic_token(&server, OPAQUE).await;
    let signs = async || header(&basic_token(&server, RS256).await)["kid"].clone();
    let of = |generations: &[u32]| {
        let algorithms = ["RS256", "PS256", "ES256", "EdDSA"];
        let kids = generations.iter().flat_map(|g| algorithms.map(|a| format!("g{g}-{a}")));
        HashSet::from_iter(kids)
    };
    assert_eq!((signs().await, kids(&server).await), (json!("g1-RS256"), of(&[1])));

    server.admin().publish_next().await;
    assert_eq!((signs().await, kids(&server).await), (json!("g1-RS256"), of(&[1, 2])));

    server.admin().promote_next().await;
    assert_eq!((signs().await, kids(&server).await), (json!("g2-RS256"), of(&[1, 2])));

    server.admin().drop_old().await;
    assert_eq!((signs().await, kids(&server).await), (json!("g2-RS256"), of(&[2])));

    server.admin().rotate().await;
    assert_eq!((signs().await, kids(&server).await), (json!("g3-RS256"), of(&[2, 3])));

    server.admin().replace().await;
    assert_eq!((signs().await, kids(&server).await), (json!("g4-RS256"), of(&[4])));

    let (_, answer) = introspect(&server, &opaque).await;
    assert_eq!(answer["active"], true, "what was issued outlives the keys");
}

#[tokio::test]
async fn the_lifetime_of_tokens_can_be_chosen_and_changed() {
    let lifetime = Duration::from_secs(5);
    let options = Options { token_lifetime: lifetime, ..Options::default() };
    let Some(server) = Server::start_with(options).await else { return };
    let lives = async || {
        let claims = claims(&basic_token(&server, RS256).await);
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap()
    };
    assert_eq!(lives().await, 5);
    server.admin().set_token_lifetime(2 * lifetime).await;
    assert_eq!(lives().await, 10);
}

#[tokio::test]
async fn a_killed_server_refuses_connections() {
    let Some(mut server) = Server::start().await else { return };
    server.kill();
    assert!(client().get(server.url("/jwks")).send().await.unwrap_err().is_connect());
}
