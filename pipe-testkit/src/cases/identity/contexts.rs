use std::sync::Arc;
use std::time::Duration;

use pipe_core::identity::{ContextRequest, TenantId};
use pipe_core::{IdentityPlugin, SecurityContext, TokenFault};

use super::{SUBJECT, expect_refusal, expectation, issue, request};

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
        assert_eq!(fault, TokenFault::IssuerMismatch);
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
