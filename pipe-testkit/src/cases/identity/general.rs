use std::collections::BTreeSet;
use std::sync::Arc;

use pipe_core::IdentityPlugin;
use pipe_core::identity::{
    AuthMethod, BearerToken, ContextRequest, ServiceAuthRequest, TokenExpectation,
};

use super::{expectation, issue, request};
use crate::leak::Canary;

/// REQ 004-74.5: whatever the reason, the presenter hears the same.
pub async fn refusals_tell_the_presenter_nothing(plugin: Arc<dyn IdentityPlugin>) {
    let mut presented = vec![BearerToken::new("garbage"), BearerToken::new("e30.e30.e30")];
    let mut expect = expectation();
    if let Some(jwt) = issue(&plugin, &request()).await {
        expect = TokenExpectation::audience("somebody-else");
        presented.push(jwt.token);
    }
    let mut heard = BTreeSet::new();
    for token in presented {
        let refused = plugin.validate_token(&token, &expect).await;
        heard.insert(refused.expect_err("none of them is meant for us").public_message());
    }
    assert_eq!(heard.len(), 1, "the reasons can be told apart: {heard:?}");
}

/// REQ 004-72.7, 004-73.5, 004-85.1: tokens and claims are seen in no log, no error and no
/// `Debug` output.
pub async fn no_token_appears_in_logs_or_errors(plugin: Arc<dyn IdentityPlugin>) {
    let canary = Canary::new();
    let expect = expectation();
    for presented in [
        canary.value().to_owned(),
        format!("e30.{}.e30", canary.value()),
        format!("{0}.{0}.{0}", canary.value()),
        canary.value().repeat(100_000),
    ] {
        let token = BearerToken::new(presented);
        canary.look_at_debug("the token", &token);
        canary.look_at_result("validate_token", &plugin.validate_token(&token, &expect).await);
    }
    let request = request().with_claim("private", canary.value()).expect("not reserved");
    let signed = plugin.generate_jwt(&request).await;
    canary.look_at_result("generate_jwt", &signed);
    if let Ok(jwt) = signed {
        for expect in [expect, TokenExpectation::audience("somebody-else")] {
            let context = plugin.validate_token(&jwt.token, &expect).await;
            canary.look_at_result("validate_token", &context);
            if let Ok(context) = context {
                let request = ContextRequest::new(context);
                let context = plugin.get_security_context(&request).await;
                canary.look_at_result("get_security_context", &context);
            }
        }
        let text = jwt.token.expose_str().unwrap_or_default().to_owned();
        assert!(!format!("{jwt:?}").contains(&text), "Debug shows the token");
    }
    let service = ServiceAuthRequest::new("pipe-testkit", AuthMethod::OAuth2);
    canary.look_at_result("authenticate_service", &plugin.authenticate_service(&service).await);
    canary.look_at_debug("the plugin", &plugin);
    canary.assert_unseen();
}

/// A plugin that works says so, and can be closed twice.
pub async fn the_identity_plugin_says_that_it_serves(plugin: Arc<dyn IdentityPlugin>) {
    let health = plugin.health().await;
    assert!(health.is_serving(), "{health:?}");
    plugin.close().await.expect("the first close");
    plugin.close().await.expect("the second close");
}
