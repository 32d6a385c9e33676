//! TLS to the Redis server: rustls with aws-lc-rs, as everywhere.

use std::sync::Arc;

use pipe_http::{CaBundle, CaTrust};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::{BuilderVerifierExt as _, Verifier};

/// What is wrong with `ca` is a sentence without any of the input.
pub(super) fn client(ca: Option<&CaBundle>) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|_| "TLS is not to be had")?;
    let platform = |_| "cannot be done without: the platform's authorities cannot be read";
    let builder = match ca {
        None => builder.with_platform_verifier().map_err(platform)?,
        Some(bundle) => {
            let certificates = bundle.certificates()?;
            match bundle.trust() {
                CaTrust::Added => {
                    let verifier = Verifier::new_with_extra_roots(certificates, provider);
                    let verifier = Arc::new(verifier.map_err(platform)?);
                    builder.dangerous().with_custom_certificate_verifier(verifier)
                }
                _ => {
                    let mut roots = RootCertStore::empty();
                    for certificate in certificates {
                        roots.add(certificate).map_err(|_| "has an invalid certificate")?;
                    }
                    builder.with_root_certificates(roots)
                }
            }
        }
    };
    Ok(Arc::new(builder.with_no_client_auth()))
}
