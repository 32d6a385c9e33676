use std::sync::Arc;
use std::time::Duration;

use pipe_core::identity::{ContextRequest, Role, TenantId, TokenExpectation};
use pipe_core::{IdentityPlugin, SecurityContext, TokenFault};

use super::{AUDIENCE, SUBJECT, expect_refusal, expectation, issue, request};

/// The context of the bearer of the plugin's own token.
async fn context(plugin: &dyn IdentityPlugin) -> Option<SecurityContext> {
    let jwt = issue(plugin, &request()).await?;
    match plugin.validate_token(&jwt.token, &expectation()).await {
        Ok(context) => Some(context),
        Err(error) => panic!("validate_token failed: {error:#}"),
    }
}

/// REQ 004-74.0: a bearer token may be presented more than once.
pub async fn our_own_token_is_accepted(plugin: Arc<dyn IdentityPlugin>) {
    if let Some(jwt) = issue(&plugin, &request()).await {
        for _ in 0..3 {
            let accepted = plugin.validate_token(&jwt.token, &expectation()).await;
            assert!(accepted.is_ok(), "{accepted:?}");
        }
    }
}

/// REQ 004-74.3, 004-75.1
pub async fn the_context_tells_who_is_calling(plugin: Arc<dyn IdentityPlugin>) {
    if let Some(context) = context(&plugin).await {
        assert_eq!(context.principal.id.as_str(), SUBJECT);
        let roles: Vec<_> = context.roles.iter().map(|role| role.as_str()).collect();
        assert_eq!(roles, ["data_reader"]);
        let namespaces: Vec<_> = context.namespaces.iter().map(|n| n.as_str()).collect();
        assert_eq!(namespaces, ["sales"]);
        assert!(!context.issuer.is_empty() && context.token_id.is_some(), "{context:?}");
        let now = plugin.get_security_context(&ContextRequest::new(context.clone())).await;
        assert_eq!(now.expect("the context holds").principal, context.principal);
    }
}

/// A context never outlives its token.
pub async fn the_context_ends_with_the_token(plugin: Arc<dyn IdentityPlugin>) {
    if let Some(jwt) = issue(&plugin, &request()).await {
        let context = plugin.validate_token(&jwt.token, &expectation()).await.expect("accepted");
        assert_eq!(context.expires_at, jwt.expires_at);
    }
}

/// A decision is never made for a caller whose token has ended.
pub async fn an_expired_context_is_refused(plugin: Arc<dyn IdentityPlugin>) {
    if let Some(mut context) = context(&plugin).await {
        context.expires_at = context.authenticated_at - Duration::from_secs(3600);
        let fault =
            expect_refusal(plugin.get_security_context(&ContextRequest::new(context)).await);
        assert_eq!(fault, TokenFault::Expired);
    }
}

/// A context that another issuer vouches for is not ours to resolve.
pub async fn a_context_of_another_issuer_is_refused(plugin: Arc<dyn IdentityPlugin>) {
    if let Some(mut context) = context(&plugin).await {
        context.issuer.push_str(".evil.example");
        let fault =
            expect_refusal(plugin.get_security_context(&ContextRequest::new(context)).await);
        assert_eq!(fault, TokenFault::WrongIssuer);
    }
}

/// REQ 004-75.2
pub async fn a_context_of_another_tenant_is_refused(plugin: Arc<dyn IdentityPlugin>) {
    if let Some(context) = context(&plugin).await {
        let tenant = TenantId::new("pipe-testkit-nobody").expect("legal");
        let request = ContextRequest::new(context).with_tenant(tenant);
        let fault = expect_refusal(plugin.get_security_context(&request).await);
        assert_eq!(fault, TokenFault::TenantMismatch);
    }
}

/// Resolving tells the roles of *this* caller: nobody else's, for no longer, and the same while
/// nothing changed.
pub async fn a_resolved_context_is_still_the_callers(plugin: Arc<dyn IdentityPlugin>) {
    if let Some(before) = context(&plugin).await {
        let request = ContextRequest::new(before.clone());
        let now = plugin.get_security_context(&request).await.expect("the context holds");
        assert_eq!(now.principal, before.principal);
        assert_eq!((&now.issuer, &now.tenant), (&before.issuer, &before.tenant));
        assert_eq!(now.roles, before.roles);
        assert!(now.expires_at <= before.expires_at, "the context lives longer than the token");
    }
}

/// All roles and all audiences arrive, not just the first.
pub async fn several_roles_and_audiences_survive(plugin: Arc<dyn IdentityPlugin>) {
    let roles = ["data_reader", "data_writer", "operator"];
    let audiences = [AUDIENCE, "other", "third"];
    let request = request()
        .with_role(Role::new(roles[1]).expect("legal"))
        .with_role(Role::new(roles[2]).expect("legal"))
        .with_audience(audiences[1])
        .with_audience(audiences[2]);
    for audience in audiences {
        let Some(jwt) = issue(&plugin, &request).await else {
            return;
        };
        let expect = TokenExpectation::audience(audience);
        let context = plugin.validate_token(&jwt.token, &expect).await.expect("accepted");
        let found: Vec<_> = context.roles.iter().map(Role::as_str).collect();
        assert_eq!(found, roles);
    }
}
