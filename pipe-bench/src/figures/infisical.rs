//! A secret of Infisical, read by the plugin, beside the same request without us.

use pipe_core::{SecretData, SecretRef, SecretSource, SecretsPlugin};
use pipe_secrets_infisical::{Infisical, InfisicalConfig, UniversalAuth};
use pipe_testkit::fake::{self, InfisicalIdentity, InfisicalRelease, InfisicalRights};

use crate::sample::{Plan, side_by_side};
use crate::{Fault, Limit, Measured, Report};

pub(crate) async fn measure(report: &mut Report) {
    let name = "uncached Infisical read / the same GET by reqwest";
    report.measure(name, Limit::AtMost(1.05), read).await;
}

/// Reads one after the other, on a warm connection each. The baseline takes the whole answer, and does not
/// look into it.
async fn read() -> Result<Measured, Fault> {
    let server = fake::Infisical::start(InfisicalRelease::Current).await;
    let (id, secret) = server.create_identity(InfisicalIdentity::new(InfisicalRights::All));
    let token = server.create_token(&id);
    let auth = UniversalAuth::new(id, SecretSource::Value(secret.into()));
    let config = InfisicalConfig::new(server.address(), server.project(), auth).with_revalidated(0);
    let plugin = Infisical::new(config)?;
    let secret = SecretRef::new("pipe-bench")?;
    let data = SecretData::new().with("username", "bot").with("password", "correct horse");
    plugin.create_secret(&secret, data).await?;

    let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build()?;
    let url = format!(
        "{}/api/v4/secrets?projectId={}&environment=dev&secretPath=%2Fpipe-bench&viewSecretValue=true\
         &expandSecretReferences=false&recursive=false&include_imports=false&includeImports=false",
        server.address(),
        server.project()
    );
    let ours = async || match plugin.get_secret(&secret).await? {
        Some(_) => Ok(()),
        None => Err(Fault::new("the secret is not there")),
    };
    let baseline = async || {
        let request = client.get(&url).bearer_auth(&token);
        request.send().await?.error_for_status()?.bytes().await?;
        Ok(())
    };
    side_by_side(Plan::EACH_CALL, ours, baseline).await
}
