//! `AcmeVault` keeps the contract of `SecretsPlugin`.
use acme_vault::AcmeVault;

/// A fresh plugin, and whatever must outlive it.
async fn acme() -> Option<(AcmeVault, ())> {
    Some((AcmeVault::default(), ()))
}

pipe_testkit::secrets_compliance!(acme);
