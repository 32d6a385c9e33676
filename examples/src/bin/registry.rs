//! A document says which plugins there are; the program only asks for them by name.
//!
//! `registry [document]`; without one, `pipe.toml` beside this package's manifest.

use std::path::PathBuf;

use pipe_core::{Result, SecretData, SecretRef, SecretsPluginExt};

#[tokio::main]
async fn main() -> Result<()> {
    let default = || concat!(env!("CARGO_MANIFEST_DIR"), "/pipe.toml").into();
    let document = std::env::args_os().nth(1).map_or_else(default, PathBuf::from);
    let plugins = pipe_examples::registry().load_file(&document)?;

    for (place, health) in plugins.health().await.plugins {
        println!("{place}: {:?}", health.status);
    }
    let api_token = SecretRef::new("registry/api-token")?;
    for (instance, secrets) in plugins.all_secrets() {
        let data = SecretData::new().with("password", "s3cr3t");
        let change = secrets.create_secret(&api_token, data).await?.change;
        let password = secrets.require_key(&api_token, "password").await?;
        println!("{instance}: {api_token} is {change:?}, and its password {password:?}");
    }
    plugins.close().await
}
