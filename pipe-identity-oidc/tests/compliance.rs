//! `Oidc` keeps the contract of an identity plugin, bare and with all decorators around.

use std::sync::Arc;

use pipe_core::SecretSource;
use pipe_identity_oidc::jwt::{Algorithm, SigningKey};
use pipe_identity_oidc::{
    ClaimMapping, ClaimPointer, ClientAuthentication, ClientConfig, IntrospectionConfig,
    IssuerConfig, Oidc, OidcConfig, SigningConfig, TenantSource,
};
use pipe_testkit::Trust;
use pipe_testkit::issuer::{CLIENT_ID, CLIENT_SECRET, TestIssuer};
use pipe_testkit::wrapped::{Stack, StackWithoutRetry, stack, stack_without_retry_with_clock};

/// Signs itself, and obtains credentials from a provider.
async fn signing(algorithm: Algorithm) -> Option<(Oidc, TestIssuer)> {
    let issuer = TestIssuer::start().await;
    issuer.offer("pipe-testkit");
    let signer = Arc::new(SigningKey::generate(algorithm).expect("a key"));
    let secret = SecretSource::Value(CLIENT_SECRET.into());
    let client = ClientConfig::new(CLIENT_ID, ClientAuthentication::client_secret_basic(secret))
        .with_service("pipe-testkit")
        .with_issuer(issuer.url());
    let signing = SigningConfig::with_signer("https://platform.example", signer);
    let config = OidcConfig::new().with_signing(signing).with_client(client);
    Some((Oidc::new(config).expect("the settings are sound"), issuer))
}

mod es256 {
    use super::*;

    async fn bare() -> Option<(Oidc, TestIssuer)> {
        signing(Algorithm::Es256).await
    }
    pipe_testkit::identity_compliance!(bare);
}

mod hs256 {
    use super::*;

    async fn bare() -> Option<(Oidc, TestIssuer)> {
        signing(Algorithm::Hs256).await
    }
    pipe_testkit::identity_compliance!(bare);
}

mod wrapped {
    use super::*;

    async fn wrapped() -> Option<(Stack<Oidc>, TestIssuer)> {
        let (plugin, issuer) = signing(Algorithm::EdDsa).await?;
        Some((stack(plugin), issuer))
    }
    pipe_testkit::identity_compliance!(wrapped);
}

/// Trusts an issuer as the suite wants it trusted.
async fn trusting(trust: Trust) -> Option<(Oidc, ())> {
    let claims = ClaimMapping::new()
        .with_roles(ClaimPointer::claim("roles"))
        .with_tenant(TenantSource::Claim(ClaimPointer::claim("tenant")))
        .with_namespaces(ClaimPointer::claim("namespace"));
    let secret = SecretSource::Value(trust.resource_server_secret.into());
    let introspection = IntrospectionConfig::new(
        trust.resource_server_id,
        ClientAuthentication::client_secret_basic(secret),
    );
    let issuer =
        IssuerConfig::new(&trust.issuer).with_claims(claims).with_introspection(introspection);
    let secret = SecretSource::Value(trust.client_secret.into());
    let client =
        ClientConfig::new(trust.client_id, ClientAuthentication::client_secret_basic(secret));
    let config = OidcConfig::new().with_issuer(issuer).with_client(client).with_clock(trust.clock);
    Some((Oidc::new(config).expect("the settings are sound"), ()))
}

mod issuer {
    use super::*;

    pipe_testkit::identity_compliance!(trusting = trusting);
}

mod wrapped_issuer {
    use super::*;

    /// Without retries: the suite's provider is down on purpose.
    async fn wrapped(trust: Trust) -> Option<(StackWithoutRetry<Oidc>, ())> {
        let clock = trust.clock.clone();
        let (plugin, ()) = trusting(trust).await?;
        Some((stack_without_retry_with_clock(plugin, &clock), ()))
    }
    pipe_testkit::identity_compliance!(trusting = wrapped);
}
