use pipe_core::TokenFault::{Malformed, MissingClaim, WrongAudience, WrongIssuer, WrongType};
use serde_json::json;

use crate::Stage;
use crate::issuer::{AUDIENCE, CLIENT_ID};

/// D8: an ID token tells the client who logged in. It opens nothing, whoever it is meant for.
pub async fn d8_an_id_token_is_no_access_token(stage: Stage) {
    stage.good().await;
    let token = stage.token().without_header("typ").without("client_id").without("jti");
    let token = token.claim("nonce", "n-0S6_WzA2Mj").claim("at_hash", "77QmUPtjPfzWtF2AnpK9RQ");
    for audience in [CLIENT_ID, AUDIENCE] {
        let token = token.clone().claim("aud", audience).sign();
        stage.refused_for(&token, &[WrongType, WrongAudience, MissingClaim]).await;
    }
}

/// D8 (OpenID Connect Back-Channel Logout 1.0)
pub async fn d8_a_logout_token_is_no_access_token(stage: Stage) {
    stage.good().await;
    let events = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    for audience in [CLIENT_ID, AUDIENCE] {
        let token = stage.token().header("typ", "logout+jwt").without("client_id");
        let token = token.claim("aud", audience).claim("events", events.clone()).claim("sid", "s1");
        stage.refused_for(&token.sign(), &[WrongType, WrongAudience, MissingClaim]).await;
    }
}

/// D8: a client's proof of who it is, shown to us instead of the issuer.
pub async fn d8_a_client_assertion_is_no_access_token(stage: Stage) {
    stage.good().await;
    let token = stage.token().header("typ", "client-authentication+jwt").without("client_id");
    let token = token.claim("iss", CLIENT_ID).claim("sub", CLIENT_ID);
    for audience in [stage.issuer.url(), AUDIENCE.to_owned()] {
        let token = token.clone().claim("aud", audience).sign();
        let faults = [WrongType, WrongIssuer, WrongAudience, MissingClaim];
        stage.refused_for(&token, &faults).await;
    }
}

/// D8
pub async fn d8_a_refresh_token_is_no_access_token(stage: Stage) {
    stage.good().await;
    let token = stage.token().header("typ", "rt+jwt").claim("aud", stage.issuer.url());
    stage.refused_for(&token.sign(), &[WrongType, WrongAudience]).await;
}

/// D9: a role is a text. Nothing else becomes one.
pub async fn d9_roles_of_another_form_grant_nothing(stage: Stage) {
    let own = stage.good().await;
    assert_eq!(own.roles.len(), 1);
    for json in
        ["42", "null", "{\"admin\":true}", "true", "[[\"admin\"]]", "[{\"name\":\"admin\"}]"]
    {
        let token = stage.token().without("roles").json_claim("roles", json).sign();
        match stage.validate(&token).await {
            Ok(context) => assert!(context.roles.is_empty(), "{json} became a role"),
            Err(error) => {
                let kind = pipe_core::ErrorKind::TokenRejected(Malformed);
                assert_eq!(error.kind(), kind, "{json}");
            }
        }
    }
}

/// D9: also not the claims that other issuers use.
pub async fn d9_a_claim_that_is_not_mapped_grants_no_role(stage: Stage) {
    let token = stage
        .token()
        .claim("groups", json!(["admin"]))
        .claim("role", "admin")
        .claim("Roles", json!(["admin"]))
        .claim("realm_access", json!({"roles": ["admin"]}))
        .claim("permissions", json!(["admin"]));
    let context = stage.accepted(&token.sign()).await;
    let roles: Vec<_> = context.roles.iter().map(pipe_core::identity::Role::as_str).collect();
    assert_eq!(roles, ["data_reader"]);
}

/// D9
pub async fn d9_a_token_without_roles_grants_none(stage: Stage) {
    let context = stage.accepted(&stage.token().without("roles").sign()).await;
    assert!(context.roles.is_empty(), "roles out of nothing");
    let context = stage.accepted(&stage.token().claim("roles", json!([])).sign()).await;
    assert!(context.roles.is_empty(), "roles out of nothing");
}

/// D9: `*` is a role of that name, if anything.
pub async fn d9_a_wildcard_is_no_other_role(stage: Stage) {
    stage.good().await;
    let token = stage.token().claim("roles", json!(["*"])).sign();
    if let Ok(context) = stage.validate(&token).await {
        assert!(context.roles.iter().all(|role| role.as_str() == "*"), "{:?}", context.roles);
    }
    let token = stage.token().claim("namespace", "*").sign();
    if let Ok(context) = stage.validate(&token).await {
        let mut namespaces = context.namespaces.iter();
        assert!(namespaces.all(|namespace| namespace.as_str() == "*"), "a wildcard was expanded");
    }
}
