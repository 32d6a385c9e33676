//! What the settings amount to.

use std::sync::Arc;
use std::time::Duration;

use pipe_core::identity::TenantId;
use pipe_core::{ConfigFaults, Result};
use pipe_http::ServerAddress;
use url::Url;

use super::begin::LONGEST_LOGIN;
use super::id_token::IdTokens;
use super::logout::LogoutTokens;
use super::renew::Flights;
use super::tokens::Client;
use super::{Inner, RelyingPartyConfig};
use crate::client::Authenticator;
use crate::endpoints::ProviderEndpoints;
use crate::jwt::{TokenPolicy, TokenType};
use crate::keys::KeySource;
use crate::{IssuerConfig, TokenTypes};

const LONGEST_SESSION: Duration = Duration::from_secs(30 * 24 * 3600);

impl RelyingPartyConfig {
    /// Everything that can be checked without asking the provider, all faults at once.
    pub(super) fn build(self) -> Result<Inner> {
        let mut faults = ConfigFaults::new();
        self.check(&mut faults);
        let id_tokens = IdTokens::new(
            &self.issuer,
            &self.client.id,
            self.assurance.clone(),
            self.roles.is_some(),
            &mut faults,
        );
        let policies = faults.keep_below("issuer", logout_policies(&self.issuer));
        let endpoints =
            id_tokens.as_ref().and_then(|tokens| self.endpoints(&tokens.keys, &mut faults));
        let store = faults.keep_below("sessions", self.sessions.clone().store());
        let (Some(id_tokens), Some(endpoints), Some(policies), Some(store)) =
            (id_tokens, endpoints, policies, store)
        else {
            return Err(faults.into_error());
        };
        faults.into_result()?;
        let authenticator =
            Authenticator::new(&self.client.id, &self.client.authentication, self.clock.clone());
        let mut scopes = self.scopes;
        scopes.insert("openid".to_owned());
        let logout_tokens = LogoutTokens {
            issuer: self.issuer.issuer.clone(),
            client: self.client.id.clone(),
            policies,
            keys: Arc::clone(&id_tokens.keys),
        };
        Ok(Inner {
            name: self.name,
            client: Client {
                id: self.client.id,
                authenticator,
                endpoints: Arc::new(endpoints),
                audience: self.audience,
                audience_parameter: self.audience_parameter,
                clock: self.clock.clone(),
            },
            redirect_uri: self.redirect_uri,
            post_logout_redirect_uri: self.post_logout_redirect_uri,
            scopes,
            max_age: self.max_age,
            assurance: self.assurance,
            user_info: self.user_info,
            pushed_requests: self.pushed_requests,
            login_time: self.login_time,
            times: self.session,
            preset: self.issuer.preset,
            tenants: self.issuer.tenants.iter().map(TenantId::to_string).collect(),
            id_tokens,
            logout_tokens,
            store,
            roles: self.roles,
            clock: self.clock,
            flights: Flights::default(),
            // Learning the endpoints, the keys, the tokens and the claims takes an exchange each.
            patience: self.issuer.http.timeout.saturating_mul(4),
        })
    }

    fn check(&self, faults: &mut ConfigFaults) {
        if self.name.is_empty() || self.name.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            faults.add("name", "must not be empty or have spaces in it");
        }
        if self.client.id.is_empty() || self.client.id.contains(char::is_control) {
            faults.add("client.id", "must not be empty or have control characters in it");
        }
        if let Some((setting, fault)) = self.client.authentication.fault() {
            faults.add(setting, fault);
        }
        for (setting, uri) in [
            ("redirect_uri", &self.redirect_uri),
            ("post_logout_redirect_uri", &self.post_logout_redirect_uri),
        ] {
            if let Some(fault) = uri.as_deref().and_then(uri_fault) {
                faults.add(setting, fault);
            }
        }
        if crate::client::check_scopes(&self.scopes).is_err() {
            faults.add("scopes", "must be at most 100 legal scopes");
        }
        if self.audience.as_ref().is_some_and(String::is_empty) {
            faults.add("audience", "must not be empty");
        }
        if self.assurance.iter().any(|acr| acr.is_empty() || acr.contains(char::is_whitespace)) {
            faults.add("assurance", "must have names without spaces in it");
        }
        if self.issuer.introspection.is_some() {
            faults.add("issuer.introspection", "is for access tokens of callers, not for logins");
        }
        let second = Duration::from_secs(1);
        if self.login_time < second || self.login_time > LONGEST_LOGIN {
            faults.add("login_time", "must be between one second and one hour");
        }
        if self.session.idle < second {
            faults.add("session.idle", "must be at least a second");
        }
        if self.session.longest < self.session.idle || self.session.longest > LONGEST_SESSION {
            faults.add("session.longest", "must be between `session.idle` and 30 days");
        }
    }

    fn endpoints(&self, keys: &KeySource, faults: &mut ConfigFaults) -> Option<ProviderEndpoints> {
        let Some(provider) = keys.provider() else {
            faults.add("issuer.keys", "must be published by the provider where people log in");
            return None;
        };
        let issuer = &self.issuer.issuer;
        let token = self.client.token_endpoint.clone();
        let endpoints = ProviderEndpoints::new(issuer, provider.clone(), token, None);
        faults.keep("client.token_endpoint", endpoints)
    }
}

/// The types that logout tokens may have: by the standard `logout+jwt`, and none or `JWT` where the
/// provider is known not to be strict.
fn logout_policies(issuer: &IssuerConfig) -> Result<Vec<TokenPolicy>> {
    let mut types = vec![TokenType::Exactly("logout+jwt".to_owned())];
    if issuer.types.unwrap_or_else(|| issuer.preset.types()) == TokenTypes::Lenient {
        types.push(TokenType::Untyped);
    }
    let policy = |token_type| {
        let policy = issuer.policy(token_type).subject_optional();
        policy.require_claim("events").require_claim("jti").require_claim("iat").build()
    };
    types.into_iter().map(policy).collect()
}

/// RFC 6749 3.1.2, RFC 8252 7.3: absolute, without a fragment, and at https unless on this machine.
fn uri_fault(uri: &str) -> Option<&'static str> {
    let Ok(parsed) = Url::parse(uri) else { return Some("must be a URL") };
    if parsed.fragment().is_some() {
        return Some("must not have a fragment");
    }
    if ServerAddress::origin_of(uri).is_err() {
        return Some("must be an https URL, or an http URL of this machine");
    }
    None
}
