use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::identity::{AuthMethod, Credential, ServiceAuthRequest, ServiceCredentials};
use pipe_core::{ErrorKind, IdentityPlugin};
use serde_json::{Map, Value};

use super::{AUDIENCE, expect_kind};

/// Credentials by every method that the plugin offers.
async fn obtain(plugin: &dyn IdentityPlugin) -> Vec<(ServiceAuthRequest, ServiceCredentials)> {
    let mut obtained = Vec::new();
    for method in [AuthMethod::OAuth2, AuthMethod::Jwt, AuthMethod::Mtls] {
        let request = ServiceAuthRequest::new("pipe-testkit", method)
            .with_audience(AUDIENCE)
            .with_scope("read");
        match plugin.authenticate_service(&request).await {
            Ok(credentials) => obtained.push((request, credentials)),
            Err(error) => drop(expect_kind::<()>(Err(error), ErrorKind::Unsupported)),
        }
    }
    let declared = plugin.capabilities().authenticate;
    assert_eq!(!obtained.is_empty(), declared, "`authenticate` is declared: {declared}");
    obtained
}

/// REQ 004-72.2
pub async fn credentials_are_temporary_or_unsupported(plugin: Arc<dyn IdentityPlugin>) {
    for (request, credentials) in obtain(&plugin).await {
        let left = credentials.expires_at.duration_since(SystemTime::now()).unwrap_or_default();
        assert!(left > Duration::ZERO, "{request:?}: expired already");
        assert!(left <= Duration::from_secs(7 * 24 * 3600), "{request:?}: not temporary");
        let empty = match &credentials.credential {
            Credential::Bearer(token) => token.expose().is_empty(),
            Credential::Mtls { certificate_chain, private_key } => {
                certificate_chain.is_empty() || private_key.is_empty()
            }
            _ => false,
        };
        assert!(!empty, "{request:?}: an empty credential");
    }
}

/// What was granted is not more than what was asked for.
pub async fn credentials_carry_only_requested_scopes(plugin: Arc<dyn IdentityPlugin>) {
    for (request, credentials) in obtain(&plugin).await {
        let extra: BTreeSet<_> = credentials.scopes.difference(&request.scopes).collect();
        assert!(extra.is_empty(), "{request:?}: also granted {extra:?}");
    }
}

/// A credential that can be looked into is for the audience that was asked for, names somebody, and
/// ends when the answer says.
pub async fn credentials_that_are_tokens_say_the_same(plugin: Arc<dyn IdentityPlugin>) {
    for (request, credentials) in obtain(&plugin).await {
        let Credential::Bearer(token) = &credentials.credential else {
            continue;
        };
        // An opaque token is nobody's business but its issuer's.
        let Some(claims) = token.expose_str().and_then(peek) else {
            continue;
        };
        let is_ours = |audience: &Value| audience.as_str() == Some(AUDIENCE);
        let audience = claims.get("aud").unwrap_or(&Value::Null);
        let named = is_ours(audience)
            || audience.as_array().is_some_and(|audiences| audiences.iter().any(is_ours));
        assert!(named, "{request:?}: not for the audience that was asked for");
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        assert!(!subject.is_empty(), "{request:?}: the token names nobody");
        let end = claims.get("exp").and_then(Value::as_u64).expect("a token that ends");
        let end = UNIX_EPOCH + Duration::from_secs(end);
        let difference =
            end.duration_since(credentials.expires_at).unwrap_or_else(|earlier| earlier.duration());
        // `expires_in` counts from when the answer arrived.
        assert!(difference <= Duration::from_secs(60), "{request:?}: ends {difference:?} off");
    }
}

/// The claims, when the token is a JWT.
fn peek(token: &str) -> Option<Map<String, Value>> {
    let (_, rest) = token.split_once('.')?;
    let (payload, _) = rest.split_once('.')?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}
