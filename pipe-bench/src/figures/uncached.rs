//! A read that goes to the server, beside the same request without us.

use pipe_core::{SecretData, SecretRef, SecretsPlugin};

use crate::sample::{Plan, side_by_side};
use crate::{Fault, Limit, Measured, Report, Server};

const NAME: &str = "pipe-bench/uncached";

pub(crate) async fn measure(report: &mut Report, server: Result<&Server, Fault>) {
    let name = "uncached read / the same GET by reqwest";
    let measure = async || read(server.clone()?).await;
    report.measure(name, Limit::AtMost(1.05), measure).await;
}

/// Reads one after the other on a warm connection each. The baseline takes the whole answer, and does
/// not look into it.
async fn read(server: &Server) -> Result<Measured, Fault> {
    let secret = SecretRef::new(NAME)?;
    let plugin = server.plugin()?;
    let data = SecretData::new().with("username", "bot").with("password", "correct horse");
    plugin.create_secret(&secret, data).await?;

    let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build()?;
    let url = format!("{}/v1/secret/data/{NAME}", server.address());
    let ours = async || match plugin.get_secret(&secret).await? {
        Some(_) => Ok(()),
        None => Err(Fault::new("the secret is not there")),
    };
    let baseline = async || {
        let request = client.get(&url).header("x-vault-token", server.token());
        request.send().await?.error_for_status()?.bytes().await?;
        Ok(())
    };
    side_by_side(Plan::EACH_CALL, ours, baseline).await
}
