//! `Infisical` keeps the contract, offline, on a fake that answers as real servers do.

use std::sync::Arc;
use std::time::Duration;

use pipe_core::{SecretSource, SecretsPlugin};
use pipe_secrets_infisical::{Infisical, InfisicalConfig, UniversalAuth};
use pipe_testkit::fake::{self, InfisicalIdentity, InfisicalRelease, InfisicalRights};

async fn with_rights(
    release: InfisicalRelease,
    rights: InfisicalRights,
) -> (Infisical, fake::Infisical) {
    let server = fake::Infisical::start(release).await;
    for environment in ["pipe-testkit-a", "pipe-testkit-b"] {
        server.create_environment(environment);
    }
    let (id, secret) = server.create_identity(InfisicalIdentity::new(rights));
    let auth = UniversalAuth::new(id, SecretSource::Value(secret.into()));
    let config = InfisicalConfig::new(server.address(), server.project(), auth)
        .with_poll_interval(Duration::from_millis(50));
    (Infisical::new(config).expect("the settings are sound"), server)
}

async fn unavailable_with(release: InfisicalRelease) -> (Infisical, fake::Infisical) {
    let (plugin, server) = with_rights(release, InfisicalRights::All).await;
    server.stop().await;
    (plugin, server)
}

/// The suite on one release, bare and wrapped.
macro_rules! on {
    ($module:ident, $release:ident) => {
        mod $module {
            use pipe_testkit::wrapped::{Stack, StackWithoutRetry, stack, stack_without_retry};

            use super::*;

            const RELEASE: InfisicalRelease = InfisicalRelease::$release;

            async fn bare() -> Option<(Infisical, fake::Infisical)> {
                Some(with_rights(RELEASE, InfisicalRights::All).await)
            }

            async fn denied() -> Option<(Infisical, fake::Infisical)> {
                Some(with_rights(RELEASE, InfisicalRights::None).await)
            }

            async fn unavailable() -> Option<(Infisical, fake::Infisical)> {
                Some(unavailable_with(RELEASE).await)
            }

            pipe_testkit::secrets_compliance!(bare, denied = denied, unavailable = unavailable);

            mod wrapped {
                use super::*;

                async fn wrapped() -> Option<(Stack<Infisical>, fake::Infisical)> {
                    let (plugin, server) = bare().await?;
                    Some((stack(plugin), server))
                }

                async fn denied() -> Option<(Stack<Infisical>, fake::Infisical)> {
                    let (plugin, server) = super::denied().await?;
                    Some((stack(plugin), server))
                }

                async fn unavailable() -> Option<(StackWithoutRetry<Infisical>, fake::Infisical)> {
                    let (plugin, server) = super::unavailable().await?;
                    Some((stack_without_retry(plugin), server))
                }

                pipe_testkit::secrets_compliance!(
                    wrapped,
                    denied = denied,
                    unavailable = unavailable
                );
            }
        }
    };
}

on!(october_2024, October2024);
on!(june_2025, June2025);
on!(current, Current);

mod boxed {
    use super::*;

    async fn boxed() -> Option<(Arc<dyn SecretsPlugin>, fake::Infisical)> {
        let (plugin, server) = with_rights(InfisicalRelease::Current, InfisicalRights::All).await;
        Some((Arc::new(plugin), server))
    }

    pipe_testkit::secrets_compliance!(boxed);
}
