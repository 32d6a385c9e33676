//! A read that goes to the server, beside the same request without us, and beside another client.

use std::collections::HashMap;

use pipe_core::{SecretData, SecretRef, SecretsPlugin};
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
use vaultrs::kv2;

use crate::sample::{Plan, side_by_side};
use crate::{Fault, Limit, Measured, Report, Server};

const NAME: &str = "pipe-bench/uncached";

pub(crate) async fn measure(report: &mut Report, server: Result<&Server, Fault>) {
    let name = "uncached read / the same GET by reqwest";
    let measure = async || read(server.clone()?).await;
    report.measure(name, Limit::AtMost(1.05), measure).await;
    let name = "uncached read / the same read by vaultrs";
    let measure = async || read_beside_vaultrs(server.clone()?).await;
    report.measure(name, Limit::AtMost(0.97), measure).await;
}

/// Reads one after the other on a warm connection each. The baseline takes the whole answer, and does
/// not look into it.
/// Both read the values out of the answer, from one connection each.
async fn read_beside_vaultrs(server: &Server) -> Result<Measured, Fault> {
    let secret = SecretRef::new(NAME)?;
    let plugin = server.plugin()?;
    let data = SecretData::new().with("username", "bot").with("password", "correct horse");
    plugin.create_secret(&secret, data).await?;

    let unusable = |_| Fault::new("vaultrs does not work");
    let settings = VaultClientSettingsBuilder::default()
        .address(server.address())
        .token(server.token())
        .build()
        .map_err(|_| Fault::new("vaultrs does not take its settings"))?;
    let client = VaultClient::new(settings).map_err(unusable)?;
    let ours = async || match plugin.get_secret(&secret).await? {
        Some(_) => Ok(()),
        None => Err(Fault::new("the secret is not there")),
    };
    let baseline = async || {
        let values: HashMap<String, String> =
            kv2::read(&client, "secret", NAME).await.map_err(unusable)?;
        match values.len() {
            2 => Ok(()),
            _ => Err(Fault::new("vaultrs reads something else")),
        }
    };
    side_by_side(Plan::EACH_CALL, ours, baseline).await
}

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
