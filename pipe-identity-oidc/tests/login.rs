//! `RelyingParty` keeps the contract of a plugin that logs people in.

use pipe_core::SecretSource;
use pipe_core::identity::Role;
use pipe_identity_oidc::{
    ClaimMapping, ClaimPointer, ClientAuthentication, GroupGrant, IssuerConfig, LoginClient,
    RelyingParty, RelyingPartyConfig, SessionTimes, TenantSource,
};
use pipe_testkit::wrapped::{LoginStack, login_stack};
use pipe_testkit::{LoginFeatures, LoginStage, LoginTrust};

/// Logs people in as the suite wants it.
async fn relying_party(trust: LoginTrust) -> Option<(RelyingParty, ())> {
    let auditor = Role::new(LoginTrust::AUDITOR).expect("legal");
    let claims = ClaimMapping::new()
        .with_roles(ClaimPointer::claim("roles"))
        .with_groups(ClaimPointer::claim("groups"))
        .with_grant(GroupGrant::new(LoginTrust::AUDITORS).with_role(auditor))
        .with_tenant(TenantSource::Claim(ClaimPointer::claim("tenant")));
    let issuer = IssuerConfig::new(trust.issuer).with_claims(claims);
    let secret = SecretSource::Value(trust.client_secret.into());
    let authentication = ClientAuthentication::client_secret_basic(secret);
    let client = LoginClient::new(trust.client_id, authentication);
    let times = SessionTimes::new().with_idle(trust.idle).with_longest(trust.longest);
    let mut config = RelyingPartyConfig::new(issuer, client, trust.redirect_uri)
        .with_post_logout_redirect_uri(trust.post_logout_redirect_uri)
        .with_scopes(trust.scopes)
        .with_login_time(trust.login_time)
        .with_session(times)
        .with_sessions(trust.sessions)
        .with_clock(trust.clock);
    config.max_age = trust.max_age;
    config.assurance = trust.assurance.into_iter().collect();
    Some((RelyingParty::new(config).expect("the settings are sound"), ()))
}

mod bare {
    use super::*;

    pipe_testkit::login_compliance!(relying_party);
}

mod wrapped {
    use super::*;

    async fn wrapped(trust: LoginTrust) -> Option<(LoginStack<RelyingParty>, ())> {
        let (login, ()) = relying_party(trust).await?;
        Some((login_stack(login), ()))
    }
    pipe_testkit::login_compliance!(wrapped);
}

/// 500 logins at once, and 5,000 calls at once on 100 sessions: one refresh for each session and
/// period, no session lost, and everybody gets a token of their own.
#[test]
fn a_crowd_is_told_apart() {
    let body = |stage: LoginStage| async move {
        pipe_testkit::cases::login::logins_at_once(&stage, 500).await;
    };
    pipe_testkit::run::login("logins", relying_party, LoginFeatures::ALL, body);
    let body = |stage: LoginStage| async move {
        pipe_testkit::cases::login::calls_at_once(&stage, 100, 5_000).await;
    };
    pipe_testkit::run::login("calls", relying_party, LoginFeatures::ALL, body);
}
