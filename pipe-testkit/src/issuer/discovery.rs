//! What the provider says of itself.

use serde_json::{Value, json};

use super::client::{AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN};
use super::parameters::OPENID_SCOPES;
use super::routes::{JWT_BEARER, TOKEN_EXCHANGE};

/// The discovery document, before a test changes it.
pub(super) fn discovery(url: &str) -> Value {
    let authentication =
        json!(["client_secret_basic", "client_secret_post", "none", "private_key_jwt"]);
    let mut document = json!({
        "issuer": url,
        "token_endpoint_auth_methods_supported": authentication,
        "introspection_endpoint_auth_methods_supported": authentication,
        "revocation_endpoint_auth_methods_supported": authentication,
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA"],
        "grant_types_supported": [
            AUTHORIZATION_CODE,
            REFRESH_TOKEN,
            "client_credentials",
            DEVICE_CODE,
            JWT_BEARER,
            TOKEN_EXCHANGE,
        ],
        "authorization_response_iss_parameter_supported": true,
        "backchannel_logout_session_supported": true,
        "backchannel_logout_supported": true,
        "claim_types_supported": ["normal"],
        "claims_parameter_supported": false,
        "claims_supported": [
            "sub", "email", "email_verified", "name", "groups", "roles", "tenant", "sid",
            "auth_time", "acr", "iss", "aud",
        ],
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA"],
        "id_token_signing_alg_values_supported": ["RS256", "PS256", "ES256", "ES384", "EdDSA"],
        "request_uri_parameter_supported": false,
        "response_modes_supported": ["query"],
        "response_types_supported": ["code"],
        "scopes_supported": OPENID_SCOPES,
        "subject_types_supported": ["public"],
    });
    let endpoints = [
        ("jwks_uri", "/jwks"),
        ("authorization_endpoint", "/auth"),
        ("device_authorization_endpoint", "/device/auth"),
        ("end_session_endpoint", "/session/end"),
        ("introspection_endpoint", "/token/introspection"),
        ("pushed_authorization_request_endpoint", "/request"),
        ("revocation_endpoint", "/token/revocation"),
        ("token_endpoint", "/token"),
        ("userinfo_endpoint", "/me"),
    ];
    for (member, path) in endpoints {
        document[member] = format!("{url}{path}").into();
    }
    document
}
