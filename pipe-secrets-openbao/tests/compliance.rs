//! `OpenBao` keeps the contract, offline, on a fake that is held to the real server's answers.

use std::sync::Arc;

use pipe_core::{SecretSource, SecretsPlugin};
use pipe_secrets_openbao::{Auth, OpenBao, OpenBaoConfig};
use pipe_testkit::fake;

const ALL: [&str; 5] = ["create", "read", "update", "delete", "list"];

/// A plugin with a token of these policies, and small pages, so that every list needs several.
async fn with_policies(policies: &[&str]) -> (OpenBao, fake::OpenBao) {
    let server = fake::OpenBao::start().await;
    for namespace in ["pipe-testkit-a", "pipe-testkit-b"] {
        let _ = server.create_namespace(namespace);
    }
    server.put_policy("bot", &[("secret/*", &ALL), ("+/secret/*", &ALL)]);
    let token = SecretSource::Value(server.create_token(policies, None, false).into());
    let config = OpenBaoConfig::new(server.address(), Auth::token(token))
        .with_page_size(7)
        .with_poll_interval(std::time::Duration::from_millis(20));
    (OpenBao::new(config).expect("the settings are sound"), server)
}

async fn bare() -> Option<(OpenBao, fake::OpenBao)> {
    Some(with_policies(&["bot"]).await)
}

async fn denied() -> Option<(OpenBao, fake::OpenBao)> {
    Some(with_policies(&[]).await)
}

async fn unavailable() -> Option<(OpenBao, fake::OpenBao)> {
    let (plugin, server) = with_policies(&["bot"]).await;
    server.stop().await;
    Some((plugin, server))
}

pipe_testkit::secrets_compliance!(bare, denied = denied, unavailable = unavailable);

mod boxed {
    use super::*;
    async fn boxed() -> Option<(Arc<dyn SecretsPlugin>, fake::OpenBao)> {
        let (plugin, server) = with_policies(&["bot"]).await;
        Some((Arc::new(plugin), server))
    }
    pipe_testkit::secrets_compliance!(boxed);
}

mod wrapped {
    use pipe_testkit::wrapped::{Stack, StackWithoutRetry, stack, stack_without_retry};

    use super::*;

    async fn wrapped() -> Option<(Stack<OpenBao>, fake::OpenBao)> {
        let (plugin, server) = with_policies(&["bot"]).await;
        Some((stack(plugin), server))
    }

    async fn denied() -> Option<(Stack<OpenBao>, fake::OpenBao)> {
        let (plugin, server) = with_policies(&[]).await;
        Some((stack(plugin), server))
    }

    async fn unavailable() -> Option<(StackWithoutRetry<OpenBao>, fake::OpenBao)> {
        let (plugin, server) = super::unavailable().await?;
        Some((stack_without_retry(plugin), server))
    }

    pipe_testkit::secrets_compliance!(wrapped, denied = denied, unavailable = unavailable);
}
