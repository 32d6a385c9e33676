use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pipe_core::identity::{AuthMethod, Credential, ServiceAuthRequest, ServiceCredentials};
use pipe_core::{ErrorKind, IdentityPlugin};

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
