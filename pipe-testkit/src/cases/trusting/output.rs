use pipe_core::identity::TokenExpectation;
use serde_json::json;

use crate::Stage;
use crate::issuer::{DISCOVERY, Fault, RESOURCE_SERVER_SECRET, SigningAlgorithm};
use crate::leak::Canary;

/// H1: no raw claims, and no email address.
pub async fn h1_a_context_holds_what_is_mapped_and_nothing_else(stage: Stage) {
    let canary = Canary::new();
    let value = canary.value();
    let token = stage
        .token()
        .claim("email", format!("{value}@example.org"))
        .claim("name", value)
        .claim("address", json!({"street": value}))
        .claim("sid", value);
    let context = stage.accepted(&token.sign()).await;
    canary.look_at_debug("the context", &context);
    canary.look_at("the context as a map", &format!("{:?}", context.to_map()));
    canary.assert_unseen();
}

/// H1 (REQ 004-75.5)
pub async fn h1_an_email_address_is_no_id(stage: Stage) {
    stage.good().await;
    let token = stage.token().claim("sub", "alice.in.wonderland@example.org").sign();
    // Refused, or under a pseudonym.
    if let Ok(context) = stage.validate(&token).await {
        assert!(!context.principal.id.as_str().contains('@'), "the id is an email address");
    }
}

/// H2
pub async fn h2_no_token_appears_in_logs_errors_or_contexts(stage: Stage) {
    let good = stage.token();
    let tokens = [
        good.clone(),
        good.clone().claim("iss", "https://evil.example"),
        good.clone().claim("exp", 1),
        good.clone().header("kid", "unknown"),
        good.clone().header("typ", "JWT"),
        good.clone().signature([1; 64]),
        good.json_claim("x", "{"),
    ];
    for (n, token) in tokens.into_iter().enumerate() {
        let [_, payload, signature] = token.segments();
        let canaries = [Canary::of(&payload[40..]), Canary::of(&signature)];
        let checked = stage.validate(&token.sign()).await;
        for canary in canaries {
            canary.look_at_result(&format!("the result of token {n}"), &checked);
            canary.assert_unseen();
        }
    }
}

/// H2: a claim's value is not shown, whatever is wrong with it.
pub async fn h2_no_claim_appears_in_logs_or_errors(stage: Stage) {
    let canary = Canary::new();
    let value = canary.value();
    stage.good().await;
    for name in ["iss", "aud", "exp", "nbf", "iat", "cnf"] {
        let checked = stage.validate(&stage.token().claim(name, value).sign()).await;
        canary.look_at_result(name, &checked);
    }
    for name in ["typ", "alg", "kid", "crit", "cty", "zip"] {
        let checked = stage.validate(&stage.token().header(name, value).sign()).await;
        canary.look_at_result(name, &checked);
    }
    let expect = TokenExpectation::audience("https://other");
    let token = stage.token().claim("aud", json!([value])).sign();
    canary.look_at_result("another audience", &stage.validate_as(&token, &expect).await);
    canary.assert_unseen();
}

/// H2: a provider may send anything.
pub async fn h2_no_answer_of_the_provider_appears_in_logs_or_errors(stage: Stage) {
    let canary = Canary::new();
    let value = canary.value();
    for (path, fault) in [
        (DISCOVERY, Fault::Json(json!({"issuer": value, "jwks_uri": value}).to_string())),
        (DISCOVERY, Fault::Status(500, json!({"error_description": value}).to_string())),
        ("/jwks", Fault::Status(403, value.to_owned())),
        ("/jwks", Fault::Json(format!("{{\"keys\":\"{value}\"}}"))),
        ("/jwks", Fault::Json(format!("{value} is no JSON"))),
    ] {
        stage.issuer.fail(path, fault);
        let plugin = stage.another().await;
        let token = pipe_core::identity::BearerToken::new(stage.token().sign());
        let expect = crate::stage::expectation();
        let checked = plugin.validate_token(&token, &expect).await;
        canary.look_at_result(path, &checked);
        canary.look_at_debug("health", &plugin.health().await);
        stage.issuer.heal(path);
    }
    canary.assert_unseen();
}

/// H2
pub async fn h2_no_secret_of_the_plugin_appears_in_logs_or_errors(stage: Stage) {
    let canary = Canary::of(RESOURCE_SERVER_SECRET);
    let path = "/token/introspection";
    for fault in [None, Some(Fault::Html500), Some(Fault::Status(401, "{}".to_owned()))] {
        if let Some(fault) = fault {
            stage.issuer.fail(path, fault);
        }
        let token = stage.issuer.opaque_token(json!({"sub": "alice"}));
        let checked = stage.validate(&token).await;
        canary.look_at_result("the result", &checked);
    }
    canary.look_at_debug("health", &stage.plugin.health().await);
    canary.assert_unseen();
}

/// H1: every refusal reads the same to the presenter.
pub async fn h1_refusals_tell_the_presenter_nothing(stage: Stage) {
    stage.good().await;
    let other = stage.issuer.key(SigningAlgorithm::Rs256);
    let tokens = [
        stage.token().claim("exp", 1),
        stage.token().claim("iss", "x"),
        stage.token().claim("aud", "x"),
        stage.token().header("kid", "x"),
        stage.token().header("alg", "none"),
        stage.token().signed_by(&other),
        stage.token().without("sub"),
        stage.token().json_claim("x", "{"),
    ];
    for token in tokens {
        if let Err(error) = stage.validate(&token.sign()).await {
            assert_eq!(error.public_message(), "invalid token", "{error:#}");
            assert!(!error.is_retryable(), "{error:#}");
        }
    }
}
