//! `Kubernetes` keeps the contract, offline, on a fake that answers as a real API server does.

use std::sync::Arc;

use pipe_core::{SecretSource, SecretsPlugin};
use pipe_secrets_k8s::{Connection, Kubernetes, KubernetesConfig, KubernetesIdentity};
use pipe_testkit::fake::{self, Rule};

const ALL: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];
const NAMESPACES: [&str; 3] = ["default", "pipe-testkit-a", "pipe-testkit-b"];

/// The settings of a user with these verbs, with small pages, so that every list needs several.
async fn with_verbs(verbs: &[&str]) -> (KubernetesConfig, fake::Kubernetes) {
    let server = fake::Kubernetes::start().await;
    let token = server.create_user("bot", &[]);
    for namespace in NAMESPACES {
        server.create_namespace(namespace);
        server.grant(Rule::secrets("bot", namespace, verbs));
    }
    let token = SecretSource::Value(token.into());
    let connection = Connection::cluster(server.address(), token);
    let config = KubernetesConfig::new(connection).with_namespace("default").with_page_size(7);
    (config, server)
}

async fn bare() -> Option<(Kubernetes, fake::Kubernetes)> {
    let (config, server) = with_verbs(&ALL).await;
    Some((Kubernetes::new(config).expect("the settings are sound"), server))
}

async fn denied() -> Option<(Kubernetes, fake::Kubernetes)> {
    let (config, server) = with_verbs(&[]).await;
    Some((Kubernetes::new(config).expect("the settings are sound"), server))
}

async fn unavailable() -> Option<(Kubernetes, fake::Kubernetes)> {
    let (plugin, server) = bare().await?;
    server.stop().await;
    Some((plugin, server))
}

pipe_testkit::secrets_compliance!(bare, denied = denied, unavailable = unavailable);

/// The tokens of a cluster, for the identity suite.
async fn identity() -> Option<(KubernetesIdentity, fake::Kubernetes)> {
    let (config, server) = with_verbs(&[]).await;
    let _ = server.create_service_account("default", "pipe-testkit");
    for resource in ["tokenreviews", "serviceaccounts/token"] {
        server.grant(Rule::everywhere("bot", resource, &["create"]));
    }
    Some((KubernetesIdentity::new(config).expect("the settings are sound"), server))
}

pipe_testkit::identity_compliance!(identity);

mod boxed {
    use super::*;

    async fn boxed() -> Option<(Arc<dyn SecretsPlugin>, fake::Kubernetes)> {
        let (plugin, server) = bare().await?;
        Some((Arc::new(plugin), server))
    }

    pipe_testkit::secrets_compliance!(boxed);
}

mod wrapped {
    use pipe_testkit::wrapped::{Stack, StackWithoutRetry, stack, stack_without_retry};

    use super::*;

    async fn wrapped() -> Option<(Stack<Kubernetes>, fake::Kubernetes)> {
        let (plugin, server) = bare().await?;
        Some((stack(plugin), server))
    }

    async fn denied() -> Option<(Stack<Kubernetes>, fake::Kubernetes)> {
        let (plugin, server) = super::denied().await?;
        Some((stack(plugin), server))
    }

    async fn unavailable() -> Option<(StackWithoutRetry<Kubernetes>, fake::Kubernetes)> {
        let (plugin, server) = super::unavailable().await?;
        Some((stack_without_retry(plugin), server))
    }

    pipe_testkit::secrets_compliance!(wrapped, denied = denied, unavailable = unavailable);
}
