//! A Kubernetes Secret, read by the plugin and by kube's own client.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, Config};
use pipe_core::{SecretData, SecretRef, SecretSource, SecretsPlugin};
use pipe_secrets_k8s::{Connection, Kubernetes, KubernetesConfig};
use pipe_testkit::fake;

use crate::sample::{Plan, side_by_side};
use crate::{Fault, Limit, Measured, Report};

const NAMESPACE: &str = "default";

pub(crate) async fn measure(report: &mut Report) {
    let name = "Kubernetes Secret read / the same by kube::Api::get";
    report.measure(name, Limit::AtMost(1.1), read).await;
}

/// Reads one after the other, on a warm connection each. The fake API server answers faster than a real
/// one does, so that it hides less of what either side costs.
async fn read() -> Result<Measured, Fault> {
    let cluster = fake::Kubernetes::start().await;
    let token = SecretSource::Value(cluster.admin_token().into());
    let connection = Connection::cluster(cluster.address(), token);
    let plugin = Kubernetes::new(KubernetesConfig::new(connection).with_namespace(NAMESPACE))?;
    let secret = SecretRef::new("pipe-bench")?;
    let data = SecretData::new().with("username", "bot").with("password", "correct horse");
    plugin.create_secret(&secret, data).await?;

    let mut config = Config::new(cluster.address().parse()?);
    config.auth_info.token = Some(cluster.admin_token().into());
    let client = Client::try_from(config)?;
    let secrets = Api::<Secret>::namespaced(client, NAMESPACE);
    let object = Kubernetes::object_name(&secret);
    let ours = async || match plugin.get_secret(&secret).await? {
        Some(_) => Ok(()),
        None => Err(Fault::new("the Secret is not there")),
    };
    let baseline = async || {
        secrets.get(&object).await?;
        Ok(())
    };
    side_by_side(Plan::EACH_CALL, ours, baseline).await
}
