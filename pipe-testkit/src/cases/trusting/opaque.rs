use std::time::Duration;

use pipe_core::TokenFault::{Inactive, TenantMismatch, WrongAudience};
use pipe_core::identity::{Role, TenantId, TokenExpectation};
use serde_json::json;

use super::{expect_nobody, expect_outage};
use crate::Stage;
use crate::issuer::{CLIENT_ID, Fault};

const INTROSPECTION: &str = "/token/introspection";

/// An active token, once the plugin accepted one; where it does not offer this, it refuses it and asks
/// nobody, and the case ends.
async fn active(stage: &Stage) -> Option<String> {
    let token = stage.issuer.opaque_token(json!({"sub": "alice"}));
    if stage.features.introspection {
        stage.accepted(&token).await;
        return Some(token);
    }
    expect_nobody(stage.validate(&token).await, "an opaque token");
    assert_eq!(stage.issuer.hits(INTROSPECTION), 0, "the issuer was asked");
    None
}

/// H6 (RFC 7662)
pub async fn h6_an_opaque_token_is_asked_about_or_refused(stage: Stage) {
    if active(&stage).await.is_some() {
        let told = json!({
            "sub": "alice", "roles": ["r1"], "tenant": "acme", "namespace": "sales", "scope": "a b",
        });
        let context = stage.accepted(&stage.issuer.opaque_token(told)).await;
        assert_eq!(context.principal.id.as_str(), "alice");
        assert_eq!(context.issuer, stage.issuer.url());
        assert_eq!(context.tenant.as_ref().map(TenantId::as_str), Some("acme"));
        assert_eq!(context.roles.iter().map(Role::as_str).collect::<Vec<_>>(), ["r1"]);
        assert_eq!(context.scopes.into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(context.namespaces.len(), 1);
    }
}

/// H6: a service's own token has no `sub`; the client is who calls.
pub async fn h6_an_opaque_token_of_a_service_speaks_for_its_client(stage: Stage) {
    if active(&stage).await.is_some() {
        let context = stage.accepted(&stage.issuer.opaque_token(json!({}))).await;
        assert_eq!(context.principal.id.as_str(), CLIENT_ID);
    }
}

/// H6
pub async fn h6_an_opaque_token_that_nobody_knows_is_refused(stage: Stage) {
    if active(&stage).await.is_some() {
        for token in ["y5Dh2NRKyHYTFsdTcWHcxZtUd1pIUqVWmC1vKXBMMq4", "x", "-"] {
            stage.refused(token, Inactive).await;
        }
    }
}

/// H6: only `true` is true.
pub async fn h6_an_answer_that_does_not_say_active_lets_nobody_in(stage: Stage) {
    if active(&stage).await.is_some() {
        let url = stage.issuer.url();
        let end = stage.issuer.clock().seconds() + 60;
        for active in [json!("true"), json!(1), json!(null), json!([true])] {
            let told = json!({
                "active": active, "iss": url, "sub": "alice", "aud": crate::issuer::AUDIENCE,
                "exp": end, "client_id": "x",
            });
            stage.issuer.fail(INTROSPECTION, Fault::Json(told.to_string()));
            let token = stage.issuer.opaque_token(json!({"sub": "alice"}));
            expect_nobody(stage.validate(&token).await, &told.to_string());
        }
    }
}

/// H6: what is remembered is forgotten within the bound.
pub async fn h6_a_revoked_token_is_refused_within_the_bound(stage: Stage) {
    if let Some(token) = active(&stage).await
        && stage.features.tokio_time
    {
        stage.issuer.revoke(&token);
        stage.wait(Duration::from_secs(61)).await;
        stage.refused(&token, Inactive).await;
    }
}

/// H6: the issuer's answer is held to what is expected, as a token's claims are.
pub async fn h6_an_opaque_token_for_somebody_else_is_refused(stage: Stage) {
    if let Some(token) = active(&stage).await {
        let expect = TokenExpectation::audience("https://other");
        stage.refused_as(&token, &expect, &[WrongAudience]).await;
        let other = stage.issuer.opaque_token(json!({"sub": "alice", "aud": "https://other"}));
        stage.refused(&other, WrongAudience).await;
    }
}

/// H6
pub async fn h6_an_opaque_token_of_another_tenant_is_refused(stage: Stage) {
    if active(&stage).await.is_some() {
        let token = stage.issuer.opaque_token(json!({"sub": "alice", "tenant": "acme"}));
        let tenant = |name| TenantId::new(name).expect("legal");
        let expect = crate::stage::expectation();
        stage.accepted_as(&token, &expect.clone().with_tenant(tenant("acme"))).await;
        let other = expect.with_tenant(tenant("globex"));
        stage.refused_as(&token, &other, &[TenantMismatch]).await;
    }
}

/// H6
pub async fn h6_an_issuer_that_cannot_be_asked_is_an_outage(stage: Stage) {
    if active(&stage).await.is_some() {
        for fault in [Fault::Html500, Fault::Html200, Fault::Reset, Fault::NoContent, Fault::Hang] {
            stage.issuer.fail(INTROSPECTION, fault.clone());
            let token = stage.issuer.opaque_token(json!({"sub": "alice"}));
            let checked = match fault {
                Fault::Hang => stage.in_time(stage.validate(&token)).await,
                _ => stage.validate(&token).await,
            };
            expect_outage(checked, &format!("{fault:?}"));
        }
    }
}

/// H6: that we were not let in says nothing about the token.
pub async fn h6_an_issuer_that_refuses_the_client_is_no_refusal_of_the_token(stage: Stage) {
    if active(&stage).await.is_some() {
        let refusal = json!({"error": "invalid_client"}).to_string();
        stage.issuer.fail(INTROSPECTION, Fault::Status(401, refusal));
        let token = stage.issuer.opaque_token(json!({"sub": "alice"}));
        expect_outage(stage.validate(&token).await, "invalid_client");
    }
}

/// H6: a JWT is judged by its signature, and costs no question.
pub async fn h6_a_jwt_is_not_asked_about(stage: Stage) {
    stage.good().await;
    assert_eq!(stage.issuer.hits(INTROSPECTION), 0, "the issuer was asked about a JWT");
}

/// H6: the binding of an opaque token is in the answer.
pub async fn h6_an_opaque_token_that_is_bound_needs_its_proof(stage: Stage) {
    if active(&stage).await.is_some() {
        let bound =
            json!({"sub": "alice", "cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}});
        stage.refused(&stage.issuer.opaque_token(bound), pipe_core::TokenFault::NotBound).await;
    }
}
