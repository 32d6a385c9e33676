//! `Zitadel` keeps the contract of an identity plugin, bare and with all decorators around.

use pipe_core::SecretSource;
use pipe_identity_oidc::{ClaimMapping, ClaimPointer, TenantSource, TokenTypes};
use pipe_identity_zitadel::{ApiClient, ServiceUser, Zitadel, ZitadelConfig};
use pipe_testkit::Trust;
use pipe_testkit::fake;
use pipe_testkit::wrapped::{Stack, StackWithoutRetry, stack, stack_without_retry_with_clock};

/// Obtains credentials from a Zitadel, and checks its tokens.
async fn bare() -> Option<(Zitadel, fake::Zitadel)> {
    let server = fake::Zitadel::start().await;
    let machine = server.create_machine("bot");
    let key = SecretSource::Value(machine.key_file.into());
    let config = ZitadelConfig::new(server.url(), server.project())
        .with_service(ServiceUser::key_file(key))
        .with_service_name("pipe-testkit");
    Some((Zitadel::new(config).expect("the settings are sound"), server))
}

pipe_testkit::identity_compliance!(bare);

mod wrapped {
    use super::*;

    async fn wrapped() -> Option<(Stack<Zitadel>, fake::Zitadel)> {
        let (plugin, server) = bare().await?;
        Some((stack(plugin), server))
    }
    pipe_testkit::identity_compliance!(wrapped);
}

/// Trusts an issuer as the suite wants it trusted, whose claims are not Zitadel's.
async fn trusting(trust: Trust) -> Option<(Zitadel, ())> {
    let claims = ClaimMapping::new()
        .with_roles(ClaimPointer::claim("roles"))
        .with_tenant(TenantSource::Claim(ClaimPointer::claim("tenant")))
        .with_namespaces(ClaimPointer::claim("namespace"));
    let secret = SecretSource::Value(trust.resource_server_secret.into());
    let config = ZitadelConfig::new(trust.issuer, "1")
        .with_introspection(ApiClient::secret(trust.resource_server_id, secret))
        .with_claims(claims)
        .with_types(TokenTypes::Strict)
        .with_clock(trust.clock);
    Some((Zitadel::new(config).expect("the settings are sound"), ()))
}

mod issuer {
    use super::*;

    pipe_testkit::identity_compliance!(trusting = trusting);
}

mod wrapped_issuer {
    use super::*;

    /// Without retries: the suite's provider is down on purpose.
    async fn wrapped(trust: Trust) -> Option<(StackWithoutRetry<Zitadel>, ())> {
        let clock = trust.clock.clone();
        let (plugin, ()) = trusting(trust).await?;
        Some((stack_without_retry_with_clock(plugin, &clock), ()))
    }
    pipe_testkit::identity_compliance!(trusting = wrapped);
}
