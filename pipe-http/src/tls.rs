//! Certificates and keys from the configuration. A fault is a sentence without any of the input.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use pipe_core::SecretSource;
use reqwest::{Certificate, Identity};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::config::{CaBundle, CaSource};

const FILE_LIMIT: u64 = 1 << 20;

/// The certificates of a bundle, each checked here, so that a fault can name its setting.
pub(crate) fn authorities(bundle: &CaBundle) -> Result<Vec<Certificate>, String> {
    let invalid = |_| "has an invalid certificate".to_owned();
    certificates(bundle)?.iter().map(|der| Certificate::from_der(der).map_err(invalid)).collect()
}

/// The same, as they are.
pub(crate) fn certificates(bundle: &CaBundle) -> Result<Vec<CertificateDer<'static>>, String> {
    let read;
    let pem = match &bundle.source {
        CaSource::Pem(pem) => pem,
        CaSource::File(path) => {
            read = read_file(path)?;
            &*read
        }
    };
    let mut certificates = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem) {
        let der = der.map_err(|_| "is not valid PEM")?;
        RootCertStore::empty().add(der.clone()).map_err(|_| "has an invalid certificate")?;
        certificates.push(der);
    }
    if certificates.is_empty() {
        return Err("has no PEM certificate in it".to_owned());
    }
    Ok(certificates)
}

/// The certificate chain and the key that belongs to it.
pub(crate) fn identity(source: &SecretSource) -> Result<Identity, String> {
    let pem = source.read_once().map_err(|error| {
        let place = error.contexts().next().map_or("", |(_, place)| place);
        format!("cannot be read: {} ({place})", error.message())
    })?;
    // The sources of these errors are dropped: they come from parsing a private key.
    let identity = Identity::from_pem(pem.expose())
        .map_err(|_| "is not a PEM certificate chain with its PEM private key")?;
    reqwest::Client::builder()
        .tls_certs_only([])
        .identity(identity.clone())
        .build()
        .map_err(|_| "has a key that is unusable or belongs to another certificate")?;
    Ok(identity)
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let shown = path.display();
    let failed = |error: std::io::Error| format!("cannot read {shown}: {}", error.kind());
    let size = match path.metadata().map_err(failed)? {
        // Opening a pipe would wait for somebody to write to it.
        meta if !meta.is_file() => return Err(format!("{shown} is not a file")),
        meta => meta.len(),
    };
    let room = usize::try_from(size.min(FILE_LIMIT)).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    File::open(path)
        .and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(format!("{shown} is larger than 1 MiB"));
    }
    Ok(bytes)
}
