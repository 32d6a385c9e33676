//! Servers, plugins and secrets.

use pipe_core::{SecretData, SecretRef, SecretSource};
use pipe_secrets_infisical::{Infisical, InfisicalConfig, UniversalAuth};
use pipe_testkit::fake::{self, InfisicalIdentity, InfisicalRelease, InfisicalRights};

pub(crate) const RELEASES: [InfisicalRelease; 3] = InfisicalRelease::ALL;

pub(crate) fn everything() -> InfisicalIdentity {
    InfisicalIdentity::new(InfisicalRights::All)
}

/// A server, and the settings of an identity in it.
pub(crate) async fn with_identity(
    release: InfisicalRelease,
    identity: InfisicalIdentity,
) -> (InfisicalConfig, fake::Infisical) {
    let server = fake::Infisical::start(release).await;
    let (id, secret) = server.create_identity(identity);
    let auth = UniversalAuth::new(id, SecretSource::Value(secret.into()));
    (InfisicalConfig::new(server.address(), server.project(), auth), server)
}

pub(crate) fn plugin(config: InfisicalConfig) -> Infisical {
    Infisical::new(config).expect("the settings are sound")
}

/// A plugin that may do everything.
pub(crate) async fn ready(release: InfisicalRelease) -> (Infisical, fake::Infisical) {
    let (config, server) = with_identity(release, everything()).await;
    (plugin(config), server)
}

pub(crate) fn db() -> SecretRef {
    SecretRef::new("apps/db").expect("legal")
}

pub(crate) fn password(value: &str) -> SecretData {
    SecretData::new().with("password", value)
}
