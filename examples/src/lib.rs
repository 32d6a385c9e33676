//! Small programs that show the family at work; see the binaries.

pub mod login;

use pipe_identity_oidc::{Oidc, OidcConfig, RelyingParty, RelyingPartyConfig};
use pipe_identity_zitadel::{Zitadel, ZitadelConfig};
use pipe_memory_cognee::{Cognee, CogneeConfig};
use pipe_registry::Registry;
use pipe_secrets_infisical::{Infisical, InfisicalConfig};
use pipe_secrets_k8s::{Kubernetes, KubernetesConfig, KubernetesIdentity};
use pipe_secrets_openbao::{OpenBao, OpenBaoConfig};
use pipe_testkit::reference::{InMemoryIdentity, InMemorySecrets};
use schemars::JsonSchema;
use serde::Deserialize;

/// The settings of the plugins in memory, which are for development: what they hold is gone with
/// the program.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "InMemoryConfig")]
#[non_exhaustive]
pub struct InMemoryConfig {
    /// The instance's name in errors, audit and metrics; `in-memory`.
    pub name: String,
}

impl Default for InMemoryConfig {
    fn default() -> Self {
        Self { name: "in-memory".to_owned() }
    }
}

/// A registry with all backends of the family, and with plugins in memory for development.
#[must_use]
pub fn registry() -> Registry {
    Registry::new()
        .with_secrets_kind::<OpenBaoConfig, _, _>("openbao", OpenBao::new)
        .with_secrets_kind::<KubernetesConfig, _, _>("kubernetes", Kubernetes::new)
        .with_secrets_kind::<InfisicalConfig, _, _>("infisical", Infisical::new)
        .with_secrets_kind::<InMemoryConfig, _, _>("in-memory", |config| {
            Ok(InMemorySecrets::new().named(config.name))
        })
        .with_identity_kind::<OidcConfig, _, _>("oidc", Oidc::new)
        .with_identity_kind::<KubernetesConfig, _, _>("kubernetes", KubernetesIdentity::new)
        .with_identity_kind::<ZitadelConfig, _, _>("zitadel", Zitadel::new)
        .with_identity_kind::<InMemoryConfig, _, _>("in-memory", |_| Ok(InMemoryIdentity::new()))
        .with_memory_kind::<CogneeConfig, _, _>("cognee", Cognee::new)
        .with_login_kind::<RelyingPartyConfig, _, _>("oidc", RelyingParty::new)
}

/// The root README's snippets are tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
