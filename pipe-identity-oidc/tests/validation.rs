//! What `Oidc` makes of tokens, against a provider in the process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "validation/binding.rs"]
mod binding;
#[path = "validation/groups.rs"]
mod groups;
#[path = "validation/issuers.rs"]
mod issuers;
#[path = "validation/opaque.rs"]
mod opaque;
#[path = "validation/remembered.rs"]
mod remembered;

use pipe_core::identity::{BearerToken, Role, SecurityContext, TokenExpectation};
use pipe_core::{ErrorKind, IdentityPlugin as _, Result, TokenFault};
use pipe_identity_oidc::{
    ClaimMapping, ClaimPointer, IssuerConfig, Oidc, OidcConfig, TenantSource,
};
use pipe_testkit::issuer::{AUDIENCE, TestIssuer};

/// An issuer's tokens, with every claim of theirs mapped.
fn trusting(issuer: &TestIssuer) -> IssuerConfig {
    let claims = ClaimMapping::new()
        .with_roles(ClaimPointer::claim("roles"))
        .with_namespaces(ClaimPointer::claim("namespace"))
        .with_tenant(TenantSource::Claim(ClaimPointer::claim("tenant")));
    IssuerConfig::new(issuer.url()).with_claims(claims)
}

fn config(issuer: &TestIssuer, trusted: IssuerConfig) -> OidcConfig {
    OidcConfig::new().with_issuer(trusted).with_clock(issuer.clock().shared())
}

fn plugin(issuer: &TestIssuer) -> Oidc {
    Oidc::new(config(issuer, trusting(issuer))).unwrap()
}

async fn validate(plugin: &Oidc, token: impl Into<String>) -> Result<SecurityContext> {
    let expect = TokenExpectation::audience(AUDIENCE);
    plugin.validate_token(&BearerToken::new(token.into()), &expect).await
}

#[track_caller]
fn fault(result: Result<SecurityContext>) -> TokenFault {
    match result.map_err(|error| error.kind()) {
        Err(ErrorKind::TokenRejected(fault)) => fault,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn role(name: &str) -> Role {
    Role::new(name).unwrap()
}
