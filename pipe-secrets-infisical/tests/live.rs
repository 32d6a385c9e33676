//! Against a real server, which `INFISICAL_API_URL`, `INFISICAL_PROJECT_ID`, `INFISICAL_CLIENT_ID` and
//! `INFISICAL_CLIENT_SECRET` name, in the environment `INFISICAL_ENVIRONMENT` (`dev`). Where they are
//! not set, every test says so and is skipped; with `PIPE_TESTKIT_REQUIRE=1` that is a failure.
//!
//! The machine identity may read and write secrets and folders of the project.

use std::time::Duration;

use async_trait::async_trait;
use pipe_core::secrets::{ListQuery, Secret, SecretStream, SecretsCapabilities, WriteOutcome};
use pipe_core::{
    Error, Health, Plugin, Result, SecretData, SecretRef, SecretSource, SecretsPlugin,
};
use pipe_secrets_infisical::{Auth, Infisical, InfisicalConfig, UniversalAuth};

fn config() -> Option<InfisicalConfig> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let url = variable("INFISICAL_API_URL")?;
    let address = url.trim_end_matches('/').trim_end_matches("/api").to_owned();
    let secret = SecretSource::env("INFISICAL_CLIENT_SECRET");
    variable("INFISICAL_CLIENT_SECRET")?;
    let auth = UniversalAuth::new(variable("INFISICAL_CLIENT_ID")?, secret);
    let config = InfisicalConfig::new(address, variable("INFISICAL_PROJECT_ID")?, auth)
        .with_folder("pipe-live")
        .with_poll_interval(Duration::from_millis(200));
    Some(match variable("INFISICAL_ENVIRONMENT") {
        Some(environment) => config.with_environment(environment),
        None => config,
    })
}

/// The plugin in its one environment: which others there are is not ours to say.
#[derive(Debug)]
struct OneEnvironment(Infisical);

impl OneEnvironment {
    fn check(&self, is_own: bool, operation: &'static str) -> Result<()> {
        if is_own { Ok(()) } else { Err(Error::unsupported(self.name(), operation)) }
    }
}

#[async_trait]
impl Plugin for OneEnvironment {
    fn name(&self) -> &str {
        self.0.name()
    }
    async fn health(&self) -> Health {
        self.0.health().await
    }
    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}

#[async_trait]
impl SecretsPlugin for OneEnvironment {
    fn capabilities(&self) -> SecretsCapabilities {
        let mut capabilities = self.0.capabilities();
        capabilities.namespaces = false;
        capabilities
    }
    async fn get_secret(&self, secret: &SecretRef) -> Result<Option<Secret>> {
        self.check(secret.namespace.is_none(), "get_secret")?;
        self.0.get_secret(secret).await
    }
    async fn create_secret(&self, secret: &SecretRef, data: SecretData) -> Result<WriteOutcome> {
        self.check(secret.namespace.is_none(), "create_secret")?;
        self.0.create_secret(secret, data).await
    }
    async fn delete_secret(&self, secret: &SecretRef) -> Result<bool> {
        self.check(secret.namespace.is_none(), "delete_secret")?;
        self.0.delete_secret(secret).await
    }
    async fn list_secrets(&self, query: &ListQuery) -> Result<Vec<SecretRef>> {
        self.check(query.namespace.is_none(), "list_secrets")?;
        self.0.list_secrets(query).await
    }
    async fn watch_secret(&self, secret: &SecretRef) -> Result<SecretStream> {
        self.check(secret.namespace.is_none(), "watch_secret")?;
        self.0.watch_secret(secret).await
    }
}

async fn live() -> Option<(OneEnvironment, ())> {
    let plugin = Infisical::new(config()?).expect("the settings are sound");
    Some((OneEnvironment(plugin), ()))
}

async fn unavailable() -> Option<(OneEnvironment, ())> {
    let mut config = config()?;
    // Nobody listens there.
    config.address = "http://127.0.0.1:9".to_owned();
    Some((OneEnvironment(Infisical::new(config).expect("the settings are sound")), ()))
}

pipe_testkit::secrets_compliance!(live, unavailable = unavailable);

fn skipped(name: &str) {
    let required = std::env::var_os("PIPE_TESTKIT_REQUIRE").is_some_and(|value| value == "1");
    assert!(!required, "{name}: a server is required, and absent");
    eprintln!("SKIPPED {name}: INFISICAL_API_URL is not set");
}

#[tokio::test]
async fn a_mistyped_environment_is_no_absence() {
    let Some(config) = config() else { return skipped("a_mistyped_environment_is_no_absence") };
    let plugin = Infisical::new(config.with_environment("no-such-environment")).unwrap();
    let secret = SecretRef::new("apps/db").unwrap();
    let error = plugin.get_secret(&secret).await.unwrap_err();
    assert_eq!(error.kind(), pipe_core::ErrorKind::NotFound, "{error:#}");
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_is_no_absence() {
    let Some(mut config) = config() else { return skipped("a_wrong_token_is_refused") };
    config.auth = Auth::token(SecretSource::Value("eyJhbGciOiJIUzI1NiJ9.e30.AAAA".into()));
    let plugin = Infisical::new(config).unwrap();
    let error = plugin.get_secret(&SecretRef::new("apps/db").unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), pipe_core::ErrorKind::Unauthenticated, "{error:#}");
}

#[tokio::test]
async fn the_server_is_healthy() {
    let Some(config) = config() else { return skipped("the_server_is_healthy") };
    let health = Infisical::new(config).unwrap().health().await;
    assert!(health.is_serving(), "{health:?}");
}
