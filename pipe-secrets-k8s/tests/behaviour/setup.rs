//! Plugins of the fake API server.

use std::time::Duration;

use pipe_core::SecretSource;
use pipe_http::HttpConfig;
use pipe_secrets_k8s::{Connection, Kubernetes, KubernetesConfig};
use pipe_testkit::fake;

/// Settings in the namespace `default`.
pub(crate) fn of(connection: Connection) -> KubernetesConfig {
    let http = HttpConfig::new().with_timeout(Duration::from_secs(10));
    KubernetesConfig::new(connection).with_namespace("default").with_http(http)
}

pub(crate) fn config(server: &fake::Kubernetes, token: &str) -> KubernetesConfig {
    of(Connection::cluster(server.address(), SecretSource::Value(token.into())))
}

/// Somebody who may do everything.
pub(crate) fn admin(server: &fake::Kubernetes) -> Kubernetes {
    Kubernetes::new(config(server, &server.admin_token())).unwrap()
}

/// Somebody else, who may do everything too.
pub(crate) fn rival(server: &fake::Kubernetes) -> Kubernetes {
    let config = config(server, &server.admin_token()).with_field_manager("rival");
    Kubernetes::new(config).unwrap()
}

/// Four processes of the same program: they take no turns.
pub(crate) fn several(server: &fake::Kubernetes) -> Vec<Kubernetes> {
    (0..4).map(|_| admin(server)).collect()
}
