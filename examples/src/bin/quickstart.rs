//! A bot proves who it is, keeps a secret, and says how the secret reaches its pod.
//!
//! Without settings it runs on embedded defaults. With `BAO_ADDR` and `BAO_TOKEN` (or `BAO_ROLE`
//! in a pod) the same code keeps its secret in a real OpenBao.

use std::sync::Arc;

use pipe_core::identity::{JwtRequest, PrincipalId, Role, TokenExpectation};
use pipe_core::pod::EnvInjection;
use pipe_core::{
    IdentityPlugin, Namespace, Result, SecretData, SecretRef, SecretsPlugin, SecretsPluginExt,
};
use pipe_secrets_openbao::{OpenBao, OpenBaoConfig};
use pipe_testkit::reference::{InMemoryIdentity, InMemorySecrets};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<()> {
    let identity = InMemoryIdentity::new();
    let secrets: Arc<dyn SecretsPlugin> = match std::env::var_os("BAO_ADDR") {
        Some(_) => Arc::new(OpenBao::new(OpenBaoConfig::from_env()?)?),
        None => Arc::new(InMemorySecrets::new()),
    };

    println!("1. The bot proves who it is, and whoever it calls checks it:\n");
    let request = JwtRequest::new(PrincipalId::new("service-account:quickstart-bot")?)
        .with_audience("governance-api")
        .with_namespace(Namespace::new("sales")?)
        .with_role(Role::new("data_reader")?);
    let jwt = identity.generate_jwt(&request).await?;
    let expected = TokenExpectation::audience("governance-api");
    let caller = identity.validate_token(&jwt.token, &expected).await?;
    println!("{}", yaml(&caller.to_map()));

    println!("2. It keeps a secret in `{}` and reads it back:\n", secrets.name());
    let api_token = SecretRef::new("quickstart/api-token")?;
    let data = SecretData::new().with("username", "quickstart-bot").with("password", "s3cr3t");
    let outcome = secrets.create_secret(&api_token, data).await?;
    let password = secrets.require_key(&api_token, "password").await?;
    println!("{api_token}: {:?}, and its password is {password:?}\n", outcome.change);

    println!("3. Its Job gets the secret as an environment variable:\n");
    let injection = EnvInjection::new().with_env("API_PASSWORD", api_token, "password");
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "quickstart-bot" },
        "spec": { "template": { "spec": { "restartPolicy": "Never", "containers": [
            { "name": "bot", "image": "registry.example/quickstart-bot:1.0" },
        ] } } },
    });
    secrets.inject_env_vars(&injection)?.apply_to(&mut job, "bot")?;
    println!("{}", yaml(&job));
    secrets.close().await
}

fn yaml(value: &impl serde::Serialize) -> String {
    serde_saphyr::to_string(value).unwrap_or_else(|error| format!("not printable: {error}"))
}
