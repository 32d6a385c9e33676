use std::time::{Duration, UNIX_EPOCH};

use pipe_core::TokenFault::TenantMismatch;
use pipe_core::identity::{ContextRequest, Role, TenantId, TokenExpectation};
use pipe_core::{ErrorKind, Namespace};
use serde_json::json;

use crate::Stage;
use crate::issuer::{AUDIENCE, SUBJECT};
use crate::stage::expectation;

fn tenant(name: &str) -> TokenExpectation {
    expectation().with_tenant(TenantId::new(name).expect("legal"))
}

/// REQ 004-74.3
pub async fn d9_the_context_tells_what_the_token_says(stage: Stage) {
    let now = stage.issuer.clock().seconds();
    let token = stage.token().claim("jti", "token-1").claim("scope", "a b");
    let context = stage.accepted(&token.claim("roles", json!(["r1", "r2"])).sign()).await;
    assert_eq!(context.principal.id.as_str(), SUBJECT);
    assert_eq!(context.issuer, stage.issuer.url());
    assert_eq!(context.token_id.as_deref(), Some("token-1"));
    assert_eq!(context.tenant.as_ref().map(TenantId::as_str), Some("acme"));
    assert_eq!(context.expires_at, UNIX_EPOCH + Duration::from_secs(now + 3600));
    let roles: Vec<_> = context.roles.iter().map(Role::as_str).collect();
    let namespaces: Vec<_> = context.namespaces.iter().map(Namespace::as_str).collect();
    let scopes: Vec<_> = context.scopes.iter().map(String::as_str).collect();
    assert_eq!((roles, namespaces, scopes), (vec!["r1", "r2"], vec!["sales"], vec!["a", "b"]));
}

/// D9 (REQ 004-75.2)
pub async fn d9_a_token_of_another_tenant_is_refused(stage: Stage) {
    let token = stage.token().sign();
    stage.accepted_as(&token, &tenant("acme")).await;
    for other in ["globex", "ACME", "acme2", "acm"] {
        stage.refused_as(&token, &tenant(other), &[TenantMismatch]).await;
    }
}

/// D9: a token that says nothing about its tenant belongs to none.
pub async fn d9_a_token_without_tenant_belongs_to_none(stage: Stage) {
    let token = stage.token().without("tenant").sign();
    assert_eq!(stage.accepted(&token).await.tenant, None);
    stage.refused_as(&token, &tenant("acme"), &[TenantMismatch]).await;
}

/// D9: the context stays within its tenant too.
pub async fn d9_a_context_of_another_tenant_is_refused(stage: Stage) {
    let context = stage.good().await;
    let request = ContextRequest::new(context);
    let own = request.clone().with_tenant(TenantId::new("acme").expect("legal"));
    let resolved = stage.plugin.get_security_context(&own).await;
    assert!(resolved.is_ok(), "{resolved:?}");
    let other = request.with_tenant(TenantId::new("globex").expect("legal"));
    let refused = stage.plugin.get_security_context(&other).await;
    let kind = refused.map(|_| ()).map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::TokenRejected(TenantMismatch)));
}

/// H5: that a token was accepted once says nothing about another expectation.
pub async fn h5_an_accepted_token_is_held_to_every_expectation(stage: Stage) {
    let token = stage.token().claim("aud", json!([AUDIENCE, "https://second"])).sign();
    stage.accepted(&token).await;
    stage.accepted(&token).await;
    stage.accepted_as(&token, &TokenExpectation::audience("https://second")).await;
    let third = TokenExpectation::audience("https://third");
    stage.refused_as(&token, &third, &[pipe_core::TokenFault::WrongAudience]).await;
    stage.accepted(&token).await;
}

/// H7: whatever is remembered, each token has its own tenant and its own roles.
pub async fn h7_no_role_crosses_from_one_tenant_to_another(stage: Stage) {
    let mut random = fastrand::Rng::with_seed(7);
    let mut minted = Vec::new();
    for n in 0..12 {
        let own = format!("tenant-{}", random.u8(0..4));
        let roles: Vec<_> = (0..random.usize(0..4)).map(|r| format!("{own}-{r}")).collect();
        // One subject for all: a cache by subject would mix them.
        let token = stage.token().claim("tenant", own.as_str()).claim("roles", json!(roles));
        minted.push((own, roles, token.claim("jti", format!("t{n}")).sign()));
    }
    for _ in 0..2 {
        random.shuffle(&mut minted);
        for (own, roles, token) in &minted {
            let context = stage.accepted_as(token, &tenant(own)).await;
            let found: Vec<_> = context.roles.iter().map(|role| role.as_str().to_owned()).collect();
            assert_eq!(
                (&found, context.tenant.as_ref().map(TenantId::as_str)),
                (roles, Some(&**own))
            );
            let other = if own == "tenant-0" { "tenant-1" } else { "tenant-0" };
            stage.refused_as(token, &tenant(other), &[TenantMismatch]).await;
        }
    }
}
