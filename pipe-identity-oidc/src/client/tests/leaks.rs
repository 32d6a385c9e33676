//! No secret of ours is seen anywhere, not even when a hostile provider repeats all it was sent
//! (H2, REQ 004-72.7).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipe_testkit::leak::Canary;

use super::*;
use crate::jwt::Algorithm;

/// Drives the client through everything a provider may answer.
async fn drive(canary: &Canary, config: ClientConfig, method: AuthMethod) {
    canary.look_at_debug("the settings", &config);
    let statuses = [200, 201, 302, 400, 401, 403, 404, 429, 500, 503];
    for (number, status) in statuses.into_iter().enumerate() {
        for shape in 0..4 {
            let server = Server::start().await;
            let repeated = canary.value().to_owned();
            server.answer_with(move |seen| (status, hostile(shape, &repeated, &seen.body)));
            let endpoints = Learned::of(&server);
            let credentials = credentials(config.clone(), endpoints);
            let request = asking(method).with_scope("read").with_audience("api");
            let source = credentials.source(&request);
            canary.look_at_result("source", &source);
            canary.look_at_result("authenticate", &credentials.authenticate(&request).await);
            canary.look_at_debug("the credentials", &credentials);
            if let Ok(source) = source {
                canary.look_at_result("get", &source.get().await);
                source.close();
                canary.look_at_result("closed", &source.get().await);
            }
            if number == 0 {
                assert_eq!(server.count(), 1, "the secret was sent");
            }
        }
    }
    canary.assert_unseen();
}

fn hostile(shape: usize, secret: &str, body: &str) -> String {
    let json = match shape {
        0 => serde_json::json!({
            "access_token": secret, "token_type": "Bearer", "expires_in": 60, "scope": "read",
        }),
        1 => serde_json::json!({
            "error": "invalid_grant", "error_description": secret, "error_uri": body,
        }),
        2 => serde_json::json!({
            "error": secret, "access_token": body, "token_type": secret, "scope": secret,
        }),
        _ => return format!("<html>{secret} {body}</html>"),
    };
    json.to_string()
}

#[tokio::test]
async fn a_client_secret_is_not_shown() {
    let methods: [fn(SecretSource) -> ClientAuthentication; 3] = [
        ClientAuthentication::client_secret_basic,
        ClientAuthentication::client_secret_post,
        ClientAuthentication::client_secret_jwt,
    ];
    for method in methods {
        let canary = Canary::new();
        let config = ClientConfig::new("svc", method(value(canary.value())));
        drive(&canary, config, AuthMethod::OAuth2).await;
    }
}

#[tokio::test]
async fn a_service_account_token_is_not_shown() {
    let canary = Canary::new();
    let file = Scratch::new(canary.value());
    let config = ClientConfig::new("svc", ClientAuthentication::service_account_jwt(&file.0));
    drive(&canary, config, AuthMethod::Jwt).await;
}

#[tokio::test]
async fn an_assertion_and_an_exchanged_token_are_not_shown() {
    let canary = Canary::new();
    let config =
        basic().with_jwt_bearer(JwtBearer::new(value(canary.value()))).with_token_exchange(
            TokenExchange::new(value(canary.value())).with_actor_token(value(canary.value())),
        );
    drive(&canary, config.clone(), AuthMethod::Jwt).await;
    drive(&canary, config, AuthMethod::OAuth2).await;
}

#[tokio::test]
async fn a_private_key_is_not_shown() {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let der = STANDARD.encode(pair.to_pkcs8v1().unwrap().as_ref());
    let canary = Canary::of(&der);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
    let authentication = ClientAuthentication::private_key_jwt(value(&pem), Algorithm::Es256);
    drive(&canary, ClientConfig::new("svc", authentication), AuthMethod::Jwt).await;
}

#[tokio::test]
async fn a_key_that_is_none_is_not_shown() {
    let canary = Canary::new();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n", canary.value());
    let authentication = ClientAuthentication::private_key_jwt(value(&pem), Algorithm::Rs256);
    let server = Server::start().await;
    let credentials = credentials(ClientConfig::new("svc", authentication), Learned::of(&server));
    canary.look_at_result("jwt", &credentials.authenticate(&asking(AuthMethod::Jwt)).await);
    canary.assert_unseen();
}
