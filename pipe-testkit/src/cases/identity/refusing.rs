use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::identity::{BearerToken, SignedJwt, TenantId, TokenExpectation};
use pipe_core::{ErrorKind, IdentityPlugin, TokenFault};
use serde_json::{Value, json};

use super::{expect_refusal, expectation, issue, object, request, segments};

async fn refusal(plugin: &dyn IdentityPlugin, token: impl Into<String>) -> TokenFault {
    let token = BearerToken::new(token.into());
    expect_refusal(plugin.validate_token(&token, &expectation()).await)
}

/// The plugin's own token, once it was accepted: what is refused afterwards is refused for what was
/// changed, and not because the plugin refuses everything.
async fn accepted(plugin: &dyn IdentityPlugin) -> Option<SignedJwt> {
    let jwt = issue(plugin, &request()).await?;
    match plugin.validate_token(&jwt.token, &expectation()).await {
        Ok(_) => Some(jwt),
        Err(error) => panic!("validate_token failed: {error:#}"),
    }
}

/// That a token was accepted once says nothing about the next call: each has its own expectation.
pub async fn a_token_accepted_once_is_checked_again(plugin: Arc<dyn IdentityPlugin>) {
    if let Some(jwt) = accepted(&plugin).await {
        let expect = TokenExpectation::audience("somebody-else");
        let fault = expect_refusal(plugin.validate_token(&jwt.token, &expect).await);
        assert_eq!(fault, TokenFault::WrongAudience);
        let tenant = TenantId::new("pipe-testkit-nobody").expect("legal");
        let expect = expectation().with_tenant(tenant);
        let fault = expect_refusal(plugin.validate_token(&jwt.token, &expect).await);
        assert_eq!(fault, TokenFault::TenantMismatch);
    }
}

/// A token that was meant for another service opens nothing here.
pub async fn a_token_for_somebody_else_is_refused(plugin: Arc<dyn IdentityPlugin>) {
    if let Some(jwt) = issue(&plugin, &request()).await {
        for audience in ["somebody-else", "", "pipe-testki", "pipe-testkit2", "PIPE-TESTKIT"] {
            let expect = TokenExpectation::audience(audience);
            let fault = expect_refusal(plugin.validate_token(&jwt.token, &expect).await);
            assert_eq!(fault, TokenFault::WrongAudience, "{audience:?}");
        }
    }
}

/// A token for several, and a receiver of several names, need one name in common.
pub async fn one_matching_audience_is_enough(plugin: Arc<dyn IdentityPlugin>) {
    if let Some(jwt) = issue(&plugin, &request().with_audience("other")).await {
        let expect = TokenExpectation::audience("third").or_audience("other");
        let accepted = plugin.validate_token(&jwt.token, &expect).await;
        assert!(accepted.is_ok(), "{accepted:?}");
    }
}

/// Who expects nothing has made a mistake; it is not "any audience".
pub async fn an_expectation_without_audience_is_refused(plugin: Arc<dyn IdentityPlugin>) {
    if let Some(jwt) = issue(&plugin, &request()).await {
        let mut expect = expectation();
        expect.audiences.clear();
        let error = plugin.validate_token(&jwt.token, &expect).await.expect_err("no audience");
        let kind = error.kind();
        assert!(
            matches!(kind, ErrorKind::InvalidArgument | ErrorKind::TokenRejected(_)),
            "{error:#}"
        );
    }
}

/// Whoever changes a claim has to sign again.
pub async fn a_tampered_payload_is_refused(plugin: Arc<dyn IdentityPlugin>) {
    if let Some(jwt) = accepted(&plugin).await {
        let [header, payload, signature] = segments(&jwt);
        for (claim, value) in [
            ("roles", json!(["admin"])),
            ("sub", json!("somebody-else")),
            ("exp", json!(99_999_999_999_u64)),
        ] {
            let mut claims = object(&payload);
            claims.insert(claim.to_owned(), value);
            let payload = URL_SAFE_NO_PAD.encode(Value::Object(claims).to_string());
            refusal(&plugin, format!("{header}.{payload}.{signature}")).await;
        }
    }
}

/// Another signature, half a signature, somebody else's signature.
pub async fn a_tampered_signature_is_refused(plugin: Arc<dyn IdentityPlugin>) {
    let first = accepted(&plugin).await;
    let second = accepted(&plugin).await;
    let Some((first, second)) = first.zip(second) else {
        return;
    };
    let [header, payload, signature] = segments(&first);
    let [.., foreign] = segments(&second);
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let flipped = format!("{flipped}{}", &signature[1..]);
    let half = signature[..signature.len() / 2].to_owned();
    for signature in [flipped, half, foreign, "AAAA".to_owned()] {
        refusal(&plugin, format!("{header}.{payload}.{signature}")).await;
    }
}

/// `alg: none` (RFC 8725 2.1), in every spelling, with and without a signature.
pub async fn a_token_without_signature_is_refused(plugin: Arc<dyn IdentityPlugin>) {
    if let Some(jwt) = accepted(&plugin).await {
        let [header, payload, signature] = segments(&jwt);
        refusal(&plugin, format!("{header}.{payload}.")).await;
        refusal(&plugin, format!("{header}.{payload}")).await;
        for algorithm in ["none", "None", "NONE", "nOnE", ""] {
            let header = URL_SAFE_NO_PAD.encode(json!({"alg": algorithm}).to_string());
            refusal(&plugin, format!("{header}.{payload}.")).await;
            refusal(&plugin, format!("{header}.{payload}.{signature}")).await;
        }
    }
}

/// Whatever else arrives is refused as a token, and is never a crash.
pub async fn garbage_is_refused(plugin: Arc<dyn IdentityPlugin>) {
    for token in
        ["", ".", "..", "...", "a.b.c", "e30.e30.e30", "null", "{}", "Bearer x", "ä.ö.ü", " ", "\n"]
    {
        refusal(&plugin, token).await;
    }
    let binary = BearerToken::new(vec![0xff_u8, 0, 0x2e, 0xfe, 0x2e]);
    expect_refusal(plugin.validate_token(&binary, &expectation()).await);
}

/// Five megabytes are not looked into.
pub async fn a_huge_token_is_refused(plugin: Arc<dyn IdentityPlugin>) {
    refusal(&plugin, "a".repeat(5 << 20)).await;
    refusal(&plugin, format!("e30.{}.e30", "e30".repeat(1 << 20))).await;
    refusal(&plugin, ".".repeat(5 << 20)).await;
}

/// REQ 004-75.2: a token that says nothing about its tenant belongs to none.
pub async fn a_token_of_another_tenant_is_refused(plugin: Arc<dyn IdentityPlugin>) {
    if let Some(jwt) = issue(&plugin, &request()).await {
        let tenant = TenantId::new("pipe-testkit-nobody").expect("legal");
        let expect = expectation().with_tenant(tenant);
        let fault = expect_refusal(plugin.validate_token(&jwt.token, &expect).await);
        assert_eq!(fault, TokenFault::TenantMismatch);
    }
}
