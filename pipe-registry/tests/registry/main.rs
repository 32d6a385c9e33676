//! What a document becomes, and what is said about one that is wrong.

mod canary;
mod entries;
mod faults;
mod login;
mod memory;
mod plugins;
mod schema;

use std::collections::BTreeMap;

use pipe_core::{Error, ErrorKind, Result, SecretSource, SecretValue};
use pipe_identity_oidc::{RelyingParty, RelyingPartyConfig};
use pipe_memory_cognee::{Cognee, CogneeConfig};
use pipe_registry::{Faults, Format, Plugins, Registry};
use pipe_secrets_openbao::{OpenBao, OpenBaoConfig};
use pipe_testkit::reference::{InMemoryIdentity, InMemorySecrets};
use serde::Deserialize;

/// Settings of every form.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    name: Option<String>,
    #[schemars(with = "Option<String>")]
    password: Option<SecretValue>,
    token: Option<SecretSource>,
    labels: BTreeMap<String, u16>,
    servers: Vec<Server>,
    /// The constructor refuses what is set here, and repeats it.
    refuse: Option<String>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String")]
#[allow(dead_code, reason = "only its form matters")]
struct Server(String);

/// Repeats what it refuses, as many such types do.
impl TryFrom<String> for Server {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with("https://") { Ok(Self(text)) } else { Err(format!("no URL: {text}")) }
    }
}

fn in_memory(settings: Settings) -> Result<InMemorySecrets> {
    if let Some(refused) = settings.refuse {
        return Err(Error::new(ErrorKind::ConfigInvalid, "the settings are not usable")
            .with("refuse", format!("{refused} is not usable"))
            .with("servers", "must be more than one"));
    }
    let secrets = InMemorySecrets::new();
    Ok(settings.name.into_iter().fold(secrets, |secrets, name| secrets.named(name)))
}

fn registry() -> Registry {
    Registry::new()
        .with_secrets_kind::<OpenBaoConfig, _, _>("openbao", OpenBao::new)
        .with_secrets_kind::<Settings, _, _>("in-memory", in_memory)
        .with_identity_kind::<Settings, _, _>("in-memory", |_| Ok(InMemoryIdentity::new()))
        .with_memory_kind::<CogneeConfig, _, _>("cognee", Cognee::new)
        .with_login_kind::<RelyingPartyConfig, _, _>("oidc", RelyingParty::new)
}

fn load(toml: &str) -> Result<Plugins, Faults> {
    registry().load(toml, Format::Toml)
}

/// Each fault as its line.
fn faults(toml: &str) -> Vec<String> {
    load(toml).expect_err("the document is wrong").iter().map(ToString::to_string).collect()
}
